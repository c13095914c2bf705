"""`mart verify`: definitions that are additive over time, and some that are not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from feature_mart import FeatureStore, SourceError, UsageError
from feature_mart.cli.verify import verification_lines
from feature_mart.testing import FixedClock, write_tiny_mart

OPEN = Callable[..., FeatureStore]
DAILY = {"mode": "interval", "every": "1d"}


@pytest.fixture
def mart(spark: SparkSession, tmp_path: Path) -> OPEN:
    def open_store(sql: str, materialize: Mapping[str, str] = DAILY) -> FeatureStore:
        root = write_tiny_mart(tmp_path, {"features/orders.sql": sql}, materialize=dict(materialize))
        return FeatureStore(root, spark=spark, now=FixedClock("2011-01-05T12:00:00Z"))

    return open_store


def test_a_definition_row_by_row_is_additive(mart: OPEN) -> None:
    store = mart("select customer_id, ordered_at, order_no, amount from orders")
    store.build()
    found = store.verify("customer_orders")
    assert found.is_additive
    assert found.rows == 3
    assert [(split.name, split.pieces) for split in found.splits] == [("single intervals", 2), ("odd chunks", 2)]


def test_a_count_over_all_time_is_not_and_the_rows_are_shown(mart: OPEN) -> None:
    sql = """
        select customer_id, ordered_at, order_no,
               cast(count(*) over (partition by customer_id order by ordered_at
                                   rows between unbounded preceding and current row) as double) as amount
        from orders
        """
    store = mart(sql)
    store.build()
    found = store.verify("customer_orders", start="2011-01-01", end="2011-01-03")
    assert not found.is_additive
    single, odd = found.splits
    # Customer 1 orders on both days: alone, the second day begins to count anew.
    assert (single.only_in_one_go, single.only_in_pieces) == (1, 1)
    assert sorted(example.partition(":")[0] for example in single.examples) == ["one go", "pieces"]
    assert (odd.only_in_one_go, odd.only_in_pieces) == (1, 1)


def test_lookback_mends_what_reaches_over_an_edge(mart: OPEN) -> None:
    sql = """
        select customer_id, ordered_at, order_no,
               sum(cast(amount as decimal(20, 2))) over (
                   partition by customer_id order by unix_micros(ordered_at)
                   range between 86400000000 preceding and current row) as amount
        from orders
        """
    store = mart(sql, {**DAILY, "lookback": "1d"})
    store.build()
    assert store.verify("customer_orders", start="2011-01-01", end="2011-01-04").is_additive


def test_a_range_without_rows_proves_nothing(mart: OPEN) -> None:
    store = mart("select customer_id, ordered_at, order_no, amount from orders")
    store.build(end="2011-03-01")
    # Fifty days without an order follow: the default range ends with the last one.
    found = store.verify("customer_orders")
    assert (found.interval.end, found.rows) == (datetime(2011, 1, 3, tzinfo=timezone.utc), 3)
    assert found.is_additive
    empty = store.verify("customer_orders", start="2011-02-01", end="2011-02-03")
    assert (empty.is_additive, empty.to_dict()["additive"]) == (False, None)
    assert verification_lines(empty)[-1].startswith("There are no rows in this range, so nothing was compared")


def test_what_cannot_be_verified_is_refused(mart: OPEN) -> None:
    store = mart("select customer_id, ordered_at, order_no, amount from orders", {"mode": "full"})
    with pytest.raises(UsageError, match="view customer_orders is built whole, so there are no ranges to compare"):
        store.verify("customer_orders")
    with pytest.raises(UsageError, match="there is no view 'orders_of_customers'"):
        store.verify("orders_of_customers")


def test_a_view_that_was_built_whole_needs_a_range(mart: OPEN) -> None:
    sql = "select customer_id, ordered_at, order_no, amount from orders"
    mart(sql, {"mode": "full"}).build()
    store = mart(sql)
    with pytest.raises(UsageError, match="has not been built by intervals yet"):
        store.verify("customer_orders", start="2011-01-01")
    assert store.verify("customer_orders", start="2011-01-01", end="2011-01-03").is_additive


def test_a_view_that_is_not_built_needs_a_range(mart: OPEN) -> None:
    store = mart("select customer_id, ordered_at, order_no, amount from orders")
    with pytest.raises(UsageError, match="has not been built by intervals yet: run `mart build daily`, or give --st"):
        store.verify("customer_orders")
    with pytest.raises(SourceError, match="source orders has not been ingested yet: run `mart build`"):
        store.verify("customer_orders", start="2011-01-01", end="2011-01-02")
    with pytest.raises(UsageError, match="is empty"):
        store.verify("customer_orders", start="2011-01-03", end="2011-01-02")
