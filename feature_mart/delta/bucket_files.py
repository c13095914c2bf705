"""Rows of one version, read bucket by bucket straight from its files, by tasks that then hold all rows of their keys.

Spark's own scan hands out rows by the sizes of files, so whoever needs the rows of a key in one place has to shuffle
all of them. The files lie in buckets of keys already: a task per bucket opens its own, as columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from feature_mart.columns.arrow import Array, Flags, column, instants, known, plain
from feature_mart.columns.key_hash import bucket_codes
from feature_mart.delta.layout import MAXIMUM_DEPTH
from feature_mart.records import EPOCH, MICROSECOND

ROWS_PER_TASK = 500_000
# More rows than this in one task, or a larger part of them read for nothing, and a shuffle is the better way.
_MOST_ROWS = 2_000_000
_MOST_READ = 1.5


@dataclass(frozen=True)
class DataFile:
    """One file of a version: where it is, its bucket, and its rows with their first and last event timestamp.

    Times are microseconds since 1970, ``earliest`` no later than the first row's and ``latest`` no earlier than the
    last one's.
    """

    path: str
    bucket: int
    rows: int
    earliest: int
    latest: int


@dataclass(frozen=True)
class BucketTask:
    """The files that can hold rows of one bucket. ``depth``: how many bits of the hash its code has."""

    code: int
    depth: int
    files: tuple[DataFile, ...]


@dataclass(frozen=True)
class BucketColumns:
    """What is read of the files: join keys, the event timestamp, and the stretch of it [start, end) in microseconds.

    ``schema``: the types of all columns to read; one that a file lacks is null there. Without ``time``, rows of any.
    """

    keys: tuple[str, ...]
    time: str | None
    start: int
    end: int
    schema: pa.Schema


def bucket_tasks(files: Sequence[DataFile] | None) -> tuple[BucketTask, ...] | None:
    """One task per bucket that has rows; None without files, or where tasks would read too much.

    A file of a coarser bucket than the tasks' is read by several of them, each of which keeps its own keys' rows. Where
    that would be most of the files, or all rows would be one task's, a shuffle is cheaper.
    """
    depth = None if not files else fitting_depth(files)
    if not files or depth is None:
        return None
    tasks = [files_of_bucket(files, code) for code in range(1 << depth, 2 << depth)]
    return tuple(task for task in tasks if task.files)


def fitting_depth(files: Sequence[DataFile]) -> int | None:
    """Into how fine buckets to cut rows that lie in these files; None where a shuffle of them is cheaper."""
    rows = sum(file.rows for file in files)
    depth = 0
    while rows >> depth > ROWS_PER_TASK and depth < MAXIMUM_DEPTH:
        depth += 1
    while depth and _rows_read(files, depth) > _MOST_READ * rows:
        depth -= 1
    return None if rows >> depth > _MOST_ROWS else depth


def fits_at(files: Sequence[DataFile], depth: int) -> bool:
    """Whether tasks for buckets of this depth can read the files without reading most of them many times."""
    rows = sum(file.rows for file in files)
    return rows >> depth <= _MOST_ROWS and _rows_read(files, depth) <= max(_MOST_READ * rows, ROWS_PER_TASK << depth)


def files_of_bucket(files: Sequence[DataFile], code: int) -> BucketTask:
    """The files that can hold rows of a bucket."""
    return BucketTask(code, _depth(code), tuple(file for file in files if _share_keys(file.bucket, code)))


def read_bucket(task: BucketTask, columns: BucketColumns, *, own_keys: bool = True) -> pa.Table:
    """The rows of a task's keys and of the time that is asked for, in no particular order.

    Args:
        own_keys: false where rows of other keys, which coarser files hold, do no harm.
    """
    pieces = [_read_file(file, task, columns, own_keys) for file in task.files]
    return pa.concat_tables([columns.schema.empty_table(), *pieces])


def rows_between(files: Sequence[DataFile], start: datetime, end: datetime) -> int:
    """About how many of the files' rows lie in a stretch of time, as if each file's were spread evenly over its own."""
    low, high = ((moment - EPOCH) // MICROSECOND for moment in (start, end))
    shares = []
    for file in files:
        inside = min(high, file.latest + 1) - max(low, file.earliest)
        shares.append(file.rows * max(0, inside) // max(1, file.latest + 1 - file.earliest))
    return sum(shares)


def _depth(code: int) -> int:
    return code.bit_length() - 1


def _rows_read(files: Sequence[DataFile], depth: int) -> int:
    return sum(file.rows << max(0, depth - _depth(file.bucket)) for file in files)


def _share_keys(one: int, other: int) -> bool:
    common = min(_depth(one), _depth(other))
    return one >> (_depth(one) - common) == other >> (_depth(other) - common)


def _read_file(file: DataFile, task: BucketTask, columns: BucketColumns, own_keys: bool) -> pa.Table:
    opened = pq.ParquetFile(file.path)
    there = set(opened.schema_arrow.names)
    found = opened.read([name for name in columns.schema.names if name in there], use_threads=False)
    rows = pa.table([_conformed(found, field) for field in columns.schema], schema=columns.schema)
    kept = np.ones(len(rows), dtype=np.bool_)
    if columns.time is not None and (file.earliest < columns.start or file.latest >= columns.end):
        kept &= _inside(plain(rows[columns.time]), columns)
    if own_keys and _depth(file.bucket) < task.depth:
        keys = [plain(rows[name]) for name in columns.keys]
        kept &= bucket_codes(keys, task.depth) == task.code
    return rows if kept.all() else rows.filter(column(kept))


def _conformed(rows: pa.Table, field: pa.Field[Any]) -> Array:
    if field.name not in rows.column_names:
        return pa.nulls(len(rows), field.type)
    return rows[field.name].cast(field.type)


def _inside(times: Array, columns: BucketColumns) -> Flags:
    micros = instants(times.fill_null(0))
    inside: Flags = known(times) & (micros >= columns.start) & (micros < columns.end)
    return inside
