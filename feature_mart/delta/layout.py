"""How rows lie in a table's files: the table contract of docs/adr/0001-table-contract.md.

Two hidden partition columns describe every file. ``_period`` keeps rows of about the same time together ('all', '2011'
or '2011-03'). ``_bucket`` keeps rows of about the same keys together: it is a 1 followed by the first k bits of the
hash of the join keys, so 1 is all keys, 2 and 3 are its halves, 8 to 15 its eighths, and ``_bucket >> 1`` is the bucket
that contains a bucket. A code tells how fine it is, so files of different fineness live in one version of one table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

Period = Literal["all", "year", "month"]

PERIOD = "_period"
BUCKET = "_bucket"
PARTITIONS = (PERIOD, BUCKET)

# Both were measured (docs/adr/0001-table-contract.md): a task joins a million rows in 0.4 s and 330 MB, and below
# 50,000 rows the fixed cost of a file outweighs what it holds.
ROWS_PER_BUCKET = 1_000_000
ROWS_PER_FILE = 50_000
MAXIMUM_DEPTH = 12

_INTEGRAL = ("tinyint", "smallint", "int", "bigint")


@dataclass(frozen=True)
class Layout:
    """How fine a write cuts its rows; any mixture of layouts in one table is readable."""

    period: Period = "all"
    depth: int = 0

    def to_json(self) -> dict[str, str | int]:
        """As it stands in a commit's provenance."""
        return {"period": self.period, "depth": self.depth}


def choose_layout(rows: int, earliest: datetime | None, latest: datetime | None, *, added: int | None = None) -> Layout:
    """The layout for a commit to a table that will have about ``rows`` rows between two event timestamps.

    Args:
        added: how many rows the commit writes, where it adds an interval and does not write the whole table: a night's
            few rows make few files, and lie in their buckets only once the table is compacted.
    """
    depth = 0
    while depth < MAXIMUM_DEPTH and rows > ROWS_PER_BUCKET << depth:
        depth += 1
    if depth == 0 or earliest is None or latest is None:
        period: Period = "all"
    else:
        months = (latest.year - earliest.year) * 12 + latest.month - earliest.month + 1
        years = latest.year - earliest.year + 1
        enough = ROWS_PER_FILE << depth
        period = "month" if rows >= enough * months else "year" if rows >= enough * years else "all"
    if added is not None:
        depth = min(depth, max(0, (added // ROWS_PER_FILE).bit_length() - 1))
    return Layout(period, depth)


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
    if depth == 0:
        return F.lit(1)
    hashed = F.xxhash64(*[canonical_key(F.col(name), data_type) for name, data_type in keys.items()])
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
