"""Which stretches of time changed between two versions of a table, found without Spark.

`changes.changed_intervals` gives the same answer from Spark and has no limit of size. A plan never asks it; a build
does where many rows changed, or where only Spark reaches the table.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from feature_mart.delta.log import RustLog
from feature_mart.delta.tables import ENGINE_PREFIX, Table
from feature_mart.records import ANCHOR, EPOCH, MICROSECOND, Interval, merged, spanning

Values: TypeAlias = "pa.Array[Any] | pa.ChunkedArray[Any]"

# Change rows that are compared in this process: about a gigabyte of wide rows.
MOST_ROWS = 2_000_000
_CHANGE = "_change_type"
_INSERTED = ("insert", "update_postimage")
_SLICE, _AT, _SIGN = "_slice", "_at", "_sign"


def changed_intervals_by_log(
    table: Table, *, after: int, until: int, event_timestamp: str, every: timedelta, most_rows: int = MOST_ROWS
) -> tuple[Interval, ...] | None:
    """Where rows differ between two versions: per slice of length ``every``, from the first such row to the last.

    None where that cannot be told without Spark: the table is only reachable through it, its change feed is gone, or
    more than ``most_rows`` rows changed. Rows without an event timestamp are not looked at.

    Raises:
        TableError: columns changed their types, so that all may have changed.
    """
    if after >= until:
        return ()
    if not isinstance(table.log, RustLog):
        return None
    # delta-rs would read old rows in the new types, and find that nothing changed.
    table.require_same_types(after, until)
    feed = table.log.change_feed(after + 1, until, most_rows)
    if feed is None:
        return None
    column = next((name for name in feed.column_names if name.lower() == event_timestamp.lower()), None)
    if column is None:
        return None
    feed = feed.filter(feed[column].is_valid())
    micros = feed[column].cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    changed = feed.append_column(_SLICE, _slices(micros, every)).append_column(_AT, micros)
    only_added = set(feed[_CHANGE].unique().to_pylist()) <= {"insert"}
    rows = changed if only_added else _net(changed)
    spans = rows.select([_SLICE, _AT]).group_by(_SLICE).aggregate([(_AT, "min"), (_AT, "max")]).to_pylist()
    return merged(spanning(span[f"{_AT}_min"], span[f"{_AT}_max"]) for span in spans)


def _slices(micros: Values, every: timedelta) -> pa.Array[Any]:
    """The number of each instant's slice, counted from the anchor; Python rounds down also before it."""
    anchor, step = (ANCHOR - EPOCH) // MICROSECOND, every // MICROSECOND
    return pa.array([(moment - anchor) // step for moment in micros.to_pylist() if moment is not None], pa.int64())


def _net(changed: pa.Table) -> pa.Table:
    """The rows that differ when those that went and came back the same are left out."""
    sign = [1 if kind in _INSERTED else -1 for kind in changed[_CHANGE].to_pylist()]
    content = [*(name for name in changed.column_names if not name.startswith(ENGINE_PREFIX)), _SLICE, _AT]
    rows = pa.Table.from_arrays([*(_comparable(changed[name]) for name in content), pa.array(sign)], [*content, _SIGN])
    netted = rows.group_by(content).aggregate([(_SIGN, "sum")])
    return netted.filter(pc.field(f"{_SIGN}_sum") != 0)


def _comparable(column: Values) -> Values:
    """Values that Arrow can group by: nested ones as text."""
    if not pa.types.is_nested(column.type):
        return column
    return pa.chunked_array([pa.array([None if value is None else repr(value) for value in column.to_pylist()])])
