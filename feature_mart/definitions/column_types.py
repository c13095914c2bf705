"""Types of a view's columns that its files tell without a run. What they do not tell for sure is left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlglot import exp

from feature_mart.definitions.problems import Invalid, Problems
from feature_mart.definitions.project import FeatureView
from feature_mart.definitions.spark_types import base_type, canonical_type
from feature_mart.definitions.sql_columns import relations
from feature_mart.definitions.sql_rules import read_expression
from feature_mart.definitions.sql_text import read_query
from feature_mart.windows.functions import FUNCTIONS
from feature_mart.windows.spec import Windows

#: The types of an input's columns, as far as they are known.
Lookup = Callable[[str], Mapping[str, str]]
_Types = Mapping[str, str]
_COUNTS = (exp.Count, exp.CountIf)
_TRUTHS = (exp.EQ, exp.NullSafeEQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Is, exp.In, exp.Between, exp.Like)


def known_types(view: FeatureView, lookup: Lookup) -> dict[str, str]:
    """Column to canonical type: as the metadata declares it, else as the definition gives it for sure."""
    given = _given(view, lookup)
    if view.windows is not None:
        given = _of_windows(view.windows, view.keys, given)
    found = {name: kind for name, kind in given.items() if view.columns is None or name in view.columns}
    named = {name.lower(): kind for name, kind in found.items()}
    for name, expression in view.derived.items():
        kind = _type_of(read_expression(expression)[0], named)
        if kind is not None:
            found[name] = kind
    declared = {feature.name: feature.type for feature in view.features.values() if feature.type is not None}
    return {**found, **declared}


def _given(view: FeatureView, lookup: Lookup) -> _Types:
    if view.definition.kind == "input":
        return lookup(view.definition.inputs[0])
    if view.definition.kind == "python":
        return {}
    query = read_query(str(view.definition.path), view.definition.text, Problems())
    return {} if query is None else _of_query(query.tree, lookup, {})


def _of_windows(windows: Windows, keys: _Types, events: _Types) -> _Types:
    """The types of a windowed view's columns, from those of its events."""
    kinds = {name.lower(): kind for name, kind in events.items()}
    found = dict(keys)
    for aggregation in windows.aggregations:
        function, kind = FUNCTIONS[aggregation.function], kinds.get(aggregation.series.input.lower())
        if kind is not None and (function.takes is None or base_type(kind) in function.takes):
            found[aggregation.name] = function.result(kind)
    return found


def _of_query(node: exp.Expr, lookup: Lookup, known: Mapping[str, _Types]) -> _Types:
    """The types of a SELECT's columns; none of a set operation, whose branches agree on types of their own."""
    scope = dict(known)
    clause = node.args.get("with_")
    for cte in clause.expressions if clause is not None else ():
        is_renamed = cte.args["alias"].args.get("columns")
        scope[cte.alias.lower()] = {} if is_renamed else _of_query(cte.this, lookup, scope)
    if not isinstance(node, exp.Select) or node.args.get("operation_modifiers"):
        return {}
    named = _relations(node, lookup, scope)
    found = {}
    for projection in node.expressions:
        kind = _type_of(projection, named)
        if kind is not None:
            found[projection.alias_or_name] = kind
    return found


def _relations(select: exp.Select, lookup: Lookup, scope: Mapping[str, _Types]) -> _Types:
    """The types of the names that a SELECT may use: qualified ones, and bare ones where it reads one relation."""
    reads = relations(select)
    found: dict[str, str] = {}
    for relation in reads:
        if not isinstance(relation, exp.Table) or isinstance(relation.this, exp.Func) or relation.args.get("pivots"):
            continue
        alias = relation.args.get("alias")
        if alias is not None and alias.args.get("columns"):
            continue
        name = relation.name.lower()
        columns = scope[name] if name in scope else lookup(name)
        found |= {f"{relation.alias_or_name}.{column}".lower(): kind for column, kind in columns.items()}
        if len(reads) == 1:
            found |= {column.lower(): kind for column, kind in columns.items()}
    return found


def _type_of(node: exp.Expr, columns: _Types) -> str | None:
    if isinstance(node, (exp.Alias, exp.Paren)):
        return _type_of(node.this, columns)
    if isinstance(node, exp.Cast):
        return _cast_to(node)
    if isinstance(node, exp.Column):
        return columns.get(f"{node.table}.{node.name}".lower() if node.table else node.name.lower())
    if isinstance(node, exp.Filter):
        return _type_of(node.this, columns)
    if isinstance(node, _COUNTS):
        return "bigint"
    if isinstance(node, exp.Literal) and node.is_string:
        return "string"
    return "boolean" if isinstance(node, _TRUTHS) else None


def _cast_to(node: exp.Cast) -> str | None:
    try:
        return canonical_type(node.to.sql(dialect="spark"))
    except Invalid:  # an interval, which no table holds
        return None
