"""The retail pipeline on the real Online Retail files, against the same definitions run by hand.

By hand means: one Spark session with the same settings, the same files read with their schema, each definition's SQL or
function run over all of it, each result written as a Delta table; no ingest, no checks, no provenance, no intervals.
Both sides run in the same JVM, warmed up by one round that does not count, and take turns.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from feature_mart import FeatureStore
from feature_mart.build.run import Range, run_definition
from feature_mart.definitions import Project
from feature_mart.delta.session import engine_session, start_session
from feature_mart.testing import FixedClock

HORIZON = datetime(2011, 12, 12, tzinfo=timezone.utc)
FIRST = datetime(2010, 11, 29, tzinfo=timezone.utc)


def copy_of_mart(root: Path, target: Path) -> Path:
    """The reference mart's definitions in a folder of their own, so that its tables are not touched."""
    for folder in ("conf", "metadata", "features", "pipelines"):
        shutil.copytree(root / folder, target / folder)
    return target


def by_hand(spark: SparkSession, project: Project, files: str, target: Path) -> int:
    """Every view of the pipeline, written as a plain Delta table. Returns how many rows the tables have."""
    source = project.sources["invoice_lines"]
    schema = ", ".join(f"`{name}` {kind}" for name, kind in source.schema.items())
    frames: dict[str, DataFrame] = {"invoice_lines": spark.read.csv(files, schema=schema, header=True)}
    rows = 0
    for view in project.views.values():
        if view.pipeline != "retail_daily":
            continue
        start = FIRST if view.materialize.mode == "interval" else None
        inputs = {name: frames[name] for name in view.inputs}
        path = str(target / view.name)
        run_definition(spark, view, inputs, Range(start, HORIZON)).write.format("delta").save(path)
        frames[view.name] = spark.read.format("delta").load(path)
        rows += frames[view.name].count()
    return rows


def timed(call: Callable[[], Any]) -> float:
    """Seconds that ``call`` takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def one_round(root: Path, retail: Path, spark: SparkSession, folder: Path) -> dict[str, float]:
    """Seconds by hand, of a first build, and of a second one with nothing new; all tables are new."""
    mart = copy_of_mart(root, folder / "mart")
    store = FeatureStore(mart, spark=spark, now=FixedClock(HORIZON), variables={"RETAIL_DATA": str(retail)})
    own = engine_session(spark)
    return {
        "by_hand": timed(lambda: by_hand(own, store.project, str(retail / "*.csv.gz"), folder / "hand")),
        "mart_build": timed(lambda: store.build("retail_daily")),
        "mart_build_again": timed(lambda: store.build("retail_daily")),
    }


def measure(root: Path, retail: Path, rounds: int = 2) -> dict[str, Any]:
    """Seconds of each round, and the ratios of their medians."""
    spark = start_session({}, "local[*]")
    results: dict[str, list[float]] = {"by_hand": [], "mart_build": [], "mart_build_again": []}
    for number in range(rounds + 1):
        with tempfile.TemporaryDirectory() as folder:
            found = one_round(root, retail, spark, Path(folder))
        for name, seconds in found.items() if number > 0 else ():
            results[name].append(seconds)
    medians = {name: sorted(values)[len(values) // 2] for name, values in results.items()}
    return {
        "seconds": results,
        "mart_build / by_hand": medians["mart_build"] / medians["by_hand"],
        "mart_build_again / mart_build": medians["mart_build_again"] / medians["mart_build"],
    }
