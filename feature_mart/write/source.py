"""Commits what was ingested of a source: its rows and the markers of its files, at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from feature_mart.delta.layout import PERIOD, choose_layout
from feature_mart.delta.placement import period_text
from feature_mart.delta.tables import Table
from feature_mart.delta.writes import EVERYTHING, NOTHING, Expected, commit, table_properties
from feature_mart.records import Provenance, WriteResult
from feature_mart.write.quarantine import of_files


@dataclass(frozen=True)
class SourceRows:
    """What one ingest of a source puts into its table.

    ``markers`` are the rows that describe files, kept in the partition ``markers_partition``. ``replaced_files`` names
    the files whose rows make room; None means everything that is there.
    """

    rows: DataFrame
    markers: DataFrame
    markers_partition: str
    event_timestamp: str | None
    span: tuple[datetime | None, datetime | None]
    replaced_files: Sequence[str] | None


def store_source(content: SourceRows, table: Table, *, provenance: Provenance, expected: Expected) -> WriteResult:
    """Commits rows and file markers in one step.

    Raises:
        ConcurrentBuild: another ingest committed since this one was planned. Nothing was written.
    """
    if content.replaced_files is None:
        replaces = EVERYTHING
    else:
        replaces = of_files(content.replaced_files, "_file") if content.replaced_files else NOTHING
    time = content.event_timestamp
    layout = choose_layout(provenance.rows, *content.span)
    placed = content.rows.withColumn(PERIOD, period_text(time, layout.period))
    marked = content.markers.withColumn(PERIOD, F.lit(content.markers_partition)).coalesce(1)
    if time is not None:
        placed = placed.sortWithinPartitions(PERIOD, time)
    return commit(
        placed.unionByName(marked, allowMissingColumns=True),
        table,
        provenance=provenance,
        expected=expected,
        partition_by=(PERIOD,),
        properties=table_properties(["_file", *([time] if time is not None else [])]),
        replaces=replaces,
        replace_schema=replaces == EVERYTHING,
    )
