"""Expressions of Spark's plans: which columns a value comes from, and what each of them is to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

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
from feature_mart.definitions.lineage.plan_tree import PlanNode


@dataclass(frozen=True)
class Frame:
    """What a node of a plan gives: its columns by expression id, and what decides its rows.

    ``order`` is by what its rows are sorted, which matters once they are cut. ``ids`` are those of its columns in
    order, where one of them stands twice.
    """

    columns: Mapping[int, tuple[str, Lineage]] = field(default_factory=dict)
    rows: Lineage = NOTHING
    inputs: frozenset[str] = frozenset()
    order: Lineage = NOTHING
    ids: tuple[int, ...] = ()

    def output(self) -> list[tuple[str, Lineage]]:
        """The columns in order, by position."""
        return [self.columns[key] for key in self.ids or self.columns]


Plan = Callable[[PlanNode, "Known"], Frame]


@dataclass(frozen=True)
class Known:
    """What the columns stand for that an expression may use. ``plan`` reads a subquery within it."""

    columns: Mapping[int, tuple[str, Lineage]]
    inputs: frozenset[str]
    plan: Plan
    outer: Known | None = None

    def get(self, node: PlanNode) -> Lineage:
        """The lineage of an attribute."""
        found = self.columns.get(node.expression_id)
        if found is not None:
            return found[1]
        if self.outer is not None:
            return self.outer.get(node)
        return unresolved(f"{node.name}: comes from a part of Spark's plan that lineage does not follow")


_RANKING = frozenset(["RowNumber", "Rank", "DenseRank", "PercentRank", "CumeDist", "NTile"])
_AGGREGATING = frozenset(["NthValue"])  # window functions that take the value of one of several rows
_AS_IT_IS = frozenset(["Alias", "KnownNotNull", "KnownNullable", "PipeExpression"])


def lineage_of(node: PlanNode, known: Known) -> Lineage:
    """What the value of an expression comes from."""
    kind = node.kind
    if kind == "AttributeReference":
        return known.get(node)
    if kind in _AS_IT_IS:
        return lineage_of(node.children[0], known)
    handler = _HANDLERS.get(kind)
    if handler is not None:
        return handler(node, known)
    if kind in _RANKING:
        return NOTHING
    return used_as("aggregation" if kind in _AGGREGATING else "transformation", all_of(node.children, known))


def all_of(nodes: Iterable[PlanNode], known: Known) -> Lineage:
    """What several values come from."""
    return merged(lineage_of(node, known) for node in nodes)


def rows_as(kind: Kind, inputs: Iterable[str]) -> Lineage:
    """The rows of some inputs, used in one way."""
    return Lineage({InputColumn(name, ROWS): frozenset[Kind]([kind]) for name in inputs})


def _outer(node: PlanNode, known: Known) -> Lineage:
    inner = node.tree("e")
    return NOTHING if inner is None else lineage_of(inner, known)


def _aggregate(node: PlanNode, known: Known) -> Lineage:
    function = node.children[0]
    if function.kind in ("MaxBy", "MinBy", "PivotFirst"):
        decides, value = (0, 1) if function.kind == "PivotFirst" else (1, 0)
        found = merged(
            [
                used_as("aggregation", lineage_of(function.children[value], known)),
                used_as("conditional", lineage_of(function.children[decides], known)),
            ]
        )
    else:
        found = used_as("aggregation", all_of(function.children, known))
    if not found.uses and not found.unresolved:  # count(*), count(1)
        found = rows_as("aggregation", known.inputs)
    return merged([found, *(used_as("conditional", lineage_of(other, known)) for other in node.children[1:])])


def _window(node: PlanNode, known: Known) -> Lineage:
    function, specification = node.children
    return merged([lineage_of(function, known), used_as("window", all_of(specification.children, known))])


def _case(node: PlanNode, known: Known) -> Lineage:
    pairs = len(node.fields["branches"])
    conditions = node.children[: 2 * pairs : 2]
    values = [*node.children[1 : 2 * pairs : 2], *node.children[2 * pairs :]]
    return merged([used_as("conditional", all_of(conditions, known)), all_of(values, known)])


def _if(node: PlanNode, known: Known) -> Lineage:
    condition, *values = node.children
    return merged([used_as("conditional", lineage_of(condition, known)), all_of(values, known)])


def _replaced(node: PlanNode, known: Known) -> Lineage:
    """A function that Spark writes as another one: what that does inside is not the definition's."""
    found = all_of(node.children, known)
    plain = {column: frozenset[Kind](["transformation"]) for column in found.uses}
    return Lineage(plain, found.unresolved)


def _chosen(node: PlanNode, known: Known) -> Lineage:
    return all_of(node.children, known)


def _subquery(node: PlanNode, known: Known) -> Lineage:
    frame = _inner(node, known)
    first = [lineage for _, lineage in frame.output()[:1]]
    return merged([*first, frame.rows])


def _exists(node: PlanNode, known: Known) -> Lineage:
    frame = _inner(node, known)
    return used_as("filter", merged([frame.rows, rows_as("filter", frame.inputs)]))


def _in(node: PlanNode, known: Known) -> Lineage:
    query = node.tree("query")
    asked = [child for child in node.children if child is not query and child.kind != "ListQuery"]
    found = [] if query is None else [_subquery(query, known)]
    return used_as("transformation", merged([all_of(asked, known), *found]))


def _inner(node: PlanNode, known: Known) -> Frame:
    plan = node.tree("plan")
    if plan is None:
        return Frame(rows=unresolved(f"{node.kind}: a subquery that Spark's plan does not show"))
    return known.plan(plan, known)


_HANDLERS: Mapping[str, Callable[[PlanNode, Known], Lineage]] = {
    "OuterReference": _outer,
    "AggregateExpression": _aggregate,
    "WindowExpression": _window,
    "CaseWhen": _case,
    "If": _if,
    "Nvl2": _chosen,
    "NullIf": _replaced,
    "ScalarSubquery": _subquery,
    "ListQuery": _subquery,
    "Exists": _exists,
    "InSubquery": _in,
}
