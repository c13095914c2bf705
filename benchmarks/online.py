"""Syncs and lookups beside redis-py by hand, on the same server in one run.

    python -m benchmarks.online --entities 200000 --views 5

Views of seven doubles, two integers and a short text. By hand: rows packed by `struct`, one hash for each entity, sent
in pipelines of 1,000 from one process, read with HMGET. In the end what is online is proven value by value.
"""

from __future__ import annotations

import argparse
import json
import random
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import redis
from pyspark.sql import DataFrame, SparkSession

from benchmarks.plain_mart import plain_mart
from benchmarks.retail_pipeline import timed
from feature_mart import FeatureStore
from feature_mart.delta.session import start_session
from feature_mart.online.embedded import EmbeddedServer
from feature_mart.testing import FixedClock, write_files

NOW = datetime(2025, 6, 1, tzinfo=timezone.utc)
FIRST = int(datetime(2025, 1, 1, tzinfo=timezone.utc).timestamp()) * 1_000_000
DAY = 86_400_000_000
DOUBLES, INTEGERS = 7, 2
BORDER_DAY = 3  # see benchmarks.online_reader
LOOKUPS = {1: 3000, 10: 2000, 100: 600}
BY_HAND = struct.Struct(f"<q{DOUBLES}d{INTEGERS}q")
RULES = "online: true, materialize: {mode: interval, every: 1d}"


def mart_files(views: int) -> dict[str, str]:
    """A mart of some views, each the rows of a table as they are."""
    return plain_mart("bench", views, lambda _: RULES)


def rows(spark: SparkSession, view: int, entities: int, day: int, step: int = 1) -> DataFrame:
    """A row for each entity, or for each ``step``-th, at some moment of a day."""
    seed = 10 * (view + 1)
    return spark.range(0, entities, step, numPartitions=4).selectExpr(
        "id as user_id",
        f"timestamp_micros({FIRST + day * DAY}L + pmod(xxhash64(id, {seed}), {DAY}L)) as at",
        *(f"pmod(xxhash64(id, {seed}, {n}, {day}), 1000000) / 64D as v{view}_{n}" for n in range(DOUBLES)),
        *(f"pmod(xxhash64(id, {seed}, {n}, {day}), 1000) as i{view}_{n}" for n in range(INTEGERS)),
        f"concat('c', pmod(xxhash64(id, {seed}), 50)) as s{view}",
    )


def measure(spark: SparkSession, entities: int, views: int) -> dict[str, Any]:
    """Seconds, rows a second, bytes and milliseconds; ratios of ours to those by hand."""
    with tempfile.TemporaryDirectory() as folder:
        _warm(spark, Path(folder) / "warm")
        root = Path(folder) / "mart"
        write_files(root, mart_files(views))
        for view in range(views):
            rows(spark, view, entities, 0).write.format("delta").save(str(root / f"rows_{view}"))
        store = FeatureStore(root, spark=spark, now=FixedClock(NOW))
        server = EmbeddedServer(root, "local")
        try:
            store.build()
            server.start()
            client = redis.Redis(unix_socket_path=str(server.socket))
            empty = client.info("memory")["used_memory"]
            full = timed(store.sync)
            found: dict[str, Any] = {"full push, seconds": full, "rows a second": round(views * entities / full)}
            found["bytes an entity"] = round((client.info("memory")["used_memory"] - empty) / entities)
            hand = _pushed_by_hand(spark, client, root, views)
            found |= {"by hand, rows a second": round(views * entities / hand), "by hand / ours": round(hand / full, 2)}
            found |= _changed(spark, store, root, entities, views, full)
            found |= _lookups(store, client, entities, views)
            found |= _while_syncing(spark, store, root, entities, views)
            found["proven"] = all(store.verify_online(f"view_{view}").is_equal for view in range(views))
            client.close()
        finally:
            store.stop_online()
        return found


def _warm(spark: SparkSession, root: Path) -> None:
    """Python's workers have started and Spark's plans are compiled before anything is counted."""
    write_files(root, mart_files(2))
    for view in range(2):
        rows(spark, view, 1000, 0).write.format("delta").save(str(root / f"rows_{view}"))
    store = FeatureStore(root, spark=spark, now=FixedClock(NOW))
    store.build()
    store.sync()
    store.stop_online()


def _pushed_by_hand(spark: SparkSession, client: redis.Redis, root: Path, views: int) -> float:
    """Rows from the view's tables to packed values in hashes, batch by batch."""
    started = time.perf_counter()
    for view in range(views):
        frame = spark.read.format("delta").load(str(root / "warehouse" / f"view_{view}"))
        columns = [f"v{view}_{n}" for n in range(DOUBLES)] + [f"i{view}_{n}" for n in range(INTEGERS)]
        table = frame.select("user_id", "at", *columns, f"s{view}").toArrow()
        for batch in table.to_batches(max_chunksize=1000):
            pipe = client.pipeline(transaction=False)
            for row in batch.to_pylist():
                micros = int(row["at"].timestamp() * 1e6)
                packed = BY_HAND.pack(micros, *(row[name] for name in columns)) + row[f"s{view}"].encode()
                pipe.hset(f"hand:user:{row['user_id']}", str(view), packed)
            pipe.execute()
    return time.perf_counter() - started


def _changed(
    spark: SparkSession, store: FeatureStore, root: Path, entities: int, views: int, full: float
) -> dict[str, Any]:
    for view in range(views):
        changed = rows(spark, view, entities, 1, step=100)
        changed.write.format("delta").mode("append").save(str(root / f"rows_{view}"))
    store.build()
    seconds = timed(store.sync)
    return {"1% changed, seconds": seconds, "of a full push, %": round(100 * seconds / full, 1)}


def _lookups(store: FeatureStore, client: redis.Redis, entities: int, views: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for count, rounds in LOOKUPS.items():
        ours = _times(lambda asked: store.get_online_features(_names(views), asked).to_dict(), count, rounds, entities)
        hand = _times(lambda asked: _by_hand(client, asked, views), count, rounds, entities)
        found[f"lookup of {count}, p50 and p99 ms"] = f"{ours[0]:.3f} {ours[1]:.3f}"
        found[f"lookup of {count} by hand"] = f"{hand[0]:.3f} {hand[1]:.3f}; ours / by hand {ours[0] / hand[0]:.2f}"
    return found


def _names(views: int) -> list[str]:
    return [f"view_{view}" for view in range(views)]


def _by_hand(client: redis.Redis, asked: Sequence[dict[str, int]], views: int) -> dict[str, list[Any]]:
    """Values without statuses, ttl, defaults or a check that they are of one version."""
    pipe = client.pipeline(transaction=False)
    fields = [str(view) for view in range(views)]
    for row in asked:
        pipe.hmget(f"hand:user:{row['user_id']}", fields)
    names = [
        [f"v{view}_{n}" for n in range(DOUBLES)] + [f"i{view}_{n}" for n in range(INTEGERS)] for view in range(views)
    ]
    found: dict[str, list[Any]] = {name: [] for of_view in names for name in of_view}
    found |= {f"s{view}": [] for view in range(views)}
    for cells in pipe.execute():
        for view, cell in enumerate(cells):
            for name, value in zip(names[view], BY_HAND.unpack_from(cell)[1:], strict=True):
                found[name].append(value)
            found[f"s{view}"].append(cell[BY_HAND.size :].decode())
    return found


def _times(
    look_up: Callable[[Sequence[dict[str, int]]], object], count: int, rounds: int, entities: int
) -> tuple[float, float]:
    """Milliseconds of the median and of the slowest hundredth."""
    draws = random.Random(count)
    taken = []
    for _ in range(rounds):
        asked = [{"user_id": draws.randrange(entities)} for _ in range(count)]
        started = time.perf_counter()
        look_up(asked)
        taken.append(1000 * (time.perf_counter() - started))
    taken.sort()
    return taken[len(taken) // 2], taken[len(taken) * 99 // 100]


def _while_syncing(spark: SparkSession, store: FeatureStore, root: Path, entities: int, views: int) -> dict[str, Any]:
    """Lookups by another process while everything is pushed anew, with other values, and before that."""
    for view in range(views):
        changed = rows(spark, view, entities, BORDER_DAY)
        changed.write.format("delta").mode("append").save(str(root / f"rows_{view}"))
    store.build()
    quiet = _read_during(lambda: time.sleep(5), root, views, entities)
    then = _read_during(lambda: store.sync(full=True), root, views, entities)
    return {
        "lookups of 10 while all is pushed": then["requests"],
        "errors, mixed versions": f"{then['errors'] + quiet['errors']}, {then['mixed'] + quiet['mixed']}",
        "p99 ms, quiet and then": f"{quiet['p99']:.3f} {then['p99']:.3f}; ratio {then['p99'] / quiet['p99']:.2f}",
        "p50 ms, quiet and then": f"{quiet['p50']:.3f} {then['p50']:.3f}",
    }


def _read_during(work: Callable[[], object], root: Path, views: int, entities: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.online_reader", str(root), str(views), str(entities)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        time.sleep(2)  # it has connected
        work()
        said, _ = reader.communicate("\n")
    found: dict[str, Any] = json.loads(said)
    return found


def main() -> None:
    """Measures, and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entities", type=int, default=200_000)
    parser.add_argument("--views", type=int, default=5)
    asked = parser.parse_args()
    spark = start_session({}, master="local[*]", app_name="feature-mart-benchmarks")
    try:
        for name, value in measure(spark, asked.entities, asked.views).items():
            print(f"{name:40} {value}", flush=True)
    finally:
        spark.stop()


if __name__ == "__main__":
    main()
