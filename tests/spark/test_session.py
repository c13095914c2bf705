"""The session that the engine works in, on real Spark and Delta."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from feature_mart.delta.session import SESSION_SETTINGS, engine_session, require_delta, running_session
from feature_mart.errors import EnvironmentProblem


def test_every_pinned_setting_is_one_that_spark_knows(started_spark: SparkSession, tmp_path: Path) -> None:
    """A misspelt name would be accepted by Spark, and do nothing."""
    session = started_spark.newSession()
    session.sql("SELECT 1").write.format("delta").save(str(tmp_path / "t"))
    for name in SESSION_SETTINGS:
        if name.startswith("spark.sql."):
            session.conf.get(name)  # raises where Spark has no default for it, because there is no such setting
        else:
            assert session.conf.isModifiable(name), name  # Delta's are known once one of its classes has been used


def test_settings_of_a_session_that_is_handed_in_decide_nothing(started_spark: SparkSession) -> None:
    given = started_spark.newSession()
    given.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
    given.conf.set("spark.sql.ansi.enabled", "false")
    given.conf.set("spark.sql.caseSensitive", "true")
    given.sql("SELECT 1 AS x").createOrReplaceTempView("mine")

    own = engine_session(given)

    assert {name: own.conf.get(name) for name in SESSION_SETTINGS} == dict(SESSION_SETTINGS)
    assert own.sql("SELECT CAST(timestamp'2011-01-01 00:00:00' AS STRING) AS t").toArrow()["t"].to_pylist() == [
        "2011-01-01 00:00:00"
    ]
    assert own.sql("SHOW VIEWS").isEmpty()
    assert given.conf.get("spark.sql.session.timeZone") == "Asia/Tokyo"
    assert given.conf.get("spark.sql.ansi.enabled") == "false"
    assert given.sql("SHOW VIEWS").count() == 1


def test_what_would_change_tables_unseen_is_taken_back(started_spark: SparkSession) -> None:
    class Carrying:
        """A session whose children carry settings, as those of a context that was started with them do."""

        conf = started_spark.conf

        def newSession(self) -> SparkSession:
            child = started_spark.newSession()
            child.conf.set("spark.databricks.delta.properties.defaults.enableDeletionVectors", "true")
            child.conf.set("spark.sql.legacy.sizeOfNull", "true")
            child.conf.set("spark.databricks.delta.commitInfo.userMetadata", "somebody's")
            return child

    own = engine_session(Carrying())  # type: ignore[arg-type]

    assert own.conf.get("spark.databricks.delta.properties.defaults.enableDeletionVectors", "unset") == "unset"
    assert own.sql("SELECT size(CAST(NULL AS ARRAY<INT>)) AS n").toArrow()["n"].to_pylist() == [None]
    assert own.conf.get("spark.databricks.delta.commitInfo.userMetadata", "unset") == "unset"


def test_a_session_without_delta_is_refused_with_what_to_set(started_spark: SparkSession) -> None:
    class WithoutDelta:
        class conf:
            @staticmethod
            def get(name: str, default: str) -> str:
                return {"spark.sql.extensions": "org.example.Other"}.get(name, default)

    with pytest.raises(EnvironmentProblem) as caught:
        require_delta(WithoutDelta())  # type: ignore[arg-type]
    assert str(caught.value) == (
        "The Spark session that was handed in does not know Delta. Start it with\n"
        "  spark.sql.extensions=io.delta.sql.DeltaSparkSessionExtension  (found: org.example.Other)\n"
        "  spark.sql.catalog.spark_catalog=org.apache.spark.sql.delta.catalog.DeltaCatalog  (found: nothing)\n"
        "and Delta's jars (io.delta:delta-spark_4.1_2.13:4.4.0), or hand in none: the engine then starts its own."
    )


def test_the_running_spark_is_found_from_any_session(started_spark: SparkSession) -> None:
    running = running_session()
    assert running is not None
    assert running.sparkContext is started_spark.sparkContext


def test_python_workers_do_not_import_from_archives_of_spark(spark: SparkSession) -> None:
    def archives(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _ in batches:
            found = [entry for entry in sys.path_importer_cache if entry.endswith(("pyspark.zip", ".jar"))]
            yield pa.RecordBatch.from_pydict({"path": pa.array(found, pa.string())})

    assert spark.range(1).mapInArrow(archives, "path string").collect() == []


def test_timestamps_are_written_so_that_other_readers_see_microseconds(spark: SparkSession, tmp_path: Path) -> None:
    frame = spark.sql("SELECT timestamp'9000-01-01 00:00:00.000001' AS t")
    frame.write.format("delta").save(str(tmp_path / "t"))
    assert DeltaTable(tmp_path / "t").to_pyarrow_table()["t"].to_pylist() == [
        datetime(9000, 1, 1, microsecond=1, tzinfo=timezone.utc)
    ]


SCRIPT = """
from feature_mart.delta.session import engine_session, start_session
spark = engine_session(start_session({"spark.sql.shuffle.partitions": "3"}))
assert spark.conf.get("spark.sql.shuffle.partitions") == "3", "the mart's own settings win"
frame = spark.createDataFrame([(1, "a"), (2, "b"), (3, "c")], "id bigint, name string")
frame.write.format("delta").save("table")
assert spark.read.format("delta").load("table").count() == 3
try:
    spark.sql("SELECT 1 / 0").collect()
except Exception as error:
    assert "DIVIDE_BY_ZERO" in str(error)
java = spark.sparkContext._gateway.proc.pid
spark.stop()
spark = engine_session(start_session({}))
assert spark.read.format("delta").load("table").count() == 3, "Spark can be started again in the same process"
assert spark.sparkContext._gateway.proc.pid == java, "in the same JVM"
"""


def test_a_process_of_its_own_leaves_no_word_and_no_file(tmp_path: Path) -> None:
    """Start, write, read and even a failing query: nothing on the terminal, nothing but the table in the folder."""
    answer = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")
    assert [path.name for path in tmp_path.iterdir()] == ["table"]
