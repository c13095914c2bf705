"""Which stretches of time changed between two versions of a table, from its change data feed."""

from __future__ import annotations

from datetime import timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from feature_mart.delta.canonical import row_text
from feature_mart.delta.errors import delta_errors
from feature_mart.delta.tables import Table, visible
from feature_mart.records import ANCHOR, EPOCH, MICROSECOND, Interval, merged, spanning

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
    """Where rows differ between two versions: per slice of length ``every``, from the first such row to the last.

    A row that was removed and came back the same is no change, so a file that is read again, or a view that is
    rebuilt to the same content, changes nothing. Rows without an event timestamp are not looked at.

    Raises:
        TableError: the change feed of those versions cannot be read (any more), or columns changed their types.
    """
    if after >= until:
        return ()
    table.require_same_types(after, until)
    feed = change_feed(table, after, until)
    step = every // MICROSECOND
    micros = f"unix_micros(`{event_timestamp}`)"
    since_anchor = f"({micros} - {(ANCHOR - EPOCH) // MICROSECOND}L)"
    signed = feed.where(F.col(event_timestamp).isNotNull()).select(
        F.expr(f"({since_anchor} - pmod({since_anchor}, {step}L)) div {step}L").alias("slice"),
        F.expr(micros).alias("at"),
        row_text(visible(feed).columns).alias("content"),
        F.when(F.col("_change_type").isin(*_INSERTED), 1).otherwise(-1).alias("sign"),
    )
    changed = (
        signed.groupBy("slice", "at", "content")
        .agg(F.sum("sign").alias("net"))
        .where("net != 0")
        .groupBy("slice")
        .agg(F.min("at").alias("first"), F.max("at").alias("last"))
    )
    with delta_errors(table.name):
        return merged(spanning(row["first"], row["last"]) for row in changed.collect())
