"""How far the rows of an input that made a row can be told: worked out from the text of the definition.

Without running it, a definition says for sure which rows made one of its own only where each of its rows comes from
one row of one input. Elsewhere the rows of the same key are candidates, where the key can be followed to the input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

# Arguments of a SELECT without which its rows are its input's, one by one; `where` leaves some of them out.
_PLAIN = {"kind", "expressions", "from", "from_", "where", "order", "hint", "operation_modifiers"}
_NOT_ROW_WISE = (exp.AggFunc, exp.Window, exp.UDTF, exp.Explode, exp.Query, exp.Anonymous, exp.Star)


@dataclass(frozen=True)
class Match:
    """Which rows of an input belong to a key.

    ``keys``: key to a SQL expression on the input's columns. ``where`` and ``event_timestamp`` are such expressions as
    well, for exact matches. ``alias`` is the name that the expressions have for the input.
    """

    kind: Literal["exact", "candidates"] | None
    why: str
    keys: Mapping[str, str] = field(default_factory=dict)
    event_timestamp: str | None = None
    where: str | None = None
    alias: str | None = None


def match_inputs(
    definition: Mapping[str, Any],
    keys: Sequence[str],
    event_timestamp: str | None,
    columns: Mapping[str, Sequence[str]],
) -> dict[str, Match]:
    """For each input (``columns`` has theirs) how its rows are matched with a key.

    Args:
        definition: as a commit recorded it, parameters filled in.
    """
    if definition.get("kind") == "input" and len(columns) == 1:
        (name,) = columns
        why = "the view takes its rows as they are"
        wanted = [*keys, *([event_timestamp] if event_timestamp else [])]
        if all(column in columns[name] for column in wanted):
            own = {key: _quoted(key) for key in keys}
            return {name: Match("exact", why, own, _quoted(event_timestamp) if event_timestamp else None)}
    tree = _parsed(definition)
    if tree is not None and len(columns) == 1:
        (name,) = columns
        exact = _row_by_row(tree, keys, event_timestamp)
        if exact is not None:
            return {name: exact}
    return {name: _candidates(tree, keys, name, list(known)) for name, known in columns.items()}


def _parsed(definition: Mapping[str, Any]) -> exp.Select | None:
    if definition.get("kind") != "sql":
        return None
    try:
        tree = sqlglot.parse_one(str(definition.get("text")), dialect="spark")
    except SqlglotError:
        return None
    return tree if isinstance(tree, exp.Select) else None


def _row_by_row(tree: exp.Select, keys: Sequence[str], event_timestamp: str | None) -> Match | None:
    """The match of a SELECT each row of which comes from one row of its only table; None of any other."""
    used = {name for name, value in tree.args.items() if value}
    tables = list(tree.find_all(exp.Table))
    if used - _PLAIN or len(tables) != 1 or any(tables[0].args.get(part) for part in ("pivots", "sample", "joins")):
        return None
    outputs = _outputs(tree)
    wanted = [*keys, *([event_timestamp] if event_timestamp else [])]
    where = tree.args.get("where")
    parts = [*outputs.values(), *([where.this] if where is not None else [])]
    if any(name.lower() not in outputs for name in wanted) or not all(_is_row_wise(part) for part in parts):
        return None
    return Match(
        "exact",
        "each row comes from one row of this input: those of that key"
        + (" and event timestamp" if event_timestamp else ""),
        {key: _sql(outputs[key.lower()]) for key in keys},
        _sql(outputs[event_timestamp.lower()]) if event_timestamp else None,
        None if where is None else _sql(where.this),
        tables[0].alias_or_name,
    )


def _candidates(tree: exp.Select | None, keys: Sequence[str], name: str, columns: Sequence[str]) -> Match:
    folded = {column.lower(): column for column in columns}
    if tree is not None:
        traced = {key: _traced(tree, tree, key) for key in keys}
        found = {key: _sql(end[1]) for key, end in traced.items() if end is not None and end[0] == name.lower()}
        if len(found) == len(keys):
            return Match("candidates", "all rows of that key in reach of the interval", found)
    if all(key.lower() in folded for key in keys):
        same = {key: _quoted(folded[key.lower()]) for key in keys}
        return Match("candidates", "all rows with columns of the key's names and values in reach of the interval", same)
    return Match(None, f"the definition does not say how {', '.join(keys)} is found in it")


_End = tuple[str, exp.Expression]


def _traced(root: exp.Select, select: exp.Select, column: str) -> _End | None:
    """The table (in lower case) and the expression on its columns from which an output of ``select`` comes."""
    output = _outputs(select).get(column.lower())
    if output is None and any(isinstance(entry, exp.Star) for entry in select.expressions):
        output = exp.column(column, quoted=True)
    if output is None or not _is_row_wise(output):
        return None
    copy = exp.paren(output.copy())
    tables: set[str] = set()
    for used in list(copy.find_all(exp.Column)):
        end = _end_of(root, select, used)
        if end is None:
            return None
        tables.add(end[0])
        used.replace(end[1])
    return (tables.pop(), copy) if len(tables) == 1 else None


def _end_of(root: exp.Select, select: exp.Select, used: exp.Column) -> _End | None:
    sources = [table for table in select.find_all(exp.Table) if table.find_ancestor(exp.Select) is select]
    if len(sources) > 1 or used.table:
        sources = [table for table in sources if table.alias_or_name.lower() == used.table.lower()]
    if len(sources) != 1 or select.args.get("laterals"):
        return None
    name = sources[0].name.lower()
    scope = {cte.alias.lower(): cte.this for cte in root.ctes}
    if name not in scope:
        return name, exp.column(used.name, quoted=True)
    inner = scope[name]
    # A query that stands for its own name reads the table of that name.
    if not isinstance(inner, exp.Select) or inner is select:
        return (name, exp.column(used.name, quoted=True)) if inner is select else None
    return _traced(root, inner, used.name)


def _outputs(select: exp.Select) -> dict[str, exp.Expression]:
    return {entry.alias_or_name.lower(): entry.unalias() for entry in select.expressions if entry.alias_or_name}


def _is_row_wise(expression: exp.Expression) -> bool:
    return not isinstance(expression, _NOT_ROW_WISE) and expression.find(*_NOT_ROW_WISE) is None


def _sql(expression: exp.Expression) -> str:
    """The expression as Spark takes it; a cast that fails on a row that the definition left out gives null."""

    def forgiving(node: exp.Expression) -> exp.Expression:
        return exp.TryCast(**{**node.args, "safe": True}) if isinstance(node, exp.Cast) else node

    return expression.copy().transform(forgiving).sql(dialect="spark", comments=False)


def _quoted(name: str) -> str:
    return f"`{name}`"
