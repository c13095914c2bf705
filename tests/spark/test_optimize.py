"""Rows laid out anew: no row changes, and builds go on as if nothing had happened."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pyspark.sql import DataFrame, SparkSession

from feature_mart import ConcurrentBuild
from feature_mart.cli.main import main
from feature_mart.delta.data_files import Target
from feature_mart.delta.file_commits import commit_files
from feature_mart.write.files import Files, write_frame
from tests.large_tables import large_tables
from tests.spark.test_windows import DAY, START, Mart, content

ORDERS = [
    (who, f"{who}-{day}", START + DAY * day + DAY / 24 * who, who / 4 - day)
    for who in range(9)
    for day in range(0, 35, 4 + who)
]
NOW = START + 36 * DAY
LATER = NOW + timedelta(days=60)
VIEW, TILES = "customer_spend", "customer_spend__tiles"


@pytest.fixture(autouse=True)
def _as_if_large() -> Iterator[None]:
    with large_tables():
        yield


@pytest.fixture
def mart(spark: SparkSession, tmp_path: Path) -> Mart:
    """A mart of several buckets and months, to which two nights have added."""
    made = Mart.at(tmp_path, spark, None)
    made.write("p", ORDERS)
    made.store(NOW - 2 * DAY).build("daily")
    made.write("q", [(3, "late", START + 20 * DAY, 1.5), (4, "new", NOW - 1.5 * DAY, 2.5)])
    made.store(NOW - DAY).build("daily")
    return made


def true_content(mart: Mart, last: int = 35) -> Any:
    return mart.expected([START + DAY * number for number in range(-3, last + 1)])


def by_table(found: Any) -> dict[str, dict[str, Any]]:
    return {entry["table"]: entry for entry in found}


def rows(mart: Mart, name: str) -> list[Any]:
    return sorted(map(tuple, mart.store(LATER).table(name).collect()), key=str)


def test_no_row_changes_and_the_next_build_is_incremental(mart: Mart, spark: SparkSession, tmp_path: Path) -> None:
    before = {name: rows(mart, name) for name in (VIEW, TILES, "orders")}
    dry = by_table(mart.store(LATER).optimize(dry_run=True))
    found = by_table(mart.store(LATER).optimize())
    assert before == {name: rows(mart, name) for name in before}
    for name in (VIEW, TILES):
        entry, place = found[name], str(tmp_path / "warehouse" / name)
        assert entry["files_before"] == dry[name]["files_before"] > entry["files_after"] > 1
        assert dry[name]["version"] is None and entry["version"] == 2
        lying = [row.asDict() for row in spark.read.format("delta").load(place).select("_period", "_bucket").collect()]
        assert {row["_bucket"].bit_length() for row in lying} == {3}
        assert {row["_period"] for row in lying} == {"2011-01", "2011-02"}
        actions = [json.loads(line) for line in Path(place, "_delta_log", f"{2:020}.json").read_text().splitlines()]
        files = [action[kind] for action in actions for kind in ("add", "remove") if kind in action]
        assert len(files) == entry["files_before"] + entry["files_after"]
        assert not any(file["dataChange"] for file in files)
    feed = spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", 2)
    assert feed.load(str(tmp_path / "warehouse" / VIEW)).count() == 0
    assert by_table(mart.store(LATER).optimize())[VIEW]["files_before"] == 0

    assert {view.view: view.action for view in mart.store(NOW - DAY).plan("daily").views}[VIEW] == "skip"
    newest = mart.store(NOW).history(VIEW)[0]
    assert (newest["version"], newest["reason"], newest["rows"]) == (2, "optimized", 0)
    mart.write("r", [(3, "newer", NOW - DAY / 2, 1.5)])
    mart.store(NOW).build("daily")
    newest = mart.store(NOW).history(VIEW)[0]
    assert newest["version"] == 3 and 0 < newest["rows"] < 10
    assert content(mart.store(NOW)) == true_content(mart, 36)
    explained = mart.store(NOW).explain(f"{VIEW}:amount_count_3d", {"customer_id": 0}, NOW - 5 * DAY)
    assert explained["written_by"]["version"] in (0, 1)


def test_it_goes_on_beside_a_build_that_adds_and_gives_way_to_one_that_replaces(
    mart: Mart, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    builds = [False, True]

    def after_a_build(frame: DataFrame, target: Target) -> Files:
        written = write_frame(frame, target)
        if Path(target.folder).name == VIEW:
            mart.store(NOW).build("daily", full_refresh=builds.pop(0))
        return written

    monkeypatch.setattr("feature_mart.history.optimize.write_frame", after_a_build)
    found = by_table(mart.store(LATER).optimize(VIEW))
    assert builds == [True] and content(mart.store(NOW)) == true_content(mart, 36)
    assert found[VIEW]["version"] == mart.store(NOW).history(VIEW)[0]["version"]
    monkeypatch.setattr("feature_mart.history.optimize.due_files", lambda files, *_: list(files))
    with pytest.raises(ConcurrentBuild, match="a build replaced rows while their files were laid out anew"):
        mart.store(LATER).optimize(VIEW)
    assert not builds and content(mart.store(NOW)) == true_content(mart, 36)
    assert mart.store(LATER + 30 * DAY).vacuum(VIEW, orphans_older_than=timedelta(0))[1]["orphan_files"] == 0


def test_a_build_that_meets_it_goes_on_without_computing_again(mart: Mart, monkeypatch: pytest.MonkeyPatch) -> None:
    met: list[Any] = []

    def after_optimizing(*args: Any, **settings: Any) -> Any:
        if args[1].name == VIEW:
            met.append(by_table(mart.store(LATER).optimize(VIEW))[VIEW]["version"])
        return commit_files(*args, **settings)

    monkeypatch.setattr("feature_mart.write.view.commit_files", after_optimizing)
    mart.store(NOW).build("daily")
    assert met == [2] and [entry["version"] for entry in mart.store(NOW).history(VIEW)] == [3, 2, 1, 0]
    assert content(mart.store(NOW)) == true_content(mart, 36)


def test_the_command_says_what_is_due_and_a_source_is_laid_out_by_time(
    mart: Mart, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = CliRunner()
    result = run.invoke(main, ["--mart", str(tmp_path), "optimize", "--dry-run"], catch_exceptions=False)
    assert result.exit_code == 0
    assert "customer_spend__tiles" in result.stdout and "would be laid out anew" in result.stderr
    as_json = run.invoke(main, ["--mart", str(tmp_path), "optimize", "--dry-run", "--json"], catch_exceptions=False)
    assert by_table(json.loads(as_json.stdout))[VIEW]["files_before"] > 0

    monkeypatch.setattr("feature_mart.delta.layout.ROWS_PER_BUCKET", 1000)
    source = run.invoke(main, ["--mart", str(tmp_path), "optimize", "orders", "--dry-run"], catch_exceptions=False)
    assert source.stdout == "Nothing is due: every table lies as it should.\n"
    before = rows(mart, "orders")
    monkeypatch.setattr("feature_mart.history.optimize.due_files", lambda files, *_: list(files))
    (found,) = mart.store(LATER).optimize("orders")
    assert found["files_before"] > found["files_after"] == 1 and rows(mart, "orders") == before
    built = mart.store(NOW - DAY).build("daily")
    assert built.sources["orders"].version == found["version"] and not any(view.committed for view in built.views)
