"""The lineage of feature views that can be told from their files: SQL definitions, inputs taken as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlglot import exp

from feature_mart.definitions.lineage.model import (
    Lineage,
    ViewLineage,
    merged,
    unresolved,
)
from feature_mart.definitions.lineage.relation import Relation, Scope, table
from feature_mart.definitions.lineage.sql_expression import lineage_of
from feature_mart.definitions.lineage.sql_query import query_lineage
from feature_mart.definitions.project import FeatureView
from feature_mart.definitions.sql_rules import read_expression
from feature_mart.definitions.sql_text import spark_dialect

Lookup = Callable[[str], Sequence[str] | None]


def static_lineage(view: FeatureView, lookup: Lookup) -> ViewLineage:
    """The lineage of a view with a SQL definition, or with none; ``lookup`` gives the columns of its inputs."""
    if view.definition.kind == "sql":
        return complete(view, "sql", _of_query(view.definition.text, lookup))
    assert view.definition.kind == "input", "Python definitions are read from Spark's plan"
    name = view.definition.inputs[0]
    return complete(view, "input", table(name, lookup(name)))


def complete(view: FeatureView, origin: str, given: Relation) -> ViewLineage:
    """The lineage of a view from that of its definition: derived features added, every feature named."""
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
