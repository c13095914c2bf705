"""The definition hash: equal as long as nothing has changed that can change values.

Texts are compared by their own small lexers, not by a parser's: a parser's next version, or Python's, must not change
the hash, because a changed hash means that every table is built anew.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from typing import Any

from feature_mart.definitions.column_order import with_sorted_columns
from feature_mart.definitions.durations import format_duration
from feature_mart.definitions.project import FeatureView
from feature_mart.windows.spec import Windows

_KEYWORDS = frozenset(
    [
        "all",
        "and",
        "anti",
        "any",
        "array",
        "as",
        "asc",
        "at",
        "between",
        "both",
        "by",
        "case",
        "cast",
        "cluster",
        "cross",
        "cube",
        "current",
        "desc",
        "distinct",
        "distribute",
        "div",
        "else",
        "end",
        "escape",
        "except",
        "exists",
        "extract",
        "false",
        "filter",
        "first",
        "following",
        "for",
        "from",
        "full",
        "group",
        "grouping",
        "having",
        "ignore",
        "ilike",
        "in",
        "inner",
        "intersect",
        "interval",
        "into",
        "is",
        "join",
        "last",
        "lateral",
        "leading",
        "left",
        "like",
        "limit",
        "map",
        "minus",
        "natural",
        "not",
        "null",
        "nulls",
        "of",
        "offset",
        "on",
        "or",
        "order",
        "outer",
        "over",
        "partition",
        "pivot",
        "preceding",
        "qualify",
        "range",
        "recursive",
        "respect",
        "right",
        "rlike",
        "rollup",
        "row",
        "rows",
        "select",
        "semi",
        "sets",
        "some",
        "sort",
        "struct",
        "table",
        "tablesample",
        "then",
        "to",
        "trailing",
        "true",
        "unbounded",
        "union",
        "unknown",
        "unpivot",
        "using",
        "values",
        "view",
        "when",
        "where",
        "window",
        "with",
        "within",
    ]
)
_SQL_TOKEN = re.compile(
    r"""
    (?P<space>\s+|--[^\n]*)
    |(?P<hint_or_comment>/\*)
    |(?P<string>[rR]?'(?:[^'\\]|\\.|'')*'|[rR]?"(?:[^"\\]|\\.|"")*")
    |(?P<quoted>`(?:[^`]|``)*`)
    |(?P<word>[^\W\d]\w*)
    |(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\w*)
    |(?P<operator><=>|<>|!=|>=|<=|==|\|\||::|->|=>|.)
    """,
    re.VERBOSE | re.DOTALL,
)


def definition_hash(view: FeatureView) -> str:
    """SHA-256, in hex, over what can change the values of a view.

    Descriptions, owners, schedules, checks, time to live and what goes online are left out on purpose.
    """
    definition, materialize = view.definition, view.materialize
    interval = {
        "mode": materialize.mode,
        "every": format_duration(materialize.every),
        "lookback": format_duration(materialize.lookback),
        "lookahead": format_duration(materialize.lookahead),
    }
    parts: dict[str, Any] = {
        "kind": definition.kind,
        "inputs": list(definition.inputs),
        "logic": normalised_python(definition.text) if definition.kind == "python" else normalised_sql(definition.text),
        "keys": [[name, view.keys[name]] for name in sorted(view.keys)],
        "event_timestamp": view.event_timestamp,
        "created_timestamp": view.created_timestamp,
        "static": view.static,
        "derived": [[name, normalised_sql(text)] for name, text in view.derived.items()],
        "materialize": interval if materialize.mode == "interval" else {"mode": "full"},
    }
    if view.windows is not None:
        parts["windows"] = _windows(view.windows)
    if view.tiles_of is not None and view.tiles_of.windows is not None:
        parts["tiles"] = _tiles(view.tiles_of.windows)
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _windows(windows: Windows) -> list[Any]:
    """What decides the rows of a windowed view; the order of its outputs does not."""
    outputs = [
        [
            output.name,
            output.series.name,
            output.function,
            None if output.window.length is None else format_duration(output.window.length),
            format_duration(output.window.shift),
        ]
        for output in windows.aggregations
    ]
    return [format_duration(windows.every), sorted(outputs, key=lambda output: str(output[0]))]


def _tiles(windows: Windows) -> list[Any]:
    """What decides its tiles: which windows they are put together to does not."""
    series = [
        [series.name, series.input, None if series.where is None else normalised_sql(series.where), list(partials)]
        for series, partials in windows.series.items()
    ]
    return [format_duration(windows.every), windows.created, series]


def normalised_sql(text: str) -> str:
    """The text without comments, with single spaces, keywords and function names in small letters, columns sorted."""
    tokens, kinds = _sql_tokens(text)
    return " ".join(with_sorted_columns(tokens, kinds))


def _sql_tokens(text: str) -> tuple[list[str], list[str]]:
    tokens: list[str] = []
    kinds: list[str] = []
    at = 0
    while at < len(text):
        match = _SQL_TOKEN.match(text, at)
        assert match is not None  # the last alternative takes any character
        at = match.end()
        kind = str(match.lastgroup)
        if kind == "hint_or_comment":
            at = _end_of_comment(text, match.start())
        elif kind != "space":
            if match[0] == "(" and kinds and kinds[-1] == "word":
                tokens[-1] = tokens[-1].lower()
            tokens.append(match[0].lower() if kind == "word" and match[0].lower() in _KEYWORDS else match[0])
            kinds.append(kind)
    while tokens and tokens[-1] == ";":
        tokens.pop()
    return tokens, kinds[: len(tokens)]


def normalised_python(text: str) -> str:
    """The syntax tree as text, without positions, comments and docstrings, alike under every version of Python."""
    return _tree(ast.parse(text))


def _end_of_comment(text: str, at: int) -> int:
    depth = 0
    for match in re.compile(r"/\*|\*/").finditer(text, at):
        depth += 1 if match[0] == "/*" else -1
        if depth == 0:
            return match.end()
    return len(text)


def _tree(node: Any) -> str:
    if isinstance(node, ast.JoinedStr):
        # Some versions of Python leave empty pieces between the parts of an f-string.
        pieces = [piece for piece in node.values if not (isinstance(piece, ast.Constant) and piece.value == "")]
        return f"JoinedStr(values=[{','.join(map(_tree, pieces))}])"
    if isinstance(node, ast.AST):
        fields = [
            f"{name}={_tree(value)}"
            for name, value in sorted(ast.iter_fields(node))
            if name not in ("ctx", "kind", "type_comment", "type_ignores") and value is not None and value != []
        ]
        return f"{type(node).__name__}({','.join(fields)})"
    if isinstance(node, list):
        return f"[{','.join(_tree(item) for item in node if not _is_docstring(item))}]"
    return repr(node)


def _is_docstring(node: Any) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
