"""What Python definitions may not do, or had better not."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from feature_mart.definitions import determinism
from feature_mart.definitions.problems import Problem, Problems

FUNCTIONS = "pyspark.sql.functions"
_OUTSIDE_MODULES = frozenset(
    [
        "random",
        "uuid",
        "secrets",
        "time",
        "os",
        "sys",
        "socket",
        "subprocess",
        "requests",
        "urllib",
        "urllib3",
        "http",
        "httpx",
        "ftplib",
        "smtplib",
        "sqlite3",
        "shutil",
        "tempfile",
        "glob",
        "pathlib",
        "io",
        "threading",
        "multiprocessing",
        "asyncio",
        "boto3",
        "redis",
        "sqlalchemy",
        "psycopg2",
        "getpass",
        "platform",
    ]
)
_CLOCKS = frozenset(
    [
        "datetime.datetime.now",
        "datetime.datetime.utcnow",
        "datetime.datetime.today",
        "datetime.date.today",
        "pandas.Timestamp.now",
        "pandas.Timestamp.utcnow",
        "pandas.Timestamp.today",
    ]
)
_BUILT_INS = frozenset(["open", "input", "exec", "eval", "compile", "__import__", "globals", "id", "hash"])
_WRITES = frozenset(["write", "writeTo", "writeStream"])
_READS = frozenset(["read", "readStream", "table", "sql", "catalog"])
_SESSIONS = frozenset(["spark", "session", "sparkSession", "spark_session"])
_DEDUPLICATIONS = frozenset(["dropDuplicates", "drop_duplicates"])
_ORDERS = frozenset(["orderBy", "sort"])
_FIRST_ROW = "number the rows by F.row_number() over a window with an explicit order, and keep the first"
_SAMPLES = frozenset(["sample", "sampleBy", "randomSplit"])
#: What people call the module of Spark's functions where the import is not in the file.
_CUSTOMARY = dict.fromkeys(("F", "f", "fn", "sf", "SF", "functions"), FUNCTIONS)
_OUTSIDE = "remove it: a definition takes DataFrames and gives one, all else comes in as a source"
_CLOCK = "take interval_end: datetime as a parameter of transform"
_SAMPLE = "take rows by a hash of their key, as in F.pmod(F.xxhash64('customer_id'), 100) < 10"
_ORDER = "use F.min_by or F.max_by, F.sort_array(F.collect_list(…)), or a window with an explicit order"


def check_module(file: str, tree: ast.Module, problems: Problems) -> None:
    """Tell what a definition may not use, wherever in its file."""
    parents = _parents(tree)
    names = _imported(parents)
    for node in parents:
        for message, written, fix in _refused(node, names):
            problems.add(Problem(file, getattr(node, "lineno", 1), "", message, written, fix=fix))
        if isinstance(node, ast.Call) and _depends_on_order(node, names, parents):
            _warn(file, node, "gives what comes first or last by chance, so another run may differ", _ORDER, problems)
        elif isinstance(node, ast.Call) and called(node) in _DEDUPLICATIONS and (node.args or node.keywords):
            _warn(file, node, "keeps one of several rows by chance, so another run may differ", _FIRST_ROW, problems)


def _warn(file: str, node: ast.Call, what: str, fix: str, problems: Problems) -> None:
    name = called(node)
    problems.add(Problem(file, node.lineno, "", f"{name} {what}", name, fix=fix, severity="warning"))


def called(node: ast.Call) -> str:
    """The last name of what is called."""
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def root_name(node: ast.expr) -> str:
    """``a`` for ``a.b(c).d``."""
    while isinstance(node, (ast.Attribute, ast.Call, ast.Subscript)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _parents(tree: ast.Module) -> dict[ast.AST, ast.AST]:
    """Every node below the tree, with the one that it is a part of."""
    parents: dict[ast.AST, ast.AST] = {}
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, (ast.expr_context, ast.operator)):  # shared between nodes
                parents[child] = node
                waiting.append(child)
    return parents


def _imported(nodes: Iterable[ast.AST]) -> dict[str, str]:
    """What names stand for by the file's imports: ``F`` for ``pyspark.sql.functions``."""
    names = dict(_CUSTOMARY)
    for node in nodes:
        if isinstance(node, ast.Import):
            for name in node.names:
                names[name.asname or name.name.split(".")[0]] = name.name if name.asname else name.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.module:
            for name in node.names:
                names[name.asname or name.name] = f"{node.module}.{name.name}"
    return names


def _path(node: ast.expr, names: dict[str, str]) -> str:
    """The dotted path that an expression names, through the imports; empty if it names none."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([names.get(node.id, node.id), *reversed(parts)])


def _refused(node: ast.AST, names: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    """What is refused: the sentence that says so, what is written, and the way out."""
    for written, fix in _outside(node, names):
        yield f"found {written}, which reaches outside the definition", written, fix
    if isinstance(node, ast.Call):
        for written, fix in _undetermined(node, names):
            yield determinism.refusal(written), written, fix


def _outside(node: ast.AST, names: dict[str, str]) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.Import):
        for name in node.names:
            if name.name.split(".")[0] in _OUTSIDE_MODULES:
                yield f"import {name.name}", _OUTSIDE
    elif isinstance(node, ast.ImportFrom):
        written = f"from {'.' * node.level}{node.module or ''} import …"
        if node.level:
            yield written, "write the function into this file: definitions are loaded by path"
        elif (node.module or "").split(".")[0] in _OUTSIDE_MODULES:
            yield written, _OUTSIDE
    elif isinstance(node, ast.Attribute):
        if node.attr in _WRITES:
            yield f".{node.attr}", "remove it: the build writes what transform returns"
        elif node.attr in _READS and _last(node.value) in _SESSIONS:
            yield f"{_last(node.value)}.{node.attr}", "take the input as a parameter of transform"
    elif isinstance(node, ast.Call):
        function = _last(node.func)
        if isinstance(node.func, ast.Name) and function in _BUILT_INS and function not in names:
            yield f"{function}()", _OUTSIDE


def _undetermined(node: ast.Call, names: dict[str, str]) -> Iterator[tuple[str, str]]:
    path, name = _path(node.func, names), called(node)
    module, _, function = path.rpartition(".")
    if module == FUNCTIONS and function in determinism.NONDETERMINISTIC:
        if function not in determinism.ONLY_WITHOUT_ARGUMENTS or not (node.args or node.keywords):
            fix = determinism.way_out(function)
            yield f"{ast.unparse(node.func)}()", _CLOCK if fix == determinism.TODAY else fix
    elif path in _CLOCKS:
        yield f"{ast.unparse(node.func)}()", _CLOCK
    elif path.startswith("numpy.random."):
        yield f"{ast.unparse(node.func)}()", determinism.way_out("rand")
    elif isinstance(node.func, ast.Attribute) and name in _SAMPLES:
        yield f".{name}()", _SAMPLE
    elif isinstance(node.func, ast.Attribute) and name == "limit" and not _ORDERS & _chain(node.func.value):
        yield ".limit() without orderBy", "order by columns that no two rows share"


def _depends_on_order(node: ast.Call, names: dict[str, str], parents: dict[ast.AST, ast.AST]) -> bool:
    module, _, function = _path(node.func, names).rpartition(".")
    if module != FUNCTIONS or function not in determinism.ORDER_DEPENDENT:
        return False
    parent = parents.get(node)
    if isinstance(parent, ast.Attribute) and parent.attr == "over":
        return False
    while isinstance(parent, (ast.Call, ast.Attribute)):
        if isinstance(parent, ast.Call) and called(parent) in determinism.ORDERING:
            return False
        parent = parents.get(parent)
    return True


def _chain(node: ast.expr) -> set[str]:
    """The names of all calls in a chain: ``b`` and ``d`` for ``a.b().c.d()``."""
    names: set[str] = set()
    while isinstance(node, (ast.Attribute, ast.Call)):
        if isinstance(node, ast.Call):
            names.add(called(node))
            node = node.func
        else:
            node = node.value
    return names


def _last(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
