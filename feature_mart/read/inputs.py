"""A definition's inputs: the rows of pinned versions, cut to the time that a build may see."""

from __future__ import annotations

from datetime import datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from feature_mart.delta.canonical import instant
from feature_mart.delta.layout import PERIOD
from feature_mart.delta.tables import Table, visible
from feature_mart.read.conform import quoted_name
from feature_mart.read.ingest import FILES_PARTITION


def rows_of(table: Table, version: int | None) -> DataFrame:
    """The visible rows of one version of a view, an ingested source, or a table that is read in place."""
    return visible(without_file_entries(table.read(version)))


def without_file_entries(frame: DataFrame) -> DataFrame:
    """The rows of a table without what an ingested source notes of its files there."""
    return frame.where(F.col(PERIOD) != FILES_PARTITION) if PERIOD in frame.columns else frame


def cut(frame: DataFrame, event_timestamp: str | None, start: datetime | None, end: datetime | None) -> DataFrame:
    """The rows with start <= event timestamp < end; the whole frame where it has no event timestamp."""
    if event_timestamp is None:
        return frame
    column = quoted_name(event_timestamp)
    if start is not None:
        frame = frame.where(column >= F.expr(instant(start)))
    if end is not None:
        frame = frame.where(column < F.expr(instant(end)))
    return frame
