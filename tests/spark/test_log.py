"""What a log says of its table, read without Spark: held against delta-rs, which replays all of it."""

from __future__ import annotations

from pathlib import Path

from deltalake import DeltaTable
from pyspark.sql import SparkSession

from feature_mart import FeatureStore
from feature_mart.delta.address import TableAddress
from feature_mart.delta.log import RustLog
from feature_mart.records import TableVersion
from feature_mart.testing import write_files, write_tiny_mart

LATER = "customer_id,order_no,ordered_at,amount\n1,d,2011-01-03 08:00:00,1.0\n"


def test_a_replaced_table_is_another_table_and_a_restored_one_is_the_first_again(
    spark: SparkSession, tmp_path: Path
) -> None:
    place = str(tmp_path / "t")
    log = RustLog(TableAddress("t", uri=place))
    assert log.current() is None
    ids = []
    try:
        for statement in (
            f"create table replaced using delta location '{place}' as select 1 as a",
            "insert into replaced values (2)",
            f"create or replace table replaced using delta location '{place}' as select 2 as b",
            "insert into replaced values (3)",
            "restore table replaced to version as of 0",
        ):
            spark.sql(statement)
            whole = DeltaTable(place)
            assert log.current() == TableVersion(str(whole.metadata().id), whole.version())
            ids.append(str(whole.metadata().id))
    finally:
        spark.sql("drop table if exists replaced")
    first, inserted, replaced, more, restored = ids
    assert first == inserted == restored
    assert replaced == more != first


def test_the_engine_s_commits_name_their_table_so_that_its_newest_one_tells_it(
    spark: SparkSession, tmp_path: Path
) -> None:
    root = tmp_path / "mart"
    write_tiny_mart(root)
    store = FeatureStore(root, spark=spark)
    store.build()
    write_files(root, {"data/orders/2011-01-03.csv": LATER})
    store.build()
    place = root / "warehouse" / "customer_orders"
    whole = DeltaTable(str(place))
    newest = whole.version()
    assert newest > 0
    assert '"metaData"' not in (place / "_delta_log" / f"{newest:020}.json").read_text(encoding="utf-8")
    assert store.history("customer_orders")[0]["version"] == newest
    # The commits before it are not looked at, where the newest one says it.
    (place / "_delta_log" / f"{0:020}.json").write_text("nothing that can be read", encoding="utf-8")
    assert RustLog(TableAddress("t", uri=str(place))).current() == TableVersion(str(whole.metadata().id), newest)
