"""Which columns ``transform`` gives, as far as its last expression says so by itself."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Sequence

from feature_mart.definitions.python_rules import called
from feature_mart.definitions.python_text import PythonTransform

Lookup = Callable[[str], Sequence[str] | None]

Columns = list[str | None] | None
LONGEST_CHAIN = 200

#: Calls on a DataFrame that leave its columns as they are.
_KEEPING = frozenset(
    [
        "where",
        "filter",
        "distinct",
        "dropDuplicates",
        "dropDuplicatesWithinWatermark",
        "orderBy",
        "sort",
        "sortWithinPartitions",
        "repartition",
        "coalesce",
        "limit",
        "hint",
        "cache",
        "persist",
        "alias",
        "union",
        "unionAll",
        "unionByName",
        "intersect",
        "intersectAll",
        "subtract",
        "exceptAll",
        "dropna",
        "fillna",
        "replace",
        "checkpoint",
        "localCheckpoint",
    ]
)


def output_columns(transform: PythonTransform, lookup: Lookup) -> Columns:
    """The columns of the frame that is returned, or None if they cannot be read off the text."""
    nodes = list(_own_nodes(transform.function))
    returns = [node for node in nodes if isinstance(node, ast.Return)]
    if len(returns) != 1 or returns[0].value is None or returns[0] not in transform.function.body:
        return None
    reader = _Reader(_assigned_once(nodes), {table.name for table in transform.tables}, lookup)
    return reader.frame(returns[0].value)


def _own_nodes(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """The nodes of a function, those of functions within it left out."""
    waiting: list[ast.AST] = [function]
    while waiting:
        for child in ast.iter_child_nodes(waiting.pop()):
            if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                yield child
                waiting.append(child)


def _assigned_once(nodes: Iterable[ast.AST]) -> dict[str, ast.expr]:
    """Names that are given one value, and that value."""
    found: dict[str, list[ast.expr]] = {}
    for node in nodes:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                for part in ast.walk(target):
                    if isinstance(part, ast.Name):
                        whole = target is part
                        found.setdefault(part.id, []).extend([node.value] if whole else [node.value, node.value])
        elif isinstance(node, (ast.AnnAssign, ast.AugAssign, ast.NamedExpr, ast.For)) and isinstance(
            node.target, ast.Name
        ):
            value = node.value if isinstance(node, ast.AnnAssign) else None
            found.setdefault(node.target.id, []).extend([value] if value is not None else [ast.Constant(None)] * 2)
    return {name: values[0] for name, values in found.items() if len(values) == 1}


class _Reader:
    """Follows a chain of calls on frames back to an input or a ``select``."""

    def __init__(self, assigned: dict[str, ast.expr], inputs: set[str], lookup: Lookup) -> None:
        self.assigned = assigned
        self.inputs = inputs
        self.lookup = lookup

    def frame(self, node: ast.expr, depth: int = 0) -> Columns:
        """The columns of the frame that an expression stands for."""
        if depth > LONGEST_CHAIN:
            return None
        if isinstance(node, ast.Name):
            return self.named(node.id, depth)
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            return None
        if called(node) == "select":
            return _selected(node)
        before = self.frame(node.func.value, depth + 1)
        return None if before is None else _changed(node, before)

    def named(self, name: str, depth: int) -> Columns:
        """The columns of an input, or of what was assigned to the name once."""
        if name in self.inputs:
            known = self.lookup(name) if name not in self.assigned else None
            return None if known is None else list(known)
        return self.frame(self.assigned[name], depth + 1) if name in self.assigned else None


def _changed(node: ast.Call, before: list[str | None]) -> Columns:
    """What a call makes of the columns of the frame that it is made on."""
    name, arguments = called(node), node.args
    if name in _KEEPING:
        return before
    if name == "withColumn" and len(arguments) == 2:
        return _with(before, [_text(arguments[0])])
    if name == "withColumns" and len(arguments) == 1 and isinstance(arguments[0], ast.Dict):
        return _with(before, [_text(key) for key in arguments[0].keys])
    texts = [_text(argument) for argument in arguments]
    if None in texts or node.keywords:
        return None
    if name == "withColumnRenamed" and len(texts) == 2:
        return [texts[1] if _same(column, texts[0]) else column for column in before]
    if name == "drop":
        return [column for column in before if not any(_same(column, text) for text in texts)]
    return None


def _with(columns: list[str | None], added: list[str | None]) -> Columns:
    if None in added:
        return None
    return [*columns, *(name for name in added if not any(_same(column, name) for column in columns))]


def _same(column: str | None, other: str | None) -> bool:
    return column is not None and other is not None and column.lower() == other.lower()


def _selected(node: ast.Call) -> Columns:
    arguments = (
        node.args[0].elts if len(node.args) == 1 and isinstance(node.args[0], (ast.List, ast.Tuple)) else node.args
    )
    columns: list[str | None] = []
    for argument in arguments:
        name = _column_name(argument)
        if name is None or "*" in name:
            return None
        columns.append(name)
    return columns


def _column_name(node: ast.expr | None) -> str | None:
    """The name of a column expression: a text, an alias, ``F.col("x")``, ``frame.x`` or ``frame["x"]``."""
    text = _text(node)
    if text is not None:
        return text.rpartition(".")[2]
    if isinstance(node, ast.Call) and called(node) in ("alias", "name") and len(node.args) == 1:
        return _text(node.args[0])
    if isinstance(node, ast.Call) and called(node) in ("col", "column") and len(node.args) == 1:
        text = _text(node.args[0])
        return None if text is None else text.rpartition(".")[2]
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return node.attr
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
        return _text(node.slice)
    return None


def _text(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
