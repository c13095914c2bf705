"""From a feature up to the source columns that it comes from, and down to the features and services that use it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from feature_mart.definitions.lineage.mart import MartLineage
from feature_mart.definitions.lineage.model import ROWS, InputColumn, Kind, in_order
from feature_mart.definitions.problems import nearest
from feature_mart.definitions.project import Project
from feature_mart.definitions.sql_rules import read_expression
from feature_mart.errors import UsageError

#: What stands in a chain: a column of a source or view, or its rows as such.
Node = InputColumn
Links = Mapping[Node, Sequence[tuple[Node, tuple[Kind, ...]]]]


@dataclass(frozen=True)
class Chain:
    """The lineage of some columns in both directions.

    ``up`` leads from each column to those that it is made from, ``down`` to those that are made from it; the kinds say
    what the one that is used is to the other. ``rows`` has, by view, what decides which rows it has, for the view that
    was asked for and all that its columns come from. ``services`` are the feature services that take a column.
    """

    subject: str
    roots: tuple[Node, ...]
    up: Links
    down: Links
    services: Mapping[Node, tuple[str, ...]]
    rows: Mapping[str, Sequence[tuple[Node, tuple[Kind, ...]]]]
    unresolved: Mapping[Node, tuple[str, ...]]
    types: Mapping[Node, str]

    def to_dict(self) -> dict[str, Any]:
        """The chain as plain data: nodes, edges from what is used to what uses it, and what is not resolved."""
        services = sorted({service for named in self.services.values() for service in named})
        return {
            "subject": self.subject,
            "nodes": [
                *(
                    {"id": str(node), "type": kind, "producer": node.input, "column": node.column}
                    for node, kind in sorted(self.types.items())
                ),
                *({"id": service, "type": "feature_service"} for service in services),
            ],
            "edges": [
                {"from": start, "to": end, "kinds": list(kinds)} for (start, end), kinds in sorted(self.edges().items())
            ],
            "rows": {
                view: [{"column": str(column), "kinds": list(kinds)} for column, kinds in uses]
                for view, uses in self.rows.items()
            },
            "unresolved": [
                {"column": str(node), "reason": reason}
                for node, reasons in sorted(self.unresolved.items())
                for reason in reasons
            ],
        }

    def edges(self) -> dict[tuple[str, str], tuple[Kind, ...]]:
        """What is used, what uses it, and how; services are used by with no kind."""
        found: dict[tuple[str, str], tuple[Kind, ...]] = {}
        for user, uses in self.up.items():
            found.update({(str(used), str(user)): kinds for used, kinds in uses})
        for used, users in self.down.items():
            found.update({(str(used), str(user)): kinds for user, kinds in users})
        for node, services in self.services.items():
            found.update({(str(node), service): () for service in services})
        return found


def chain_of(lineage: MartLineage, subject: str) -> Chain:
    """The chain of ``view:column``, or of all columns of ``view``.

    Raises:
        UsageError: there is no such view or column.
    """
    project = lineage.project
    roots = _roots(lineage, subject)
    reader = _Reader(lineage)
    up = _walked(roots, reader.used_by_column)
    down = _walked(roots, reader.users)
    nodes = sorted({*up, *down})
    views = [roots[0].input, *(node.input for node in up if node.input in project.views)]
    return Chain(
        subject=subject,
        roots=roots,
        up=up,
        down=down,
        services={node: found for node in down if (found := _services(project, node))},
        rows={view: lineage.of(view).rows.ordered() for view in project.views if view in views},
        unresolved={node: found for node in nodes if (found := reader.reasons(node))},
        types={node: _type(project, node) for node in nodes},
    )


def _roots(lineage: MartLineage, subject: str) -> tuple[Node, ...]:
    project = lineage.project
    view, colon, column = subject.partition(":")
    if view not in project.views:
        if view in project.sources:
            raise UsageError(f"{view} is a source, where lineage begins. What is made from it: mart show {view}")
        meant = nearest(view, project.views)
        hint = f" Did you mean {meant}?" if meant else ""
        raise UsageError(f"there is no feature view {view!r}.{hint}\nSee what there is: mart list")
    columns = list(lineage.of(view).columns)
    if not colon:
        return tuple(Node(view, name) for name in columns)
    if column not in columns:
        meant = nearest(column, columns)
        hint = f" Did you mean {view}:{meant}?" if meant else ""
        raise UsageError(f"{view} has no column {column!r}.{hint}\nIt has: {', '.join(columns)}")
    return (Node(view, column),)


class _Reader:
    def __init__(self, lineage: MartLineage) -> None:
        self.lineage = lineage
        self.project = lineage.project

    def used_by_column(self, node: Node) -> list[tuple[Node, tuple[Kind, ...]]]:
        """What a column, or the rows of a view, are made from."""
        if node.input not in self.project.views:
            return []
        given = self.lineage.of(node.input)
        if node.column != ROWS:
            return given.columns[node.column].ordered() if node.column in given.columns else []
        uses = dict(given.rows.ordered())
        for name in self.project.views[node.input].inputs:
            rows = Node(name, ROWS)
            is_grouped = any("group_by" in kinds for column, kinds in uses.items() if column.input == name)
            kind: Kind = "aggregation" if is_grouped else "identity"
            uses[rows] = in_order({kind, *uses.get(rows, ())})
        return sorted(uses.items())

    def users(self, node: Node) -> list[tuple[Node, tuple[Kind, ...]]]:
        """The columns, and the rows, that are made from a column or from the rows of its view.

        What is derived from a column in its own view comes from the same inputs, and is named here all the same.
        """
        found: dict[Node, tuple[Kind, ...]] = {}
        for name in self.project.consumers(node.input):
            given = self.lineage.of(name)
            for column, lineage in given.columns.items():
                if node in lineage.uses:
                    found[Node(name, column)] = in_order(lineage.uses[node])
            rows = dict(self.used_by_column(Node(name, ROWS)))
            if node in rows:
                found[Node(name, ROWS)] = rows[node]
        found.update((name, ("transformation",)) for name in self._derived(node))
        return sorted(found.items())

    def _derived(self, node: Node) -> list[Node]:
        """The features of the same view that are derived from a column."""
        view = self.project.views.get(node.input)
        if view is None:
            return []
        wanted = node.column.lower()
        used = {name: read_expression(text)[1] for name, text in view.derived.items()}
        return [Node(view.name, name) for name, names in used.items() if wanted in map(str.lower, names)]

    def reasons(self, node: Node) -> tuple[str, ...]:
        """Why a node's own lineage may not be complete."""
        if node.input not in self.project.views:
            return ()
        return self.lineage.of(node.input).unresolved.get(node.column, ())


def _walked(
    roots: Iterable[Node], step: Callable[[Node], Sequence[tuple[Node, tuple[Kind, ...]]]]
) -> dict[Node, Sequence[tuple[Node, tuple[Kind, ...]]]]:
    found: dict[Node, Sequence[tuple[Node, tuple[Kind, ...]]]] = {}
    waiting = list(roots)
    while waiting:
        node = waiting.pop()
        if node not in found:
            found[node] = step(node)
            waiting += [other for other, _ in found[node]]
    return dict(sorted(found.items()))


def _services(project: Project, node: Node) -> tuple[str, ...]:
    """The services that take a feature; the rows of a view matter to each that takes anything from it."""
    if node.input not in project.views:
        return ()
    is_feature = node.column not in project.views[node.input].reserved_columns
    found = []
    for service in project.services.values():
        takes_it = is_feature and (node.input in service.features or str(node) in service.features)
        if takes_it or (node.column == ROWS and node.input in service.views):
            found.append(service.name)
    return tuple(sorted(found))


def _type(project: Project, node: Node) -> str:
    if node.column == ROWS:
        return "rows"
    if node.input in project.sources:
        return "source_column"
    return "key" if node.column in project.views[node.input].reserved_columns else "feature"
