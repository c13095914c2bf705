"""The rows of an input that a definition can have seen for one row of a view."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from feature_mart.columns.values import plain_row
from feature_mart.definitions.spark_types import NESTED, base_type
from feature_mart.delta.canonical import instant, row_text
from feature_mart.delta.errors import delta_errors
from feature_mart.delta.layout import PERIOD
from feature_mart.delta.tables import ENGINE_PREFIX, Table
from feature_mart.history.matching import OF_ROW, Match
from feature_mart.read.conform import FILE
from feature_mart.read.ingest import FILES_PARTITION
from feature_mart.read.inputs import cut

MOST_ROWS = 20
Span = tuple[datetime | None, datetime | None]


@dataclass(frozen=True)
class InputTable:
    """An input of a view as it is now: its table, and the name of its event timestamp."""

    table: Table
    event_timestamp: str | None


@dataclass(frozen=True)
class Reach:
    """The time of which the definition sees an input for one row of the view: ``narrow`` if it is additive.

    ``whole`` is what it did see as it ran, which is right for any definition.
    """

    narrow: Span
    whole: Span


@dataclass(frozen=True)
class Asked:
    """The row that is asked for: the key as it was given, the values of its columns, and the types of both."""

    key: Mapping[str, Any]
    values: Mapping[str, Any]
    types: Mapping[str, str]


def literal(value: Any, kind: str) -> Column:
    """A key's value as a column of its declared type."""
    return (F.expr(instant(value)) if isinstance(value, datetime) else F.lit(value)).cast(kind)


def matched_rows(source: InputTable, version: int, match: Match, reach: Reach, asked: Asked) -> dict[str, Any]:
    """How many rows match, and the first `MOST_ROWS` of them in the order of time; their number alone without a match.

    Raises:
        TableError: the rows cannot be read (any more).
    """
    frame = source.table.read(version)
    if PERIOD in frame.columns:
        frame = frame.where(F.col(PERIOD) != FILES_PARTITION)
    # The file of a row stays: it says where to look outside of the mart.
    shown = [name for name in frame.columns if name == FILE or not name.startswith(ENGINE_PREFIX)]
    frame = frame.select(*[F.col(f"`{name}`") for name in shown])
    with delta_errors(source.table.name):
        seen = cut(frame, source.event_timestamp, *(reach.whole if match.kind == "exact" else reach.narrow))
        if match.kind is None:
            return {"count": seen.count(), "rows": []}
        found = matching(seen, match, asked)
        time = [F.col(f"`{source.event_timestamp}`")] if source.event_timestamp else []
        first = found.orderBy(*time, row_text(found.columns)).limit(MOST_ROWS).toArrow().to_pylist()
        count = len(first) if len(first) < MOST_ROWS else found.count()
    return {"count": count, "rows": [plain_row(row) for row in first]}


def matching(seen: DataFrame, match: Match, asked: Asked) -> DataFrame:
    """Those of ``seen`` that match the row that is asked for."""
    if match.kind == "candidates":
        for name, expression in match.keys.items():
            kind = asked.types[name]
            seen = seen.where(F.expr(expression).try_cast(kind) == literal(asked.key[name], kind))
        return seen
    row = {
        f"{OF_ROW}{name.lower()}": literal(asked.values[name], kind)
        for name, kind in asked.types.items()
        if base_type(kind) not in NESTED
    }
    beside = seen.withColumns(row)
    if match.where is not None:
        beside = beside.where(F.expr(match.where))
    for same in match.same:
        found = F.expr(same.input)
        beside = beside.where((found if same.kind is None else found.try_cast(same.kind)).eqNullSafe(F.expr(same.row)))
    return beside.select(*[F.col(f"`{name}`") for name in seen.columns])
