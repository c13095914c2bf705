"""Windowed aggregations on Spark: events are gathered by entity into tiles, tiles by entity into rows.

Both times a task gets all that belongs to its entities, as Arrow columns, and hands them to `feature_mart.windows`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema
from pyspark.sql.types import StructType

from feature_mart.build.run import Range, keys_and_times, run_logic
from feature_mart.definitions import FeatureView
from feature_mart.errors import BuildError
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


def tile_rows(spark: SparkSession, view: FeatureView, inputs: Mapping[str, DataFrame], span: Range) -> DataFrame:
    """The tiles of the events that the definition of a windowed view gives for a range.

    Raises:
        BuildError: the definition fails, lacks a column, or gives one of a type that a function cannot take.
    """
    assert view.tiles_of is not None and view.tiles_of.windows is not None and view.event_timestamp is not None
    windows = view.tiles_of.windows
    events = run_logic(view, inputs, span, spark)
    _refuse_unfit(view, windows, events)
    kinds = dict(events.dtypes)
    columns = _columns(view, windows, _CREATED if windows.created else None)
    time = F.col(f"`{view.event_timestamp}`")
    chosen = keys_and_times(view, events)
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
    events = events.select(*chosen).where(time.isNotNull()).dropna(subset=list(view.keys))
    together = F.floor(F.unix_micros(time) / (columns.step * _SLICES_TOGETHER))
    gathered = events.repartition(*view.keys, together)
    schema = from_arrow_schema(tile_schema(columns, to_arrow_schema(events.schema)))
    tiles = gathered.mapInArrow(_whole(lambda table: iter([tiles_of(table, columns)])), schema)
    noted = [F.col(f"`{name}`").alias(name, metadata=_metadata(windows, kinds, name)) for name in tiles.columns]
    return tiles.select(*noted)


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

    ``is_start``: the range that is built begins here.
    """

    start: datetime
    end: datetime
    is_start: bool


def window_rows(view: FeatureView, tiles: DataFrame, span: Slices) -> DataFrame:
    """The rows of a windowed view at the boundaries of ``span``.

    Args:
        tiles: those that can have a part in them.
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
    gathered = tiles.select(*[F.col(f"`{name}`") for name in _tile_columns(view, view.windows)]).repartition(*view.keys)
    rows = gathered.mapInArrow(_whole(lambda table: rows_of(table, columns, outputs, wanted, integral)), schema)
    for name, expression in view.derived.items():
        rows = rows.withColumn(name, F.expr(expression))
    return rows


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


def _metadata(windows: Windows, kinds: Mapping[str, str], column: str) -> dict[str, str]:
    """The type of the values behind a count, which nothing else in the table tells."""
    found = [series for series in windows.series if tile_column(series.name, "count") == column]
    return {_TYPE: kinds[found[0].input]} if found else {}


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


def _whole(
    work: Callable[[pa.Table], Iterator[pa.Table]],
) -> Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]:
    """Work on all rows of a task at once, as what Spark runs in its workers."""

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        found = list(batches)
        if found:
            for table in work(pa.Table.from_batches(found)):
                yield from table.combine_chunks().to_batches(max_chunksize=_BATCH)

    return run


_BATCH = 65_536
