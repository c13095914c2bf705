"""Builds that are killed at any moment, over the real Online Retail files arriving in batches.

After each kill every table is readable, and what was published before is as it was; the next build ends in what an
undisturbed mart has. The number of kills of the long run and the seed come from the environment (CONTRIBUTING.md).
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from deltalake import DeltaTable
from pyspark.sql import DataFrame, SparkSession

from feature_mart import FeatureStore
from feature_mart.delta.session import engine_session
from feature_mart.testing import FixedClock

HORIZON = "2011-12-10T00:00:00Z"
KILLS = int(os.environ.get("FEATURE_MART_KILLS", "30"))
SEED = int(os.environ.get("FEATURE_MART_KILL_SEED", "1"))
# The tables whose first new file is waited for: the ingest, a view, the record of the run.
PHASES = ("invoice_lines", "invoice_totals", "mart_runs")
FEW_VIEWS = ("invoice_totals",)


def keep_views(mart: Path, views: Sequence[str]) -> Path:
    """Leaves the pipeline with ``views`` alone, so that a build takes seconds."""
    for path in (mart / "pipelines").glob("*.yml"):
        pipeline = yaml.safe_load(path.read_text())
        pipeline["feature_views"] = [view for view in pipeline["feature_views"] if view["name"] in views]
        if pipeline["feature_views"]:
            path.write_text(yaml.safe_dump(pipeline, sort_keys=False))
        else:
            path.unlink()
    for path in (mart / "metadata/feature_views").glob("*.yml"):
        if path.stem not in views:
            path.unlink()
    for unneeded in ("metadata/lineage", "queries", "tests"):
        shutil.rmtree(mart / unneeded, ignore_errors=True)
    (mart / "metadata/feature_services.yml").unlink(missing_ok=True)
    return mart


def table_names(mart: Path) -> list[str]:
    return sorted(log.parent.name for log in (mart / "warehouse").glob("*/_delta_log") if any(log.glob("*.json")))


def digest(mart: Path, name: str, version: int | None = None) -> tuple[int, int]:
    """Rows and an order-independent digest of a table's columns, read without Spark and without the engine."""
    rows = DeltaTable(str(mart / "warehouse" / name), version=version).to_pyarrow_table()
    if "_file" in rows.schema.names:  # a source's table keeps its files' entries beside its rows
        rows = duckdb.arrow(rows).filter("_period <> 'files'").to_arrow_table()
    shown = sorted(column for column in rows.schema.names if not column.startswith("_") and column != "run_id")
    listed = ", ".join(f'"{column}"' for column in shown)
    query = f"select count(*), sum(hash(row({listed}))::hugeint) from rows"
    with duckdb.connect() as connection:
        connection.register("rows", rows)
        ((count, total),) = connection.execute(query).fetchall()
    return count, total or 0


class Mart:
    """A mart whose files arrive in batches, and whose builds are processes of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.arrived = folder / "arrived"
        self.arrived.mkdir()
        # Thousands of tiny queries: compiling each to the last degree costs more than it gains.
        quick = {"spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1", "spark.sql.shuffle.partitions": "2"}
        (folder / "conf/local.yml").write_text(yaml.safe_dump({"spark": {"conf": quick}}))
        pipeline = yaml.safe_load((folder / "pipelines/retail_daily.yml").read_text())
        self.times = {view["name"]: view.get("event_timestamp") for view in pipeline["feature_views"]}
        self.published: dict[str, tuple[int, tuple[int, int]]] = {}

    def arrive(self, files: Sequence[Path]) -> None:
        for file in files:
            shutil.copyfile(file, self.arrived / file.name)

    def start(self) -> subprocess.Popen[str]:
        scratch = self.folder / "scratch"
        scratch.mkdir(exist_ok=True)
        command = [str(Path(sys.executable).parent / "mart"), "build", "retail_daily", "--end", HORIZON]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env={**os.environ, "RETAIL_DATA": str(self.arrived), "SPARK_LOCAL_DIRS": str(scratch)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def build(self, spark: SparkSession) -> None:
        """Builds to the end, in the session that is there."""
        variables = {"RETAIL_DATA": str(self.arrived)}
        store = FeatureStore(self.folder, spark=spark, now=FixedClock(HORIZON), variables=variables)
        store.build("retail_daily", end=HORIZON)

    def files_of(self, name: str) -> set[Path]:
        return set((self.folder / "warehouse" / name).rglob("*.parquet"))

    def kill_build(self, phase: str, delay: float) -> bool:
        """Starts a build and kills its processes ``delay`` seconds after ``phase`` began to write.

        Tells whether it was alive.
        """
        before = self.files_of(phase)
        process = self.start()
        try:
            while process.poll() is None and not self.files_of(phase) - before:
                time.sleep(0.01)
            time.sleep(delay)
            return process.poll() is None
        finally:
            kill_session(process)

    def check(self, spark: SparkSession) -> None:
        """Every table is readable by both readers and as its provenance says; what was published has not changed."""
        for name, (version, content) in self.published.items():
            assert digest(self.folder, name, version) == content, name
        for name in table_names(self.folder):
            path = str(self.folder / "warehouse" / name)
            table = DeltaTable(path)
            frame = spark.read.format("delta").load(path)
            content = digest(self.folder, name)
            assert frame.count() == table.to_pyarrow_table().num_rows, name
            self.check_rows(name, frame, [json.loads(entry["userMetadata"]) for entry in table.history()])
            assert table.version() >= self.published.get(name, (0, content))[0], name
            self.published[name] = (table.version(), content)

    def check_rows(self, name: str, frame: DataFrame, provenances: Sequence[dict[str, Any]]) -> None:
        """Compares the rows of a table with what its commits say, newest first."""
        newest = provenances[0]
        if name == "invoice_lines":  # no file is changed or taken away, so what the commits added is what there is
            assert frame.where("_period <> 'files'").count() == sum(entry["rows"] for entry in provenances), name
        elif name in self.times and newest["intervals"] is None:
            assert frame.count() == newest["rows"], name
        elif name in self.times:
            time = self.times[name]
            spans = [f"({time} >= '{start}' and {time} < '{end}')" for start, end in newest["intervals"]]
            assert frame.where(" or ".join(spans)).count() == newest["rows"], name


def session_members(leader: int) -> list[int]:
    """The living processes of the session that ``leader`` started; ``pyspark.daemon`` has a group of its own in it."""
    listing = subprocess.run(["ps", "-A", "-o", "pid=,stat="], capture_output=True, text=True, check=True).stdout
    members = []
    for pid, state in (line.split() for line in listing.splitlines()):
        try:
            if not state.startswith("Z") and os.getsid(int(pid)) == leader:
                members.append(int(pid))
        except ProcessLookupError:  # it ended since it was listed
            continue
    return members


def kill_session(process: subprocess.Popen[str]) -> None:
    """Kills the command, its Java and Java's Python workers, and waits until all of them are gone."""
    while members := session_members(process.pid):
        for pid in members:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.01)
    process.communicate(timeout=60)


def kill_and_compare(
    mart: Mart, undisturbed: Mart, files: Sequence[Path], phases: Iterator[tuple[str, float]], spark: SparkSession
) -> int:
    """Kills one build per item of ``phases``, each after another batch; returns how many were alive."""
    moments = list(phases)
    killed = 0
    for number, (phase, delay) in enumerate(moments):
        mart.arrive(files[number :: len(moments)])
        killed += mart.kill_build(phase, delay)
        mart.check(spark)
    mart.build(spark)
    mart.check(spark)
    undisturbed.arrive(files)
    undisturbed.build(spark)
    names = [name for name in table_names(undisturbed.folder) if name != "mart_runs"]
    assert [(name, digest(mart.folder, name)) for name in names] == [
        (name, digest(undisturbed.folder, name)) for name in names
    ]
    last_run = json.loads(DeltaTable(str(mart.folder / "warehouse/mart_runs")).history(1)[0]["userMetadata"])
    recorded = {name: entry["version"] for name, entry in last_run["inputs"].items()}
    assert recorded == {name: DeltaTable(str(mart.folder / "warehouse" / name)).version() for name in recorded}
    return killed


def test_a_killed_build_leaves_good_tables_and_the_next_one_ends_the_same(
    started_spark: SparkSession, reference_mart: Callable[[], Path], retail_files: Path
) -> None:
    marts = [Mart(keep_views(reference_mart(), FEW_VIEWS)) for _ in range(2)]
    draws = random.Random(SEED)
    files = draws.sample(sorted(retail_files.glob("*.csv.gz"))[:6], 6)
    moments = iter([(phase, draws.uniform(0, 0.2)) for phase in PHASES])
    killed = kill_and_compare(marts[0], marts[1], files, moments, engine_session(started_spark))
    assert killed == len(PHASES)


@pytest.mark.long
def test_many_kills_at_random_moments(
    started_spark: SparkSession, reference_mart: Callable[[], Path], retail_files: Path
) -> None:
    marts = [Mart(reference_mart()) for _ in range(2)]
    draws = random.Random(SEED)
    files = draws.sample(sorted(retail_files.glob("*.csv.gz")), 305)
    # `mart_runs` is reached by a build that nothing stops before, so it is every third kill at most.
    moments = ((phase, draws.uniform(0, 3)) for phase in islice(cycle(PHASES), KILLS))
    killed = kill_and_compare(marts[0], marts[1], files, moments, engine_session(started_spark))
    print(f"{killed} of {KILLS} builds were alive when they were killed (seed {SEED})")
    assert killed >= KILLS * 2 // 3
