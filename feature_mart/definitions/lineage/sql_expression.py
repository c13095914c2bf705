"""SQL expressions: which columns a value comes from, and what each of them is to it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from sqlglot import exp

from feature_mart.definitions.lineage.model import (
    NOTHING,
    ROWS,
    InputColumn,
    Kind,
    Lineage,
    merged,
    unresolved,
    used_as,
)
from feature_mart.definitions.lineage.relation import Relation, Scope

_RANKING = (exp.RowNumber, exp.Rank, exp.DenseRank, exp.PercentRank, exp.CumeDist, exp.Ntile)
_OFFSETS = (exp.Lag, exp.Lead)
#: Aggregates of Spark that the parser has no class for.
_AGGREGATES = frozenset(
    [
        "any",
        "approx_count_distinct",
        "bit_and",
        "bit_or",
        "bit_xor",
        "bitmap_construct_agg",
        "bitmap_or_agg",
        "bool_and",
        "bool_or",
        "count_min_sketch",
        "every",
        "histogram_numeric",
        "hll_sketch_agg",
        "hll_union_agg",
        "mean",
        "percentile",
        "percentile_approx",
        "product",
        "regr_avgx",
        "regr_avgy",
        "regr_count",
        "regr_intercept",
        "regr_r2",
        "regr_slope",
        "regr_sxx",
        "regr_sxy",
        "regr_syy",
        "some",
        "std",
        "string_agg",
        "try_avg",
        "try_sum",
    ]
)
#: What Spark reads as a value of its own, or makes when it groups, where no column has the name.
_SPARKS_OWN = frozenset(
    ["user", "current_user", "session_user", "current_time", "grouping__id", "session_window", "window"]
)
_PLAIN_NAME = re.compile(r"\w+")


def lineage_of(node: exp.Expr, scope: Scope) -> Lineage:
    """What the value of an expression comes from."""
    handler = _HANDLERS.get(type(node))
    if handler is not None:
        return handler(node, scope)
    if isinstance(node, exp.Query):
        return _scalar(scope.query(node, scope))
    if isinstance(node, exp.AggFunc) or (isinstance(node, exp.Anonymous) and node.name.lower() in _AGGREGATES):
        return _aggregate(_children(node, scope), scope)
    return used_as("transformation", _children(node, scope))


def _children(node: exp.Expr, scope: Scope) -> Lineage:
    parts = [lineage_of(child, scope) for child in node.iter_expressions()]
    return parts[0] if len(parts) == 1 else merged(parts)


def _all(nodes: Iterable[exp.Expr | None], scope: Scope) -> Lineage:
    return merged(lineage_of(node, scope) for node in nodes if node is not None)


def _column(node: exp.Expr, scope: Scope) -> Lineage:
    if isinstance(node.this, exp.Star):
        return _star(node, scope)
    assert isinstance(node, exp.Column)
    parts = [part.name for part in node.parts]
    found = scope.resolve(parts)
    if found is not None:
        return found
    if not _may_be_of_spark(parts):
        scope.unknown.append(node)
    return unresolved(f"{'.'.join(parts)}: no column that its inputs are known to have")


def _may_be_of_spark(parts: Sequence[str]) -> bool:
    """Whether a name may be one that Spark gives: one of its own, or `sum(a)` for an expression without an alias."""
    return parts[0].lower() in _SPARKS_OWN or not all(_PLAIN_NAME.fullmatch(part) for part in parts)


def _star(node: exp.Expr, scope: Scope) -> Lineage:
    columns, further = scope.star(node.args["table"].name if node.args.get("table") is not None else "")
    parts = [lineage for _, lineage in columns]
    if further is not None:
        parts.append(unresolved(f"{node.sql('spark')}: which columns it stands for is known from the data only"))
    return used_as("transformation", merged(parts))


def _as_it_is(node: exp.Expr, scope: Scope) -> Lineage:
    return lineage_of(node.this, scope)


def _nothing(_node: exp.Expr, _scope: Scope) -> Lineage:
    return NOTHING


def _case(node: exp.Expr, scope: Scope) -> Lineage:
    branches = node.args["ifs"]
    conditions = _all([node.args.get("this"), *(branch.this for branch in branches)], scope)
    values = _all([*(branch.args["true"] for branch in branches), node.args.get("default")], scope)
    return merged([used_as("conditional", conditions), values])


def _if(node: exp.Expr, scope: Scope) -> Lineage:
    values = _all([node.args.get("true"), node.args.get("false")], scope)
    return merged([used_as("conditional", lineage_of(node.this, scope)), values])


def _decode(node: exp.Expr, scope: Scope) -> Lineage:
    """``decode(x, this, value, …, otherwise)``."""
    asked, *rest = node.expressions
    searched, values = rest[: len(rest) // 2 * 2 : 2], rest[1::2]
    otherwise = rest[-1:] if len(rest) % 2 else []
    conditions = used_as("conditional", _all([asked, *searched], scope))
    return merged([conditions, _all([*values, *otherwise], scope)])


def _aggregate(arguments: Lineage, scope: Scope) -> Lineage:
    """An aggregate without columns, as ``count(*)`` or ``count(1)``, speaks of the rows as such."""
    if arguments.uses or arguments.unresolved:
        return used_as("aggregation", arguments)
    return rows_as("aggregation", scope.inputs)


def rows_as(kind: Kind, inputs: Iterable[str]) -> Lineage:
    """The rows of some inputs, used in one way."""
    return Lineage({InputColumn(name, ROWS): frozenset[Kind]([kind]) for name in inputs})


def _count(node: exp.Expr, scope: Scope) -> Lineage:
    is_of_rows = isinstance(node.this, exp.Star)
    return rows_as("aggregation", scope.inputs) if is_of_rows else _aggregate(_children(node, scope), scope)


def _best_by(node: exp.Expr, scope: Scope) -> Lineage:
    order = lineage_of(node.args["expression"], scope)
    return merged([used_as("aggregation", lineage_of(node.this, scope)), used_as("conditional", order)])


def _filtered(node: exp.Expr, scope: Scope) -> Lineage:
    condition = lineage_of(node.args["expression"].this, scope)
    return merged([lineage_of(node.this, scope), used_as("conditional", condition)])


def _within_group(node: exp.Expr, scope: Scope) -> Lineage:
    arguments = _children(node.this, scope)
    order = lineage_of(node.args["expression"], scope)
    if not arguments.uses:
        return used_as("aggregation", order)
    return merged([used_as("aggregation", arguments), used_as("conditional", order)])


def _window(node: exp.Expr, scope: Scope) -> Lineage:
    parts = [lineage_of(node.this, scope)]
    seen: set[str] = set()
    window: exp.Expr | None = node
    while window is not None:
        by = [*(window.args.get("partition_by") or ()), window.args.get("order")]
        parts.append(used_as("window", _all(by, scope)))
        base = window.args.get("alias") or (window.this if isinstance(window.this, exp.Identifier) else None)
        name = base.name.lower() if base is not None else ""
        window = scope.windows.get(name) if name and name not in seen else None
        seen.add(name)
    return merged(parts)


def _offset(node: exp.Expr, scope: Scope) -> Lineage:
    return used_as("transformation", _children(node, scope))


def _scalar(relation: Relation) -> Lineage:
    return merged([*(lineage for _, lineage in relation.columns[:1]), relation.rows])


def _exists(node: exp.Expr, scope: Scope) -> Lineage:
    if not isinstance(node.this, exp.Query):  # the function of arrays
        return used_as("transformation", _children(node, scope))
    relation = scope.query(node.this, scope)
    return used_as("filter", merged([relation.rows, rows_as("filter", relation.inputs)]))


def _generator(node: exp.Expr, scope: Scope) -> Lineage:
    return used_as("transformation", _children(node, scope))


_Handler = Callable[[exp.Expr, Scope], Lineage]
_HANDLERS: Mapping[type[exp.Expr], _Handler] = {
    exp.Column: _column,
    exp.Star: _star,
    exp.Alias: _as_it_is,
    exp.Paren: _as_it_is,
    exp.Literal: _nothing,
    exp.Identifier: _nothing,
    exp.Placeholder: _nothing,
    exp.DataType: _nothing,
    exp.Case: _case,
    exp.If: _if,
    exp.Nvl2: _if,
    exp.DecodeCase: _decode,
    exp.Count: _count,
    exp.ArgMin: _best_by,
    exp.ArgMax: _best_by,
    exp.Filter: _filtered,
    exp.WithinGroup: _within_group,
    exp.Window: _window,
    exp.Exists: _exists,
    exp.Explode: _generator,
    exp.Grouping: _nothing,
    exp.GroupingId: _nothing,
    **dict.fromkeys(_RANKING, _nothing),
    **dict.fromkeys(_OFFSETS, _offset),
}
