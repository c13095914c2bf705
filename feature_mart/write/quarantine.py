"""Rows that were set aside, with their reasons, in a table beside the one they were kept out of."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from feature_mart.delta.canonical import instant
from feature_mart.delta.tables import Table
from feature_mart.delta.writes import Replaces, commit, expected_state, table_properties
from feature_mart.records import Interval, Provenance, WriteResult

# `at` places a row in time, so that a rebuilt range takes its own old rows away; `file` does the same for sources.
COLUMNS = ("at", "file", "reason", "raw", "run_id")


def quarantine_rows(rows: DataFrame, *, at: Column, file: Column, reason: str, raw: str, run_id: str) -> DataFrame:
    """Set-aside rows in the columns that every quarantine table has."""
    return rows.select(
        at.cast("timestamp").alias("at"),
        file.cast("string").alias("file"),
        F.col(reason).alias("reason"),
        F.col(raw).alias("raw"),
        F.lit(run_id).alias("run_id"),
    )


def set_aside(rows: DataFrame, table: Table, *, provenance: Provenance, replaces: Replaces) -> WriteResult:
    """Puts ``rows`` in the place of the quarantined rows that ``replaces`` names.

    It is committed before the table that the rows were kept out of: a build that dies in between sets the same rows
    aside again when it is repeated.
    """
    return commit(
        rows.coalesce(1),
        table,
        provenance=provenance,
        expected=expected_state(table),
        partition_by=(),
        properties=table_properties(["at", "file"]),
        replaces=replaces,
    )


def of_files(files: Sequence[str], column: str = "file") -> Replaces:
    """The rows of some files."""
    quoted = ", ".join("'" + name.replace("\\", "\\\\").replace("'", "\\'") + "'" for name in files)
    return Replaces.where(f"{column} IN ({quoted})")


def of_ranges(intervals: Sequence[Interval]) -> Replaces:
    """The quarantined rows of some ranges of time."""
    parts = [f"(at >= {instant(interval.start)} AND at < {instant(interval.end)})" for interval in intervals]
    return Replaces.where(" OR ".join(parts))
