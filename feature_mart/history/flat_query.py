"""A definition as one SELECT over one input: CTEs and subqueries that only pass rows on are folded into it.

What is left says which rows of the input made a row: all of one group, or, without groups, one row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlglot import exp

# Arguments of a SELECT that are understood, each with what it is in words where it is not.
_UNDERSTOOD = {"kind", "expressions", "from", "from_", "where", "order", "hint", "with", "with_"}
_GROUPING = {"group", "having", "distinct"}
_IN_WORDS = {"joins": "joins", "laterals": "uses LATERAL VIEW", "limit": "uses LIMIT", "qualify": "uses QUALIFY"}
# What no row of the result has from one row, or one group, of the input; an unknown function may be anything.
_NEVER = (exp.Window, exp.UDTF, exp.Explode, exp.Query, exp.Anonymous, exp.AnonymousAggFunc, exp.Star)


class NotFlat(Exception):
    """Why a definition is not one SELECT over one input; reads after `as the definition`."""


@dataclass(frozen=True)
class Output:
    """A column of a result. ``expression``: on the input's columns; None where it is made from several rows.

    ``extreme_of``: the expression of which the column is the maximum or minimum over its group.
    """

    expression: exp.Expr | None
    extreme_of: exp.Expr | None = None


@dataclass(frozen=True)
class Flat:
    """``outputs`` by name in lower case, ``where``: what the rows of the input ``table`` meet.

    ``groups``: expressions on its columns that are equal in all rows that make one of the result; None where each
    comes from one row.
    """

    table: str
    outputs: Mapping[str, Output]
    where: tuple[exp.Expr, ...] = ()
    groups: tuple[exp.Expr, ...] | None = None


_Scope = Mapping[str, tuple[exp.Expr, "_Scope"]]


def flatten(tree: exp.Expr, columns: Mapping[str, Iterable[str]]) -> Flat:
    """The query folded into one SELECT; ``columns`` has those of the inputs.

    Raises:
        NotFlat: it is more than that.
    """
    known = {name.lower(): list(names) for name, names in columns.items()}
    return _query(tree, {}, known)


def text_of(expression: exp.Expr) -> str:
    """The expression as Spark takes it; equal expressions have equal texts."""
    return expression.unnest().sql(dialect="spark", comments=False)


def _query(node: exp.Expr, scope: _Scope, columns: Mapping[str, list[str]]) -> Flat:
    if not isinstance(node, exp.Select):
        raise NotFlat("is no single SELECT")
    used = {name for name, value in node.args.items() if value}
    for name in sorted(used - _UNDERSTOOD - _GROUPING):
        raise NotFlat(_IN_WORDS.get(name, f"uses {name.strip('_').replace('_', ' ').upper()}"))
    inner, alias = _relation(node, _with_ctes(node, scope), columns)
    where = node.args.get("where")
    if not used & _GROUPING:
        return _passed_on(node, where, inner, alias)
    if inner.groups is not None:
        raise NotFlat("groups what is grouped already")
    conditions = () if where is None else (_on_input(_row_wise(where.this), inner, alias),)
    having = node.args.get("having")
    if having is not None:
        _checked(having.this)  # met by the whole group, as its row is there
    entries = _selected(node, inner)
    outputs = {entry.alias_or_name.lower(): _grouped_output(entry.unalias(), inner, alias) for entry in entries}
    groups = _groups(node, entries, inner, alias)
    return Flat(inner.table, outputs, (*inner.where, *filter(None, conditions)), groups)


def _with_ctes(node: exp.Select, scope: _Scope) -> _Scope:
    """A query that stands for its own name reads the table of that name, so each sees those before it only."""
    clause = node.args.get("with_") or node.args.get("with")
    if clause is not None and clause.args.get("recursive"):
        raise NotFlat("is recursive")
    for cte in clause.expressions if clause is not None else ():
        if cte.args["alias"].args.get("columns"):
            raise NotFlat("renames the columns of a CTE")
        scope = {**scope, cte.alias.lower(): (cte.this, scope)}
    return scope


def _relation(node: exp.Select, scope: _Scope, columns: Mapping[str, list[str]]) -> tuple[Flat, str]:
    clause = node.args.get("from_") or node.args.get("from")
    if clause is None:
        raise NotFlat("reads no input")
    read = clause.this
    alias = read.args.get("alias")
    is_plain = {name for name, value in read.args.items() if value} <= {"this", "alias"}
    if not is_plain or (alias is not None and alias.args.get("columns")):
        raise NotFlat(f"reads {read.sql(dialect='spark')}")
    name = read.alias_or_name.lower()
    if isinstance(read, exp.Subquery):
        return _query(read.this, scope, columns), name
    table = read.name.lower()
    if table in scope:
        return _query(*scope[table], columns), name
    if not isinstance(read, exp.Table) or table not in columns:
        raise NotFlat(f"reads {read.sql(dialect='spark')}")
    own = {column.lower(): Output(exp.column(column, quoted=True)) for column in columns[table]}
    return Flat(table, own), name


def _passed_on(node: exp.Select, where: exp.Expr | None, inner: Flat, alias: str) -> Flat:
    """A SELECT each row of which is one of ``inner``: what it leaves out of groups, it leaves out whole."""
    outputs: dict[str, Output] = {}
    for entry in _selected(node, inner):
        expression = _row_wise(entry.unalias())
        passed = _column_of(expression, inner, alias)
        outputs[entry.alias_or_name.lower()] = passed or Output(_on_input(expression, inner, alias))
    if where is None:
        return Flat(inner.table, outputs, inner.where, inner.groups)
    condition = _on_input(_row_wise(where.this), inner, alias)
    is_of_rows = inner.groups is None and condition is not None
    return Flat(inner.table, outputs, (*inner.where, *([condition] if is_of_rows and condition else [])), inner.groups)


def _selected(node: exp.Select, inner: Flat) -> list[exp.Expr]:
    """What a SELECT names; a star names all columns."""
    found: list[exp.Expr] = []
    for entry in node.expressions:
        is_plain_star = isinstance(entry, exp.Star) and not any(entry.args.values())
        found += [exp.column(name, quoted=True) for name in inner.outputs] if is_plain_star else [entry]
    return found


def _checked(expression: exp.Expr) -> exp.Expr:
    for part in expression.walk():
        if isinstance(part, exp.Window):
            raise NotFlat("uses a window function")
        if isinstance(part, _NEVER) and not (isinstance(part, exp.Star) and isinstance(part.parent, exp.Count)):
            raise NotFlat(f"uses {part.sql(dialect='spark', comments=False)[:60]}")
    return expression


def _row_wise(expression: exp.Expr) -> exp.Expr:
    if _checked(expression).find(exp.AggFunc) is not None:
        raise NotFlat("aggregates without GROUP BY")
    return expression


def _grouped_output(expression: exp.Expr, inner: Flat, alias: str) -> Output:
    if _checked(expression).find(exp.AggFunc) is None:
        return Output(_on_input(expression, inner, alias))
    bare = expression.unnest()
    is_extreme = isinstance(bare, (exp.Max, exp.Min)) and not bare.expressions
    if not is_extreme or bare.this.find(exp.AggFunc, exp.Distinct) is not None:
        return Output(None)
    return Output(None, _on_input(bare.this, inner, alias))


def _groups(node: exp.Select, entries: list[exp.Expr], inner: Flat, alias: str) -> tuple[exp.Expr, ...]:
    group, named = node.args.get("group"), {entry.alias_or_name.lower(): entry for entry in entries}
    if group is None or node.args.get("distinct"):
        if group is not None or not node.args.get("distinct") or node.args["distinct"].args.get("on"):
            raise NotFlat("is DISTINCT over groups, or HAVING without any")
        return tuple(_group(entry.unalias(), inner, alias) for entry in entries)
    if {name for name, value in group.args.items() if value} != {"expressions"}:
        raise NotFlat("uses GROUP BY ALL, ROLLUP, CUBE or GROUPING SETS")
    found = []
    for entry in group.expressions:
        chosen = entry
        if isinstance(entry, exp.Literal) and not entry.is_string:
            chosen = entries[int(entry.name) - 1].unalias()
        elif isinstance(entry, exp.Column) and not entry.table and entry.name.lower() not in inner.outputs:
            # Spark looks among the columns of the input first.
            chosen = named[entry.name.lower()].unalias() if entry.name.lower() in named else entry
        found.append(_group(chosen, inner, alias))
    return tuple(found)


def _group(expression: exp.Expr, inner: Flat, alias: str) -> exp.Expr:
    if isinstance(expression, (exp.Rollup, exp.Cube, exp.GroupingSets)):
        raise NotFlat("uses GROUP BY ALL, ROLLUP, CUBE or GROUPING SETS")
    found = _on_input(_row_wise(expression), inner, alias)
    assert found is not None, "what is grouped was not grouped before"
    return found


def _column_of(expression: exp.Expr, inner: Flat, alias: str) -> Output | None:
    """The output of ``inner`` that an expression takes as it is."""
    bare = expression.unnest()
    return _output(bare, inner, alias) if isinstance(bare, exp.Column) else None


def _output(column: exp.Column, inner: Flat, alias: str) -> Output:
    is_own = not column.table or (column.table.lower() == alias and not column.db)
    if not is_own or column.name.lower() not in inner.outputs:
        raise NotFlat(f"uses {column.sql(dialect='spark')}, which is not followed to the input")
    return inner.outputs[column.name.lower()]


def _on_input(expression: exp.Expr, inner: Flat, alias: str) -> exp.Expr | None:
    """The expression on the input's columns; None where it uses one that is made from several rows."""
    whole = exp.paren(expression.copy())
    for column in list(whole.find_all(exp.Column)):
        made = _output(column, inner, alias).expression
        if made is None:
            return None
        column.replace(made.copy() if isinstance(made, (exp.Column, exp.Literal)) else exp.paren(made.copy()))
    found: exp.Expr = whole.this
    return found
