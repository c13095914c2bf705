"""`mart doctor` on a machine where all is well."""

from __future__ import annotations

from pyspark.sql import SparkSession

from feature_mart.runner.doctor import CHECKS, run_checks


def test_all_is_well_and_spark_goes_on(started_spark: SparkSession) -> None:
    results = list(run_checks(None))
    assert [result.name for result in results] == list(CHECKS)
    assert [result for result in results if not result.ok] == []
    assert started_spark.range(1).count() == 1, "a Spark that was there before is not stopped"
