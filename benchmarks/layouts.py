"""What ``table_layout.py`` lays on disk: the rows of one feature view, and the ways to arrange them.

A part of that benchmark; see there.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from delta import configure_spark_with_delta_pip
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

KEYS = ("account_id", "store_id")
FEATURES = tuple(f"f{index}" for index in range(6))
TIME = "event_timestamp"
# The first day lies in the middle of a year, so that a run of 365 days has two years and whole months.
FIRST_DAY = datetime(2025, 7, 1, tzinfo=timezone.utc)
DAY_MICROS = 86_400_000_000


@dataclass(frozen=True)
class Layout:
    """One way to lay the table. ``period`` is a date_format pattern."""

    name: str
    period: str | None = None
    bucketed: bool = False
    clustered: bool = False

    @property
    def partitions(self) -> list[str]:
        return ["_period"] * (self.period is not None) + ["_bucket"] * self.bucketed


LAYOUTS = (
    Layout("time"),
    Layout("day", period="yyyy-MM-dd"),
    Layout("bucket", bucketed=True),
    Layout("month_bucket", period="yyyy-MM", bucketed=True),
    Layout("year_bucket", period="yyyy", bucketed=True),
    Layout("liquid", clustered=True),
)


@dataclass(frozen=True)
class Workload:
    """How much of everything is measured."""

    rows: int
    entities: int
    days: int
    buckets: int
    appends: int
    spine_rows: int
    seed: int

    @property
    def depth(self) -> int:
        return self.buckets.bit_length() - 1

    @property
    def rows_per_day(self) -> int:
        return max(1, self.rows // self.days)


def session(jars_folder: str | None) -> SparkSession:
    settings = {
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.shuffle.partitions": "4",
        "spark.databricks.delta.snapshotPartitions": "2",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.memory": "4g",
        "spark.log.level": "ERROR",
    }
    if jars_folder:
        settings["spark.jars.ivy"] = jars_folder
    os.environ["PYSPARK_PYTHON"] = sys.executable  # Else the workers run the first python3 of the PATH.
    builder: Any = SparkSession.builder
    builder = builder.master("local[2]").appName("table layout")
    for name, value in settings.items():
        builder = builder.config(name, value)
    return configure_spark_with_delta_pip(builder).getOrCreate()


def day(number: int) -> datetime:
    return FIRST_DAY + timedelta(days=number)


def uniform(seed: int, bound: int) -> Column:
    return F.pmod(F.xxhash64("id", F.lit(seed)), F.lit(bound))


def feature_rows(spark: SparkSession, load: Workload, first: int, days: int, rows: int, salt: int = 0) -> DataFrame:
    """``rows`` rows of random entities within ``days`` days from day ``first`` on; the same for the same arguments."""
    seed = load.seed * 1_000_003 + first * 1_009 + salt * 101
    start = int(day(first).timestamp()) * 1_000_000
    frame = spark.range(rows).withColumn("account_id", uniform(seed, load.entities))
    frame = frame.withColumn("store_id", F.pmod(F.col("account_id"), F.lit(50)))
    frame = frame.withColumn(TIME, F.timestamp_micros(uniform(seed + 1, days * DAY_MICROS) + F.lit(start)))
    values = [(uniform(seed + 2 + index, 1_000_000) / 100).alias(name) for index, name in enumerate(FEATURES)]
    return frame.select(*KEYS, TIME, *values)


def spine(spark: SparkSession, load: Workload) -> DataFrame:
    moments = feature_rows(spark, load, first=0, days=load.days, rows=load.spine_rows, salt=7)
    return moments.select(F.monotonically_increasing_id().alias("row_id"), *KEYS, F.col(TIME).alias("spine_timestamp"))


def bucket(depth: int) -> Column:
    """A 1 followed by the first ``depth`` bits of the keys' hash."""
    if depth == 0:
        return F.lit(1)
    return (F.shiftrightunsigned(F.xxhash64(*KEYS), 64 - depth) + (1 << depth)).cast("int")


def arranged(frame: DataFrame, layout: Layout, depth: int, files: int) -> DataFrame:
    """The rows with the layout's columns, one task per partition (or per file), sorted as they should lie."""
    if layout.period:
        frame = frame.withColumn("_period", F.date_format(TIME, layout.period))
    if layout.bucketed:
        frame = frame.withColumn("_bucket", bucket(depth))
    if layout.partitions:
        order = [*layout.partitions, *(KEYS if layout.bucketed else ()), TIME]
        return frame.repartition(4, *layout.partitions).sortWithinPartitions(*order)
    return frame.repartitionByRange(files, TIME).sortWithinPartitions(TIME)


def between(start: datetime, end: datetime) -> str:
    return f"{TIME} >= '{start:%Y-%m-%d %H:%M:%S}' AND {TIME} < '{end:%Y-%m-%d %H:%M:%S}'"


def period_bound(layout: Layout, start: datetime, end: datetime) -> str:
    pattern = {"yyyy": "%Y", "yyyy-MM": "%Y-%m", "yyyy-MM-dd": "%Y-%m-%d"}[layout.period or ""]
    last = end - timedelta(microseconds=1)
    return f"_period >= '{start.strftime(pattern)}' AND _period <= '{last.strftime(pattern)}'"
