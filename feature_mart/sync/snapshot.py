"""What a snapshot of a view holds: the latest row of each key, as of one moment, at one version."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa

from feature_mart.columns.arrow import Flags, column, instants, lacking, picked, plain
from feature_mart.definitions import FeatureView
from feature_mart.definitions.problems import did_you_mean, listed
from feature_mart.delta.bucket_files import BucketColumns
from feature_mart.errors import TableError
from feature_mart.online.keys import key_texts
from feature_mart.online.payload import PayloadLayout
from feature_mart.point_in_time.join import latest_and_ties
from feature_mart.point_in_time.order import RowColumns
from feature_mart.records import EPOCH, MICROSECOND

EARLIEST_MICROS = -(2**63)
ReadRows = Callable[[pa.Schema], pa.Table]


@dataclass(frozen=True)
class SnapshotRows:
    """How the rows of a snapshot are found among those of its version, in plain data that tasks can be given.

    ``kinds``: Spark types of the keys; ``schema``: the columns to read, ``everything``: all of the view's, which decide
    between rows that time does not tell apart; ``as_of``: the latest event timestamp that counts; ``ttl``: an older one
    at that moment does not count.
    """

    view: str
    kinds: tuple[str, ...]
    columns: RowColumns
    schema: pa.Schema
    everything: pa.Schema
    layout: PayloadLayout
    as_of: datetime
    ttl: timedelta | None

    @property
    def until(self) -> int:
        """``as_of`` in microseconds since 1970."""
        return (self.as_of - EPOCH) // MICROSECOND

    @property
    def expired_before(self) -> int:
        """Event timestamps below are too old, in microseconds since 1970."""
        return EARLIEST_MICROS if self.ttl is None else self.until - self.ttl // MICROSECOND

    @property
    def found_by(self) -> pa.Schema:
        """The columns by which rows are found: keys and timestamps."""
        names = (*self.columns.keys, self.columns.event_timestamp, self.columns.created_timestamp)
        return pa.schema([self.schema.field(name) for name in dict.fromkeys(names) if name is not None])

    def read_columns(self, schema: pa.Schema, start: int = EARLIEST_MICROS) -> BucketColumns:
        """What is read of files: some columns of the rows from ``start`` to ``as_of``."""
        return BucketColumns(self.columns.keys, self.columns.event_timestamp, start, self.until + 1, schema)

    def latest(self, read: ReadRows) -> pa.Table:
        """The latest row of each key, expired ones among them. ``read`` gives the rows with the columns of a schema."""
        rows = read(self.schema)
        index, is_tied = latest_and_ties(rows, self.columns, self.as_of)
        if is_tied:
            rows = read(self.everything)
            index, _ = latest_and_ties(rows, self.columns, self.as_of)
        found: pa.Table = picked(rows, index)
        return found

    def is_fresh(self, rows: pa.Table) -> Flags:
        """Which rows are not too old."""
        if self.ttl is None or self.columns.event_timestamp is None:
            return np.ones(len(rows), dtype=np.bool_)
        found: Flags = instants(plain(rows[self.columns.event_timestamp])) >= self.expired_before
        return found

    def texts(self, rows: pa.Table) -> list[str]:
        """The keys of rows as texts."""
        return key_texts(self.kinds, [plain(rows[name]) for name in self.columns.keys])

    def cells(self, rows: pa.Table) -> tuple[list[str], list[bytes]]:
        """Keys and payloads of the latest rows that are not too old."""
        fresh = self.is_fresh(rows)
        kept = rows if fresh.all() else rows.filter(column(fresh))
        return self.texts(kept), self.layout.encoded(kept)

    def findable(self, rows: pa.Table) -> pa.Table:
        """The rows that have all keys (and an event timestamp)."""
        times = () if self.columns.event_timestamp is None else (self.columns.event_timestamp,)
        names = [name for name in (*self.columns.keys, *times) if name in rows.column_names]
        lacks = lacking(rows, names)
        return rows.filter(column(~lacks)) if lacks.any() else rows


def snapshot_rows(view: FeatureView, schema: pa.Schema, as_of: datetime, layout_number: int) -> SnapshotRows:
    """How the rows of a snapshot of a view are found.

    Args:
        schema: of the view's rows at their version.

    Raises:
        TableError: that version lacks a column that goes online, or by which rows are found.
    """
    features = online_features(view, schema.names)
    found_by = list(view.reserved_columns)
    for name in (*found_by, *features):
        if name not in schema.names:
            raise TableError(
                f"view {view.name}: the version to publish has no column {name}. It has: {listed(schema.names)}."
                f"{did_you_mean(name, schema.names)} Run `mart build {view.pipeline}`, or change online:."
            )
    times = (view.event_timestamp, view.created_timestamp)
    return SnapshotRows(
        view.name,
        tuple(view.keys.values()),
        RowColumns(tuple(view.keys), *times),
        pa.schema([schema.field(name) for name in dict.fromkeys([*found_by, *features])]),
        schema,
        PayloadLayout(pa.schema([schema.field(name) for name in features]), *times, layout_number),
        as_of,
        view.ttl,
    )


def online_features(view: FeatureView, columns: Sequence[str]) -> list[str]:
    """The features of a view that go online, of those that its table has."""
    if isinstance(view.online, tuple):
        return list(view.online)
    reserved = {name.lower() for name in view.reserved_columns}
    return [name for name in columns if name.lower() not in reserved]
