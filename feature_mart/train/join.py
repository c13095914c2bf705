"""The point-in-time join on Spark: spine rows are gathered by key buckets, and each task reads its bucket's features.

So the spine is shuffled once for each set of join keys, however many views share it, and no feature row is shuffled.
Where tasks cannot open a view's files (an object store, a catalog), or where these are hardly in buckets, Spark gathers
the view's rows beside the spine's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from itertools import groupby
from operator import or_
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructField, StructType

from feature_mart.build.task_rows import whole_task
from feature_mart.columns.arrow import Array, Integers, column, known, picked, plain
from feature_mart.columns.key_hash import bucket_codes
from feature_mart.delta.bucket_files import (
    BucketColumns,
    BucketTask,
    DataFile,
    files_of_bucket,
    fits_at,
    fitting_depth,
    read_bucket,
)
from feature_mart.delta.layout import MAXIMUM_DEPTH
from feature_mart.delta.placement import bucket_code
from feature_mart.delta.tables import Table, visible
from feature_mart.point_in_time.join import Rule, Spine, as_of
from feature_mart.point_in_time.order import RowColumns
from feature_mart.train.joined_view import JoinedView
from feature_mart.train.spine import SPINE_ROW
from feature_mart.train.spine_columns import EVENT_TIMESTAMP

# Spine rows in one task, at most, where more of them share a bucket: one key may have most of the rows.
ROWS_PER_TASK = 250_000
# Rows of a view in one task, at most, where Spark gathers them.
_ROWS_TOGETHER = 500_000
_BATCH = 65_536
_ANY_TIME = (-(2**63), 2**63 - 1)
_PART = "_spine_part"


@dataclass(frozen=True, eq=False)
class PinnedView:
    """One view at one version, and how it is joined."""

    how: JoinedView
    table: Table
    version: int


@dataclass(frozen=True)
class _Source:
    """What tasks need to know of one view: which columns to read, by which rule rows count, what to give for none.

    ``schema`` is what is read as a rule; ``everything`` decides between rows that time does not tell apart.
    ``outputs``: the features, and what each is where no value is found; ``fields``: the columns that they become.
    """

    columns: RowColumns
    rule: Rule
    schema: pa.Schema
    everything: pa.Schema
    outputs: tuple[tuple[str, Any], ...]
    fields: tuple[StructField, ...]

    def joined(self, spine: Spine, rows: Callable[[pa.Schema], pa.Table]) -> list[Array]:
        """The output columns for a spine. ``rows`` gives the view's, with the columns of a schema."""
        table = rows(self.schema)
        matches = as_of(spine, table, self.columns, self.rule)
        if matches.is_tied.any():
            table = rows(self.everything)
            matches = as_of(spine, table, self.columns, self.rule)
        return [_feature(table, name, matches.index, default) for name, default in self.outputs]


def _feature(table: pa.Table, name: str, index: Integers, default: Any) -> Array:
    is_missing = index < 0
    if not table.num_rows:
        table = pa.table([pa.nulls(1, field.type) for field in table.schema], schema=table.schema)
    values = picked(plain(table[name]), np.maximum(index, 0), is_missing)
    if default is None or not is_missing.any():
        return values
    # Texts stand for what JSON has no word for, as dates.
    return pc.if_else(column(is_missing), pa.scalar(default).cast(values.type), values)


def _source(view: PinnedView, schema: StructType) -> _Source:
    how = view.how
    stored = {field.name: field for field in schema.fields}
    columns = RowColumns(tuple(how.keys), how.event_timestamp, how.created_timestamp)
    found_by = [name for name in (*columns.keys, how.event_timestamp, how.created_timestamp) if name is not None]
    read = StructType([stored[name] for name in dict.fromkeys([*found_by, *how.features])])
    return _Source(
        columns,
        Rule(how.available_after, how.ttl),
        to_arrow_schema(read),
        to_arrow_schema(schema),
        tuple((name, how.defaults.get(name)) for name in how.features),
        tuple(StructField(output, stored[name].dataType) for name, output in how.features.items()),
    )


def join_views(spine: DataFrame, views: Sequence[PinnedView], rows: int | None) -> DataFrame:
    """The spine with the features of all views, in no particular order; `SPINE_ROW` tells the spine's.

    Args:
        spine: with its keys in the views' types.
        rows: about how many there are.
    """
    ordered = sorted(views, key=_keys_of)
    for _, together in groupby(ordered, key=_keys_of):
        spine = _joined(spine, list(together), rows)
    return spine


def _keys_of(view: PinnedView) -> tuple[tuple[str, str], ...]:
    """The spine's columns that a view is joined on, and their types, in the order of the view's keys."""
    return tuple((view.how.join_keys[key], kind) for key, kind in view.how.keys.items())


def _joined(spine: DataFrame, views: Sequence[PinnedView], rows: int | None) -> DataFrame:
    files = {view: view.table.data_files(view.version, view.how.event_timestamp) for view in views}
    depths = {view: depth for view in views if (depth := fitting_depth(files[view] or [])) is not None}
    depth = max((depths[view] for view in views if files[view] is not None and view in depths), default=0)
    readable = {view: found for view in views if (found := files[view]) is not None and fits_at(found, depth)}
    if readable:
        spine = _from_files(spine, readable, depth, rows)
    for view in views:
        if view not in readable:
            spine = _from_spark(spine, view, rows)
    return spine


def _from_files(
    spine: DataFrame, views: Mapping[PinnedView, Sequence[DataFile]], depth: int, rows: int | None
) -> DataFrame:
    """With the features of views whose files tasks read."""
    keys = _keys_of(next(iter(views)))
    sources = [(_source(view, _schema(view, spine.sparkSession)), files) for view, files in views.items()]
    gathered = _gathered(spine, keys, depth, rows)
    schema = StructType([*gathered.schema.fields, *(field for source, _ in sources for field in source.fields)])
    names = [name for name, _ in keys]
    arrow = to_arrow_schema(schema)

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for table in whole_task(batches):
            part, code = _spine_of(table, names), _bucket_of(table, names, depth)
            made = list(table.columns)
            for source, files in sources:
                task = files_of_bucket([] if code is None else files, code or 1)
                made += source.joined(part, partial(_read, task, source.columns))
            yield from _table(made, arrow).to_batches(max_chunksize=_BATCH)

    return gathered.mapInArrow(run, schema)


def _from_spark(spine: DataFrame, view: PinnedView, rows: int | None) -> DataFrame:
    """With the features of a view whose rows Spark has to gather."""
    keys = _keys_of(view)
    frame = visible(view.table.read(view.version, spark=spine.sparkSession))
    source = _source(view, frame.schema)
    depth = 0
    while max(view.table.row_count(view.version), rows or 0) >> depth > _ROWS_TOGETHER and depth < MAXIMUM_DEPTH:
        depth += 1
    left = spine.withColumn(_PART, bucket_code(dict(keys), depth))
    right = frame.withColumn(_PART, bucket_code(view.how.keys, depth))
    schema = StructType([*spine.schema.fields, *source.fields])
    names, kept, arrow = [name for name, _ in keys], spine.columns, to_arrow_schema(schema)

    def run(spine_rows: pa.Table, view_rows: pa.Table) -> pa.Table:
        if not spine_rows.num_rows:
            return arrow.empty_table()
        found = spine_rows.select(kept)
        made = source.joined(_spine_of(found, names), lambda asked: view_rows.select(asked.names).cast(asked))
        return _table([*found.columns, *made], arrow)

    return left.groupBy(_PART).cogroup(right.groupBy(_PART)).applyInArrow(run, schema)


def _schema(view: PinnedView, spark: SparkSession) -> StructType:
    return visible(view.table.read(view.version, spark=spark)).schema


def _read(task: BucketTask, columns: RowColumns, schema: pa.Schema) -> pa.Table:
    asked = BucketColumns(columns.keys, columns.event_timestamp, *_ANY_TIME, schema)
    return read_bucket(task, asked, own_keys=False)


def _spine_of(table: pa.Table, keys: Sequence[str]) -> Spine:
    times = plain(table[EVENT_TIMESTAMP]) if EVENT_TIMESTAMP in table.column_names else None
    return Spine.of([plain(table[name]) for name in keys], times)


def _bucket_of(table: pa.Table, keys: Sequence[str], depth: int) -> int | None:
    """The bucket that all rows of a part share but those with a null key; None where there are no others."""
    is_whole = np.logical_and.reduce([known(plain(table[name])) for name in keys])
    found = np.flatnonzero(is_whole)[:1]
    return int(bucket_codes([picked(plain(table[name]), found) for name in keys], depth)[0]) if len(found) else None


def _table(columns: Sequence[Array], schema: pa.Schema) -> pa.Table:
    cast = [plain(values).cast(field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(cast, schema=schema)


def _gathered(spine: DataFrame, keys: Sequence[tuple[str, str]], depth: int, rows: int | None) -> DataFrame:
    """The spine in parts, each of one bucket; a bucket with many rows is more than one part."""
    base = 1 << depth
    is_null = reduce(or_, (F.col(f"`{name}`").isNull() for name, _ in keys))
    # Rows with a null key find nothing wherever they are, and must not be all in one place.
    number = F.when(is_null, F.pmod(F.col(SPINE_ROW), F.lit(base))).otherwise(bucket_code(dict(keys), depth) - base)
    numbered = spine.withColumn(_PART, number.cast("int"))
    parts = _parts(numbered, base, rows)
    starts = np.cumsum([0, *parts[:-1]]).tolist()
    at = F.col(_PART) + 1
    start = F.element_at(F.array(*map(F.lit, starts)), at)
    spread = F.pmod(F.col(SPINE_ROW), F.element_at(F.array(*map(F.lit, parts)), at))
    to = F.col(_PART) if max(parts) == 1 else (start + spread).cast("int")
    return numbered.repartitionById(sum(parts), to).drop(_PART)


def _parts(numbered: DataFrame, buckets: int, rows: int | None) -> list[int]:
    """In how many parts each bucket's spine rows are joined: one key may have most of all rows."""
    if rows is not None and rows <= ROWS_PER_TASK:
        return [1] * buckets
    counts = {row[_PART]: row["count"] for row in numbered.groupBy(_PART).count().collect()}
    return [max(1, -(-counts.get(place, 0) // ROWS_PER_TASK)) for place in range(buckets)]
