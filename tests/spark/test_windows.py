"""Windowed views on real Spark and Delta: whatever happens in whatever order, they hold what brute force gives."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from feature_mart import BuildError, FeatureStore
from feature_mart.testing import FixedClock, write_files, write_tiny_mart
from tests.large_tables import large_tables
from tests.windows_oracle import Event, Feature, rows_at_changes

DAY = timedelta(days=1)
START = datetime(2011, 1, 3, tzinfo=timezone.utc)
HEADER = "customer_id,order_no,ordered_at,amount\n"

PIPELINE = """
    pipeline: daily
    description: Orders by customer.
    owner: growth@example.com
    feature_views:
      - name: customer_spend
        input: orders
        entities: [customer]
        event_timestamp: ordered_at
        windows:
          every: 1d
          aggregations:
            - {input: amount, functions: [sum, max, count], over: [1d, 3d]}
            - {input: amount, functions: [variance], over: [3d]}
            - {input: order_no, functions: [count_distinct, last], over: [LONGEST, {window: 2d, shift: 1d}]}
            - {input: amount, functions: [sum], over: [4d], where: "amount > 0", name: earned}
    """
METADATA = """
    feature_view: customer_spend
    description: What a customer spends.
    owner: growth@example.com
    features:
      amount_*: {description: Of the value of orders.}
      order_no_*: {description: Of the numbers of orders.}
      earned: {description: What was not given back.}
    """
CHANGES = {
    "pipelines/daily.yml": PIPELINE.replace("LONGEST", "lifetime"),
    "metadata/feature_views/customer_spend.yml": METADATA,
    "metadata/feature_views/customer_orders.yml": None,
    "features/orders.sql": None,
    "data/orders/2011-01-01.csv": None,
    "data/orders/2011-01-02.csv": None,
}


def features(longest: timedelta | None) -> list[Feature]:
    return [
        *(Feature("amount", name, DAY * days) for days in (1, 3) for name in ("sum", "max", "count")),
        Feature("amount", "variance", 3 * DAY),
        *(
            Feature("order_no", name, length, shift)
            for length, shift in ((longest, 0 * DAY), (2 * DAY, DAY))
            for name in ("count_distinct", "last")
        ),
        Feature("earned", "sum", 4 * DAY),
    ]


@dataclass
class Mart:
    """A mart of one windowed view, and the orders that its files hold."""

    root: Path
    spark: SparkSession
    longest: timedelta | None
    files: dict[str, list[tuple[int, str, datetime, float]]] = field(default_factory=dict)

    @classmethod
    def at(cls, root: Path, spark: SparkSession, longest: timedelta | None) -> Mart:
        text = "lifetime" if longest is None else f"{longest.days}d"
        write_tiny_mart(root, {**CHANGES, "pipelines/daily.yml": PIPELINE.replace("LONGEST", text)})
        sources = (root / "metadata/sources.yml").read_text()
        write_files(root, {"metadata/sources.yml": sources.rstrip() + "\n    deleted_files: drop\n"})
        return cls(root, spark, longest)

    def write(self, name: str, orders: list[tuple[int, str, datetime, float]]) -> None:
        self.files[name] = orders
        lines = [f"{who},{number},{at:%Y-%m-%d %H:%M:%S.%f},{amount!r}" for who, number, at, amount in orders]
        write_files(self.root, {f"data/orders/{name}.csv": (HEADER + "\n".join(lines) + "\n").encode()})

    def remove(self, name: str) -> None:
        del self.files[name]
        write_files(self.root, {f"data/orders/{name}.csv": None})

    def store(self, now: datetime) -> FeatureStore:
        return FeatureStore(self.root, spark=self.spark, now=FixedClock(now))

    def expected(self, boundaries: Sequence[datetime]) -> dict[Any, Any]:
        events = [
            Event(who, at, {"order_no": number, "amount": amount, "earned": amount if amount > 0 else None})
            for orders in self.files.values()
            for who, number, at, amount in orders
        ]
        return rows_at_changes(events, features(self.longest), boundaries)


def content(store: FeatureStore) -> dict[Any, Any]:
    rows = store.table("customer_spend").toArrow().to_pylist()
    found = {(row.pop("customer_id"), row.pop("ordered_at")): tuple(row.values()) for row in rows}
    assert len(found) == len(rows)
    return found


def days(first: int, last: int) -> list[datetime]:
    """The boundaries from one day after the start to another, both included."""
    return [START + DAY * number for number in range(first, last + 1)]


AMOUNTS = st.sampled_from([0.1, 0.2, 0.3, 1e16, -1e16, 2.5, -0.5, 1e-9])


@st.composite
def orders(draw: st.DrawFn) -> list[tuple[int, str, datetime, float]]:
    found = draw(
        st.lists(
            st.tuples(
                st.sampled_from([1, 2]),
                st.sampled_from("abc"),
                st.tuples(st.integers(0, 6), st.sampled_from([0, 1, 43_200_000_000, 86_399_999_999])),
                AMOUNTS,
            ),
            min_size=1,
            max_size=5,
        )
    )
    return [
        (who, number, START + DAY * day + timedelta(microseconds=at), value) for who, number, (day, at), value in found
    ]


happenings = st.one_of(
    st.tuples(st.just("file"), st.sampled_from("pqrs"), orders()),
    st.tuples(st.just("remove"), st.sampled_from("pqrs")),
    st.tuples(st.just("build"), st.integers(0, 2), st.sampled_from([None, DAY, 3 * DAY])),
    st.tuples(st.just("backfill"), st.integers(-2, 8), st.sampled_from([None, DAY, 2 * DAY])),
    st.tuples(st.just("full refresh")),
)


def play(mart: Mart, happened: Sequence[tuple[Any, ...]]) -> None:
    """Lets it all happen, and looks at the view after each build."""
    now, begin = 3, None  # in days after the start; where the view was told to begin
    for what, *details in [*happened, ("build", 1, None)]:
        if what == "file":
            mart.write(*details)
            continue
        if what == "remove":
            if details[0] in mart.files and len(mart.files) > 1:
                mart.remove(details[0])
            continue
        if not mart.files:
            mart.write("p", [(1, "a", START, 0.1)])
        if what == "build":
            now += details[0]
            mart.store(START + DAY * now).build("daily", chunk=details[1])
        elif what == "backfill":
            since, chunk = details
            is_first = not (mart.root / "warehouse/customer_spend").exists()
            if since >= now or (begin is None and not is_first and since > 0):
                continue
            asked = {"start": START + DAY * since, "end": START + DAY * now, "chunk": chunk}
            mart.store(START + DAY * now).build("daily", **asked, parallel=2 if chunk else 1)
            begin = since if begin is None and is_first else begin if begin is None else min(begin, since)
        else:
            begin = None
            mart.store(START + DAY * now).build("daily", full_refresh=True)
        store = mart.store(START + DAY * now)
        first = -3 if begin is None else begin
        # A backfill leaves what lies before it to the next build.
        since = START + DAY * details[0] if what == "backfill" else days(first, first)[0]
        held = {key: row for key, row in content(store).items() if key[1] >= since}
        true = {key: row for key, row in mart.expected(days(first, now)).items() if key[1] >= since}
        assert held == true, (what, details)


LONG = int(os.environ.get("FEATURE_MART_WINDOW_SEQUENCES", "0"))


def sequences(spark: SparkSession, examples: int) -> None:
    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=not LONG,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(st.lists(happenings, min_size=2, max_size=7), st.sampled_from([None, 5 * DAY]), st.booleans())
    def run(happened: list[tuple[Any, ...]], longest: timedelta | None, as_if_large: bool) -> None:
        root = Path(tempfile.mkdtemp())
        try:
            with large_tables() if as_if_large else nullcontext():
                play(Mart.at(root, spark, longest), happened)
        finally:
            shutil.rmtree(root)

    run()


def test_after_any_sequence_a_windowed_view_holds_what_brute_force_gives(spark: SparkSession) -> None:
    sequences(spark, 2)


@pytest.mark.long
def test_after_many_sequences_it_still_does(spark: SparkSession) -> None:
    sequences(spark, LONG or 100)


ADDED = PIPELINE.replace("LONGEST", "lifetime").replace("over: [1d, 3d]", "over: [1d, 3d, 2d]")
FEWER = PIPELINE.replace("LONGEST", "lifetime").replace("functions: [sum, max, count]", "functions: [sum, count]")


def test_another_window_over_the_same_tiles_reads_no_event_again(spark: SparkSession, tmp_path: Path) -> None:
    mart = Mart.at(tmp_path, spark, None)
    mart.write("p", [(1, "a", START, 0.1), (2, "b", START + DAY, 0.25)])
    now = START + 4 * DAY
    mart.store(now).build("daily")
    tiles = len(mart.store(now).history("customer_spend__tiles"))
    write_files(tmp_path, {"pipelines/daily.yml": ADDED})
    store = mart.store(now)
    plan = {view.view: (view.action, view.reason) for view in store.plan("daily").views}
    assert plan["customer_spend__tiles"] == ("skip", "up to date")
    assert plan["customer_spend"] == ("build", "definition changed")
    store.build("daily")
    rows = store.table("customer_spend").where("customer_id = 1").select("ordered_at", "amount_sum_2d").collect()
    assert sorted((row["ordered_at"].day, row["amount_sum_2d"]) for row in rows) == [
        (4, 0.1),
        (5, 0.1),
        (6, None),
        (7, None),
    ]
    assert len(mart.store(now).history("customer_spend__tiles")) == tiles


def test_tiles_stay_when_a_window_needs_less_of_them(spark: SparkSession, tmp_path: Path) -> None:
    mart = Mart.at(tmp_path, spark, None)
    mart.write("p", [(1, "a", START, 0.1)])
    mart.store(START + 3 * DAY).build("daily")
    write_files(tmp_path, {"pipelines/daily.yml": FEWER})
    plan = {view.view: view.action for view in mart.store(START + 3 * DAY).plan("daily").views}
    assert plan == {"customer_spend__tiles": "skip", "customer_spend": "refused"}
    mart.write("q", [(1, "a", START + 3 * DAY, 0.2)])
    later = mart.store(START + 4 * DAY)
    later.build("daily", select=["customer_spend"], full_refresh=True)
    (row,) = later.query(
        "select max_by(amount_sum_3d, ordered_at) as sum, max_by(amount_count_3d, ordered_at) as count "
        "from customer_spend"
    ).collect()
    assert (row["sum"], row["count"]) == (0.2, 1)


def test_a_value_is_explained_by_the_events_of_its_window(spark: SparkSession, tmp_path: Path) -> None:
    mart = Mart.at(tmp_path, spark, None)
    mart.write(
        "p", [(1, "a", START, 0.1), (1, "b", START + DAY, 0.25), (1, "c", START + 2 * DAY, -1.0), (2, "d", START, 9.0)]
    )
    store = mart.store(START + 3 * DAY)
    store.build("daily")
    mart.write("q", [(1, "e", START + 10 * DAY, 7.0)])
    told = store.explain("customer_spend:earned", {"customer_id": 1}, at=START + 3 * DAY)
    assert told["value"] == 0.35
    assert told["event_timestamp"] == "2011-01-06T00:00:00Z"
    assert told["written_by"]["interval"] == ["2011-01-03T00:00:00Z", "2011-01-06T00:00:00Z"]
    (orders,) = told["inputs"]
    assert (orders["name"], orders["match"], orders["count"]) == ("orders", "exact", 2)
    assert [row["order_no"] for row in orders["rows"]] == ["a", "b"]
    (of_one_day,) = store.explain("customer_spend:amount_sum_1d", {"customer_id": 1}, at=START + 2 * DAY)["inputs"]
    assert [row["order_no"] for row in of_one_day["rows"]] == ["b"]


def test_nan_and_times_to_come_are_told_and_count_for_nothing(spark: SparkSession, tmp_path: Path) -> None:
    mart = Mart.at(tmp_path, spark, None)
    mart.write("p", [(1, "a", START, 0.1), (1, "b", START, float("nan")), (1, "c", START + 900 * DAY, 5.0)])
    told: list[str] = []
    now = START + 2 * DAY
    store = FeatureStore(
        tmp_path, spark=spark, now=FixedClock(now), on_event=lambda event: told.append(f"{event.subject}: {event.text}")
    )
    store.build("daily")
    assert "customer_spend__tiles: no NaN, which windows count as null: 1 of 1 rows fail" in told
    assert (
        "customer_spend__tiles: rows of orders with a time to come, up to 2013-06-21T00:00:00Z, which are in no window "
        "yet: 1"
    ) in told
    (row,) = store.table("customer_spend").where("ordered_at = timestamp'2011-01-04T00:00:00Z'").collect()
    assert (row["amount_sum_3d"], row["amount_count_3d"], row["order_no_count_distinct_lifetime"]) == (0.1, 1, 2)


@pytest.mark.parametrize("tables", [nullcontext, large_tables], ids=["small", "large"])
def test_events_without_key_or_time_are_counted_and_set_aside(
    spark: SparkSession, tmp_path: Path, tables: Callable[[], AbstractContextManager[None]]
) -> None:
    mart = Mart.at(tmp_path, spark, None)
    by_definition = PIPELINE.replace("input: orders", "definition: features/orders.sql").replace("LONGEST", "lifetime")
    columns = "nullif(customer_id, 0) as customer_id, order_no, amount, nullif(ordered_at, T) as ordered_at"
    sql = f"select {columns} from orders"
    write_files(
        tmp_path,
        {
            "pipelines/daily.yml": by_definition,
            "features/orders.sql": sql.replace("T", "timestamp'2011-01-04T12:00:00Z'"),
        },
    )
    noon = START + DAY / 2
    mart.write("p", [(1, "a", noon, 1.0), (0, "b", noon, 2.0), (0, "c", START, 2.0), (0, "d", START + 2 * DAY, 2.0)])
    mart.write("q", [(1, "e", noon + DAY, 4.0), (0, "f", noon + DAY, 4.0)])
    told: list[str] = []
    now = FixedClock(START + 3 * DAY)
    store = FeatureStore(
        tmp_path, spark=spark, now=now, on_event=lambda event: told.append(f"{event.kind} {event.text}")
    )
    with tables():
        store.build("daily")
    assert "remark customer_id is there: 4 events without it, in no window" in told
    assert "remark ordered_at is there: 2 events without it, in no window" in told
    aside = "select reason, raw from customer_spend__tiles__quarantine order by raw"
    assert [tuple(row) for row in store.query(aside).collect()] == [
        ("customer_id is there; ordered_at is there", '{"_nans":0,"_lost":1}'),
        ("ordered_at is there", '{"customer_id":1,"_nans":0,"_lost":1}'),
        ("customer_id is there", '{"ordered_at":"2011-01-03T00:00:00.000000Z","_nans":0,"_lost":2}'),
        ("customer_id is there", '{"ordered_at":"2011-01-05T00:00:00.000000Z","_nans":0,"_lost":1}'),
    ]
    assert {key for key, _ in content(store)} == {1}
    assert content(store)[1, START + DAY][features(None).index(Feature("amount", "count", 3 * DAY))] == 1

    mart.remove("q")
    mart.write("p", [(1, "a", noon, 1.0)])
    store.build("daily")
    assert store.query(aside).collect() == []


def test_a_sum_of_integers_that_does_not_fit_is_an_error_that_says_where(spark: SparkSession, tmp_path: Path) -> None:
    write_tiny_mart(tmp_path, CHANGES)
    sources = (tmp_path / "metadata/sources.yml").read_text().replace("amount: double", "amount: bigint")
    pipeline = PIPELINE.replace("LONGEST", "lifetime").replace("over: [4d]", "over: [1d]")
    write_files(
        tmp_path,
        {
            "metadata/sources.yml": sources,
            "pipelines/daily.yml": pipeline,
            "data/orders/p.csv": f"{HEADER}1,a,2011-01-03 10:00:00,{2**62}\n1,b,2011-01-03 11:00:00,{2**62}\n",
        },
    )
    store = FeatureStore(tmp_path, spark=spark, now=FixedClock(START + 2 * DAY))
    with pytest.raises(BuildError) as caught:
        store.build("daily")
    assert (
        "amount_sum_1d of customer_id=1 at 2011-01-04T00:00:00Z: the sum does not fit bigint, which ends at "
        "9223372036854775807"
    ) in str(caught.value)
    assert "Traceback" not in str(caught.value)
