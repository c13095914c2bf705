"""The rows of an input that a definition can have seen for one row of a view."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from feature_mart.delta.canonical import instant, row_text
from feature_mart.delta.errors import delta_errors
from feature_mart.delta.layout import PERIOD
from feature_mart.delta.tables import ENGINE_PREFIX, Table
from feature_mart.history.matching import Match
from feature_mart.history.values import plain_row
from feature_mart.read.conform import FILE
from feature_mart.read.ingest import FILES_PARTITION
from feature_mart.read.inputs import cut

MOST_ROWS = 20


@dataclass(frozen=True)
class InputTable:
    """An input of a view as it is now: its table, and the name of its event timestamp."""

    table: Table
    event_timestamp: str | None


@dataclass(frozen=True)
class Reach:
    """The time that the definition saw of its inputs, and the row that is asked for."""

    start: datetime | None
    end: datetime | None
    key: Mapping[str, Any]
    key_types: Mapping[str, str]
    event_timestamp: datetime | None


def literal(value: Any, kind: str) -> Column:
    """A key's value as a column of its declared type."""
    return (F.expr(instant(value)) if isinstance(value, datetime) else F.lit(value)).cast(kind)


def matched_rows(source: InputTable, version: int, match: Match, reach: Reach) -> dict[str, Any]:
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
        seen = cut(frame, source.event_timestamp, reach.start, reach.end)
        if match.kind is None:
            return {"count": seen.count(), "rows": []}
        found = _matching(seen, match, reach)
        time = [F.col(f"`{source.event_timestamp}`")] if source.event_timestamp else []
        first = found.orderBy(*time, row_text(found.columns)).limit(MOST_ROWS).toArrow().to_pylist()
        count = len(first) if len(first) < MOST_ROWS else found.count()
    return {"count": count, "rows": [plain_row(row) for row in first]}


def _matching(seen: DataFrame, match: Match, reach: Reach) -> DataFrame:
    named = seen if match.alias is None else seen.alias(match.alias)
    conditions = []
    for name, expression in match.keys.items():
        kind = reach.key_types[name]
        conditions.append(F.expr(expression).try_cast(kind) == literal(reach.key[name], kind))
    if match.where is not None:
        conditions.append(F.expr(match.where))
    if match.event_timestamp is not None and reach.event_timestamp is not None:
        conditions.append(F.expr(match.event_timestamp).cast("timestamp") == F.expr(instant(reach.event_timestamp)))
    for condition in conditions:
        named = named.where(condition)
    return named
