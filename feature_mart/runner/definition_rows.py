"""The rows that a definition gives over stretches of time: its inputs are cut, it is run, and its margins dropped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from feature_mart.build.run import Range, run_definition
from feature_mart.definitions import FeatureView
from feature_mart.read.inputs import cut, rows_of
from feature_mart.records import moved
from feature_mart.runner.ingest import Input


def definition_rows(
    spark: SparkSession, view: FeatureView, inputs: Mapping[str, Input], spans: Sequence[Range]
) -> DataFrame:
    """The definition run over each of ``spans``, which do not overlap, as one frame.

    Raises:
        BuildError: the definition fails.
    """
    frames = []
    for span in spans:
        seen = {name: _cut_input(view, entry, span) for name, entry in inputs.items()}
        frame = run_definition(spark, view, seen, span)
        frames.append(_inside(view, frame, span) if has_margin(view) else frame)
    return reduce(DataFrame.unionByName, frames)


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
