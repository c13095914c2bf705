"""The rows that a definition gives over stretches of time: its inputs are cut, it is run, and its margins dropped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import reduce

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from feature_mart.build.run import Range, run_definition
from feature_mart.build.windows import Slices, tile_rows, window_rows
from feature_mart.definitions import FeatureView
from feature_mart.read.inputs import cut, rows_of
from feature_mart.records import ceil_to, floor_to, moved
from feature_mart.runner.ingest import Input


def definition_rows(
    spark: SparkSession,
    view: FeatureView,
    inputs: Mapping[str, Input],
    spans: Sequence[Range],
    *,
    begin: datetime | None = None,
) -> DataFrame:
    """The definition run over each of ``spans``, which do not overlap, as one frame.

    Args:
        begin: of a windowed view, where the range that is built begins.

    Raises:
        BuildError: the definition fails.
    """
    frames = []
    for span in spans:
        seen = {name: _cut_input(view, entry, span) for name, entry in inputs.items()}
        frames.append(_rows(spark, view, seen, span, begin))
    return reduce(DataFrame.unionByName, frames)


def _rows(
    spark: SparkSession, view: FeatureView, seen: Mapping[str, DataFrame], span: Range, begin: datetime | None
) -> DataFrame:
    if view.tiles_of is not None:
        return tile_rows(spark, view, seen, span)
    if view.windows is not None:
        assert span.start is not None
        (tiles,) = seen.values()
        return window_rows(view, tiles, Slices(span.start, span.end, is_start=span.start == begin))
    frame = run_definition(spark, view, seen, span)
    return _inside(view, frame, span) if has_margin(view) else frame


def rows_of_inputs(spark: SparkSession, view: FeatureView, inputs: Mapping[str, DataFrame], span: Range) -> DataFrame:
    """The rows of a view from rows of its inputs, by themselves: without tables.

    A windowed view gets the boundaries from ``span.start`` to ``span.end``, both included.
    """
    if view.tiles is None:
        return run_definition(spark, view, inputs, span)
    every = view.materialize.every
    start = floor_to(span.end, every) if span.start is None else ceil_to(span.start, every)
    tiles = tile_rows(spark, view.tiles, inputs, Range(None, span.end))
    return window_rows(view, tiles, Slices(moved(start, -every), floor_to(span.end, every), is_start=True))


def has_margin(view: FeatureView) -> bool:
    """Whether a definition sees more than the range it is run for; rows outside the range are then dropped."""
    return bool(view.materialize.lookback or view.materialize.lookahead)


def _cut_input(view: FeatureView, entry: Input, span: Range) -> DataFrame:
    rules = view.materialize
    rows = rows_of(entry.table, entry.version.version)
    if span.start is None:
        return cut(rows, entry.event_timestamp, None, span.end)
    return cut(rows, entry.event_timestamp, moved(span.start, -rules.lookback), moved(span.end, rules.lookahead))


def _inside(view: FeatureView, frame: DataFrame, span: Range) -> DataFrame:
    """Drops the rows of the margins; rows without an event timestamp stay, to be set aside by name."""
    time = F.col(f"`{view.event_timestamp}`")
    return cut(frame, view.event_timestamp, span.start, span.end).unionByName(frame.where(time.isNull()))
