"""Measures how one feature view should lie on disk: the figures behind docs/adr/0001-table-contract.md.

Every layout gets the same rows and the same operations, in one warm session, and every point-in-time join must come to
the same checksum. It needs nothing of the engine, only pyspark, delta-spark, deltalake and duckdb. From the root::

    python -m benchmarks.table_layout --rows 5000000 --entities 100000 --days 365 --buckets 8 --output layout.json
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from benchmarks.layouts import (
    FEATURES,
    KEYS,
    LAYOUTS,
    TIME,
    Layout,
    Workload,
    arranged,
    between,
    bucket,
    day,
    feature_rows,
    period_bound,
    session,
    spine,
)

# Spark stops idle workers, and nobody inherits their times.
TICKS_SEEN: dict[int, int] = {}
MEASURES = {
    "write": "write all rows",
    "files": "files",
    "mb": "size, MB",
    "newest_day": "replace the newest day",
    "middle_day": "replace a day in the middle",
    "middle_day_mb": "  data written by it, MB",
    "middle_day_period": "  same, with the period in the predicate",
    "change": "replace 1% of the rows",
    "change_feed": "read that change from the change feed",
    "append": "add one day (median)",
    "append_files": "  files per day",
    "year_files": "  files after a year of days, uncompacted",
    "join": "point-in-time join",
    "join_uncompacted": "  same, after the days were added",
    "optimize": "OPTIMIZE of what is new",
    "optimize_files": "  files after it",
    "rewrite": "sorted rewrite of the newest period",
    "join_compacted": "  join after it",
    "lookup": "one key's rows, without Spark",
    "lookup_spark": "one key's rows, with Spark",
    "day": "scan one day",
    "day_period": "  same, with the period in the predicate",
}


class Table:
    """One table in one layout, and the operations that are measured on it."""

    def __init__(self, spark: SparkSession, load: Workload, layout: Layout, path: str) -> None:
        self.spark, self.load, self.layout, self.path = spark, load, layout, path

    def create(self) -> None:
        load, layout = self.load, self.layout
        rows = feature_rows(self.spark, load, first=0, days=load.days, rows=load.rows)
        if layout.clustered:
            columns = ", ".join([f"{key} BIGINT" for key in KEYS] + [f"{TIME} TIMESTAMP"])
            columns += "".join(f", {name} DOUBLE" for name in FEATURES)
            self.spark.sql(
                f"CREATE TABLE delta.`{self.path}` ({columns}) USING delta CLUSTER BY ({', '.join(KEYS)}) "
                "TBLPROPERTIES (delta.enableChangeDataFeed = true)"
            )
            rows.repartition(4).write.format("delta").mode("append").save(self.path)
            self.optimize()
            return
        files = max(1, round(load.rows * load.buckets / 5_000_000))
        writer = arranged(rows, layout, load.depth, files).write.format("delta").mode("overwrite")
        writer = writer.option("delta.enableChangeDataFeed", "true").option("userMetadata", '{"run_id": "create"}')
        writer.partitionBy(*layout.partitions).save(self.path)

    def replace(self, first: int, days: int, salt: int, by_period: bool = False) -> None:
        rows = feature_rows(self.spark, self.load, first, days, self.load.rows_per_day * days, salt)
        start, end = day(first), day(first + days)
        predicate = between(start, end)
        if by_period:
            predicate += f" AND {period_bound(self.layout, start, end)}"
        writer = arranged(rows, self.layout, self.load.depth, files=1).write.format("delta").mode("overwrite")
        writer.option("replaceWhere", predicate).option("userMetadata", f'{{"run_id": "{salt}"}}').save(self.path)

    def optimize(self) -> None:
        where = ""
        if self.layout.period:
            where = " WHERE " + period_bound(self.layout, day(self.load.days), day(self.load.days + self.load.appends))
        if self.layout.clustered:  # Else a table of this size becomes one file, and no key is ever skipped.
            target = max(1, self.size() // self.load.buckets)
            self.spark.conf.set("spark.databricks.delta.optimize.maxFileSize", target)
            self.spark.conf.set("spark.databricks.delta.optimize.minFileSize", target)
        try:
            self.spark.sql(f"OPTIMIZE delta.`{self.path}`{where}")
        finally:
            self.spark.conf.unset("spark.databricks.delta.optimize.maxFileSize")
            self.spark.conf.unset("spark.databricks.delta.optimize.minFileSize")

    def rewrite_newest_period(self) -> None:
        """What OPTIMIZE does not do: one *sorted* file per period and bucket, invisible to the change feed."""
        bound = period_bound(self.layout, day(self.load.days), day(self.load.days + self.load.appends))
        rows = self.frame().where(bound).drop(*self.layout.partitions)
        writer = arranged(rows, self.layout, self.load.depth, files=1).write.format("delta").mode("overwrite")
        writer.option("replaceWhere", bound).option("dataChange", "false").save(self.path)

    def frame(self) -> DataFrame:
        return self.spark.read.format("delta").load(self.path)

    def added(self) -> list[dict[str, Any]]:
        return pa.table(DeltaTable(self.path).get_add_actions(flatten=True)).to_pylist()

    def size(self) -> int:
        return sum(int(file["size_bytes"]) for file in self.added())

    def last_written(self) -> int:
        """Bytes of data and change files that the last commit added."""
        log = max(Path(self.path, "_delta_log").glob("*.json"))
        actions = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        return sum(action[kind]["size"] for action in actions for kind in ("add", "cdc") if kind in action)

    def point_in_time_join(self) -> tuple[int, int]:
        moments = spine(self.spark, self.load)
        joined = self._bucket_join(moments) if self.layout.bucketed else self._window_join(moments)
        row = joined.agg(F.count("*"), F.bit_xor(F.xxhash64("row_id", *FEATURES))).first()
        assert row is not None
        return int(row[0]), int(row[1])

    def _bucket_join(self, moments: DataFrame) -> DataFrame:
        """Only the spine is shuffled; a task reads its bucket's files itself."""
        files: dict[int, list[str]] = {}
        for file in self.added():
            files.setdefault(int(file["partition._bucket"]), []).append(f"{self.path}/{file['path']}")
        in_buckets = moments.withColumn("_bucket", bucket(self.load.depth))
        in_buckets = in_buckets.repartitionByRange(self.load.buckets, "_bucket")
        schema = "row_id bigint, " + ", ".join(f"{name} double" for name in FEATURES)
        return in_buckets.mapInArrow(as_of_join(files), schema)

    def _window_join(self, moments: DataFrame) -> DataFrame:
        features = F.struct(*FEATURES)
        left = moments.select("row_id", *KEYS, F.col("spine_timestamp").alias(TIME))
        right = self.frame().select(F.lit(None).cast("bigint").alias("row_id"), *KEYS, TIME, features.alias("found"))
        both = left.withColumn("found", F.lit(None).cast(right.schema["found"].dataType)).unionByName(right)
        # A feature row at the very moment of a spine row is known to it, so features come first.
        order = Window.partitionBy(*KEYS).orderBy(TIME, F.col("row_id").isNotNull())
        frame = order.rowsBetween(Window.unboundedPreceding, Window.currentRow)
        found = both.withColumn("found", F.last("found", ignorenulls=True).over(frame))
        return found.where("row_id IS NOT NULL").select("row_id", *(f"found.{name}" for name in FEATURES))

    def looked_up_code(self) -> int:
        key = self.spark.range(17, 18).select(F.col("id").alias("account_id"), F.col("id").alias("store_id"))
        return int(key.select(bucket(self.load.depth)).collect()[0][0])

    def lookup(self, code: int) -> None:
        condition = (pc.field("account_id") == 17) & (pc.field("store_id") == 17)
        if self.layout.bucketed:
            condition &= pc.field("_bucket") == code
        DeltaTable(self.path).to_pyarrow_dataset().to_table(filter=condition)

    def lookup_spark(self) -> None:
        frame = self.frame().where("account_id = 17 AND store_id = 17")
        if self.layout.bucketed:
            frame = frame.where(F.col("_bucket") == bucket(self.load.depth))
        frame.collect()

    def scan_day(self, by_period: bool = False) -> None:
        middle = self.load.days // 2
        frame = self.frame().where(between(day(middle), day(middle + 1)))
        if by_period:
            frame = frame.where(period_bound(self.layout, day(middle), day(middle + 1)))
        frame.agg(F.count("*"), F.sum("f0")).collect()

    def change_feed(self, version: int) -> int:
        reader = self.spark.read.format("delta").option("readChangeFeed", "true")
        changes = reader.option("startingVersion", version).option("endingVersion", version).load(self.path)
        row = changes.agg(F.count("*"), F.sum("f0")).first()
        assert row is not None
        return int(row[0])


def as_of_join(files: dict[int, list[str]]) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    columns = ", ".join(f"f.{name}" for name in FEATURES)
    on = " AND ".join(f"s.{key} = f.{key}" for key in KEYS)

    def join(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        moments = list(batches)
        if not moments:
            return
        connection = duckdb.connect(config={"threads": 1})
        connection.register("spine", pa.Table.from_batches(moments))
        present = connection.execute("SELECT DISTINCT _bucket FROM spine").fetchall()
        paths = [path for (code,) in present for path in files.get(code, [])]
        yield from (
            connection.sql(
                f"SELECT s.row_id, {columns} FROM spine s ASOF LEFT JOIN read_parquet(?, hive_partitioning = false) f "
                f"ON {on} AND s.spine_timestamp >= f.{TIME}",
                params=[paths],
            )
            .to_arrow_table()
            .to_batches()
        )

    return join


def cost(operation: Callable[[], object]) -> list[float]:
    """Seconds on the clock, and seconds of processor time of this process and all below it (Spark and its workers).

    The second holds on a machine that others use too.
    """
    started, spent = time.perf_counter(), processor_seconds()
    operation()
    return [round(time.perf_counter() - started, 3), round(processor_seconds() - spent, 2)]


def processor_seconds() -> float:
    """Of this process and all below it, those that have ended included; 0 where the system has no /proc."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text(encoding="utf-8").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):  # It has just ended.
            continue
        parents[int(file.parent.name)] = int(fields[1])
        ticks[int(file.parent.name)] = int(fields[11]) + int(fields[12])
    ours = {os.getpid()}
    while more := {process for process, parent in parents.items() if parent in ours} - ours:
        ours |= more
    TICKS_SEEN.update({process: ticks[process] for process in ours if process in ticks})
    return sum(TICKS_SEEN.values()) / os.sysconf("SC_CLK_TCK")


def measure_layout(spark: SparkSession, load: Workload, layout: Layout, path: str) -> dict[str, Any]:
    table = Table(spark, load, layout, path)
    figures: dict[str, Any] = {"write": cost(table.create)}
    figures["files"], figures["mb"] = len(table.added()), round(table.size() / 1e6, 1)
    figures["join"] = cost(lambda: figures.update(checksum=table.point_in_time_join()))
    code = table.looked_up_code()
    figures["lookup"] = cost(lambda: table.lookup(code))
    figures["lookup_spark"] = cost(table.lookup_spark)
    figures["day"] = cost(table.scan_day)
    if layout.period:
        figures["day_period"] = cost(lambda: table.scan_day(by_period=True))
    measure_changes(table, figures)
    measure_year(table, figures)
    return figures


def measure_changes(table: Table, figures: dict[str, Any]) -> None:
    load = table.load
    figures["newest_day"] = cost(lambda: table.replace(load.days - 1, 1, salt=1))
    figures["middle_day"] = cost(lambda: table.replace(load.days // 2, 1, salt=2))
    figures["middle_day_mb"] = round(table.last_written() / 1e6, 1)
    if table.layout.period:
        figures["middle_day_period"] = cost(lambda: table.replace(load.days // 2 + 2, 1, salt=3, by_period=True))
    figures["change"] = cost(lambda: table.replace(load.days // 4, max(1, load.days // 100), salt=4))
    version = DeltaTable(table.path).version()
    figures["change_feed"] = cost(lambda: figures.update(changes=table.change_feed(version)))


def measure_year(table: Table, figures: dict[str, Any]) -> None:
    load = table.load
    before = len(table.added())
    times = sorted(cost(partial(table.replace, load.days + number, 1, salt=5)) for number in range(load.appends))
    figures["append"] = times[len(times) // 2]
    figures["append_files"] = (len(table.added()) - before) / load.appends
    figures["year_files"] = round(before + 365 * figures["append_files"])
    figures["join_uncompacted"] = cost(table.point_in_time_join)
    version = DeltaTable(table.path).version()
    figures["optimize"] = cost(table.optimize)
    figures["optimize_files"] = len(table.added())
    if table.layout.bucketed and table.layout.period:
        table.spark.sql(f"RESTORE TABLE delta.`{table.path}` TO VERSION AS OF {version}")
        figures["rewrite"] = cost(table.rewrite_newest_period)
    figures["join_compacted"] = cost(table.point_in_time_join)


def cell(figure: Any) -> str:
    if isinstance(figure, list):
        wall, processor = figure
        return f"{wall:.2f} / {processor:.1f}"
    return "" if figure is None else f"{figure:g}"


def shown(figures: dict[str, dict[str, Any]]) -> str:
    names = list(figures)
    lines = [f"{'seconds: by the clock / of the processors':44}" + "".join(f"{name:>14}" for name in names)]
    for measure, title in MEASURES.items():
        cells = [cell(figures[name].get(measure)) for name in names]
        lines.append(f"{title:44}" + "".join(f"{cell:>14}" for cell in cells))
    return "\n".join(lines)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure layouts of one feature view.")
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--entities", type=int, default=100_000)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--buckets", type=int, default=8, help="a power of two")
    parser.add_argument("--appends", type=int, default=30, help="days that are added one by one")
    parser.add_argument("--spine-rows", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--layouts", nargs="+", default=[layout.name for layout in LAYOUTS])
    parser.add_argument("--ivy", help="folder of the jars, if not the usual one")
    parser.add_argument("--output", type=Path, help="file for the figures as JSON")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    if args.buckets < 1 or args.buckets & (args.buckets - 1):
        print(f"--buckets {args.buckets}: a power of two is needed, such as 8", file=sys.stderr)
        return 2
    load = Workload(args.rows, args.entities, args.days, args.buckets, args.appends, args.spine_rows, args.seed)
    layouts = [layout for layout in LAYOUTS if layout.name in args.layouts]
    figures: dict[str, dict[str, Any]] = {}
    spark = session(args.ivy)
    try:
        with tempfile.TemporaryDirectory(prefix="table-layout-") as folder:
            warm_up = Workload(2_000, 100, 365, 2, 1, 100, args.seed)
            for layout in (LAYOUTS[0], LAYOUTS[4]):
                measure_layout(spark, warm_up, layout, f"{folder}/warm_up_{layout.name}")
            for layout in layouts:
                figures[layout.name] = measure_layout(spark, load, layout, f"{folder}/{layout.name}")
                print(f"{layout.name} {json.dumps(figures[layout.name])}", file=sys.stderr, flush=True)
    finally:
        spark.stop()
    print(shown(figures))
    if len({tuple(figure["checksum"]) for figure in figures.values()}) != 1:
        print("The layouts do not agree on the point-in-time join.", file=sys.stderr)
        return 1
    if args.output:
        args.output.write_text(json.dumps({"workload": asdict(load), "layouts": figures}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
