"""What a training set is pinned to: what runs left, what was asked for, and that it is all still there."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from feature_mart import FeatureStore, FilesMissing, TableError, UsageError, VersionNotFound
from feature_mart.definitions import Project, load_project
from feature_mart.delta.address import Location
from feature_mart.delta.session import engine_session
from feature_mart.delta.tables import Tables
from feature_mart.errors import MartError
from feature_mart.records import TableVersion, iso
from feature_mart.testing import FixedClock, tiny_pipeline, write_files, write_tiny_mart
from feature_mart.train.versions import pin

LATER_METADATA = {
    "metadata/feature_views/customer_first.yml": """
        feature_view: customer_first
        description: The orders again.
        owner: growth@example.com
        features: {order_no: {description: The number of the order.}, amount: {description: Its value.}}
        """
}
LATER = {"name": "customer_first", "input": "orders", "entities": ["customer"], "event_timestamp": "ordered_at"}


def no_spark() -> SparkSession:
    raise AssertionError("versions are pinned without Spark")


class Mart:
    """A mart in a folder, and what is pinned in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.project: Project = load_project(root, None, {})
        self.tables = Tables(Location(warehouse=self.project.settings.warehouse_uri), no_spark)

    def folder(self, name: str) -> Path:
        return self.root / "warehouse" / name

    def run_times(self) -> list[datetime]:
        """When runs were recorded, oldest first."""
        return [commit.committed_at for commit in reversed(self.tables.table("mart_runs").history())]

    def pin(
        self,
        *views: str,
        versions: Mapping[str, int] | None = None,
        as_of: datetime | None = None,
    ) -> dict[str, TableVersion]:
        return pin(
            self.tables,
            [self.project.views[name] for name in views or ("customer_orders",)],
            versions=versions,
            as_of=as_of,
        )

    def refused(
        self,
        kind: type[MartError],
        *views: str,
        versions: Mapping[str, int] | None = None,
        as_of: datetime | None = None,
    ) -> str:
        with pytest.raises(kind) as told:
            self.pin(*views, versions=versions, as_of=as_of)
        assert type(told.value) is kind
        return told.value.message


@pytest.fixture(scope="module")
def built(started_spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Mart:
    """Two runs, each with a version; then a restore, which no run has recorded, and a view that none has built."""
    root = write_tiny_mart(tmp_path_factory.mktemp("mart"))
    header = "customer_id,order_no,ordered_at,amount\n"
    for changes in ({}, {"data/orders/2011-01-02.csv": header + "1,c,2011-01-02 09:30:00,99.0\n"}):
        write_files(root, changes)
        store = FeatureStore(root, spark=engine_session(started_spark), now=FixedClock("2011-01-03T12:00:00Z"))
        store.build()
    assert store.restore("customer_orders", 0) == 2
    write_files(root, {"pipelines/daily.yml": tiny_pipeline(LATER), **LATER_METADATA})
    return Mart(root)


@pytest.fixture
def mart(built: Mart, tmp_path: Path) -> Mart:
    """A copy to damage."""
    return Mart(Path(shutil.copytree(built.root, tmp_path / "copy")))


def test_runs_decide_unless_a_version_is_named(built: Mart) -> None:
    table_id = built.pin()["customer_orders"].table_id
    assert table_id == str(DeltaTable(str(built.folder("customer_orders"))).metadata().id)
    assert built.pin() == {"customer_orders": TableVersion(table_id, 1)}
    assert built.pin(versions={"customer_orders": 2}) == {"customer_orders": TableVersion(table_id, 2)}
    first, second = built.run_times()
    for moment, version in ((first, 0), (second - timedelta(milliseconds=1), 0), (second, 1)):
        assert built.pin(as_of=moment) == {"customer_orders": TableVersion(table_id, version)}


def test_what_cannot_be_asked_for_is_named(built: Mart) -> None:
    before, last = built.run_times()[0] - timedelta(milliseconds=1), built.run_times()[-1]
    assert built.refused(UsageError, versions={"customer_orders": 1}, as_of=last) == (
        "versions and as_of are both given: give one of the two."
    )
    assert built.refused(UsageError, versions={"customer_order": 1}) == (
        "versions names customer_order, of which no feature is asked for. Views asked for: customer_orders. "
        "Did you mean customer_orders?"
    )
    for version in ("1", 1.0, True):
        assert built.refused(UsageError, versions={"customer_orders": version}) == (  # type: ignore[dict-item]
            f"versions={{'customer_orders': {version!r}}}: a version is a whole number, as `mart history` shows it."
        )
    assert built.refused(VersionNotFound, versions={"customer_orders": 7}) == (
        "table customer_orders has no version 7; it has versions 0 to 2. `mart history customer_orders` lists them."
    )
    assert built.refused(VersionNotFound, as_of=before) == (
        f"view customer_orders: no run of its pipeline daily had completed at {iso(before)}. "
        "`mart history mart_runs` lists the runs; give a later moment, or versions={'customer_orders': …}."
    )
    assert built.refused(TableError, "customer_orders", "customer_first") == (
        f"view customer_first has not been built (the last of daily is of {iso(last)}). Run `mart build daily`."
    )


def test_a_table_without_a_completed_run_and_one_without_its_table(mart: Mart) -> None:
    [last] = mart.run_times()[-1:]
    shutil.move(mart.folder("customer_orders"), mart.folder("kept"))
    assert mart.refused(TableError) == (
        f"view customer_orders: its table is gone since the run of {iso(last)}, which left version 1. Put that table "
        "back, or run `mart build daily` and take what it leaves."
    )
    DeltaTable.create(str(mart.folder("customer_orders")), DeltaTable(str(mart.folder("kept"))).schema())
    assert mart.refused(TableError) == (
        f"view customer_orders: its table was made anew since the run of {iso(last)}, which left version 1. Put that "
        "table back, or run `mart build daily` and take what it leaves."
    )
    shutil.rmtree(mart.folder("mart_runs"))
    assert mart.refused(TableError) == (
        "view customer_orders is part of no run that completed. Run `mart build daily`, or name a version of it: "
        "versions={'customer_orders': …}."
    )


def test_a_version_that_something_else_removed(mart: Mart) -> None:
    advice = (
        "Take another version (`mart history customer_orders` lists them): versions={'customer_orders': …}, or put "
        "back from a backup what is missing."
    )
    table = DeltaTable(str(mart.folder("customer_orders")))
    removed = set(table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False))
    files = DeltaTable(str(mart.folder("customer_orders")), version=1).get_add_actions().column("path").to_pylist()
    lost = sorted(removed & set(files))
    assert len(lost) == 2
    assert mart.pin(versions={"customer_orders": 2})["customer_orders"].version == 2
    assert mart.refused(FilesMissing) == (
        f"view customer_orders, version 1: 2 files missing, removed by VACUUM or by hand: {lost[0]} for one. {advice}"
    )
    table = DeltaTable(str(mart.folder("customer_orders")))
    table.create_checkpoint()
    newest = table.version()
    for version in range(newest):
        (mart.folder("customer_orders") / "_delta_log" / f"{version:020}.json").unlink()
    assert mart.refused(VersionNotFound) == (
        "view customer_orders, version 1: the log does not reach back to it any more: table customer_orders has no "
        f"version 1; it has versions {newest} to {newest}. {advice}"
    )
