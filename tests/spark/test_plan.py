"""`mart plan`: what it says is what the build then does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from feature_mart import FeatureStore
from feature_mart.cli.main import main
from feature_mart.delta.address import TableAddress
from feature_mart.delta.changes import changed_intervals
from feature_mart.delta.log_changes import changed_intervals_by_log
from feature_mart.delta.tables import Table
from feature_mart.errors import SchemaChangeRefused
from feature_mart.testing import FixedClock, tiny_pipeline, write_files, write_tiny_mart

OPEN = Callable[..., FeatureStore]
HEADER = "customer_id,order_no,ordered_at,amount\n"
DAILY = {"mode": "interval", "every": "1d"}
OF_DAYS = {
    "name": "customer_days",
    "definition": "features/days.sql",
    "entities": ["customer"],
    "event_timestamp": "day",
    "materialize": DAILY,
}
CHAIN = {
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
    "metadata/feature_services.yml": """
        feature_services:
          churn: {description: Churn model., owner: ml@example.com, features: [customer_days]}
        """,
    "pipelines/daily.yml": tiny_pipeline(OF_DAYS),
}


@pytest.fixture
def chain(spark: SparkSession, tmp_path: Path) -> OPEN:
    """Opens a mart of two views, one on the other, with changes laid over its files."""

    def open_store(changes: Mapping[str, str | bytes | None] | None = None) -> FeatureStore:
        if (tmp_path / "conf").exists():
            write_files(tmp_path, changes or {})
        else:
            write_tiny_mart(tmp_path, {**CHAIN, **(changes or {})})
        return FeatureStore(tmp_path, spark=spark, now=FixedClock("2011-01-05T12:00:00Z"))

    return open_store


def planned(store: FeatureStore, name: str, **request: Any) -> dict[str, Any]:
    return next(entry for entry in store.plan(**request).to_dict()["feature_views"] if entry["view"] == name)


def intervals_built(store: FeatureStore, name: str) -> list[list[str]]:
    found: list[list[str]] = store.history(name)[0]["intervals"]
    return found


def rows_of_feature(store: FeatureStore, feature: str) -> dict[str, Any]:
    return {row["order_no"]: row[feature] for row in store.table("customer_orders").collect()}


def test_before_the_first_build_all_is_new_and_files_are_named(chain: OPEN) -> None:
    plan = chain().plan().to_dict()
    assert plan["changes"] is True
    (source,) = plan["sources"]
    assert (source["action"], source["reason"], source["version"]) == ("ingest", "new", None)
    assert source["files"]["added"] == {"count": 2, "names": ["2011-01-01.csv", "2011-01-02.csv"]}
    assert [entry["estimated_rows"] for entry in plan["feature_views"]] == [None, None]
    assert [(e["view"], e["action"], e["reason"], e["known_after"]) for e in plan["feature_views"]] == [
        ("customer_orders", "build", "new", ["orders"]),
        ("customer_days", "build", "new", ["customer_orders"]),
    ]
    assert plan["affected"] == [
        {"kind": "feature_view", "name": "customer_days", "owner": "days@example.com", "by": ["customer_orders"]},
        {"kind": "feature_service", "name": "churn", "owner": "ml@example.com", "by": ["customer_days"]},
    ]


def test_what_is_planned_is_what_is_built(chain: OPEN) -> None:
    store = chain()
    store.build()
    assert store.plan().is_empty
    assert not store.build().committed

    # Another view's build has ingested a late file: now the change is in the log, and the plan knows its intervals.
    late = {"data/orders/late.csv": HEADER + "9,z,2011-01-01 23:59:59,1.0\n"}
    store = chain(late)
    (source,) = store.plan().to_dict()["sources"]
    assert (source["action"], source["files"]["added"]["names"]) == ("ingest", ["late.csv"])
    assert planned(store, "customer_orders")["known_after"] == ["orders"]
    store.build(select=["customer_orders"])
    days = planned(store, "customer_days")
    day = [["2011-01-01T00:00:00Z", "2011-01-02T00:00:00Z"]]
    assert (days["action"], days["reason"], days["intervals"], days["known_after"]) == (
        "build",
        "inputs changed: customer_orders v0 → v1",
        day,
        [],
    )
    assert planned(store, "customer_orders")["action"] == "skip"
    store.build()
    assert intervals_built(store, "customer_days") == day
    assert store.plan().is_empty


def test_a_moved_horizon_is_planned_as_it_is_built(chain: OPEN) -> None:
    store = chain()
    store.build(end="2011-01-03")
    new = [["2011-01-03T00:00:00Z", "2011-01-05T00:00:00Z"]]
    orders = planned(store, "customer_orders", end="2011-01-05")
    # The two days before have three rows.
    assert (orders["intervals"], orders["interval_count"], orders["estimated_rows"]) == (new, 2, 3)
    assert planned(store, "customer_days", end="2011-01-05")["intervals"] == new
    store.build(end="2011-01-05")
    assert intervals_built(store, "customer_orders") == new


@pytest.mark.parametrize(
    ("changes", "classes", "rebuilds"),
    [
        (
            {"features/orders.sql": "SELECT -- sorted\n  amount, order_no, ordered_at, customer_id FROM orders"},
            None,
            False,
        ),
        (
            {
                "metadata/feature_views/customer_orders.yml": """
                feature_view: customer_orders
                description: Orders.
                owner: growth@example.com
                features: {order_no: {description: The number.}, amount: {description: Its value., unit: GBP}}
                """
            },
            ["description only"],
            False,
        ),
        (
            {"features/orders.sql": "select customer_id, ordered_at, order_no, amount * 2 as amount from orders"},
            ["values may change"],
            True,
        ),
        (
            {"pipelines/daily.yml": tiny_pipeline(OF_DAYS, materialize={**DAILY, "lookback": "1d"})},
            ["values may change"],
            True,
        ),
    ],
    ids=["format", "words", "logic", "lookback"],
)
def test_a_changed_definition_is_classed(
    chain: OPEN, changes: Mapping[str, str], classes: list[str] | None, rebuilds: bool
) -> None:
    chain().build()
    store = chain(changes)
    entry = planned(store, "customer_orders")
    assert (entry["definition_change"] or {}).get("classes") == classes
    assert (entry["action"] == "build") == rebuilds
    if rebuilds:
        # Everything up to the horizon was made by the definition before.
        assert entry["intervals"] == [["2011-01-01T00:00:00Z", "2011-01-05T00:00:00Z"]]
        assert entry["definition_change"]["diff"]
    store.build()
    assert (len(store.history("customer_orders")) == 2) == rebuilds
    assert store.plan().is_empty


def test_an_added_feature_is_told_and_older_ranges_are_shown_as_such(chain: OPEN) -> None:
    chain().build()
    store = chain(
        {
            "features/orders.sql": """
                select customer_id, ordered_at, order_no, amount, amount > 5 as is_large from orders
                """,
            "metadata/feature_views/customer_orders.yml": """
                feature_view: customer_orders
                description: What a customer ordered.
                owner: growth@example.com
                features:
                  order_no: {description: The number of the order.}
                  amount: {description: Its value., unit: GBP}
                  is_large: {description: Whether it is a large one.}
                """,
        }
    )
    entry = planned(store, "customer_orders")
    assert entry["definition_change"]["classes"] == ["feature added"]
    assert entry["definition_change"]["features_added"] == ["is_large"]
    old = [["2011-01-01T00:00:00Z", "2011-01-05T00:00:00Z"]]
    assert entry["made_by_an_earlier_definition"] == old

    # Only what is new is built with it; the history on request.
    write_files(Path(store.project.root), {"data/orders/late.csv": HEADER + "9,z,2011-01-03 10:00:00,9.0\n"})
    store.build()
    assert rows_of_feature(store, "is_large") == {"a": None, "b": None, "c": None, "z": True}
    left = [["2011-01-01T00:00:00Z", "2011-01-03T00:00:00Z"], ["2011-01-04T00:00:00Z", "2011-01-05T00:00:00Z"]]
    assert planned(store, "customer_orders")["made_by_an_earlier_definition"] == left
    one_day: dict[str, Any] = {"select": ["customer_orders"], "start": "2011-01-02", "end": "2011-01-03"}
    store.build(**one_day)
    assert intervals_built(store, "customer_orders") == [["2011-01-02T00:00:00Z", "2011-01-03T00:00:00Z"]]
    assert rows_of_feature(store, "is_large") == {"a": None, "b": None, "c": False, "z": True}
    left[0] = ["2011-01-01T00:00:00Z", "2011-01-02T00:00:00Z"]
    printed = CliRunner().invoke(main, ["--mart", str(store.project.root), "history", "customer_orders"]).output
    old = store.history("customer_orders")[-1]["definition_hash"][:10]
    assert printed.splitlines()[-2:] == [
        f"version 2 holds [{start}, {end}): made by definition {old}" for start, end in left
    ]
    backfill: dict[str, Any] = {"select": ["customer_orders"], "start": "2011-01-01", "end": "2011-01-05"}
    assert planned(store, "customer_orders", **backfill)["intervals"] == left
    store.build(**backfill)
    assert rows_of_feature(store, "is_large") == {"a": False, "b": True, "c": False, "z": True}
    assert planned(store, "customer_orders")["made_by_an_earlier_definition"] == []
    assert not store.build(**backfill).committed


# changes found from the log alone, against those that Spark finds

ROWS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(-5, 60), st.sampled_from([None, 0.0, 1.5])), min_size=0, max_size=6
)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.booleans(), ROWS), min_size=2, max_size=4))
def test_changes_from_the_log_are_those_that_spark_finds(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, commits: list[tuple[bool, list[Any]]]
) -> None:
    place = str(tmp_path_factory.mktemp("table") / "t")
    for number, (replaces, rows) in enumerate(commits):
        frame = spark.createDataFrame(rows, "k int, hour int, v double").selectExpr(
            "k", "timestamp_micros(hour * 3600000000) as at", "v", "array(k, null) as list"
        )
        mode = "overwrite" if replaces or number == 0 else "append"
        frame.write.format("delta").mode(mode).option("delta.enableChangeDataFeed", "true").save(place)
    table = Table(TableAddress("t", uri=place), lambda: spark)
    current = table.current()
    assert current is not None
    for after in range(current.version):
        for every in (timedelta(hours=5), timedelta(days=1)):
            asked: dict[str, Any] = {"after": after, "until": current.version, "event_timestamp": "at", "every": every}
            assert changed_intervals_by_log(table, **asked) == changed_intervals(table, **asked)
    assert table.log.row_count(current.version) == table.read().count()


def test_what_the_log_cannot_tell_exactly_is_left_to_spark(spark: SparkSession, tmp_path: Path) -> None:
    table = Table(TableAddress("t", uri=str(tmp_path / "t")), lambda: spark)
    frame = spark.range(4).selectExpr("id", "timestamp_micros(id) as at").coalesce(1)
    settings = {"delta.enableChangeDataFeed": "true", "delta.enableDeletionVectors": "true"}
    frame.write.format("delta").options(**settings).save(str(table.address.uri))
    spark.sql(f"DELETE FROM {table.address.sql} WHERE id = 3")
    asked: dict[str, Any] = {"after": 0, "until": 1, "event_timestamp": "at", "every": timedelta(days=1)}
    assert table.log.row_count(0) is None
    assert table.row_count(1) == 3
    assert changed_intervals_by_log(table, **asked) is None
    assert len(changed_intervals(table, **asked)) == 1


FEWER = {
    "features/orders.sql": "select customer_id, ordered_at, order_no from orders",
    "metadata/feature_views/customer_orders.yml": """
        feature_view: customer_orders
        description: What a customer ordered.
        owner: growth@example.com
        features: {order_no: {description: The number of the order.}}
        """,
    "features/days.sql": """
        select customer_id, date_trunc('DAY', ordered_at) as day, cast(count(order_no) as decimal(30, 2)) as spent
        from customer_orders group by customer_id, date_trunc('DAY', ordered_at)
        """,
}
SERVICE = {
    "metadata/feature_services.yml": """
        feature_services:
          churn: {description: Churn model., owner: ml@example.com, features: [customer_orders]}
        """,
}
AS_TEXT = "select customer_id, ordered_at, order_no, cast(amount as string) as amount from orders"


@pytest.mark.parametrize(
    ("changes", "said", "days"),
    [
        (FEWER, "amount (double) would be removed", "build"),
        ({"features/orders.sql": AS_TEXT}, "amount would change from double to string", "skip"),
    ],
    ids=["removed", "retyped"],
)
def test_a_plan_foresees_what_a_build_refuses(chain: OPEN, changes: Mapping[str, str], said: str, days: str) -> None:
    chain(SERVICE).build()
    store = chain(changes)
    planned = {view.view: view for view in store.plan().views}
    assert [view.action for view in planned.values()] == ["refused", days]
    assert planned["customer_orders"].reason == (
        "view customer_orders: this build would change what is published, so it is refused; nothing was written.\n"
        f"  {said}\n"
        "Feature services in use would break:\n"
        "  churn (ml@example.com) uses amount\n"
        "So would training sets that take these. To do it on purpose, rebuilding the whole view:\n"
        "  mart build daily --select customer_orders --full-refresh"
    )
    with pytest.raises(SchemaChangeRefused) as caught:
        store.build()
    assert caught.value.message.startswith(planned["customer_orders"].reason + "\n")
    on_purpose = {view.view: view.action for view in store.plan(full_refresh=True).views}
    assert set(on_purpose.values()) == {"build"}


def test_a_plan_foresees_that_a_source_comes_in_other_types(chain: OPEN) -> None:
    store = chain()
    store.build()
    declared = (store.project.root / "metadata/sources.yml").read_text()
    store = chain({"metadata/sources.yml": declared.replace("amount: double", "amount: string")})
    said = "amount would change from double to string"
    before = store.plan().views[0]
    assert before.action == "refused" and said in before.reason
    with pytest.raises(SchemaChangeRefused, match=said):
        store.build()
    # The source was read anew, and the view still has to be: the plan goes on saying so.
    assert store.plan().views[0].reason == before.reason


def test_a_plan_names_no_interval_beyond_the_horizon_or_before_the_start(chain: OPEN) -> None:
    looking_back = {**OF_DAYS, "materialize": {**DAILY, "lookback": "3d", "lookahead": "1d"}}
    chain({"pipelines/daily.yml": tiny_pipeline(looking_back)}).build()
    store = chain({"features/orders.sql": "select customer_id, ordered_at, order_no, amount + 1 as amount from orders"})
    told = planned(store, "customer_days", start="2011-01-02", end="2011-01-04")
    assert told["intervals"] == [["2011-01-02T00:00:00Z", "2011-01-04T00:00:00Z"]]
    store.build(start="2011-01-02", end="2011-01-04")
    assert intervals_built(store, "customer_days") == told["intervals"]
