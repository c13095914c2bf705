"""A mart whose tables are known to a catalog by name, and by nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from feature_mart import FeatureStore, SchemaChangeRefused, TableError, VersionNotFound
from feature_mart.testing import FixedClock, write_files, write_tiny_mart

SCHEMA = "mart_in_catalog"
HEADER = "customer_id,order_no,ordered_at,amount\n"
FIRST = [(1, "a", 5.0), (1, "c", 2.5), (2, "b", 7.5)]


@pytest.fixture
def root(spark: SparkSession, tmp_path: Path) -> Iterator[Path]:
    spark.sql(f"create schema {SCHEMA} location '{tmp_path / 'managed'}'")
    settings = f"mart: tiny\ncatalog: spark_catalog.{SCHEMA}\nonline_store: embedded\n"
    yield write_tiny_mart(tmp_path / "mart", {"conf/base.yml": settings})
    spark.sql(f"drop schema {SCHEMA} cascade")


def rows(store: FeatureStore, version: int | None = None) -> list[tuple[object, ...]]:
    frame = store.table("customer_orders", version)
    assert not [name for name in frame.columns if name.startswith("_")]
    return sorted(tuple(row) for row in frame.select("customer_id", "order_no", "amount").collect())


def test_a_mart_in_a_catalog_does_what_one_in_a_folder_does(spark: SparkSession, root: Path) -> None:
    def open_store(now: str = "2011-01-03T12:00:00Z") -> FeatureStore:
        return FeatureStore(root, spark=spark, now=FixedClock(now))

    store = open_store()
    with pytest.raises(TableError, match="customer_orders has no versions yet"):
        store.history("customer_orders")
    result = store.build()
    assert result.committed
    assert rows(store) == FIRST
    (entry,) = store.history("customer_orders")
    assert (entry["run_id"], entry["rows"]) == (result.run_id, 3)
    assert [row["tableName"] for row in spark.sql(f"show tables in {SCHEMA}").orderBy("tableName").collect()] == [
        "customer_orders",
        "mart_runs",
        "orders",
    ]
    # The table contract holds there as well.
    detail = spark.sql(f"describe detail spark_catalog.{SCHEMA}.customer_orders").first()
    assert detail is not None
    assert detail["partitionColumns"] == ["_period", "_bucket"]
    assert detail["properties"]["delta.enableChangeDataFeed"] == "true"
    assert detail["properties"]["delta.logRetentionDuration"] == "interval 36500 days"

    assert not open_store().build().committed
    assert [len(store.history(name)) for name in ("orders", "customer_orders", "mart_runs")] == [1, 1, 1]

    # A corrected file and a row that does not fit: the day's rows are replaced, the rest stays.
    write_files(
        root,
        {
            "data/orders/2011-01-02.csv": HEADER + "1,c,2011-01-02 09:30:00,99.0\n",
            "data/orders/2011-01-03.csv": HEADER + "3,d,2011-01-03 08:00:00,1.0\nx,e,2011-01-03 08:00:00,1.0\n",
        },
    )
    store = open_store("2011-01-04T12:00:00Z")
    store.build()
    assert rows(store) == [(1, "a", 5.0), (1, "c", 99.0), (2, "b", 7.5), (3, "d", 1.0)]
    assert rows(store, version=0) == FIRST
    assert store.history("customer_orders")[0]["intervals"] == [["2011-01-02T00:00:00Z", "2011-01-04T00:00:00Z"]]
    with pytest.raises(VersionNotFound, match="has no version 7; it has versions 0 to 1"):
        store.table("customer_orders", 7)

    text = "select sum(amount) as total from customer_orders"
    assert [row["total"] for row in store.query(text).collect()] == [112.5]
    assert [row["total"] for row in store.query(text, versions={"customer_orders": 0}).collect()] == [15.0]
    (aside,) = store.query("select reason from orders__quarantine").collect()
    assert aside["reason"] == "customer_id: 'x' is no bigint"

    write_files(root, {"features/orders.sql": "select customer_id, ordered_at, order_no, 1 as amount from orders\n"})
    write_files(root, {"features/orders.sql": "select customer_id, ordered_at, order_no, '1' as amount from orders\n"})
    with pytest.raises(SchemaChangeRefused, match="amount would change from double to string"):
        open_store("2011-01-04T12:00:00Z").build()
    store = open_store("2011-01-04T12:00:00Z")
    store.build(full_refresh=True)
    assert dict(store.table("customer_orders").dtypes)["amount"] == "string"
    assert [entry["version"] for entry in store.history("customer_orders")] == [2, 1, 0]
