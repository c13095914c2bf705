"""The lineage of feature views that can be told from their files: SQL definitions, inputs taken as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlglot import exp

from feature_mart.definitions.lineage.model import (
    Lineage,
    ViewLineage,
    merged,
    unresolved,
    used_as,
)
from feature_mart.definitions.lineage.relation import Relation, Scope, table
from feature_mart.definitions.lineage.sql_expression import lineage_of
from feature_mart.definitions.lineage.sql_query import query_lineage
from feature_mart.definitions.project import FeatureView
from feature_mart.definitions.sql_rules import read_expression
from feature_mart.definitions.sql_text import spark_dialect
from feature_mart.windows.spec import Windows

Lookup = Callable[[str], Sequence[str] | None]


def static_lineage(view: FeatureView, lookup: Lookup) -> ViewLineage:
    """The lineage of a view with a SQL definition, or with none; ``lookup`` gives the columns of its inputs."""
    if view.definition.kind == "sql":
        return complete(view, "sql", _of_query(view.definition.text, lookup))
    assert view.definition.kind == "input", "Python definitions are read from Spark's plan"
    name = view.definition.inputs[0]
    return complete(view, "input", table(name, lookup(name)))


def complete(view: FeatureView, origin: str, given: Relation) -> ViewLineage:
    """The lineage of a view from that of its definition: windows and derived features added, every feature named."""
    if view.windows is not None:
        given = _windowed(view, view.windows, given)
    scope = Scope({}, _no_query)
    scope.add("", given)
    columns: dict[str, Lineage] = dict(given.columns)
    for name, expression in view.derived.items():
        columns[name] = lineage_of(read_expression(expression)[0], scope)
        scope.visible.append((name, columns[name]))
    for name in expected_columns(view):
        if name.lower() not in {known.lower() for known in columns}:
            columns[name] = _further(given, name)
    rows = given.rows
    is_complete = given.further is None or view.columns is not None
    if not is_complete and (view.patterns or not view.features):
        rows = merged([rows, unresolved("which columns it has is known from the data only")])
    ordered = {name: columns[name] for name in (*view.reserved_columns, *columns) if name in columns}
    return ViewLineage(view.name, view.definition_hash, origin, ordered, rows)  # type: ignore[arg-type]


def _windowed(view: FeatureView, windows: Windows, events: Relation) -> Relation:
    """What is worked out of events over windows: their values are aggregated, their time says in which windows."""
    time = _column(events, str(view.event_timestamp))
    scope = Scope({}, _no_query)
    scope.add("", events)
    columns = [(key, _column(events, key)) for key in view.keys]
    columns.append((str(view.event_timestamp), used_as("transformation", time)))
    for output in windows.aggregations:
        parts = [used_as("aggregation", _column(events, output.series.input)), used_as("window", time)]
        if output.series.where is not None:
            parts.append(used_as("filter", lineage_of(read_expression(output.series.where)[0], scope)))
        columns.append((output.name, merged(parts)))
    return Relation(tuple(columns), events.rows, events.inputs)


def _column(given: Relation, name: str) -> Lineage:
    found = given.get(name)
    return _further(given, name) if found is None else found


def expected_columns(view: FeatureView) -> tuple[str, ...]:
    """The columns that the files say a view has."""
    return tuple(dict.fromkeys((*view.reserved_columns, *(view.columns or ()), *view.features)))


def _of_query(text: str, lookup: Lookup) -> Relation:
    try:
        return query_lineage(_tree(text), lookup)
    except RecursionError:
        reason = unresolved("its expressions nest too deep to be followed")
        return Relation(rows=reason, further=lambda _: reason)


def _further(given: Relation, name: str) -> Lineage:
    if given.further is not None:
        return given.further(name)
    return unresolved(f"{name}: the definition was not seen to give it")


def _no_query(_node: exp.Expr, _scope: Scope) -> Relation:
    raise AssertionError("an expression of one row holds no query")


def _tree(text: str) -> exp.Query:
    tokens = list(spark_dialect().tokenize(text))
    trees = [tree for tree in spark_dialect().parser().parse(tokens, text) if isinstance(tree, exp.Query)]
    return trees[0]  # validation saw to it that there is one
