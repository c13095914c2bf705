"""Windowed aggregations on Spark: events are gathered by entity into tiles, tiles by entity into rows.

Both times a task gets all that belongs to its entities, as Arrow columns, and hands them to `feature_mart.windows`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema
from pyspark.sql.types import StructField, StructType

from feature_mart.build.run import Range, keys_and_times, run_logic
from feature_mart.build.task_rows import TaskRows, Work, whole_task
from feature_mart.columns.arrow import integers
from feature_mart.definitions import FeatureView
from feature_mart.delta.bucket_files import BucketColumns, BucketTask, read_bucket
from feature_mart.delta.canonical import instant
from feature_mart.delta.layout import MAXIMUM_DEPTH
from feature_mart.delta.placement import bucket_code
from feature_mart.errors import BuildError
from feature_mart.records import EARLIEST, EPOCH, MICROSECOND
from feature_mart.windows.functions import FUNCTIONS
from feature_mart.windows.functions.base import FLOATING, INTEGRAL
from feature_mart.windows.rows import Boundaries, Output, boundary_number, rows_of
from feature_mart.windows.spec import Windows
from feature_mart.windows.tiles import NANS, TileColumns, tile_schema, tiles_of
from feature_mart.windows.tiles_names import tile_column

_TYPE = "feature_mart.type"
_CREATED = "_created"
# A task gets an entity's slices by so many at a time, so that one entity with most of the events is many tasks' work.
_SLICES_TOGETHER = 32
_MOST_GROUPS = 64
_EVENTS_PER_TASK = 500_000


def tile_rows(
    spark: SparkSession, view: FeatureView, inputs: Mapping[str, DataFrame], span: Range, events: int | None = None
) -> TaskRows:
    """The tiles of the events that the definition of a windowed view gives for a range.

    Args:
        events: about how many there are, where something tells.

    Raises:
        BuildError: the definition fails, lacks a column, or gives one of a type that a function cannot take.
    """
    assert view.tiles_of is not None and view.tiles_of.windows is not None and view.event_timestamp is not None
    windows = view.tiles_of.windows
    rows = run_logic(view, inputs, span, spark)
    _refuse_unfit(view, windows, rows)
    kinds = dict(rows.dtypes)
    columns = _columns(view, windows, _CREATED if windows.created else None)
    chosen = keys_and_times(view, rows)
    if windows.created:
        chosen.append(F.col(f"`{windows.created}`").cast("timestamp").alias(_CREATED))
    for series in windows.series:
        value = F.col(f"`{series.input}`")
        if kinds[series.input] in FLOATING:
            value = F.when(~F.isnan(value), value)
        if series.where is not None:
            value = F.when(F.expr(series.where), value)
        chosen.append(value.alias(series.name))
    chosen.append(_nans(windows, kinds).alias(NANS))
    rows = rows.select(*chosen)
    gathered, tasks = _gathered(rows, view, windows, span, events)
    plain = from_arrow_schema(tile_schema(columns, to_arrow_schema(rows.schema)))
    schema = StructType([_noted(field, windows, kinds) for field in plain.fields])

    def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
        for table in whole_task(batches):
            yield tiles_of(table, columns)

    return TaskRows(gathered, work, schema, events, tasks)


def _gathered(
    rows: DataFrame, view: FeatureView, windows: Windows, span: Range, events: int | None
) -> tuple[DataFrame, int | None]:
    """The events by entity and stretch of time, and in how many parts."""
    time = F.unix_micros(F.col(f"`{view.event_timestamp}`"))
    if events is None or span.start is None:
        together = F.floor(time / (windows.every // MICROSECOND * _SLICES_TOGETHER))
        return rows.repartition(*view.keys, together), None
    groups, depth = _parts(events, (span.end - span.start) // windows.every)
    width = max(1, (span.end - span.start) // MICROSECOND // groups)
    since = (time - F.unix_micros(F.expr(instant(span.start)))) / width
    group = F.least(F.greatest(F.floor(since), F.lit(0)), F.lit(groups - 1))
    number = group * (1 << depth) + bucket_code(view.keys, depth) - (1 << depth)
    return rows.repartitionById(groups << depth, number.cast("int")), groups << depth


def _parts(events: int, slices: int) -> tuple[int, int]:
    """Into how many stretches of time, and how many bits of the keys' hash, events are parted."""
    groups = min(max(slices // _SLICES_TOGETHER, 1), _MOST_GROUPS)
    depth = 0
    while events > _EVENTS_PER_TASK * (groups << depth) and depth < MAXIMUM_DEPTH:
        depth += 1
    return groups, depth


def _nans(windows: Windows, kinds: Mapping[str, str]) -> Column:
    """How many of an event's values are NaN."""
    inputs = sorted({series.input for series in windows.series if kinds[series.input] in FLOATING})
    found = F.lit(0).cast("bigint")
    for name in inputs:
        found = found + F.when(F.isnan(F.col(f"`{name}`")), 1).otherwise(0)
    return found


@dataclass(frozen=True)
class Slices:
    """Slices of time, from ``start`` to before ``end``; each has its boundary at its end.

    ``is_start``: the range that is built begins here; ``earliest``: no tile before it has a part in these boundaries.
    """

    start: datetime
    end: datetime
    is_start: bool
    earliest: datetime = EARLIEST


def window_rows(
    view: FeatureView, tiles: DataFrame, span: Slices, files: Sequence[BucketTask] | None = None
) -> TaskRows:
    """The rows of a windowed view at the boundaries of ``span``, without what is derived from them.

    Args:
        tiles: those that can have a part in them.
        files: where they are, by buckets; None where Spark has to gather them.
    """
    assert view.windows is not None and view.event_timestamp is not None
    columns = _columns(view, view.windows, None)
    types = {
        series.name: tiles.schema[tile_column(series.name, "count")].metadata[_TYPE] for series in view.windows.series
    }
    fields = [f"`{name}` {kind}" for name, kind in view.keys.items()]
    fields.append(f"`{view.event_timestamp}` timestamp")
    fields += [f"`{a.name}` {FUNCTIONS[a.function].result(types[a.series.name])}" for a in view.windows.aggregations]
    schema = StructType(StructType.fromDDL(", ".join(fields)).fields)  # type: ignore[attr-defined]
    outputs = _outputs(view.windows, to_arrow_schema(schema))
    wanted = Boundaries(boundary_number(span.start, columns) + 1, boundary_number(span.end, columns), span.is_start)
    integral = frozenset(name for name, kind in types.items() if kind in INTEGRAL)
    needed = tiles.select(*[F.col(f"`{name}`") for name in _tile_columns(view, view.windows)])
    gathered, load = _tiles_by_entity(view, needed, span, files)

    def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
        for table in load(batches):
            yield from rows_of(table, columns, outputs, wanted, integral)

    if files is None:
        return TaskRows(gathered, work, schema)
    return TaskRows(gathered, work, schema, _expected(view, span, files), len(files))


def _tiles_by_entity(
    view: FeatureView, tiles: DataFrame, span: Slices, files: Sequence[BucketTask] | None
) -> tuple[DataFrame, Work]:
    if files is None:
        return tiles.repartition(*view.keys), whole_task
    assert view.event_timestamp is not None
    start, end = ((moment - EPOCH) // MICROSECOND for moment in (span.earliest, span.end))
    asked = BucketColumns(tuple(view.keys), view.event_timestamp, start, end, to_arrow_schema(tiles.schema))

    def load(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
        for batch in batches:
            for number in integers(batch.column(0)):
                yield read_bucket(files[number], asked)

    return tiles.sparkSession.range(len(files), numPartitions=len(files)), load


def _expected(view: FeatureView, span: Slices, files: Sequence[BucketTask]) -> int:
    """About how many rows: a tile makes a change as it comes, and later one as it leaves a window."""
    assert view.windows is not None
    every = view.windows.every
    tiles = {file.path: file.rows for task in files for file in task.files}
    first = min((file.earliest for task in files for file in task.files), default=0)
    covered = span.end - max(span.earliest, EPOCH + first * MICROSECOND)
    share = min(1.0, (span.end - span.start) / max(covered, every))
    return int(sum(tiles.values()) * share * _ROWS_PER_TILE)


# Measured on the benchmark of windows, whose tiles are dense (1.45), and on the real invoices, where they are not.
_ROWS_PER_TILE = 1.5


def _columns(view: FeatureView, windows: Windows, created: str | None) -> TileColumns:
    assert view.event_timestamp is not None
    series = {series.name: partials for series, partials in windows.series.items()}
    return TileColumns(tuple(view.keys), view.event_timestamp, created, windows.every, series)


def _tile_columns(view: FeatureView, windows: Windows) -> list[str]:
    partials = [tile_column(series.name, name) for series, names in windows.series.items() for name in names]
    return [*view.keys, str(view.event_timestamp), *partials]


def _outputs(windows: Windows, schema: pa.Schema) -> list[Output]:
    return [
        Output(
            name=output.name,
            series=output.series.name,
            function=output.function,
            length=None if output.window.length is None else output.window.length // windows.every,
            shift=output.window.shift // windows.every,
            kind=schema.field(output.name).type,
        )
        for output in windows.aggregations
    ]


def _noted(field: StructField, windows: Windows, kinds: Mapping[str, str]) -> StructField:
    """With the type of the values behind a count, which nothing else in the table tells."""
    found = [series for series in windows.series if tile_column(series.name, "count") == field.name]
    return StructField(field.name, field.dataType, True, {_TYPE: kinds[found[0].input]} if found else {})


def _refuse_unfit(view: FeatureView, windows: Windows, events: DataFrame) -> None:
    kinds = dict(events.dtypes)
    owner = view.tiles_of.name if view.tiles_of is not None else view.name
    for output in windows.aggregations:
        column = output.series.input
        if column not in kinds:
            raise BuildError(
                f"view {owner}: {view.definition.path or view.definition.inputs[0]} gives no column {column}, which "
                f"windows aggregate. It gives: {', '.join(kinds)}."
            )
        takes = FUNCTIONS[output.function].takes
        if takes is not None and kinds[column].split("(")[0] not in takes:
            raise BuildError(
                f"view {owner}: {output.function} of {column}, which is {kinds[column]}; it takes {', '.join(takes)}. "
                "Cast the column in a definition, or take another function."
            )
