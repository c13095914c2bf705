"""Large results of windows: tasks read buckets and write files, and a commit names them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from feature_mart import CheckFailed, ConcurrentBuild, FeatureStore
from feature_mart.delta import file_commits
from feature_mart.delta.file_commits import commit_files
from feature_mart.delta.layout import PARTITIONS
from feature_mart.delta.placement import bucket_code, period_text
from feature_mart.delta.writes import NOTHING, Expected, require_state
from feature_mart.records import Provenance
from feature_mart.testing import write_files
from tests.large_tables import large_tables
from tests.spark.test_windows import DAY, METADATA, PIPELINE, START, Mart, content

ORDERS = [
    (who, f"{who}-{day}", START + DAY * day + DAY / 24 * who, who / 4 - day)
    for who in range(9)
    for day in range(0, 35, 4 + who)
]
NOW = START + 36 * DAY


@pytest.fixture(autouse=True)
def _as_if_large() -> Iterator[None]:
    with large_tables():
        yield


def mart(root: Path, spark: SparkSession) -> Mart:
    made = Mart.at(root, spark, None)
    made.write("p", ORDERS)
    return made


def commits(root: Path, view: str) -> list[dict[str, Any]]:
    found = []
    for path in sorted((root / "warehouse" / view / "_delta_log").glob("*.json")):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        info: dict[str, Any] = next(line["commitInfo"] for line in lines if "commitInfo" in line)
        found.append(info | {"paths": [line["add"]["path"] for line in lines if "add" in line]})
    return found


def parquet_files(root: Path, view: str) -> list[str]:
    folder = root / "warehouse" / view
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("part-*.parquet"))


def test_rows_lie_where_the_table_contract_says_and_explain_themselves(spark: SparkSession, tmp_path: Path) -> None:
    store = mart(tmp_path, spark).store(NOW)
    store.build("daily")
    for view, keys in (("customer_spend__tiles", "customer_id"), ("customer_spend", "customer_id")):
        (commit,) = commits(tmp_path, view)
        assert commit["engineInfo"].startswith("delta-rs")
        assert len(commit["paths"]) >= 4
        assert sorted(commit["paths"]) == parquet_files(tmp_path, view)
        kept = spark.read.format("delta").load(str(tmp_path / "warehouse" / view))
        assert kept.where(period_text("ordered_at", "month") != F.col("_period")).count() == 0
        kinds = {keys: "bigint"}
        misplaced = [
            row["_bucket"]
            for row in kept.select("_bucket", bucket_code(kinds, 2).alias("code")).distinct().collect()
            if row["code"] >> (3 - row["_bucket"].bit_length()) != row["_bucket"]
        ]
        assert misplaced == []
        feed = spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", 0)
        assert feed.load(str(tmp_path / "warehouse" / view)).count() == kept.count()
    (told,) = store.history("customer_spend")
    assert told["rows"] == store.table("customer_spend").count()
    assert told["horizon"] == "2011-02-08T00:00:00Z"


def test_they_are_those_of_a_small_build_and_stay_so_night_after_night(spark: SparkSession, tmp_path: Path) -> None:
    large = mart(tmp_path / "large", spark)
    large.store(NOW - 3 * DAY).build("daily")
    for night in (2, 1, 0):
        large.store(NOW - night * DAY).build("daily")
    true = large.expected([START + DAY * number for number in range(-3, 37)])
    assert content(large.store(NOW)) == true
    modes = [commit["operationParameters"].get("mode") for commit in commits(tmp_path / "large", "customer_spend")]
    assert modes[0] == "ErrorIfExists"
    assert set(modes[1:]) == {"Append"}
    large.write("q", [(3, "late", START + 2 * DAY, 17.5)])
    large.store(NOW).build("daily")
    true = large.expected([START + DAY * number for number in range(-3, 37)])
    assert content(large.store(NOW)) == true
    large.store(NOW).build("daily", full_refresh=True)
    assert content(large.store(NOW)) == true
    assert commits(tmp_path / "large", "customer_spend")[-1]["operationParameters"]["mode"] == "Overwrite"


def with_check(root: Path, check: str) -> None:
    text = PIPELINE.replace("LONGEST", "lifetime").rstrip() + f"\n        checks: [{check}]\n    "
    write_files(root, {"pipelines/daily.yml": text, "metadata/feature_views/customer_spend.yml": METADATA})


def test_a_failed_check_leaves_no_file_behind(spark: SparkSession, tmp_path: Path) -> None:
    made = mart(tmp_path, spark)
    with_check(tmp_path, '{sql: "amount_count_3d < 1"}')
    with pytest.raises(CheckFailed, match="amount_count_3d < 1"):
        made.store(NOW).build("daily")
    assert parquet_files(tmp_path, "customer_spend") == []
    assert made.store(NOW)._table("customer_spend").current() is None
    with_check(tmp_path, '{sql: "amount_count_3d < 300"}')
    made.store(NOW).build("daily")
    assert content(made.store(NOW)) == made.expected([START + DAY * number for number in range(-3, 37)])


def test_rows_that_are_set_aside_are_not_in_the_files_that_stay(spark: SparkSession, tmp_path: Path) -> None:
    made = mart(tmp_path, spark)
    with_check(tmp_path, '{sql: "amount_count_3d < 1", severity: quarantine}')
    store = made.store(NOW)
    store.build("daily")
    assert store.table("customer_spend").where("amount_count_3d >= 1").count() == 0
    assert store.table("customer_spend__quarantine").count() > 0
    (commit,) = commits(tmp_path, "customer_spend")
    assert sorted(commit["paths"]) == parquet_files(tmp_path, "customer_spend")


def test_of_two_builds_the_overtaken_one_commits_nothing_and_removes_its_files(
    spark: SparkSession, tmp_path: Path
) -> None:
    made = mart(tmp_path, spark)
    others: list[int] = []

    def overtake(event: Any) -> None:
        if event.kind == "started" and event.subject == "customer_spend" and not others:
            others.append(1)
            made.store(NOW - DAY).build("daily")

    store = made.store(NOW)
    slow = FeatureStore(made.root, spark=spark, now=lambda: NOW, on_event=overtake)
    slow.build("daily")  # plans again on what the other one left
    assert others == [1]
    assert content(store) == made.expected([START + DAY * number for number in range(-3, 37)])
    named = [path for commit in commits(tmp_path, "customer_spend") for path in commit["paths"]]
    assert sorted(named) == parquet_files(tmp_path, "customer_spend")


def commit_nothing(store: FeatureStore, sequence: int) -> int:
    """A commit of no rows by a run that planned on a state of the table."""
    run = store._workspace.new_run(None)
    said = Provenance(run, "daily", "customer_spend", "", None, {}, 0, {"passed": 0, "warned": 0, "failed": 0})
    table = store._table("customer_spend")
    schema = json.dumps({"type": "struct", "fields": [{"name": "customer_id", "type": "long", "metadata": {}}]})
    return commit_files(
        [],
        table,
        schema=schema,
        provenance=said,
        expected=Expected(sequence),
        partition_by=PARTITIONS,
        properties={},
        replaces=NOTHING,
    ).version


def test_a_commit_of_files_is_compare_and_swap(spark: SparkSession, tmp_path: Path) -> None:
    store = mart(tmp_path, spark).store(NOW)
    store.build("daily")
    with pytest.raises(ConcurrentBuild, match="another build committed"):
        commit_nothing(store, 0)
    assert len(store.history("customer_spend")) == 1


def test_maintenance_in_the_same_moment_is_no_other_build(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = mart(tmp_path, spark).store(NOW)
    store.build("daily")
    looks: list[int] = []

    def look(table: Any, expected: Expected) -> None:
        if not looks:  # the commit that follows was prepared on the version before this one
            spark.sql(f"ALTER TABLE delta.`{table.address.uri}` SET TBLPROPERTIES ('some.note' = 'x')")
        looks.append(1)
        require_state(table, expected)

    monkeypatch.setattr(file_commits, "require_state", look)
    assert commit_nothing(store, 1) == 2
    assert len(looks) == 2
