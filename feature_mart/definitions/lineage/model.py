"""What lineage says: the input columns of a value, and what each of them is to it.

A column is used directly (its value goes into the result) or indirectly (it decides which rows or values are taken).
The words are those of OpenLineage's column lineage facet, whose transformations they become.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Kind = Literal[
    "identity",  # the value as it is
    "transformation",  # computed from the value, row by row
    "aggregation",  # computed from the values of several rows
    "conditional",  # decides between values, as in CASE WHEN or in the order of MIN_BY
    "window",  # partitions or orders a window
    "join",
    "filter",
    "group_by",
    "sort",  # orders what LIMIT cuts
    "explode",  # each of its elements makes a row
]
Uses = Mapping["InputColumn", frozenset[Kind]]

DIRECT: tuple[Kind, ...] = ("identity", "transformation", "aggregation")
INDIRECT: tuple[Kind, ...] = ("conditional", "window", "join", "filter", "group_by", "sort", "explode")
KINDS = (*DIRECT, *INDIRECT)
#: Stands for the rows of an input as such, as ``count(*)`` uses them.
ROWS = "*"


class InputColumn(NamedTuple):
    """A column of a source or view, as it is spelt there; `ROWS` for its rows as such."""

    input: str
    column: str

    def __str__(self) -> str:
        return f"{self.input}:{self.column}"


@dataclass(frozen=True)
class Lineage:
    """What one value comes from. ``unresolved``: the reasons for which there may be more to it than ``uses`` says."""

    uses: Uses = field(default_factory=dict)
    unresolved: frozenset[str] = frozenset()

    def ordered(self) -> list[tuple[InputColumn, tuple[Kind, ...]]]:
        """The uses by input and column, kinds in the order of `KINDS`."""
        return [(column, in_order(self.uses[column])) for column in sorted(self.uses)]


NOTHING = Lineage()


@dataclass(frozen=True)
class ViewLineage:
    """The lineage of all columns of a view, keys and timestamps among them.

    ``rows`` is what decides which rows the view has. ``unresolved`` gives the reasons by column; those under `ROWS`
    speak of the view as a whole. ``origin`` says what it was read from: the SQL text, Spark's plan of a Python
    definition, or an input that is taken as it is.
    """

    view: str
    definition_hash: str
    origin: Literal["sql", "python", "input"]
    columns: Mapping[str, Lineage]
    rows: Lineage

    @property
    def unresolved(self) -> dict[str, tuple[str, ...]]:
        """Reasons by column, `ROWS` last; empty where everything is known."""
        found = {name: tuple(sorted(given.unresolved)) for name, given in self.columns.items() if given.unresolved}
        return {**found, ROWS: tuple(sorted(self.rows.unresolved))} if self.rows.unresolved else found


def direct(column: InputColumn) -> Lineage:
    """A column taken as it is."""
    return Lineage({column: frozenset[Kind](["identity"])})


def unresolved(reason: str) -> Lineage:
    """A value of which only the reason is known why it is not known."""
    return Lineage({}, frozenset([reason]))


def merged(parts: Iterable[Lineage]) -> Lineage:
    """All that several values come from."""
    uses: dict[InputColumn, frozenset[Kind]] = {}
    reasons: set[str] = set()
    for part in parts:
        reasons |= part.unresolved
        for column, kinds in part.uses.items():
            known = uses.get(column)
            uses[column] = kinds if known is None or known == kinds else known | kinds
    return Lineage(uses, frozenset(reasons))


def used_as(kind: Kind, part: Lineage) -> Lineage:
    """What a value comes from that is made from ``part`` in the way of ``kind``.

    A direct use makes direct ones at least that strong: what is computed from an aggregate remains aggregated, and what
    decided between values still does. An indirect use makes all of them indirect, of its own kind.
    """
    if kind == "identity" or not part.uses:
        return part
    return Lineage({column: _turned(kind, kinds) for column, kinds in part.uses.items()}, part.unresolved)


def _turned(kind: Kind, kinds: frozenset[Kind]) -> frozenset[Kind]:
    if kind not in DIRECT:
        return _ALONE[kind]
    if len(kinds) == 1:
        (only,) = kinds
        return _ALONE[_stronger(kind, only)]
    return frozenset(_stronger(kind, other) for other in kinds)


def _stronger(kind: Kind, other: Kind) -> Kind:
    return other if other not in DIRECT or DIRECT.index(other) > DIRECT.index(kind) else kind


def in_order(kinds: Iterable[Kind]) -> tuple[Kind, ...]:
    """Kinds in the order of `KINDS`."""
    given = set(kinds)
    return tuple(kind for kind in KINDS if kind in given)


_ALONE: dict[Kind, frozenset[Kind]] = {kind: frozenset[Kind]([kind]) for kind in KINDS}
