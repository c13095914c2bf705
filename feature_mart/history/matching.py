"""How far the rows of an input that made a row can be told: worked out from the text of the definition.

Without running it, a definition says for sure which rows made one of its own where it is one SELECT over one input: one
row, or all rows of one group that the row itself tells. Elsewhere the rows of the same key are candidates, where the
key can be followed to the input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from feature_mart.definitions.spark_types import NESTED, base_type
from feature_mart.history.flat_query import Flat, NotFlat, flatten, text_of

#: The row that is explained has its columns under their names after this, beside those of the input.
OF_ROW = "_row_"
_NOT_ROW_WISE = (exp.AggFunc, exp.Window, exp.UDTF, exp.Explode, exp.Query, exp.Anonymous, exp.Star)


@dataclass(frozen=True)
class Same:
    """A condition on a row of the input: its ``input`` is the row's ``row``, null being equal to null.

    Both are SQL expressions. ``input`` is cast to ``kind`` where that is given: the type in which it was published.
    """

    input: str
    row: str
    kind: str | None = None


@dataclass(frozen=True)
class Match:
    """Which rows of an input belong to a row of the view.

    ``same`` and ``where`` (a SQL expression on the input's columns) say it exactly. ``keys``: key to such an
    expression, for candidates.
    """

    kind: Literal["exact", "candidates"] | None
    why: str
    keys: Mapping[str, str] = field(default_factory=dict)
    same: tuple[Same, ...] = ()
    where: str | None = None


@dataclass(frozen=True)
class Published:
    """What is known of a view's table: its keys, its event timestamp, and its columns with their types."""

    keys: Sequence[str]
    event_timestamp: str | None
    columns: Mapping[str, str]

    @property
    def identity(self) -> list[str]:
        """The columns by which a row is asked for."""
        return [*self.keys, *([self.event_timestamp] if self.event_timestamp else [])]

    def own(self, name: str) -> str | None:
        """The type of a column that a row can be asked for by."""
        kind = {column.lower(): kind for column, kind in self.columns.items()}.get(name)
        return None if kind is None or base_type(kind) in NESTED else kind


def match_inputs(
    definition: Mapping[str, Any], view: Published, inputs: Mapping[str, Mapping[str, str]]
) -> dict[str, Match]:
    """For each input (``inputs`` has the types of their columns) how its rows are matched with a row of the view.

    Args:
        definition: as a commit recorded it, parameters filled in.
    """
    tree = _parsed(definition)
    try:
        return dict([_exact(definition, tree, view, inputs)])
    except NotFlat as found:
        reason = str(found)
    return {name: _candidates(tree, view.keys, name, list(known), reason) for name, known in inputs.items()}


def _exact(
    definition: Mapping[str, Any], tree: exp.Select | None, view: Published, inputs: Mapping[str, Mapping[str, str]]
) -> tuple[str, Match]:
    """The only input, and how its rows are told exactly."""
    if len(inputs) != 1:
        raise NotFlat("reads several inputs")
    ((name, types),) = inputs.items()
    if definition.get("kind") == "input":
        own = {column.lower() for column in types}
        same = tuple(Same(f"`{column}`", f"`{OF_ROW}{column}`", view.own(column.lower())) for column in view.identity)
        if not all(column.lower() in own for column in view.identity):
            raise NotFlat("was of other columns")
        return name, Match("exact", "the view takes its rows as they are", same=same)
    if tree is None:
        raise NotFlat("is no single SELECT in SQL")
    flat = flatten(tree, inputs)
    where = " AND ".join(f"({_forgiving(condition)})" for condition in flat.where) or None
    if flat.groups is None:
        same = tuple(_same_row(flat, view, column) for column in view.identity)
        why = "each row comes from one row of this input: those of that key"
        return name, Match("exact", why + (" and event timestamp" if view.event_timestamp else ""), {}, same, where)
    groups = tuple(_same_group(group, flat, view, types) for group in flat.groups)
    told = ", ".join(group.row.replace(OF_ROW, "").replace("`", "") for group in groups)
    return name, Match("exact", f"the row is made from one group: all rows of its {told}", {}, groups, where)


def _same_row(flat: Flat, view: Published, column: str) -> Same:
    output, kind = flat.outputs.get(column.lower()), view.own(column.lower())
    if output is None or output.expression is None or kind is None:
        raise NotFlat(f"does not say how {column} is found in a row of the input")
    return Same(_forgiving(output.expression), f"`{OF_ROW}{column.lower()}`", kind)


def _same_group(group: exp.Expr, flat: Flat, view: Published, types: Mapping[str, str]) -> Same:
    """How the row tells its value of a grouping expression: as a column, or worked out from a maximum or minimum.

    An extreme of x is one of the group's x, so what is equal for all of them is equal for it.
    """
    wanted = text_of(group)
    for name, output in flat.outputs.items():
        kind = view.own(name)
        if kind is not None and output.expression is not None and text_of(output.expression) == wanted:
            return Same(_forgiving(group), f"`{OF_ROW}{name}`", kind)
    for name, output in flat.outputs.items():
        column = output.extreme_of
        if not isinstance(column, exp.Column) or view.own(name) != types.get(column.name):
            continue
        used = list(group.find_all(exp.Column))
        if used and all(entry == column for entry in used):
            return Same(_forgiving(group), _forgiving(_of_row(group, name)))
    raise NotFlat(f"groups by {wanted.replace('`', '')}, which the row does not tell")


def _parsed(definition: Mapping[str, Any]) -> exp.Select | None:
    if definition.get("kind") != "sql":
        return None
    try:
        tree = sqlglot.parse_one(str(definition.get("text")), dialect="spark")
    except SqlglotError:
        return None
    return tree if isinstance(tree, exp.Select) else None


def _of_row(group: exp.Expr, name: str) -> exp.Expr:
    """The same of the row's column ``name`` as of the only column of the input that it uses."""
    return group.transform(
        lambda node: exp.column(OF_ROW + name, quoted=True) if isinstance(node, exp.Column) else node
    )


def _candidates(tree: exp.Select | None, keys: Sequence[str], name: str, columns: Sequence[str], reason: str) -> Match:
    folded = {column.lower(): column for column in columns}
    if tree is not None:
        traced = {key: _traced(tree, tree, key) for key in keys}
        ends = {key: end for key, end in traced.items() if end is not None and end[0] == name.lower()}
        found = {key: _forgiving(expression) for key, (_, expression) in ends.items()}
        if len(found) == len(keys):
            return Match(
                "candidates", f"all rows of that key in reach of the interval, as the definition {reason}", found
            )
    if all(key.lower() in folded for key in keys):
        same = {key: _quoted(folded[key.lower()]) for key in keys}
        why = "all rows with columns of the key's names and values in reach of the interval, as the definition"
        return Match("candidates", f"{why} {reason}", same)
    return Match(None, f"the definition does not say how {', '.join(keys)} is found in it")


_End = tuple[str, exp.Expr]


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


def _outputs(select: exp.Select) -> dict[str, exp.Expr]:
    return {entry.alias_or_name.lower(): entry.unalias() for entry in select.expressions if entry.alias_or_name}


def _is_row_wise(expression: exp.Expr) -> bool:
    return not isinstance(expression, _NOT_ROW_WISE) and expression.find(*_NOT_ROW_WISE) is None


def _forgiving(expression: exp.Expr) -> str:
    """The expression as Spark takes it; a cast that fails on a row that the definition left out gives null."""

    def trying(node: exp.Expr) -> exp.Expr:
        return exp.TryCast(**{**node.args, "safe": True}) if isinstance(node, exp.Cast) else node

    return expression.copy().transform(trying).sql(dialect="spark", comments=False)


def _quoted(name: str) -> str:
    return f"`{name}`"
