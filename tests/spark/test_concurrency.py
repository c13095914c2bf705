"""Builds that meet: one wins, nothing is lost or doubled, and an older result replaces no newer one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from pyspark.sql import SparkSession

from feature_mart import ConcurrentBuild, FeatureStore
from feature_mart.delta.address import TableAddress
from feature_mart.delta.session import engine_session
from feature_mart.delta.tables import Table
from feature_mart.delta.writes import EVERYTHING, NOTHING, Expected, Replaces, commit, expected_state, table_properties
from feature_mart.records import Provenance, Run
from feature_mart.runner.workspace import Event
from feature_mart.testing import FixedClock, write_files, write_tiny_mart

NOON = "2011-01-03T12:00:00Z"
HEADER = "customer_id,order_no,ordered_at,amount\n"
FIRST = [(1, "a", 5.0), (1, "c", 2.5), (2, "b", 7.5)]
CORRECTED = {"data/orders/2011-01-02.csv": HEADER + "1,c,2011-01-02 09:30:00,99.0\n"}


def provenance(run_id: str) -> Provenance:
    moment = datetime(2011, 1, 1, tzinfo=timezone.utc)
    run = Run(run_id, "tiny", moment, moment, None, None, "test")
    return Provenance(run, None, "t", None, None, {}, 1, {})


def write_value(table: Table, value: int, expected: Expected, replaces: Replaces, run_id: str = "r") -> int:
    frame = table.session().sql(f"select {value} as value, 'p' as _period")
    return commit(
        frame,
        table,
        provenance=provenance(run_id),
        expected=expected,
        partition_by=("_period",),
        properties=table_properties(["value"]),
        replaces=replaces,
    ).version


def values(table: Table) -> list[int]:
    return sorted(row["value"] for row in table.read().collect())


@pytest.mark.parametrize("replaces", [NOTHING, EVERYTHING, Replaces.where("value > 0")], ids=lambda r: r.rows)
def test_a_commit_that_was_planned_on_an_older_state_writes_nothing(
    spark: SparkSession, tmp_path: Path, replaces: Replaces
) -> None:
    table = Table(TableAddress("t", uri=str(tmp_path / "t")), lambda: spark)
    write_value(table, 1, Expected(0), NOTHING)
    stale = expected_state(table)
    write_value(table, 2, stale, replaces, "the-winner")
    left = values(table)
    with pytest.raises(ConcurrentBuild, match=r"another build \(run the-winner\) committed while this one ran"):
        write_value(table, 3, stale, replaces)
    with pytest.raises(ConcurrentBuild):
        write_value(table, 4, Expected(0), EVERYTHING)
    assert values(table) == left
    assert len(table.history()) == 2
    assert write_value(table, 5, expected_state(table), replaces) == 2


@pytest.mark.parametrize("exists", [False, True], ids=["a new table", "a table"])
def test_of_writers_at_the_same_moment_one_commits(spark: SparkSession, tmp_path: Path, exists: bool) -> None:
    tables = [Table(TableAddress("t", uri=str(tmp_path / "t")), partial(engine_session, spark)) for _ in range(3)]
    if exists:
        write_value(tables[0], 0, Expected(0), NOTHING)
    expected, barrier = expected_state(tables[0]), Barrier(len(tables))

    def write(number: int) -> int | None:
        barrier.wait(timeout=60)
        try:
            return write_value(tables[number], number + 1, expected, EVERYTHING)
        except ConcurrentBuild:
            return None

    with ThreadPoolExecutor(len(tables)) as pool:
        results = list(pool.map(write, range(len(tables))))
    (winner,) = [number for number, version in enumerate(results) if version is not None]
    assert values(tables[0]) == [winner + 1]
    assert len(tables[0].history()) == 1 + exists


# whole builds


OPEN = Callable[..., FeatureStore]


def rows(store: FeatureStore, name: str = "customer_orders") -> list[tuple[Any, ...]]:
    return sorted(tuple(row) for row in store.table(name).select("customer_id", "order_no", "amount").collect())


@pytest.fixture
def tiny(spark: SparkSession, tmp_path: Path) -> OPEN:
    """Opens the tiny mart. ``meanwhile`` is done once, when the first event of ``at`` comes."""
    write_tiny_mart(tmp_path, checks=[{"sql": "amount < 50", "severity": "quarantine"}])

    def open_store(
        meanwhile: Callable[[], object] | None = None, at: tuple[str, str] = ("started", "customer_orders")
    ) -> FeatureStore:
        waiting = [] if meanwhile is None else [meanwhile]

        def on_event(event: Event) -> None:
            if (event.kind, event.subject) == at and waiting:
                waiting.pop()()

        return FeatureStore(tmp_path, spark=engine_session(spark), now=FixedClock(NOON), on_event=on_event)

    return open_store


@pytest.mark.parametrize("subject", ["orders", "customer_orders"])
def test_a_build_that_another_overtakes_takes_what_it_left(tiny: OPEN, subject: str) -> None:
    other = tiny()
    store = tiny(other.build, at=("started", subject))
    store.build()
    assert rows(store) == FIRST
    assert [len(store.history(name)) for name in ("orders", "customer_orders")] == [1, 1]
    assert not tiny().build().committed


def test_an_older_result_replaces_no_newer_one(tiny: OPEN, tmp_path: Path) -> None:
    # The first build has read the files and computes; then a file is corrected, and another build reads and publishes.
    write_files(tmp_path, CORRECTED)

    def correct_and_build() -> None:
        write_files(tmp_path, {"data/orders/2011-01-02.csv": HEADER + "1,c,2011-01-02 09:30:00,3.5\n"})
        tiny().build()

    store = tiny(correct_and_build)
    store.build()
    assert rows(store) == [(1, "a", 5.0), (1, "c", 3.5), (2, "b", 7.5)]
    assert store.history("customer_orders")[0]["inputs"]["orders"]["version"] == 1
    assert not tiny().build().committed
    # What the overtaken build set aside of the older rows is not left behind.
    if (tmp_path / "warehouse/customer_orders__quarantine").exists():
        assert store.query("select * from customer_orders__quarantine").collect() == []


def test_a_run_that_pinned_older_inputs_and_comes_later_leaves_the_newer_result(tiny: OPEN, tmp_path: Path) -> None:
    from feature_mart.plan.steps import Request
    from feature_mart.runner.build import _build_one
    from feature_mart.runner.ingest import pin

    tiny().build()
    late = tiny()
    workspace = late._workspace
    view, source = late.project.views["customer_orders"], late.project.sources["orders"]
    pinned = {"orders": pin(workspace, source)}
    write_files(tmp_path, {"data/orders/2011-01-02.csv": HEADER + "1,c,2011-01-02 09:30:00,3.5\n"})
    tiny().build()
    result = _build_one(workspace, view, pinned, workspace.new_run(None), Request())
    assert not result.committed
    assert result.reason == "a newer build has published this view already"
    assert rows(late) == [(1, "a", 5.0), (1, "c", 3.5), (2, "b", 7.5)]


BUILD = """
import sys
from feature_mart import FeatureStore, MartError
from feature_mart.testing import FixedClock
store = FeatureStore(sys.argv[1], now=FixedClock("2011-01-03T12:00:00Z"))
store._workspace.session()
print("ready", flush=True)
sys.stdin.readline()
try:
    print("committed" if store.build(*sys.argv[2:]).committed else "nothing to do", flush=True)
except MartError as error:
    print(type(error).__name__, error, flush=True)
"""


def build_at_once(folder: Path, pipelines: Sequence[str]) -> list[str]:
    """One process for each of ``pipelines``, let go at the same moment; what each said."""
    environment = {**os.environ, "SPARK_LOCAL_DIRS": str(folder / "spark")}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", BUILD, str(folder), pipeline],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for pipeline in pipelines
    ]
    try:
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        return [process.communicate(timeout=300)[0] for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()


def test_two_processes_may_build_at_once(tiny: OPEN, tmp_path: Path) -> None:
    said = build_at_once(tmp_path, ["daily", "daily"])
    assert set(said) <= {"committed\n", "nothing to do\n"}
    assert "committed\n" in said
    store = tiny()
    assert rows(store) == FIRST
    assert [len(store.history(name)) for name in ("orders", "customer_orders")] == [1, 1]
    assert not store.build().committed


WEEKLY = """
    pipeline: weekly
    description: The same orders, for another team.
    owner: growth@example.com
    schedule: "0 3 * * 1"
    feature_views:
      - name: weekly_orders
        definition: features/orders.sql
        entities: [customer]
        event_timestamp: ordered_at
        materialize: {mode: interval, every: 1d}
    """


@pytest.mark.long
def test_four_processes_may_build_two_pipelines_at_once(tiny: OPEN, tmp_path: Path) -> None:
    described = (tmp_path / "metadata/feature_views/customer_orders.yml").read_text()
    weekly = described.replace("feature_view: customer_orders", "feature_view: weekly_orders")
    write_files(tmp_path, {"pipelines/weekly.yml": WEEKLY, "metadata/feature_views/weekly_orders.yml": weekly})
    first = build_at_once(tmp_path, ["daily", "weekly", "daily", "weekly"])
    write_files(tmp_path, CORRECTED)
    second = build_at_once(tmp_path, ["daily", "weekly", "daily", "weekly"])
    assert set(first + second) <= {"committed\n", "nothing to do\n"}
    store = tiny()
    # The correction is set aside from the daily view, whose check refuses it, and is in the other one.
    assert rows(store) == [(1, "a", 5.0), (2, "b", 7.5)]
    assert rows(store, "weekly_orders") == [(1, "a", 5.0), (1, "c", 99.0), (2, "b", 7.5)]
    names = ("orders", "customer_orders", "weekly_orders")
    assert [len(store.history(name)) for name in names] == [2, 2, 2]
    assert not store.build().committed
