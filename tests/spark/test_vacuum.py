"""Files of versions that nothing needs go; what anything needs stays, whatever its age."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from feature_mart import FeatureStore, TableError, UsageError, VersionNotFound
from feature_mart.cli.main import main
from feature_mart.delta.stored_files import stored_files
from feature_mart.delta.writes import expected_state, table_properties
from feature_mart.records import Provenance
from feature_mart.testing import FixedClock, write_files, write_tiny_mart
from feature_mart.write.files import append_rows

VIEW = "customer_orders"
HEADER = "customer_id,order_no,ordered_at,amount\n"
SECOND = "data/orders/2011-01-02.csv"
NOON = "2011-01-03T12:00:00Z"
# Commits and files are of today, by the machine's clock; here all of them are old.
YEARS_LATER = FixedClock(datetime.now(timezone.utc) + timedelta(days=2000))


@pytest.fixture(scope="module")
def built(started_spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mart whose view has versions 0 to 3, each with another amount of order c, and a run for each."""
    root = write_tiny_mart(tmp_path_factory.mktemp("built"), materialize=None)
    for amount in (2.5, 10.0, 20.0, 30.0):
        write_files(root, {SECOND: HEADER + f"1,c,2011-01-02 09:30:00,{amount}\n"})
        FeatureStore(root, spark=started_spark, now=FixedClock(NOON)).build()
    return root


@pytest.fixture
def mart(built: Path, spark: SparkSession, tmp_path: Path) -> FeatureStore:
    """That mart, for one test."""
    shutil.copytree(built, tmp_path, dirs_exist_ok=True)
    return FeatureStore(tmp_path, spark=spark, now=YEARS_LATER)


def pin(store: FeatureStore, name: str, said: Mapping[str, Any]) -> None:
    """Saves a training set as the engine does: a table whose commit says what it was made from."""
    table = store._workspace.tables.table(f"training_set__{name}")
    append_rows(
        pa.table({"label": [1]}),
        table,
        provenance=Provenance(store._workspace.new_run(None), None, table.name, None, None, {}, 1, {}, extra=said),
        expected=expected_state(table),
        properties=table_properties([]),
        statistics_on=[],
    )


def needing(version: int) -> dict[str, Any]:
    return {"training_set": {"views": [{"view": VIEW, "table_id": "x", "version": version}]}}


def amount(store: FeatureStore, version: int | None = None) -> list[float]:
    return [row["amount"] for row in store.table(VIEW, version).where("order_no = 'c'").collect()]


def of_view(found: Any) -> dict[str, Any]:
    return next(entry for entry in found if entry["table"] == VIEW)


def data_files(root: Path, name: str = VIEW) -> set[Path]:
    return set((root / "warehouse" / name).rglob("*.parquet"))


def test_a_pinned_version_stays_readable_and_an_unpinned_one_is_gone_and_named(
    mart: FeatureStore, tmp_path: Path
) -> None:
    pin(mart, "churn", needing(1))
    before = data_files(tmp_path)
    dry = of_view(mart.vacuum(dry_run=True))
    assert data_files(tmp_path) == before
    found = of_view(mart.vacuum())
    assert found == {**dry, "dry_run": False}
    assert (found["newest"], found["recent"], found["expired"]) == (3, [3], [0, 2])
    pinned = {entry["version"]: entry["why"] for entry in found["pinned"]}
    assert pinned[1] == ["training set churn"]
    assert pinned[3][0].startswith("last run ") and " of daily, 20" in pinned[3][0]
    gone = before - data_files(tmp_path)
    assert found["files"] == len(gone) >= 2 and found["bytes"] > 0 and found["lost"] == []
    assert not [path for path in gone if (path.parent / f".{path.name}.crc").exists()]
    assert amount(mart, 1) == [10.0] and amount(mart, 3) == amount(mart) == [30.0]
    with pytest.raises(
        VersionNotFound, match=r"^version 2 of customer_orders is in its history, but its rows are gone"
    ):
        mart.table(VIEW, 2)
    with pytest.raises(VersionNotFound, match=r"removed, by `mart vacuum` after the table's retention"):
        mart.query("select 1 from customer_orders", versions={VIEW: 0})
    assert of_view(mart.vacuum())["files"] == 0
    (tmp_path / "data/orders/2011-01-03.csv").write_text(HEADER + "2,e,2011-01-02 10:00:00,1.0\n")
    assert mart.build().committed
    assert mart.table(VIEW).count() == 4


def test_versions_of_completed_runs_are_kept_for_the_retention(mart: FeatureStore, tmp_path: Path) -> None:
    # Within the default of 400 days, all are: for their age, and as runs left them.
    today = FeatureStore(tmp_path, now=lambda: datetime.now(timezone.utc))
    found = of_view(today.vacuum(VIEW))
    assert (found["recent"], found["expired"], found["files"]) == ([0, 1, 2, 3], [], 0)
    assert [entry["version"] for entry in found["pinned"]] == [0, 1, 2, 3]
    # Of a view that keeps its versions for two days, three days later only the last run's is.
    write_tiny_mart(tmp_path, {SECOND: HEADER + "1,c,2011-01-02 09:30:00,30.0\n"}, materialize=None, retention="2d")
    later = FixedClock(datetime.now(timezone.utc) + timedelta(days=3))
    found = of_view(FeatureStore(tmp_path, now=later).vacuum())
    assert (found["retention"], found["recent"], found["expired"]) == ("2d", [3], [0, 1, 2])
    assert amount(mart) == [30.0]
    orders = FeatureStore(tmp_path, now=later).vacuum("orders", dry_run=True)[0]
    assert (orders["retention"], orders["expired"]) == ("400d", [])


def test_versions_that_the_next_build_reads_changes_since_are_kept(mart: FeatureStore, tmp_path: Path) -> None:
    # As if the view's last build had been killed before its commit: it is one version of its source behind.
    (tmp_path / "warehouse" / VIEW / "_delta_log" / f"{3:020}.json").unlink()
    found = mart.vacuum("orders")[0]
    assert found["pinned"] == [{"version": 2, "why": ["the next build of customer_orders"]}]
    assert found["expired"] == [0, 1] and found["files"] > 0
    mart.build()
    assert amount(mart) == [30.0]


def test_maintenance_of_an_input_builds_nothing_and_keeps_nothing(
    mart: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("feature_mart.history.optimize.due_files", lambda files, *_: list(files))
    # The files lie in another folder than those that were ingested, which is a change.
    FeatureStore(tmp_path, spark=mart._workspace.session(), now=FixedClock(NOON)).build()
    version = mart.optimize("orders")[0]["version"]
    orders = DeltaTable(str(tmp_path / "warehouse" / "orders"))
    orders.alter.set_table_properties({"delta.checkpointInterval": "20"})
    assert orders.version() == version + 1
    store = FeatureStore(tmp_path, now=FixedClock(NOON))
    assert [(view.action, view.reason) for view in store.plan().views] == [("skip", "up to date")]
    found = mart.vacuum("orders")[0]
    assert (found["pinned"], found["recent"]) == ([], [version + 1])
    write_files(tmp_path, {SECOND: HEADER + "1,c,2011-01-02 09:30:00,70.0\n"})
    mart.build()
    assert amount(mart) == [70.0]


def test_what_a_killed_build_left_goes_when_it_is_old_enough(mart: FeatureStore, tmp_path: Path) -> None:
    folder = tmp_path / "warehouse" / VIEW / "_period=all" / "_bucket=1"
    old, young = folder / "part-killed.parquet", folder / "part-running.parquet"
    changes = tmp_path / "warehouse" / VIEW / "_change_data" / "cdc-killed.parquet"
    changes.parent.mkdir(exist_ok=True)
    now = datetime.now(timezone.utc)
    for path, days in ((old, 8), (young, 6), (changes, 8)):
        path.write_bytes(b"12345")
        at = (now - timedelta(days=days)).timestamp()
        os.utime(path, (at, at))
    store = FeatureStore(tmp_path, now=lambda: now)
    found = store.vacuum(VIEW)[0]
    assert (found["orphan_files"], found["orphan_bytes"], found["waiting_files"], found["files"]) == (2, 10, 1, 0)
    assert (old.exists(), young.exists(), changes.exists()) == (False, True, False)
    assert store.vacuum(VIEW, orphans_older_than=timedelta(days=5))[0]["orphan_files"] == 1
    assert not young.exists()
    assert amount(mart) == [30.0]


def test_a_build_that_commits_while_the_folder_is_listed_loses_nothing(
    mart: FeatureStore, spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def then_a_build(folder: Path) -> Any:
        files = stored_files(folder)
        if folder.name == VIEW:
            write_files(tmp_path, {SECOND: HEADER + "1,c,2011-01-02 09:30:00,60.0\n"})
            FeatureStore(tmp_path, spark=spark, now=FixedClock(NOON)).build()
            files += [file for file in stored_files(folder) if file not in files]
        return files

    monkeypatch.setattr("feature_mart.history.vacuum.stored_files", then_a_build)
    found = of_view(mart.vacuum())
    assert found["newest"] == 4
    assert amount(mart) == [60.0]


def test_files_that_others_removed_from_a_pinned_version_are_named(mart: FeatureStore, tmp_path: Path) -> None:
    pin(mart, "churn", needing(1))
    pin(mart, "upsell", needing(9))
    log = tmp_path / "warehouse" / VIEW / "_delta_log" / f"{1:020}.json"
    added = [json.loads(line)["add"]["path"] for line in log.read_text().splitlines() if '"add"' in line[:10]]
    for path in added:
        (tmp_path / "warehouse" / VIEW / path).unlink()
    found = of_view(mart.vacuum())
    assert found["lost"] == [
        {"version": 1, "missing_files": len(added)},
        {"version": 9, "missing_files": None},
    ]
    result = CliRunner().invoke(main, ["--mart", str(tmp_path), "vacuum", VIEW], catch_exceptions=False)
    assert "version 1 is needed for training set churn, run " in result.stdout
    assert "version 9 is needed for training set upsell, but it is not in the table's log" in result.stdout


def test_nothing_is_removed_where_nobody_knows_what_is_needed(mart: FeatureStore, tmp_path: Path) -> None:
    pin(mart, "odd", {})
    before = data_files(tmp_path)
    with pytest.raises(TableError, match=r"^training_set__odd does not say which versions it was made from"):
        mart.vacuum()
    log = tmp_path / "warehouse" / VIEW / "_delta_log"
    (tmp_path / "warehouse" / "training_set__odd").rename(tmp_path / "away")
    (log / f"{2:020}.json").write_text("cut of")
    with pytest.raises(TableError, match=r"its log is damaged: 0+2\.json is cut off"):
        mart.vacuum(VIEW)
    assert data_files(tmp_path) == before
    with pytest.raises(
        UsageError, match=r"there is no view or source 'customer_order'\..*Did you mean customer_orders"
    ):
        mart.vacuum("customer_order")


def test_a_log_that_others_cut_off_is_cleaned_from_where_it_begins(mart: FeatureStore, tmp_path: Path) -> None:
    folder = tmp_path / "warehouse" / VIEW
    DeltaTable(str(folder)).create_checkpoint()
    for version in range(3):
        (folder / "_delta_log" / f"{version:020}.json").unlink()
    found = mart.vacuum(VIEW)[0]
    assert (found["recent"], found["expired"]) == ([3], [])
    assert found["files"] + found["orphan_files"] == 3 and amount(mart) == [30.0]


def test_the_command_says_what_would_go_and_what_is_kept(mart: FeatureStore, tmp_path: Path) -> None:
    pin(mart, "churn", needing(1))
    run = CliRunner()
    result = run.invoke(main, ["--mart", str(tmp_path), "vacuum", "--dry-run"], catch_exceptions=False)
    assert result.exit_code == 0
    assert result.stdout.rstrip().endswith("0 files, 0.0 MB would go")
    as_json = run.invoke(main, ["--mart", str(tmp_path), "vacuum", "--dry-run", "--json"], catch_exceptions=False)
    assert of_view(json.loads(as_json.stdout))["recent"] == [0, 1, 2, 3]
    wrong = run.invoke(main, ["--mart", str(tmp_path), "vacuum", "--orphans-older-than", "soon"])
    assert wrong.exit_code == 2 and "'soon' is no duration" in wrong.stderr
