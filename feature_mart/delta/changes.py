"""Which stretches of time changed between two versions of a table, from its change data feed."""

from __future__ import annotations

from datetime import timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from feature_mart.delta.canonical import row_text
from feature_mart.delta.errors import delta_errors
from feature_mart.delta.tables import Table, visible
from feature_mart.records import ANCHOR, EPOCH, MICROSECOND, Interval, merged, numbered

_INSERTED = ("insert", "update_postimage")


def change_feed(table: Table, after: int, until: int) -> DataFrame:
    """The change rows of the versions after ``after`` up to ``until``, with `_change_type`."""
    spark = table.session()
    with delta_errors(table.name):
        reader = (
            spark.read.format("delta")
            .option("readChangeFeed", "true")
            .option("startingVersion", after + 1)
            .option("endingVersion", until)
        )
        if table.address.identifier is not None:
            return reader.table(table.address.identifier)
        return reader.load(table.address.uri)


def changed_intervals(
    table: Table, *, after: int, until: int, event_timestamp: str, every: timedelta
) -> tuple[Interval, ...]:
    """The slices of length ``every`` in which rows differ between two versions, neighbours joined.

    A row that was removed and came back the same is no change, so a file that is read again, or a view that is
    rebuilt to the same content, changes nothing. Rows without an event timestamp are not looked at.

    Raises:
        TableError: the change feed of those versions cannot be read (any more).
    """
    if after >= until:
        return ()
    feed = change_feed(table, after, until)
    step = every // MICROSECOND
    since_anchor = f"(unix_micros(`{event_timestamp}`) - {(ANCHOR - EPOCH) // MICROSECOND}L)"
    columns = visible(feed).columns
    signed = feed.where(F.col(event_timestamp).isNotNull()).select(
        F.expr(f"({since_anchor} - pmod({since_anchor}, {step}L)) div {step}L").alias("slice"),
        row_text(columns).alias("content"),
        F.when(F.col("_change_type").isin(*_INSERTED), 1).otherwise(-1).alias("sign"),
    )
    changed = (
        signed.groupBy("slice", "content").agg(F.sum("sign").alias("net")).where("net != 0").select("slice").distinct()
    )
    with delta_errors(table.name):
        slices = [row["slice"] for row in changed.collect()]
    return merged(numbered(number, every) for number in slices)
