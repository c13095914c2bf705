"""The point-in-time join on Spark: spine rows are gathered by key buckets, and each task reads its bucket's features.

So the spine is shuffled once for each set of join keys, however many views share it, and no feature row is shuffled.
Where tasks cannot open a view's files (an object store, a catalog), or where these are hardly in buckets, Spark gathers
the view's rows beside the spine's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from itertools import groupby
from operator import or_

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructField, StructType

from feature_mart.build.task_rows import TaskRows, whole_task
from feature_mart.columns.arrow import Array, Flags, Integers, column, known, picked, plain
from feature_mart.columns.defaults import default_column
from feature_mart.columns.key_hash import bucket_codes
from feature_mart.delta.bucket_files import (
    DataFile,
    files_of_bucket,
    fits_at,
    fitting_depth,
    read_rows,
)
from feature_mart.delta.layout import MAXIMUM_DEPTH
from feature_mart.delta.placement import bucket_of, key_family
from feature_mart.delta.tables import Table, visible
from feature_mart.point_in_time.join import Rule, Spine, as_of
from feature_mart.point_in_time.order import RowColumns
from feature_mart.read.conform import quoted_name
from feature_mart.train.joined_view import JoinedView
from feature_mart.train.spine import SPINE_ROW
from feature_mart.train.spine_columns import EVENT_TIMESTAMP

# Spine rows in one task, at most, where more of them share a bucket: one key may have most of the rows.
ROWS_PER_TASK = 250_000
# Rows of a view in one task, at most, where Spark gathers them.
_ROWS_TOGETHER = 500_000
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

    ``found_by``: the columns by which rows are found; ``everything``: all columns, which decide between rows that time
    does not tell apart; ``values``: the features' columns. ``defaults``: what a feature is where no value is found,
    as a column of one row; ``copies``: how many columns each feature becomes; ``fields``: these columns.
    """

    columns: RowColumns
    rule: Rule
    found_by: pa.Schema
    everything: pa.Schema
    values: pa.Schema
    defaults: Mapping[str, Array]
    copies: Mapping[str, int]
    fields: tuple[StructField, ...]

    def joined(self, spine: Spine, rows: _Rows) -> list[Array]:
        """The output columns for a spine."""
        matches = as_of(spine, rows(self.found_by), self.columns, self.rule)
        if matches.is_tied.any():
            table = rows(self.everything)
            matches, rows = as_of(spine, table, self.columns, self.rule), partial(_of_memory, table)
        found = rows(self.values, matches.index)
        made: list[Array] = []
        for name, copies in self.copies.items():
            made += [self._with_default(name, plain(found[name]), matches.index < 0)] * copies
        return made

    def _with_default(self, name: str, values: Array, is_missing: Flags) -> Array:
        if name not in self.defaults or not is_missing.any():
            return values
        return pc.if_else(column(is_missing), self.defaults[name][0], values)


# A view's rows with the columns of a schema: all of them, or those with some numbers, null for negative ones.
_Rows = Callable[..., pa.Table]


def _of_memory(table: pa.Table, schema: pa.Schema, numbers: Integers | None = None) -> pa.Table:
    rows = table.select(schema.names)
    return (rows if numbers is None else picked(rows, numbers, numbers < 0)).cast(schema)


def _source(view: PinnedView, schema: StructType, spine: StructType) -> _Source:
    """``schema``: of the view's rows at their version, in which keys may still be narrower than the spine's."""
    how = view.how
    kinds = {key: spine[name].dataType for key, name in how.join_keys.items()}
    schema = StructType([StructField(field.name, kinds.get(field.name, field.dataType)) for field in schema.fields])
    stored = {field.name: field for field in schema.fields}
    columns = RowColumns(tuple(how.keys), how.event_timestamp, how.created_timestamp)
    found_by = [name for name in (*columns.keys, how.event_timestamp, how.created_timestamp) if name is not None]
    values = to_arrow_schema(StructType([stored[name] for name in how.features]))
    return _Source(
        columns,
        Rule(how.available_after, how.ttl),
        to_arrow_schema(StructType([stored[name] for name in dict.fromkeys(found_by)])),
        to_arrow_schema(schema),
        values,
        {name: default_column(how.view, name, given, values.field(name).type) for name, given in how.defaults.items()},
        {name: len(outputs) for name, outputs in how.features.items()},
        tuple(
            StructField(output, stored[name].dataType) for name, outputs in how.features.items() for output in outputs
        ),
    )


@dataclass(frozen=True)
class _Size:
    """How many rows a spine has, and how many of these in a bucket: counted before anything is joined to it."""

    spine: DataFrame
    rows: int | None

    def parts(self, number: Column, buckets: int) -> list[int]:
        """In how many parts each bucket's rows are joined: one key may have most of all rows."""
        if self.rows is not None and self.rows <= ROWS_PER_TASK:
            return [1] * buckets
        counted = self.spine.groupBy(number.cast("int").alias(_PART)).count().collect()
        counts = {row[_PART]: row["count"] for row in counted}
        return [max(1, -(-counts.get(place, 0) // ROWS_PER_TASK)) for place in range(buckets)]


@dataclass(frozen=True)
class Joined:
    """The spine with the features of views, in no particular order; `SPINE_ROW` tells the spine's.

    ``in_tasks``: the same rows as the tasks of the last join make them; None where Spark has the last word.
    """

    frame: DataFrame
    in_tasks: TaskRows | None = None

    def select(self, columns: Sequence[str]) -> Joined:
        """Some columns, in this order."""
        frame = self.frame.select(*[quoted_name(name) for name in columns])
        if self.in_tasks is None:
            return Joined(frame)
        made, schema = self.in_tasks.work, self.in_tasks.schema
        chosen = StructType([schema[name] for name in columns])

        def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
            for table in made(batches):
                yield table.select(list(columns))

        return Joined(frame, TaskRows(self.in_tasks.gathered, work, chosen))

    def renamed(self, names: Sequence[str]) -> Joined:
        """With other names of all columns."""
        frame = self.frame.toDF(*names)
        if self.in_tasks is None:
            return Joined(frame)
        made, kept = self.in_tasks.work, self.in_tasks.schema.fields
        fields = [StructField(name, field.dataType) for name, field in zip(names, kept, strict=True)]

        def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
            for table in made(batches):
                yield table.rename_columns(list(names))

        return Joined(frame, TaskRows(self.in_tasks.gathered, work, StructType(fields)))


def join_views(spine: DataFrame, views: Sequence[PinnedView], rows: int | None) -> Joined:
    """The spine with the features of all views.

    Args:
        spine: with its keys in the views' types.
        rows: about how many there are.
    """
    # Python's functions over Spark's rows cannot be given a column whose name has dots or backticks.
    called = {name: name if name.isidentifier() else f"_spine_{at}" for at, name in enumerate(spine.columns)}
    named = spine.toDF(*called.values())
    joined = Joined(named)
    ordered = sorted((_joined_by(view, called) for view in views), key=_keys_of)
    for _, together in groupby(ordered, key=_keys_of):
        joined = _joined(joined.frame, list(together), _Size(named, rows))
    return joined.renamed([*spine.columns, *joined.frame.columns[len(called) :]])


def _joined_by(view: PinnedView, called: Mapping[str, str]) -> PinnedView:
    """The view, joined by the spine's columns under what they are called."""
    columns = {key: called[name] for key, name in view.how.join_keys.items()}
    return replace(view, how=replace(view.how, join_keys=columns))


def _keys_of(view: PinnedView) -> tuple[tuple[str, str], ...]:
    """The spine's columns that a view is joined on, and their types, in the order of the view's keys."""
    return tuple((view.how.join_keys[key], kind) for key, kind in view.how.keys.items())


def _joined(spine: DataFrame, views: Sequence[PinnedView], size: _Size) -> Joined:
    files = {view: view.table.data_files(view.version, view.how.event_timestamp) for view in views}
    depths = {view: depth for view in views if (depth := fitting_depth(files[view] or [])) is not None}
    depth = max((depths[view] for view in views if files[view] is not None and view in depths), default=0)
    readable = {
        view: found
        for view in views
        if (found := files[view]) is not None and fits_at(found, depth) and _is_placed_alike(view)
    }
    tasks = _from_files(spine, readable, depth, size) if readable else None
    joined = Joined(spine) if tasks is None else Joined(tasks.frame(), tasks)
    for view in views:
        if view not in readable:
            joined = Joined(_from_spark(joined.frame, view, size.rows))
    return joined


def _is_placed_alike(view: PinnedView) -> bool:
    """Whether equal keys of the spine and of this version are in buckets of one code: types may have widened since."""
    stored = view.table.columns(view.version)
    return all(key_family(stored[key]) == key_family(kind) for key, kind in view.how.keys.items())


def _from_files(spine: DataFrame, views: Mapping[PinnedView, Sequence[DataFile]], depth: int, size: _Size) -> TaskRows:
    """With the features of views whose files tasks read."""
    keys = _keys_of(next(iter(views)))
    schemas = {view: visible(view.table.read(view.version, spark=spine.sparkSession)).schema for view in views}
    sources = [(_source(view, schemas[view], spine.schema), files) for view, files in views.items()]
    gathered = _gathered(spine, keys, depth, size)
    schema = StructType([*gathered.schema.fields, *(field for source, _ in sources for field in source.fields)])
    names, is_timed = [name for name, _ in keys], _is_timed(views)
    given, arrow = to_arrow_schema(gathered.schema), to_arrow_schema(schema)

    def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
        for batch_rows in whole_task(batches):
            # In the types that this session gave them: the frame may be run by another one, with settings of its own.
            table = batch_rows.cast(given)
            part, code = _spine_of(table, names, is_timed), _bucket_of(table, names, depth)
            made = list(table.columns)
            for source, files in sources:
                task = files_of_bucket([] if code is None else files, code or 1)
                made += source.joined(part, partial(read_rows, task))
            yield _table(made, arrow)

    return TaskRows(gathered, work, schema)


def _from_spark(spine: DataFrame, view: PinnedView, rows: int | None) -> DataFrame:
    """With the features of a view whose rows Spark has to gather."""
    keys = _keys_of(view)
    frame = visible(view.table.read(view.version, spark=spine.sparkSession))
    source = _source(view, frame.schema, spine.schema)
    depth = 0
    while max(view.table.row_count(view.version), rows or 0) >> depth > _ROWS_TOGETHER and depth < MAXIMUM_DEPTH:
        depth += 1
    left = spine.withColumn(_PART, bucket_of(_columns(keys), depth))
    own = [(quoted_name(key).cast(kind), kind) for key, kind in view.how.keys.items()]
    right = frame.withColumn(_PART, bucket_of(own, depth))
    schema = StructType([*spine.schema.fields, *source.fields])
    names, is_timed = [name for name, _ in keys], _is_timed([view])
    given, arrow = to_arrow_schema(spine.schema), to_arrow_schema(schema)

    def run(spine_rows: pa.Table, view_rows: pa.Table) -> pa.Table:
        if not spine_rows.num_rows:
            return arrow.empty_table()
        found = spine_rows.select(given.names).cast(given)
        part = _spine_of(found, names, is_timed)
        made = source.joined(part, partial(_of_memory, view_rows))
        return _table([*found.columns, *made], arrow)

    return left.groupBy(_PART).cogroup(right.groupBy(_PART)).applyInArrow(run, schema)


def _is_timed(views: Iterable[PinnedView]) -> bool:
    """Whether rows are joined by time. Where all views are static, a column of that name may be anything."""
    return any(view.how.event_timestamp is not None for view in views)


def _columns(keys: Sequence[tuple[str, str]]) -> list[tuple[Column, str]]:
    return [(quoted_name(name), kind) for name, kind in keys]


def _spine_of(table: pa.Table, keys: Sequence[str], is_timed: bool) -> Spine:
    times = plain(table[EVENT_TIMESTAMP]) if is_timed else None
    return Spine.of([plain(table[name]) for name in keys], times)


def _bucket_of(table: pa.Table, keys: Sequence[str], depth: int) -> int | None:
    """The bucket that all rows of a part share but those with a null key; None where there are no others."""
    is_whole = np.logical_and.reduce([known(plain(table[name])) for name in keys])
    found = np.flatnonzero(is_whole)[:1]
    return int(bucket_codes([picked(plain(table[name]), found) for name in keys], depth)[0]) if len(found) else None


def _table(columns: Sequence[Array], schema: pa.Schema) -> pa.Table:
    cast = [plain(values).cast(field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(cast, schema=schema)


def _gathered(spine: DataFrame, keys: Sequence[tuple[str, str]], depth: int, size: _Size) -> DataFrame:
    """The spine in parts, each of one bucket; a bucket with many rows is more than one part."""
    base = 1 << depth
    is_null = reduce(or_, (name.isNull() for name, _ in _columns(keys)))
    # Rows with a null key find nothing wherever they are, and must not be all in one place.
    number = F.when(is_null, F.pmod(F.col(SPINE_ROW), F.lit(base))).otherwise(bucket_of(_columns(keys), depth) - base)
    parts = size.parts(number, base)
    starts = np.cumsum([0, *parts[:-1]]).tolist()
    numbered = spine.withColumn(_PART, number.cast("int"))
    at = F.col(_PART) + 1
    start = F.element_at(F.array(*map(F.lit, starts)), at)
    spread = F.pmod(F.col(SPINE_ROW), F.element_at(F.array(*map(F.lit, parts)), at))
    to = F.col(_PART) if max(parts) == 1 else (start + spread).cast("int")
    return numbered.repartitionById(sum(parts), to).drop(_PART)
