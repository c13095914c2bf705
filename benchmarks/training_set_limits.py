"""How the cost of a training set grows: with views, with features, with one key's share, with rows; and its memory.

    python -m benchmarks.training_set_limits --spine 1000000 --rows 5000000 --entities 100000

Sets are saved as Delta tables with digest and statistics. Seconds are the lowest of a few rounds, in which what is
compared takes turns. Memory is what the system counts for the JVM and for the largest of Spark's Python workers, at
its peak.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from benchmarks.training_sets import NOW, feature_rows, lowest, mart_files, spine_rows
from feature_mart import FeatureStore
from feature_mart.delta.session import start_session
from feature_mart.testing import FixedClock, write_files

WIDE_FEATURES, WIDE_ROWS, WIDE_SPINE = 1_000, 100_000, 20_000
_EVERY = 0.05  # seconds between two looks at memory


@contextmanager
def mart(spark: SparkSession, rows: list[DataFrame], spines: Mapping[str, DataFrame]) -> Iterator[FeatureStore]:
    """A mart whose views are built from some rows, with spines as Delta tables in its folder."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_files(root, mart_files(len(rows)))
        for view, frame in enumerate(rows):
            frame.write.format("delta").save(str(root / f"rows_{view}"))
        for name, frame in spines.items():
            frame.write.format("delta").save(str(root / name))
        store = FeatureStore(root, spark=spark, now=FixedClock(NOW))
        store.build()
        yield store


def saved(store: FeatureStore, spine: str, views: int, name: str) -> None:
    """What is measured: a training set of the first views, made and kept."""
    store.get_historical_features(spine, [f"view_{view}" for view in range(views)]).save(name)


def views_and_skew(spark: SparkSession, spine: int, rows: int, entities: int, rounds: int) -> dict[str, Any]:
    """Three views and four; one key with half and with nine tenths of the spine's rows."""
    frames = [feature_rows(spark, view, rows, entities) for view in range(4)]
    spines = {f"spine_{tenths}": spine_rows(spark, spine, entities, skewed_tenths=tenths) for tenths in (0, 5, 9)}
    with mart(spark, frames, spines) as store:
        found = lowest(
            rounds,
            {
                "three views": partial(saved, store, "spine_0", 3),
                "four views": partial(saved, store, "spine_0", 4),
                "three views, half of the rows of one key": partial(saved, store, "spine_5", 3),
                "three views, nine tenths of one key": partial(saved, store, "spine_9", 3),
            },
        )
    three, four, half, most = found.values()
    return found | {
        "fourth view / mean of the first three": (four - three) / (three / 3),
        "half of one key / uniform": half / three,
        "nine tenths of one key / uniform": most / three,
    }


def growth(spark: SparkSession, spine: int, rows: int, entities: int, rounds: int) -> dict[str, Any]:
    """A quarter, half and all of the rows, spine and views alike, and the memory that each takes at its peak."""
    found: dict[str, Any] = {}
    for part in (4, 2, 1):
        frames = [feature_rows(spark, view, rows // part, entities // part) for view in range(3)]
        asked = {"spine": spine_rows(spark, spine // part, entities // part)}
        with mart(spark, frames, asked) as store, peak() as memory:
            seconds = lowest(rounds, {"": partial(saved, store, "spine", 3)})
        found[f"{4 // part}x, seconds"] = seconds[""]
        found |= {f"{4 // part}x, MB of {what}": size / 1e6 for what, size in memory.items()}
    found["2x / 1x"] = found["2x, seconds"] / found["1x, seconds"]
    found["4x / 2x"] = found["4x, seconds"] / found["2x, seconds"]
    return found


def wide(spark: SparkSession, rounds: int) -> dict[str, Any]:
    """A view of a thousand features."""
    rows = feature_rows(spark, 0, WIDE_ROWS, WIDE_SPINE, width=WIDE_FEATURES)
    with mart(spark, [rows], {"spine": spine_rows(spark, WIDE_SPINE, WIDE_SPINE)}) as store:

        def as_pandas(_: str) -> object:
            return store.get_historical_features("spine", "view_0").to_df()

        return lowest(rounds, {"saved": partial(saved, store, "spine", 1), "as a pandas frame": as_pandas})


@contextmanager
def peak() -> Iterator[dict[str, int]]:
    """Bytes of the JVM and of the largest Python worker, at their greatest while the block runs."""
    found = {"the JVM": 0, "a Python worker": 0}
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_EVERY):
            for command, size in _below(os.getpid()):
                what = "the JVM" if command == "java" else "a Python worker"
                found[what] = max(found[what], size)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield found
    finally:
        over.set()
        watcher.join()


def _below(process: int) -> list[tuple[str, int]]:
    """Command and resident bytes of all processes that one has started, and of those that these have."""
    found: list[tuple[str, int]] = []
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            children = [int(word) for word in task.read_text().split()]
        except OSError:
            continue  # it has ended since
        for child in children:
            try:
                command = Path(f"/proc/{child}/comm").read_text().strip()
                pages = int(Path(f"/proc/{child}/statm").read_text().split()[1])
            except OSError:
                continue
            found += [(command, pages * os.sysconf("SC_PAGE_SIZE")), *_below(child)]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spine", type=int, default=200_000)
    parser.add_argument("--rows", type=int, default=1_000_000, help="Of each view.")
    parser.add_argument("--entities", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["growth", "wide", "views"], help="One of the measurements.")
    parser.add_argument("--heap", default="2g", help="The JVM's heap. Spark's own writing of 1,000 columns needs more.")
    arguments = parser.parse_args()
    from benchmarks.__main__ import show

    spark = start_session({"spark.driver.memory": arguments.heap}, "local[*]")
    size = (arguments.spine, arguments.rows, arguments.entities, arguments.rounds)
    measured: dict[str, Callable[[], dict[str, Any]]] = {
        "growth": partial(growth, spark, *size),
        "views": partial(views_and_skew, spark, *size),
        "wide": partial(wide, spark, arguments.rounds),
    }
    for name, measure in measured.items():
        if arguments.only in (None, name):
            show(
                f"{name}: {arguments.spine:,} spine rows, views of {arguments.rows:,}, a heap of {arguments.heap}",
                measure(),
            )


if __name__ == "__main__":
    main()
