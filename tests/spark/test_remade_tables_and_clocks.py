"""Tables that are made again under their names, builds that stop between chunks, clocks that go backwards."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from feature_mart import CheckFailed, FeatureStore
from feature_mart.runner.workspace import Event
from feature_mart.testing import FixedClock, tiny_pipeline, write_files, write_tiny_mart

OPEN = Callable[..., FeatureStore]
DAY = timedelta(days=1)
NOW = "2011-01-05T12:00:00Z"
ONE = ["customer_orders"]
HEADER = "customer_id,order_no,ordered_at,amount\n"
CUSTOMER_DAYS = {
    "name": "customer_days",
    "definition": "features/days.sql",
    "entities": ["customer"],
    "event_timestamp": "day",
}
DAYS = {
    "features/days.sql": """
        select customer_id, date_trunc('DAY', ordered_at) as day, sum(cast(amount as decimal(20, 2))) as spent
        from customer_orders group by customer_id, date_trunc('DAY', ordered_at)
        """,
    "metadata/feature_views/customer_days.yml": """
        feature_view: customer_days
        description: Days on which a customer ordered.
        owner: days@example.com
        features: {spent: {description: What was spent.}}
        """,
    "pipelines/daily.yml": tiny_pipeline(CUSTOMER_DAYS),
}
IN_PLACE = {
    "metadata/sources.yml": """
        sources:
          orders:
            description: One order.
            owner: sales@example.com
            format: delta
            path: data/orders_table
            schema: {customer_id: bigint, order_no: string, ordered_at: timestamp, amount: double}
            event_timestamp: ordered_at
        """,
}
ORDERS = [
    (1, "a", "2011-01-01 10:00:00", 5.0),
    (2, "b", "2011-01-02 11:00:00", 7.5),
    (1, "c", "2011-01-03 09:30:00", 2.5),
]
OTHERS = [
    (1, "A", "2011-01-01 10:00:00", 1.0),
    (3, "B", "2011-01-02 11:00:00", 2.0),
    (1, "C", "2011-01-03 09:30:00", 3.0),
]


@pytest.fixture
def opened(spark: SparkSession, tmp_path: Path) -> OPEN:
    """Opens a mart of an interval view and a view that is built whole on it, at a moment, with files laid over."""

    def open_store(
        changes: dict[str, str] | None = None, now: str = NOW, on_event: Callable[[Event], None] = lambda event: None
    ) -> FeatureStore:
        if (tmp_path / "conf").exists():
            write_files(tmp_path, changes or {})
        else:
            write_tiny_mart(tmp_path, {**DAYS, **(changes or {})})
        return FeatureStore(tmp_path, spark=spark, now=FixedClock(now), on_event=on_event)

    return open_store


def write_orders(store: FeatureStore, spark: SparkSession, rows: list[tuple[Any, ...]]) -> None:
    """Adds rows to the table that is read in place, which is made where there is none."""
    frame = spark.createDataFrame(rows, "customer_id bigint, order_no string, ordered_at string, amount double")
    typed = frame.withColumn("ordered_at", frame.ordered_at.cast("timestamp")).coalesce(1)
    typed.write.format("delta").mode("append").save(str(Path(store.project.root) / "data/orders_table"))


def make_orders(store: FeatureStore, spark: SparkSession, rows: list[tuple[Any, ...]]) -> None:
    """Makes the table that is read in place anew, at its version 0."""
    shutil.rmtree(Path(store.project.root) / "data/orders_table", ignore_errors=True)
    write_orders(store, spark, rows)


def orders(store: FeatureStore) -> list[str]:
    return sorted(row["order_no"] for row in store.table("customer_orders").collect())


def spent(store: FeatureStore) -> float:
    return float(sum(row["spent"] for row in store.table("customer_days").collect()))


def reasons(store: FeatureStore, *select: str) -> dict[str, str]:
    return {entry.view: entry.reason for entry in store.build(select=select).views}


class StopAfterFirstChunk(Exception):
    """Raised between two chunks, in place of a kill."""


def stop_after_first_chunk(event: Event) -> None:
    if event.kind == "progress":
        raise StopAfterFirstChunk(event.text)


def test_a_source_that_is_made_again_at_the_same_version_is_noticed(opened: OPEN, spark: SparkSession) -> None:
    store = opened(IN_PLACE)
    make_orders(store, spark, ORDERS)
    store.build()
    assert (orders(store), spent(store)) == (["a", "b", "c"], 15.0)

    make_orders(store, spark, OTHERS)
    assert reasons(store) == {
        "customer_orders": "inputs changed: orders is another table of that name, at v0",
        "customer_days": "inputs changed: customer_orders v0 → v1",
    }
    assert (orders(store), spent(store)) == (["A", "B", "C"], 6.0)
    assert not store.build().committed


def test_what_a_stopped_build_left_of_a_remade_source_is_built_by_the_next_one(
    opened: OPEN, spark: SparkSession
) -> None:
    store = opened(IN_PLACE)
    make_orders(store, spark, ORDERS)
    store.build()
    make_orders(store, spark, OTHERS)
    with pytest.raises(StopAfterFirstChunk):
        opened(on_event=stop_after_first_chunk).build(chunk=DAY)
    assert orders(store) == ["A", "b", "c"]
    store.build()
    assert store.history("customer_orders")[0]["intervals"] == [["2011-01-02T00:00:00Z", "2011-01-05T00:00:00Z"]]
    assert (orders(store), spent(store)) == (["A", "B", "C"], 6.0)


def test_what_a_backfill_leaves_of_changed_inputs_is_built_by_the_next_build(opened: OPEN, spark: SparkSession) -> None:
    store = opened(IN_PLACE)
    make_orders(store, spark, ORDERS)
    store.build(select=ONE)
    make_orders(store, spark, OTHERS)
    store.build(start="2011-01-02", end="2011-01-03", select=ONE)
    assert orders(store) == ["B", "a", "c"]
    assert reasons(store, *ONE)["customer_orders"] == "an earlier build left ranges that were to be built again"
    assert orders(store) == ["A", "B", "C"]

    # A full refresh of a range follows the change feed for what is outside it.
    late = [(9, "early", "2011-01-01 00:00:00", 1.0)]
    write_orders(store, spark, late)
    store.build(start="2011-01-03", full_refresh=True, select=ONE)
    assert orders(store) == ["A", "B", "C"]
    store.build(select=ONE)
    assert orders(store) == ["A", "B", "C", "early"]


def test_the_marts_own_tables_may_be_dropped(opened: OPEN) -> None:
    store = opened()
    store.build()
    before = orders(store), spent(store)
    expected = {
        "orders": ("inputs changed: orders is another table of that name, at v0", "customer_orders v0 → v1"),
        "customer_orders": ("new", "customer_orders is another table of that name, at v0"),
        "customer_days": ("up to date", "new"),
    }
    for name, (first, second) in expected.items():
        shutil.rmtree(Path(store.project.root) / "warehouse" / name)
        said = reasons(store)
        assert said["customer_orders"] == first
        assert said["customer_days"].removeprefix("inputs changed: ") == second
        assert (orders(store), spent(store)) == before
        assert not store.build().committed


def test_a_backfill_that_stopped_goes_on_after_its_last_chunk(opened: OPEN) -> None:
    asked: dict[str, Any] = {"start": "2011-01-01", "end": "2011-01-04", "chunk": DAY, "select": ["customer_orders"]}
    with pytest.raises(StopAfterFirstChunk):
        opened(on_event=stop_after_first_chunk).build(**asked)
    store = opened()
    store.build(**asked)
    built = [entry["intervals"] for entry in reversed(store.history("customer_orders"))]
    days = [f"2011-01-0{number}T00:00:00Z" for number in range(1, 5)]
    assert built == [[[start, end]] for start, end in pairwise(days)]
    assert orders(store) == ["a", "b", "c"]
    assert not store.build(**asked).committed


def test_chunks_that_are_computed_side_by_side_are_published_in_order(opened: OPEN) -> None:
    late = {"data/orders/late.csv": HEADER + "".join(f"3,n{n},2011-01-04 0{n}:00:00,1.0\n" for n in range(5))}
    told: list[Event] = []
    store = opened(late, on_event=told.append)
    asked: dict[str, Any] = {"chunk": DAY, "parallel": 2, "select": ["customer_orders"]}
    store.build(**asked)
    days = [f"2011-01-0{number}T00:00:00Z" for number in range(1, 6)]
    assert [entry["intervals"] for entry in reversed(store.history("customer_orders"))] == [
        [[start, end]] for start, end in pairwise(days)
    ]
    assert [event.number for event in told if event.kind == "progress"] == [1, 2, 3, 4]
    assert orders(store) == ["a", "b", "c", *(f"n{n}" for n in range(5))]
    assert not store.build(**asked).committed


def test_a_chunk_that_fails_leaves_those_before_it_and_says_so(opened: OPEN, spark: SparkSession) -> None:
    checked = tiny_pipeline(CUSTOMER_DAYS, checks=[{"sql": "amount < 5 or order_no = 'a'"}])
    wrong = HEADER + "3,w,2011-01-03 10:00:00,9.0\n"
    last = HEADER + "3,z,2011-01-04 10:00:00,1.0\n"
    mended = {"data/orders/2011-01-01.csv": HEADER + "1,a,2011-01-01 10:00:00,5.0\n"}
    store = opened({"pipelines/daily.yml": checked, "data/orders/w.csv": wrong, "data/orders/z.csv": last, **mended})
    asked: dict[str, Any] = {"chunk": DAY, "parallel": 3, "select": ["customer_orders"]}
    with pytest.raises(CheckFailed) as caught:
        store.build(**asked)
    assert (
        "Published before this: customer_orders, chunks 1 to 2 of 4.\nMend the cause and run the same command"
        in str(caught.value)
    )
    assert orders(store) == ["a", "c"]
    assert spark._jsparkSession.sharedState().cacheManager().isEmpty()

    store = opened({"data/orders/w.csv": wrong.replace("9.0", "4.0")})
    store.build(**asked)
    assert orders(store) == ["a", "c", "w", "z"]


def test_a_clock_that_goes_back_loses_no_row_and_is_remarked_on(opened: OPEN) -> None:
    store = opened({"data/orders/2011-01-04.csv": HEADER + "4,d,2011-01-04 10:00:00,4.0\n"})
    store.build()
    everything = orders(store), spent(store)

    told: list[Event] = []
    early = opened(now="2011-01-02T12:00:00Z", on_event=told.append)
    assert not early.build().committed
    remarks = {event.subject: event.text for event in told if event.kind == "remark"}
    assert sorted(remarks) == ["customer_days", "customer_orders"]
    assert (
        "the horizon 2011-01-02T00:00:00Z is before the last build's, 2011-01-05T00:00:00Z"
        in remarks["customer_orders"]
    )

    # A late row on each side of the clock: one is built now, the other one when its day is reached again.
    opened({"data/orders/late.csv": HEADER + "5,e,2011-01-01 10:00:00,1.0\n5,f,2011-01-03 10:00:00,1.0\n"})
    early.build()
    assert orders(early) == [*everything[0], "e"]
    assert early.history("customer_orders")[0]["intervals"] == [["2011-01-01T00:00:00Z", "2011-01-02T00:00:00Z"]]

    store.build()
    assert orders(store) == [*everything[0], "e", "f"]
    assert store.history("customer_orders")[0]["intervals"] == [["2011-01-03T00:00:00Z", "2011-01-04T00:00:00Z"]]
    assert spent(store) == everything[1] + 2.0
    assert not store.build().committed
