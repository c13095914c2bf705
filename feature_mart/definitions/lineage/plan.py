"""Lineage from Spark's own analysed plan of a frame, as JSON: read here without Spark.

Where the inputs of a definition begin in the plan is marked (`MARK`): what lies below belongs to the engine.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from feature_mart.definitions.lineage.model import NOTHING, InputColumn, Lineage, direct, merged, unresolved, used_as
from feature_mart.definitions.lineage.plan_expression import Frame, Known, all_of, lineage_of
from feature_mart.definitions.lineage.plan_tree import PlanNode, is_tree, read_tree
from feature_mart.definitions.lineage.relation import Relation

#: An input is a projection of all its columns under an alias that begins with this.
MARK = "__input_"

_SAME_ROWS = frozenset(
    [
        "SubqueryAlias",
        "View",
        "ResolvedHint",
        "Repartition",
        "RepartitionByExpression",
        "RebalancePartitions",
        "CollectMetrics",
        "EventTimeWatermark",
        "PipeOperator",
    ]
)
_LIMITS = frozenset(["GlobalLimit", "LocalLimit", "Offset", "Tail", "LimitAndOffset"])
_WITHOUT_INPUT = frozenset(["OneRowRelation", "LocalRelation", "Range"])


def plan_lineage(plan: str) -> Relation:
    """What the frame with this analysed plan gives. A plan of an unknown shape is not resolved, and no error."""
    try:
        frame = _Reader().frame(read_tree(json.loads(plan)), None)
        return Relation(tuple(frame.output()), frame.rows, frame.inputs)
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        # The shape is Spark's own and may change with its version; nobody's build or command shall fail by it.
        reason = unresolved(f"Spark's plan could not be read ({type(error).__name__})")
        return Relation(rows=reason, further=lambda _: reason)


class _Reader:
    def __init__(self) -> None:
        self.ctes: dict[int, Frame] = {}

    def frame(self, node: PlanNode, outer: Known | None) -> Frame:
        marked = _marked_input(node)
        if marked is not None:
            return marked
        handler = _HANDLERS.get(node.kind)
        if handler is not None:
            return handler(self, node, outer)
        if node.kind in _SAME_ROWS:
            return self.frame(node.children[0], outer)
        if node.kind in _WITHOUT_INPUT:
            return Frame(_attributes(node.trees("output"), NOTHING))
        return self._unknown(node, outer)

    def known(self, outer: Known | None, *frames: Frame) -> Known:
        columns = {key: column for frame in frames for key, column in frame.columns.items()}
        inputs = frozenset(name for frame in frames for name in frame.inputs)
        return Known(columns, inputs, self.frame, outer)

    def project(self, node: PlanNode, outer: Known | None) -> Frame:
        below = self.frame(node.children[0], outer)
        given = node.trees("projectList")
        columns = _named(given, self.known(outer, below))
        return Frame(columns, below.rows, below.inputs, below.order, _ids(given, columns))

    def filter(self, node: PlanNode, outer: Known | None) -> Frame:
        below = self.frame(node.children[0], outer)
        condition = _optional(node.tree("condition"), self.known(outer, below))
        return _with_rows(below, used_as("filter", condition))

    def aggregate(self, node: PlanNode, outer: Known | None) -> Frame:
        below = self.frame(node.children[0], outer)
        known = self.known(outer, below)
        grouped = used_as("group_by", all_of(node.trees("groupingExpressions"), known))
        given = node.trees("aggregateExpressions")
        columns = _named(given, known)
        return Frame(columns, merged([below.rows, grouped]), below.inputs, ids=_ids(given, columns))

    def window(self, node: PlanNode, outer: Known | None) -> Frame:
        below = self.frame(node.children[0], outer)
        added = _named(node.trees("windowExpressions"), self.known(outer, below))
        return replace(below, columns={**below.columns, **added}, ids=_more_ids(below, added))

    def join(self, node: PlanNode, outer: Known | None) -> Frame:
        left, right = (self.frame(child, outer) for child in node.children)
        condition = _optional(node.tree("condition"), self.known(outer, left, right))
        return _joined(node, left, right, condition)

    def lateral_join(self, node: PlanNode, outer: Known | None) -> Frame:
        left = self.frame(node.children[0], outer)
        query = node.tree("right")
        plan = query.tree("plan") if query is not None else None
        right = Frame() if plan is None else self.frame(plan, self.known(outer, left))
        return _joined(node, left, right, _optional(node.tree("condition"), self.known(outer, left, right)))

    def union(self, node: PlanNode, outer: Known | None) -> Frame:
        parts = [self.frame(child, outer) for child in node.children]
        outputs = [part.output() for part in parts]
        columns = {
            key: (outputs[0][at][0], merged(output[at][1] for output in outputs))
            for at, key in enumerate(parts[0].ids or parts[0].columns)
        }
        inputs = frozenset(name for part in parts for name in part.inputs)
        return Frame(columns, merged(part.rows for part in parts), inputs)

    def minus(self, node: PlanNode, outer: Known | None) -> Frame:
        left, right = (self.frame(child, outer) for child in node.children)
        compared = used_as("filter", merged([_whole(left), _whole(right)]))
        return Frame(left.columns, merged([left.rows, right.rows, compared]), left.inputs | right.inputs)

    def distinct(self, node: PlanNode, outer: Known | None) -> Frame:
        below = self.frame(node.children[0], outer)
        keys = all_of(node.trees("keys"), self.known(outer, below)) if node.kind == "Deduplicate" else _whole(below)
        return _with_rows(below, used_as("group_by", keys))

    def sort(self, node: PlanNode, outer: Known | None) -> Frame:
        below = self.frame(node.children[0], outer)
        order = all_of(node.trees("order"), self.known(outer, below))
        return replace(below, order=order)

    def limit(self, node: PlanNode, outer: Known | None) -> Frame:
        below = self.frame(node.children[0], outer)
        return _with_rows(below, used_as("sort", below.order))

    def generate(self, node: PlanNode, outer: Known | None) -> Frame:
        below = self.frame(node.children[0], outer)
        generator = node.tree("generator")
        arguments = NOTHING if generator is None else all_of(generator.children, self.known(outer, below))
        made = _attributes(node.trees("generatorOutput"), used_as("transformation", arguments))
        grown = replace(below, columns={**below.columns, **made}, ids=_more_ids(below, made))
        return _with_rows(grown, used_as("explode", arguments))

    def expand(self, node: PlanNode, outer: Known | None) -> Frame:
        below = self.frame(node.children[0], outer)
        known = self.known(outer, below)
        rows = [[lineage_of(read_tree(cell), known) for cell in row] for row in node.fields["projections"]]
        columns = {
            attribute.expression_id: (attribute.name, merged(row[at] for row in rows))
            for at, attribute in enumerate(node.trees("output"))
        }
        return Frame(columns, below.rows, below.inputs)

    def with_cte(self, node: PlanNode, outer: Known | None) -> Frame:
        numbers = list(node.fields["cteDefs"])
        for number in numbers:
            definition = node.children[number]
            self.ctes[int(definition.fields["id"])] = self.frame(definition.children[0], outer)
        plan = node.tree("plan")
        return Frame() if plan is None else self.frame(plan, outer)

    def cte(self, node: PlanNode, _outer: Known | None) -> Frame:
        given = self.ctes.get(int(node.fields["cteId"]))
        if given is None:
            reason = unresolved("a recursive query, which lineage does not follow in Spark's plan")
            return Frame(_attributes(node.trees("output"), reason), reason)
        columns = {
            attribute.expression_id: column
            for attribute, column in zip(node.trees("output"), given.output(), strict=True)
        }
        return Frame(columns, given.rows, given.inputs, given.order)

    def _unknown(self, node: PlanNode, outer: Known | None) -> Frame:
        """A node of another kind: what it passes through keeps its id, and of the rest only that much is known."""
        parts = [self.frame(child, outer) for child in node.children]
        known = self.known(outer, *parts)
        reason = unresolved(f"{node.kind}: a step of Spark's plan that lineage does not follow")
        given = [read_tree(value) for value in node.fields.get("output") or () if is_tree(value)]
        columns = {a.expression_id: known.columns.get(a.expression_id, (a.name, reason)) for a in given}
        if not columns and len(parts) == 1:
            columns = dict(parts[0].columns)
        return Frame(columns, merged([*(part.rows for part in parts), reason]), known.inputs)


def _joined(node: PlanNode, left: Frame, right: Frame, condition: Lineage) -> Frame:
    kind = str(node.fields.get("joinType", {}).get("object", "")).rpartition(".")[2]
    columns = left.columns if kind in ("LeftSemi$", "LeftAnti$") else {**left.columns, **right.columns}
    rows = merged([left.rows, right.rows, used_as("join", condition)])
    return Frame(columns, rows, left.inputs | right.inputs)


def _marked_input(node: PlanNode) -> Frame | None:
    """The input that begins here."""
    if node.kind != "SubqueryAlias" or not str(node.fields["identifier"]["name"]).startswith(MARK):
        return None
    name = str(node.fields["identifier"]["name"]).removeprefix(MARK)
    attributes = node.children[0].trees("projectList")
    columns = {a.expression_id: (a.name, direct(InputColumn(name, a.name))) for a in attributes}
    return Frame(columns, inputs=frozenset([name]))


def _named(nodes: Sequence[PlanNode], known: Known) -> dict[int, tuple[str, Lineage]]:
    return {node.expression_id: (node.name, lineage_of(node, known)) for node in nodes}


def _attributes(nodes: Sequence[PlanNode], lineage: Lineage) -> dict[int, tuple[str, Lineage]]:
    return {node.expression_id: (node.name, lineage) for node in nodes}


def _optional(node: PlanNode | None, known: Known) -> Lineage:
    return NOTHING if node is None else lineage_of(node, known)


def _whole(frame: Frame) -> Lineage:
    return merged(lineage for _, lineage in frame.columns.values())


def _with_rows(frame: Frame, more: Lineage) -> Frame:
    return replace(frame, rows=merged([frame.rows, more]))


def _ids(nodes: Sequence[PlanNode], columns: Mapping[int, object]) -> tuple[int, ...]:
    """The ids of the columns in order, where one of them stands twice."""
    return tuple(node.expression_id for node in nodes) if len(columns) != len(nodes) else ()


def _more_ids(frame: Frame, added: Mapping[int, object]) -> tuple[int, ...]:
    return (*frame.ids, *added) if frame.ids else ()


_Handler = Callable[[_Reader, PlanNode, "Known | None"], Frame]
_HANDLERS: Mapping[str, _Handler] = {
    "Project": _Reader.project,
    "Filter": _Reader.filter,
    "Aggregate": _Reader.aggregate,
    "Window": _Reader.window,
    "Join": _Reader.join,
    "LateralJoin": _Reader.lateral_join,
    "Union": _Reader.union,
    "Except": _Reader.minus,
    "Intersect": _Reader.minus,
    "Distinct": _Reader.distinct,
    "Deduplicate": _Reader.distinct,
    "Sort": _Reader.sort,
    "Generate": _Reader.generate,
    "Expand": _Reader.expand,
    "WithCTE": _Reader.with_cte,
    "CTERelationRef": _Reader.cte,
    **dict.fromkeys(_LIMITS, _Reader.limit),
}
