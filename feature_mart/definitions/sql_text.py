"""A SQL definition as text: its tokens, its syntax tree, and what it refers to.

sqlglot is used for its parser alone; what a query reads and gives is worked out here, because a mart with a thousand
views has to be checked while somebody waits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ParseError, TokenError
from sqlglot.tokenizer_core import Token, TokenType

from feature_mart.definitions.parameters import PARAMETERS, TableReference
from feature_mart.definitions.problems import Problem, Problems, listed, nearest

_BEGINS_A_QUERY = (TokenType.SELECT, TokenType.WITH, TokenType.L_PAREN, TokenType.FROM)
_ENDS_A_LIST = (
    TokenType.FROM,
    TokenType.WHERE,
    TokenType.GROUP_BY,
    TokenType.HAVING,
    TokenType.ORDER_BY,
    TokenType.R_PAREN,
)
_PATH_FORMATS = frozenset(
    ["parquet", "csv", "json", "delta", "orc", "avro", "text", "xml", "binaryfile", "iceberg", "hudi", "jdbc"]
)
_PATH_FUNCTIONS = frozenset(
    ["read_files", "read_parquet", "read_csv", "read_json", "cloud_files", "read_kafka", "delta_scan", "identifier"]
)
_PLACE = re.compile(r"(\d+):(\d+)")
_TOKEN = re.compile(r"<Token token_type: [^,]*, text: (.*), line: .*>")
_WORD = re.compile(r"\w+")
_REWRITE = (
    "mend the SQL here or just before; if Spark does accept it, write this part in plainer SQL, "
    "or the definition in Python"
)


@dataclass(frozen=True)
class SqlQuery:
    """A parsed definition: one query. ``words``: what it holds, in small letters, to skip rules that cannot apply."""

    file: str
    tree: exp.Query
    tokens: Sequence[Token]
    words: frozenset[str]
    tables: tuple[TableReference, ...]
    parameters: frozenset[str]


@lru_cache(maxsize=1)
def spark_dialect() -> Dialect:
    """Sqlglot's dialect of Spark SQL."""
    return Dialect.get_or_raise("spark")


def read_query(file: str, text: str, problems: Problems) -> SqlQuery | None:
    """Parse a definition, telling ``problems`` why it is none; None if there is no single query to go on with."""
    tokens = _tokens(file, text, problems)
    if tokens is None or not _is_one_query(file, text, tokens, problems) or _has_idle_comma(file, tokens, problems):
        return None
    try:
        trees = [tree for tree in spark_dialect().parser().parse(tokens, text) if tree is not None]
    except ParseError as error:
        problems.add(_parse_problem(file, error))
        return None
    except RecursionError:
        problems.add(Problem(file, 1, "", "nests too deep to be read", fix="split it into CTEs or several views"))
        return None
    trees = [tree for tree in trees if not isinstance(tree, exp.Semicolon)]
    if len(trees) != 1 or not isinstance(trees[0], exp.Query):
        problems.add(_no_select(file, tokens[0]))
        return None
    tree = trees[0]
    if not tree.selects:
        problems.add(Problem(file, tokens[0].line, "", "selects nothing", allowed="one SELECT", fix="name the columns"))
        return None
    words = frozenset(_WORD.findall(text.lower()))
    tables = tuple(_tables(file, tree, problems))
    parameters = _parameters(file, tree, tokens, problems) if ":" in text or "?" in text else frozenset()
    return SqlQuery(file, tree, tokens, words, tables, parameters)


def enclosing_cte(table: exp.Table) -> exp.CTE | None:
    """The CTE that a table's name stands for where it is written, if it is one."""
    name = table.name.lower()
    inside: exp.Expr | None = None
    node: exp.Expr | None = table
    while node is not None:
        if isinstance(node, exp.CTE):
            inside = node
        clause = node.args.get("with_")
        if clause is not None:
            found = None
            for cte in clause.expressions:
                if inside is not None and cte is inside:
                    if clause.args.get("recursive") and cte.alias.lower() == name:
                        return _cte(cte)
                    break
                if cte.alias.lower() == name:
                    found = cte
            if found is not None:
                return _cte(found)
        node = node.parent
    return None


def _cte(node: object) -> exp.CTE | None:
    return node if isinstance(node, exp.CTE) else None


def line_of(node: exp.Expr) -> int:
    """The line on which a node stands: that of the first of its parts that knows."""
    return next((int(part.meta["line"]) for part in node.walk() if "line" in part.meta), 1)


def _tokens(file: str, text: str, problems: Problems) -> list[Token] | None:
    try:
        tokens = list(spark_dialect().tokenize(text))
    except TokenError as error:
        place = _PLACE.search(str(error))
        line = int(place[1]) if place else text.count("\n") + 1
        message = "has a text or comment that does not end, or a character that no SQL has"
        problems.add(Problem(file, line, "", message, fix="close the quotes"))
        return None
    if not tokens:
        problems.add(Problem(file, 1, "", "is empty", allowed="one SELECT", fix="write the query, or remove the view"))
        return None
    return tokens


def _is_one_query(file: str, text: str, tokens: list[Token], problems: Problems) -> bool:
    if tokens[0].token_type not in _BEGINS_A_QUERY:
        problems.add(_no_select(file, tokens[0]))
        return False
    for before, token in pairwise(tokens) if ";" in text else ():
        if before.token_type == TokenType.SEMICOLON and token.token_type != TokenType.SEMICOLON:
            message = "has more than one statement: the second begins here"
            problems.add(
                Problem(file, token.line, "", message, token.text, "one SELECT", fix="make CTEs or views of the others")
            )
            return False
    return True


def _has_idle_comma(file: str, tokens: list[Token], problems: Problems) -> bool:
    """Whether a comma stands at the end of a list: sqlglot passes over it, Spark takes the next word for a column."""
    for comma, token in pairwise(tokens):
        if comma.token_type == TokenType.COMMA and token.token_type in _ENDS_A_LIST:
            message = f"has a comma with nothing after it, before {token.text}"
            problems.add(Problem(file, comma.line, "", message, fix="remove the comma, or write what is missing"))
            return True
    return False


def _no_select(file: str, first: Token) -> Problem:
    found = first.text.upper()
    return Problem(
        file,
        first.line,
        "",
        f"found {found}, which is no SELECT",
        found,
        "one SELECT, or WITH … SELECT",
        fix="write a query",
    )


def _parse_problem(file: str, error: ParseError) -> Problem:
    detail = error.errors[0] if error.errors else {}
    what = _TOKEN.sub(r"\1", str(detail.get("description") or "it cannot be read")).rstrip(".")
    found = str(detail.get("highlight") or "").strip()
    return Problem(file, int(detail.get("line") or 1), "", f"does not parse as Spark SQL: {what}", found, fix=_REWRITE)


def _tables(file: str, tree: exp.Query, problems: Problems) -> Iterator[TableReference]:
    for table in tree.find_all(exp.Table):
        if isinstance(table.parent, (exp.JoinHint, exp.Hint)):
            continue
        line = line_of(table)
        name = table.name
        if isinstance(table.this, exp.Func):
            _check_table_function(file, line, table.this, problems)
            continue
        if table.args.get("db") is not None:
            problems.add(_qualified(file, line, table))
            continue
        if table.args.get("version") is not None or table.args.get("when") is not None:
            message = f"reads {name} at a version of its own"
            problems.add(
                Problem(
                    file,
                    line,
                    "",
                    message,
                    name,
                    "plain names",
                    fix="remove it: a build pins the versions of its inputs",
                )
            )
        if enclosing_cte(table) is None:
            yield TableReference(name.lower(), line)


def _check_table_function(file: str, line: int, function: exp.Func, problems: Problems) -> None:
    name = str(function.this if isinstance(function, exp.Anonymous) else function.sql_name()).lower()
    if name in _PATH_FUNCTIONS:
        problems.add(_by_path(file, line, f"{name}(…)"))


def _qualified(file: str, line: int, table: exp.Table) -> Problem:
    parts = [part.name for part in table.parts]
    written = ".".join(f"`{part}`" if re.search(r"\W", part) else part for part in parts)
    if parts[0].lower() in _PATH_FORMATS or "/" in parts[-1]:
        return _by_path(file, line, written)
    return Problem(
        file,
        line,
        "",
        f"found {written}, which is a table outside the mart",
        written,
        "names of sources and feature views",
        fix=f"declare a source with format: table and table: {written} in metadata/sources.yml, and read it by the "
        f"source's name",
    )


def _by_path(file: str, line: int, written: str) -> Problem:
    return Problem(
        file,
        line,
        "",
        f"found {written}, which reads an input by its path",
        written,
        "names of sources and feature views",
        fix="declare a source with this path in metadata/sources.yml, and read it by the source's name",
    )


def _parameters(file: str, tree: exp.Query, tokens: Sequence[Token], problems: Problems) -> frozenset[str]:
    names = {str(node.this or "?") for node in tree.find_all(exp.Placeholder)}
    for name in names - set(PARAMETERS):
        line = next((token.line for token in tokens if token.text == name), 1)
        problems.add(
            Problem(
                file,
                line,
                "",
                f"found the parameter {'?' if name == '?' else ':' + name}, which nothing gives a value",
                f":{name}",
                listed(f":{known}" for known in PARAMETERS),
                nearest(name, PARAMETERS),
                fix="use :interval_start and :interval_end, or write the value",
            )
        )
    return frozenset(names & set(PARAMETERS))
