"""Which keys may have another value than in the snapshot before, and what their values are, for the cost of the change.

A change feed names rows that came and went; rows become due, or too old, as time passes without any change. Of all
their keys the latest row is looked up, in the files with the newest rows first: most are found in the first few.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from feature_mart.columns.arrow import Integers, picked, plain
from feature_mart.columns.key_hash import bucket_codes
from feature_mart.delta.bucket_files import BucketTask, DataFile, read_bucket
from feature_mart.delta.layout import MAXIMUM_DEPTH
from feature_mart.delta.tables import Table
from feature_mart.point_in_time.entities import Entities
from feature_mart.point_in_time.order import instants_or
from feature_mart.sync.snapshot import EARLIEST_MICROS, SnapshotRows

# Change rows that are looked at in this process. More of them are the work of tasks.
MOST_ROWS = 300_000
_FIRST_FILES = 1


@dataclass(frozen=True)
class Base:
    """The snapshot that is live: its version, its moment, and from when on its values were fresh (microseconds)."""

    version: int
    until: int
    expired_before: int


def candidate_keys(
    table: Table, files: Sequence[DataFile], base: Base, version: int, rows: SnapshotRows, most_rows: int = MOST_ROWS
) -> pa.Table | None:
    """The keys whose values can differ between two snapshots, each once; None where there are too many rows to look at.

    Args:
        files: those of ``version``.
    """
    keys = pa.schema([rows.schema.field(name) for name in rows.columns.keys])
    found: list[pa.Table] = []
    if base.version != version:
        first, last = sorted((base.version, version))
        feed = table.change_feed(first + 1, last, most_rows)
        if feed is None:
            return None
        found.append(rows.findable(feed.select(keys.names).cast(keys)))
    time = rows.columns.event_timestamp
    for start, end in () if time is None else _passed(base, rows):
        near = [file for file in files if file.latest >= start and file.earliest < end]
        if sum(file.rows for file in near) > most_rows:
            return None
        wanted = pa.schema([*keys, *([] if time in keys.names else [rows.schema.field(str(time))])])
        task = BucketTask(1, 0, tuple(near))
        aged = read_bucket(task, replace(rows.read_columns(wanted, start), end=end))
        found.append(rows.findable(aged).select(keys.names))
    together = pa.concat_tables([keys.empty_table(), *found])
    entities = Entities.of([plain(together[name]) for name in keys.names])
    codes = entities.find([plain(together[name]) for name in keys.names])
    _, firsts = np.unique(codes, return_index=True)
    different: pa.Table = picked(together, firsts)
    return different


def _passed(base: Base, rows: SnapshotRows) -> Iterator[tuple[int, int]]:
    """The stretches [start, end) of event timestamps that became due, or too old (or the other way round)."""
    low, high = sorted((base.until, rows.until))
    if low < high:
        yield low + 1, high + 1
    low, high = sorted((base.expired_before, rows.expired_before))
    if low < high:
        yield low, high


def latest_of(keys: pa.Table, files: Sequence[DataFile], rows: SnapshotRows) -> pa.Table:
    """The latest row of each of some keys, of those that have one; expired ones among them.

    Args:
        keys: different ones, none null.
        files: all of a version.
    """
    found = _latest_of(keys, files, rows, rows.schema)
    return rows.latest(lambda schema: found if schema is rows.schema else _latest_of(keys, files, rows, schema))


def _latest_of(keys: pa.Table, files: Sequence[DataFile], rows: SnapshotRows, schema: pa.Schema) -> pa.Table:
    """Rows of the keys, the latest of each among them."""
    names = rows.columns.keys
    entities = Entities.of([plain(keys[name]) for name in names])
    hashes = bucket_codes([plain(keys[name]) for name in names], MAXIMUM_DEPTH)
    is_open = np.ones(len(keys), dtype=np.bool_)
    numbers = entities.find([plain(keys[name]) for name in names])
    newest = np.full(len(entities), EARLIEST_MICROS)
    pool: list[pa.Table] = [schema.empty_table()]
    waiting = sorted((file for file in files if file.earliest <= rows.until), key=lambda file: -file.latest)
    count = _FIRST_FILES
    while waiting and is_open.any():
        now, waiting = waiting[:count], waiting[count:]
        count *= 2
        near = tuple(file for file in now if _may_hold(file, hashes[is_open]))
        read = read_bucket(BucketTask(1, 0, near), rows.read_columns(schema))
        codes = entities.find([plain(read[name]) for name in names])
        mine = np.flatnonzero(codes >= 0)
        pool.append(picked(read, mine))
        if rows.columns.event_timestamp is not None:
            _note_newest(newest, codes[mine], pool[-1], rows.columns.event_timestamp)
            # A key is settled once no file that is left reaches up to its newest row.
            is_open = newest[numbers] <= (waiting[0].latest if waiting else EARLIEST_MICROS)
    return pa.concat_tables(pool)


def _note_newest(newest: Integers, codes: Integers, rows: pa.Table, time: str) -> None:
    np.maximum.at(newest, codes, instants_or(plain(rows[time]), EARLIEST_MICROS))


def _may_hold(file: DataFile, hashes: Integers) -> bool:
    """Whether some of the keys, by their buckets at the greatest depth, belong into a file's bucket."""
    depth = file.bucket.bit_length() - 1
    return bool((hashes >> (MAXIMUM_DEPTH - depth) == file.bucket).any())
