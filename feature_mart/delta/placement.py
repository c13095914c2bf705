"""Spark's part of the layout: the columns that say where a row belongs, and frames gathered by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from feature_mart.delta.layout import BUCKET, PARTITIONS, PERIOD, Layout, Period

_INTEGRAL = ("tinyint", "smallint", "int", "bigint")


def key_family(data_type: str) -> str:
    """What types have in common of which equal values are hashed alike."""
    if data_type in _INTEGRAL:
        return "integer"
    if data_type in ("float", "double"):
        return "float"
    kind = data_type.split("(", maxsplit=1)[0]
    return "string" if kind in ("char", "varchar") else kind


def canonical_key(column: Column, data_type: str) -> Column:
    """A key in the form that is hashed: equal keys hash alike, whatever width or scale they are stored in."""
    if data_type in _INTEGRAL:
        return column.cast("bigint")
    if data_type in ("float", "double"):
        wide = column.cast("double")
        return F.when(wide == 0.0, F.lit(0.0)).otherwise(wide)
    if data_type.startswith("decimal"):
        without_zeros = F.regexp_replace(column.cast("string"), r"(\.\d*?)0+$", "$1")
        return F.regexp_replace(without_zeros, r"\.$", "")
    return column


def bucket_code(keys: Mapping[str, str], depth: int) -> Column:
    """The ``_bucket`` of a row, from its join keys and their Spark types; 1 where ``depth`` is 0."""
    return bucket_of([(F.col(name), data_type) for name, data_type in keys.items()], depth)


def bucket_of(keys: Sequence[tuple[Column, str]], depth: int) -> Column:
    """The ``_bucket`` by the values of any columns, a column may stand for two keys."""
    if depth == 0:
        return F.lit(1)
    hashed = F.xxhash64(*[canonical_key(column, data_type) for column, data_type in keys])
    return (F.shiftrightunsigned(hashed, 64 - depth) + F.lit(1 << depth)).cast("int")


def period_text(event_timestamp: str | None, period: Period) -> Column:
    """The ``_period`` of a row; 'all' where it has no event timestamp."""
    if event_timestamp is None or period == "all":
        return F.lit("all")
    return F.date_format(F.col(event_timestamp), "yyyy" if period == "year" else "yyyy-MM")


def lay_out(frame: DataFrame, *, keys: Mapping[str, str], time_columns: Sequence[str], layout: Layout) -> DataFrame:
    """``frame`` with the partition columns, its rows gathered by (period, bucket) and sorted by keys and time.

    ``time_columns`` are the event timestamp and the created timestamp, as far as there are any.
    """
    placed = frame.withColumns(
        {
            PERIOD: period_text(time_columns[0] if time_columns else None, layout.period),
            BUCKET: bucket_code(keys, layout.depth),
        }
    )
    if layout == Layout():
        # One file: a single task writes it, so there is nothing to gather by.
        return placed.coalesce(1).sortWithinPartitions(*keys, *time_columns)
    return placed.repartition(*PARTITIONS).sortWithinPartitions(*PARTITIONS, *keys, *time_columns)
