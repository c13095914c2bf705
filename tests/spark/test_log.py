"""What a log says of its table, read without Spark: held against delta-rs, which replays all of it."""

from __future__ import annotations

from pathlib import Path

from deltalake import DeltaTable
from pyspark.sql import SparkSession

from feature_mart.delta.address import TableAddress
from feature_mart.delta.log import RustLog
from feature_mart.records import TableVersion


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
