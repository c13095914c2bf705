"""The rows that a definition gives over stretches of time: its inputs are cut, it is run, and its margins dropped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from feature_mart.build.run import Range, run_definition, with_derived
from feature_mart.build.task_rows import TaskRows
from feature_mart.build.windows import Slices, tile_rows, window_rows
from feature_mart.definitions import FeatureView
from feature_mart.delta.bucket_files import DataFile, bucket_tasks, rows_between
from feature_mart.read.inputs import cut, rows_of
from feature_mart.records import EARLIEST, EPOCH, MICROSECOND, as_utc, ceil_to, floor_to, moved
from feature_mart.runner.ingest import Input
from feature_mart.windows.tiles import LOST


@dataclass(frozen=True)
class Made:
    """The rows of a view over some stretches of time, not computed yet.

    ``in_tasks``: the same rows as tasks make them, where they make all of them in one go.
    """

    frame: DataFrame
    in_tasks: TaskRows | None = None


def definition_rows(
    spark: SparkSession,
    view: FeatureView,
    inputs: Mapping[str, Input],
    spans: Sequence[Range],
    *,
    begin: datetime | None = None,
) -> Made:
    """The definition run over each of ``spans``, which do not overlap.

    Args:
        begin: of a windowed view, where the range that is built begins.

    Raises:
        BuildError: the definition fails.
    """
    made = [_made(spark, view, inputs, span, begin) for span in spans]
    return made[0] if len(made) == 1 else Made(reduce(DataFrame.unionByName, (part.frame for part in made)))


def _made(
    spark: SparkSession, view: FeatureView, inputs: Mapping[str, Input], span: Range, begin: datetime | None
) -> Made:
    seen = {name: _cut_input(view, entry, span) for name, entry in inputs.items()}
    if view.tiles_of is not None:
        rows = tile_rows(spark, view, seen, span, _row_estimate(view, inputs, span))
        return Made(rows.frame(), rows)
    if view.windows is not None:
        (name,) = seen
        return _windowed(view, inputs[name], seen[name], span, begin)
    frame = run_definition(spark, view, seen, span)
    return Made(_inside(view, frame, span) if has_margin(view) else frame)


def _windowed(view: FeatureView, tiles: Input, frame: DataFrame, span: Range, begin: datetime | None) -> Made:
    assert span.start is not None
    earliest, end = _seen(view, span)
    slices = Slices(span.start, span.end, is_start=span.start == begin, earliest=earliest or EARLIEST)
    rows = window_rows(view, frame, slices, bucket_tasks(_files(tiles, earliest, end)))
    return Made(with_derived(view, rows.frame()), None if view.derived else rows)


def _files(entry: Input, start: datetime | None, end: datetime) -> list[DataFile] | None:
    """The files of an input that can have rows of a stretch of time; None where tasks cannot open them."""
    assert entry.event_timestamp is not None
    files = entry.table.data_files(entry.version.version, entry.event_timestamp)
    if files is None:
        return None
    first = (as_utc(start or EARLIEST) - EPOCH) // MICROSECOND
    last = (end - EPOCH) // MICROSECOND
    return [file for file in files if file.latest >= first and file.earliest < last]


def _row_estimate(view: FeatureView, inputs: Mapping[str, Input], span: Range) -> int | None:
    """About how many rows of the largest input lie in a stretch of time; None where no log tells."""
    start, end = _seen(view, span)
    timed = [entry for entry in inputs.values() if entry.event_timestamp is not None]
    found = [_files(entry, start, end) for entry in timed]
    counts = [rows_between(files, start or EARLIEST, end) for files in found if files is not None]
    return max(counts) if counts and len(counts) == len(timed) else None


def rows_of_inputs(spark: SparkSession, view: FeatureView, inputs: Mapping[str, DataFrame], span: Range) -> DataFrame:
    """The rows of a view from rows of its inputs, by themselves: without tables.

    A windowed view gets the boundaries from ``span.start`` to ``span.end``, both included.
    """
    if view.tiles is None:
        return run_definition(spark, view, inputs, span)
    every = view.materialize.every
    start = floor_to(span.end, every) if span.start is None else ceil_to(span.start, every)
    tiles = tile_rows(spark, view.tiles, inputs, Range(None, span.end)).frame().where(F.col(LOST) == 0)
    rows = window_rows(view, tiles, Slices(moved(start, -every), floor_to(span.end, every), is_start=True))
    return with_derived(view, rows.frame())


def has_margin(view: FeatureView) -> bool:
    """Whether a definition sees more than the range it is run for; rows outside the range are then dropped."""
    return bool(view.materialize.lookback or view.materialize.lookahead)


def _cut_input(view: FeatureView, entry: Input, span: Range) -> DataFrame:
    start, end = _seen(view, span)
    return cut(rows_of(entry.table, entry.version.version), entry.event_timestamp, start, end)


def _seen(view: FeatureView, span: Range) -> tuple[datetime | None, datetime]:
    """The stretch of time in which a definition sees rows of its inputs."""
    if span.start is None:
        return None, span.end
    rules = view.materialize
    return moved(span.start, -rules.lookback), moved(span.end, rules.lookahead)


def _inside(view: FeatureView, frame: DataFrame, span: Range) -> DataFrame:
    """Drops the rows of the margins; rows without an event timestamp stay, to be set aside by name."""
    time = F.col(f"`{view.event_timestamp}`")
    return cut(frame, view.event_timestamp, span.start, span.end).unionByName(frame.where(time.isNull()))
