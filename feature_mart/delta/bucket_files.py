"""Rows of one version, read bucket by bucket straight from its files, by tasks that then hold all rows of their keys.

Spark's own scan hands out rows by the sizes of files, so whoever needs the rows of a key in one place has to shuffle
all of them. The files lie in buckets of keys already: a task per bucket opens its own, as columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from feature_mart.columns.arrow import Array, Flags, Integers, column, instants, known, picked, plain
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


def read_bucket(task: BucketTask, columns: BucketColumns) -> pa.Table:
    """The rows of a task's keys and of the time that is asked for, in no particular order."""
    pieces = [_read_file(file, task, columns) for file in task.files]
    return pa.concat_tables([columns.schema.empty_table(), *pieces])


def read_rows(task: BucketTask, schema: pa.Schema, numbers: Integers | None = None) -> pa.Table:
    """All rows of a task's files, file by file; or some by their numbers in that order.

    Of several columns only those that rows are found by have to be read whole: of the others, row groups that hold no
    row with one of the ``numbers`` are left out.

    Args:
        schema: the columns to read; one that a file lacks is null there.
        numbers: in any order, also twice; a row for each of them, null throughout where it is negative.
    """
    if numbers is None:
        pieces = [_as_asked(opened.read(names, use_threads=False), schema) for opened, names in _opened(task, schema)]
        return pa.concat_tables([schema.empty_table(), *pieces])
    order = np.argsort(numbers, kind="stable")
    order = order[np.searchsorted(numbers[order], 0) :]
    asked, start, pieces = numbers[order], 0, [schema.empty_table()]
    for opened, names in _opened(task, schema):
        sizes = _group_sizes(opened)
        bounds = np.searchsorted(asked, np.cumsum([start, *sizes]))
        pieces.append(_rows_of_groups(opened, names, schema, asked[bounds[0] : bounds[-1]] - start, np.diff(bounds)))
        start += sum(sizes)
    places = np.full(len(numbers), -1, dtype=np.int64)
    places[order] = np.arange(len(order))
    found: pa.Table = picked(pa.concat_tables(pieces).combine_chunks(), places, places < 0)
    return found


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


def _opened(task: BucketTask, schema: pa.Schema) -> Iterator[tuple[pq.ParquetFile, list[str]]]:
    """Each file, and which columns of the schema it has."""
    for file in task.files:
        with pq.ParquetFile(file.path) as opened:
            there = set(opened.schema_arrow.names)
            yield opened, [name for name in schema.names if name in there]


def _group_sizes(opened: pq.ParquetFile) -> list[int]:
    return [opened.metadata.row_group(number).num_rows for number in range(opened.num_row_groups)]


def _rows_of_groups(
    opened: pq.ParquetFile, names: list[str], schema: pa.Schema, numbers: Integers, asked: Integers
) -> pa.Table:
    """Rows of one file by their ascending numbers in it, of which ``asked`` are in each row group."""
    groups = np.flatnonzero(asked)
    if not len(groups):
        return schema.empty_table()
    sizes = np.array(_group_sizes(opened))
    left_out = np.cumsum(np.where(asked > 0, 0, sizes))
    rows = opened.read_row_groups(groups.tolist(), names, use_threads=False)
    return _as_asked(picked(rows, numbers - np.repeat(left_out, asked)), schema)


def _as_asked(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    return pa.table([_conformed(rows, field) for field in schema], schema=schema)


def _read_file(file: DataFile, task: BucketTask, columns: BucketColumns) -> pa.Table:
    rows = read_rows(replace(task, files=(file,)), columns.schema)
    kept = np.ones(len(rows), dtype=np.bool_)
    if columns.time is not None and (file.earliest < columns.start or file.latest >= columns.end):
        kept &= _inside(plain(rows[columns.time]), columns)
    if _depth(file.bucket) < task.depth:
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
