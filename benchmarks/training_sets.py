"""Point-in-time joins beside DuckDB's ASOF JOIN and Spark SQL by hand, on the same tables in one run.

    python -m benchmarks.training_sets --spine 1000000 --rows 5000000 --entities 100000

A spine and three views of ten doubles each, one of them with a time to live; all peers read the views' Delta tables and
write their result. Seconds are the lowest of a few rounds, in which ours and DuckDB's take turns. Contents are
compared, value by value, in DuckDB.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from benchmarks.plain_mart import plain_mart
from benchmarks.retail_pipeline import timed
from feature_mart import FeatureStore
from feature_mart.delta.session import start_session
from feature_mart.testing import FixedClock, write_files

FIRST = int(datetime(2024, 1, 1, tzinfo=timezone.utc).timestamp()) * 1_000_000
YEAR = 365 * 86_400_000_000
NOW = datetime(2025, 6, 1, tzinfo=timezone.utc)
WIDTH = 10
TTL_DAYS = 30


def mart_files(views: int) -> dict[str, str]:
    """A mart of some views, each the rows of a table as they are; the last one has a time to live."""
    return plain_mart("joins", views, lambda view: f"ttl: {TTL_DAYS}d" if view == views - 1 else "")


def _user(seed: int, entities: int) -> str:
    return f"pmod(xxhash64(id, {seed}), {entities})"


def feature_rows(spark: SparkSession, view: int, count: int, entities: int, width: int = WIDTH) -> DataFrame:
    """Rows of one view, spread over a year."""
    seed = 10 * (view + 1)
    return spark.range(count, numPartitions=8).selectExpr(
        f"{_user(seed, entities)} as user_id",
        f"timestamp_micros({FIRST}L + pmod(xxhash64(id, {seed + 1}), {YEAR}L)) as at",
        *(f"pmod(xxhash64(id, {seed + 2}, {n}), 1000000) / 64D as v{view}_{n}" for n in range(width)),
    )


def spine_rows(spark: SparkSession, count: int, entities: int, *, skewed_tenths: int = 0) -> DataFrame:
    """Spine rows; ``skewed_tenths``: how many of ten are of one key."""
    user = f"case when pmod(xxhash64(id, 101), 10) < {skewed_tenths} then 0L else {_user(1, entities)} end"
    return spark.range(count, numPartitions=8).selectExpr(
        "id as row",
        f"{user} as user_id",
        f"timestamp_micros({FIRST}L + pmod(xxhash64(id, 2), {YEAR}L)) as event_timestamp",
        "pmod(xxhash64(id, 3), 2) as label",
    )


def lowest(rounds: int, work: Mapping[str, Callable[[str], object]]) -> dict[str, float]:
    """The lowest seconds of each, which take turns. ``work`` is given a name that no other call is given."""
    found: dict[str, list[float]] = {name: [] for name in work}
    for number in range(rounds):
        for at, (name, run) in enumerate(work.items()):
            found[name].append(timed(partial(run, f"set_{number}_{at}")))
    return {name: min(seconds) for name, seconds in found.items()}


def measure(
    spark: SparkSession,
    spine: int,
    rows: int,
    entities: int,
    views: int,
    *,
    rounds: int,
    skewed: bool = False,
    peers: bool = True,
) -> dict[str, Any]:
    """Seconds of our join and of the peers; ratios of ours to theirs."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_files(root, mart_files(views))
        for view in range(views):
            feature_rows(spark, view, rows, entities).write.format("delta").save(str(root / f"rows_{view}"))
        spine_path = root / "spine"
        frame = spine_rows(spark, spine, entities, skewed_tenths=9 if skewed else 0)
        frame.write.format("delta").save(str(spine_path))
        store = FeatureStore(root, spark=spark, now=FixedClock(NOW))
        store.build()
        names = [f"view_{view}" for view in range(views)]
        database = duckdb.connect()
        database.execute("set threads to 2")
        database.execute("set TimeZone = 'UTC'")
        as_of = f"copy ({_as_of_sql(str(spine_path), _tables(root, views))}) to '{root / 'duckdb.parquet'}'"
        found: dict[str, Any] = {
            "ours, the first time": timed(lambda: store.get_historical_features("spine", names).save("all"))
        }
        turns: dict[str, Callable[[str], object]] = {
            "ours": lambda name: store.get_historical_features("spine", names).save(name)
        }
        if peers:
            turns["DuckDB"] = lambda _: database.execute(as_of)
        found |= lowest(rounds, turns)
        if peers:
            found |= _by_hand_and_compared(spark, root, views, database)
            found |= {f"ours / {peer}": found["ours"] / found[peer] for peer in ("Spark by hand", "DuckDB")}
        small = spark.read.format("delta").load(str(spine_path)).limit(100).toPandas()
        few = {"100 rows to pandas": lambda _: store.get_historical_features(small, names).to_df()}
        return found | lowest(rounds, few)


def _tables(root: Path, views: int) -> dict[int, str]:
    return {view: str(root / "warehouse" / f"view_{view}") for view in range(views)}


def _by_hand_and_compared(
    spark: SparkSession, root: Path, views: int, database: duckdb.DuckDBPyConnection
) -> dict[str, float]:
    """Seconds of Spark by hand; all that was made is compared."""
    by_hand = str(root / "by_hand")
    joined = _by_hand(spark, str(root / "spine"), _tables(root, views))
    seconds = timed(lambda: joined.write.format("delta").mode("overwrite").save(by_hand))
    kept = root / "duckdb.parquet"
    columns = ["row", *(f"v{view}_{n}" for view in range(views) for n in range(WIDTH))]
    listed = ", ".join(columns)
    ours_files = f"read_parquet('{root}/warehouse/training_set__all/**/*.parquet')"
    for name, files in (("DuckDB", f"read_parquet('{kept}')"), ("Spark", f"read_parquet('{by_hand}/*.parquet')")):
        one, other = f"select {listed} from {ours_files}", f"select {listed} from {files}"
        differing = database.execute(
            f"select count(*) from (({one} except all {other}) union all ({other} except all {one}))"
        ).fetchone()
        if differing != (0,):
            raise SystemExit(f"the contents differ from {name}'s in {differing} rows")
    return {"Spark by hand": seconds}


def _as_of_sql(spine: str, tables: dict[int, str]) -> str:
    """DuckDB's own join, one after the other."""
    joins, columns = "", ""
    for view, path in tables.items():
        is_old = f"v{view}.at < s.event_timestamp - interval {TTL_DAYS} day" if view == len(tables) - 1 else "false"
        joins += (
            f" asof left join (select * from read_parquet('{path}/**/*.parquet')) v{view} "
            f"on s.user_id = v{view}.user_id and s.event_timestamp >= v{view}.at"
        )
        columns += "".join(
            f", case when {is_old} then null else v{view}.v{view}_{n} end as v{view}_{n}" for n in range(WIDTH)
        )
    return f"select s.*{columns} from (select * from read_parquet('{spine}/*.parquet')) s{joins}"


def _by_hand(spark: SparkSession, spine: str, tables: dict[int, str]) -> DataFrame:
    """The best plain Spark that we know: rows and spine in one frame, and the last known row over a window."""
    result = spark.read.format("delta").load(spine)
    for view, path in tables.items():
        names = [f"v{view}_{n}" for n in range(WIDTH)]
        rows = (
            spark.read.format("delta")
            .load(path)
            .select("user_id", F.col("at").alias("_t"), F.lit(0).alias("_side"), F.struct("at", *names).alias("_row"))
        )
        asked = result.withColumns(
            {"_t": F.col("event_timestamp"), "_side": F.lit(1), "_row": F.lit(None).cast(rows.schema["_row"].dataType)}
        )
        both = asked.unionByName(rows, allowMissingColumns=True)
        frame = "partition by user_id order by _t, _side rows between unbounded preceding and current row"
        last = both.withColumn("_found", F.expr(f"last(_row, true) over ({frame})")).where("_side = 1")
        is_old = f"_found.at < event_timestamp - interval {TTL_DAYS * 24} hours" if view == len(tables) - 1 else "false"
        values = {name: F.expr(f"case when {is_old} then null else _found.{name} end") for name in names}
        result = last.withColumns(values).drop("_t", "_side", "_row", "_found")
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spine", type=int, default=200_000)
    parser.add_argument("--rows", type=int, default=1_000_000, help="Of each view.")
    parser.add_argument("--entities", type=int, default=20_000)
    parser.add_argument("--views", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3, help="The lowest of so many; Spark by hand runs once.")
    parser.add_argument("--skewed", action="store_true", help="Nine of ten spine rows are of one key.")
    parser.add_argument("--no-peers", action="store_true", help="Ours alone.")
    arguments = parser.parse_args()
    spark = start_session({}, "local[*]")
    measure(spark, 1_000, 10_000, 100, 2, rounds=1, peers=False)  # warms the session up
    found = measure(
        spark,
        arguments.spine,
        arguments.rows,
        arguments.entities,
        arguments.views,
        rounds=arguments.rounds,
        skewed=arguments.skewed,
        peers=not arguments.no_peers,
    )
    from benchmarks.__main__ import show

    show(f"point-in-time joins: {arguments.spine:,} spine rows, {arguments.views} views of {arguments.rows:,}", found)


if __name__ == "__main__":
    main()
