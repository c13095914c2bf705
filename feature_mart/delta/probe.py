"""A tiny Delta table, written and read back both ways: what `mart doctor` tries on a machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from feature_mart.errors import TableError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROWS = ((1, "a"), (2, "b"), (3, "c"))


def write_probe(spark: SparkSession, uri: str) -> None:
    """Write three rows to a new Delta table at ``uri``."""
    from feature_mart.delta.errors import delta_errors

    with delta_errors("probe"):
        frame = spark.createDataFrame(list(ROWS), "id bigint, name string")
        frame.write.format("delta").mode("errorifexists").save(uri)


def read_probe(spark: SparkSession, uri: str) -> bool:
    """Whether Spark reads back what `write_probe` wrote."""
    from feature_mart.delta.errors import delta_errors

    with delta_errors("probe"):
        rows = spark.read.format("delta").load(uri).toArrow().to_pylist()
    return sorted((row["id"], row["name"]) for row in rows) == list(ROWS)


def read_probe_without_spark(uri: str) -> bool:
    """Whether delta-rs does, as the commands that start no Spark rely on."""
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    try:
        rows = DeltaTable(uri).to_pyarrow_table().to_pylist()
    except DeltaError as error:
        raise TableError(f"table probe: {error}") from error
    return sorted((row["id"], row["name"]) for row in rows) == list(ROWS)
