"""Tables that somebody or something else wrote, deleted or damaged, and a disk without room: told, and nothing lost."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import SparkSession

from feature_mart import FeatureStore, TableError
from feature_mart.cli.main import main
from feature_mart.delta.session import engine_session
from feature_mart.runner.workspace import Event, ignore
from feature_mart.testing import FixedClock, tiny_pipeline, write_files, write_tiny_mart

HEADER = "customer_id,order_no,ordered_at,amount\n"
NAMES = ("orders", "customer_orders", "mart_runs")
LATE = {"data/orders/late.csv": HEADER + "9,late,2011-01-01 12:00:00,9.0\n"}
BUILT = [(1, "a", 5.0), (1, "c", 2.5), (2, "b", 7.5), (3, "x", 1.0)]
WITH_LATE = [*BUILT, (9, "late", 9.0)]


def store_of(spark: SparkSession, root: Path, told: Callable[[Event], None] = ignore) -> FeatureStore:
    return FeatureStore(root, spark=engine_session(spark), now=FixedClock("2011-01-03T12:00:00Z"), on_event=told)


def mart(root: Path, *arguments: str) -> Result:
    result = CliRunner().invoke(main, ["--mart", str(root), *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def rows(spark: SparkSession, root: Path, table: str = "customer_orders") -> list[tuple[object, ...]]:
    sql = f"select customer_id, order_no, amount from {table} order by all"
    return [tuple(row) for row in store_of(spark, root).query(sql).collect()]


def content(root: Path, name: str) -> tuple[int, int]:
    """A table's version and number of rows, as a reader of another make sees them."""
    table = DeltaTable(str(root / "warehouse" / name))
    return table.version(), table.to_pyarrow_table().num_rows


@pytest.fixture(scope="module")
def twice(started_spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mart whose tables have three versions each."""
    root = write_tiny_mart(tmp_path_factory.mktemp("twice"))
    store_of(started_spark, root).build()
    for amount in ("0.0", "1.0"):
        write_files(root, {"data/orders/x.csv": f"{HEADER}3,x,2011-01-02 12:00:00,{amount}\n"})
        store_of(started_spark, root).build()
    return root


@pytest.fixture
def built(twice: Path, tmp_path: Path) -> Path:
    """A copy of the mart, for the test to damage."""
    return shutil.copytree(twice, tmp_path / "mart")


def log_files(table: Path) -> list[Path]:
    return sorted((table / "_delta_log").glob("*.json"))


def cut_off(table: Path) -> None:
    last = log_files(table)[-1]
    last.write_bytes(last.read_bytes()[: last.stat().st_size // 2])


def scramble(table: Path) -> None:
    log_files(table)[-1].write_bytes(b"\x00\xffno json")


def empty(table: Path) -> None:
    log_files(table)[-1].write_bytes(b"")


def leave_a_gap(table: Path) -> None:
    log_files(table)[1].unlink()


def break_the_checkpoint(table: Path) -> None:
    DeltaTable(str(table)).create_checkpoint()
    for file in (table / "_delta_log").glob("*.checkpoint.parquet"):
        file.write_bytes(b"PAR1 broken PAR1")


def remove_data(table: Path) -> None:
    for file in table.rglob("*.parquet"):
        file.unlink()


def remove_log(table: Path) -> None:
    shutil.rmtree(table / "_delta_log")


LAST = "its log is damaged: 00000000000000000002.json is "
CHECKPOINT = "its log is damaged: "


@pytest.mark.parametrize(
    ("name", "damage", "said"),
    [
        ("orders", cut_off, LAST + "cut off, or no JSON"),
        ("orders", scramble, LAST + "cut off, or no JSON"),
        ("orders", empty, LAST + "empty"),
        ("orders", leave_a_gap, "its log is damaged: 00000000000000000001.json is missing between others"),
        ("orders", break_the_checkpoint, CHECKPOINT),
        ("orders", remove_data, "a file that its log names is missing: "),
        ("customer_orders", cut_off, LAST + "cut off, or no JSON"),
        ("customer_orders", empty, LAST + "empty"),
        ("customer_orders", break_the_checkpoint, CHECKPOINT),
        ("customer_orders", remove_data, "a file that its log names is missing: "),
        ("mart_runs", leave_a_gap, "its log is damaged: 00000000000000000001.json is missing between others"),
        ("mart_runs", break_the_checkpoint, CHECKPOINT),
        ("mart_runs", remove_data, "a file that its log names is missing: part-"),
    ],
)
def test_a_damaged_table_is_named_and_the_others_stay(
    started_spark: SparkSession, twice: Path, built: Path, name: str, damage: Callable[[Path], None], said: str
) -> None:
    place = built / "warehouse" / name
    damage(place)
    left = {path.relative_to(place): path.read_bytes() for path in place.rglob("*") if path.is_file()}
    write_files(built, LATE)
    result = mart(built, "build")
    assert result.exit_code == 1, result.output
    assert f"table {name}: {said}" in result.stderr
    assert f"move {place} away and run `mart build`" in result.stderr
    for noise in ("\tat ", "Traceback", "<unknown>"):
        assert noise not in result.stderr
    after = {path.relative_to(place): path.read_bytes() for path in place.rglob("*") if path.is_file()}
    assert left.items() <= after.items()
    assert {other: content(built, other)[0] for other in NAMES if NAMES.index(other) > NAMES.index(name)} == {
        other: 2 for other in NAMES if NAMES.index(other) > NAMES.index(name)
    }
    if name == "orders":
        assert content(built, "customer_orders") == content(twice, "customer_orders")


def test_a_table_whose_log_is_put_back_goes_on_where_it_was(started_spark: SparkSession, built: Path) -> None:
    last = log_files(built / "warehouse/customer_orders")[-1]
    good = last.read_bytes()
    last.write_bytes(good[:100])
    with pytest.raises(TableError, match=r"Put the files of \S+/customer_orders/_delta_log back from a backup"):
        store_of(started_spark, built).history("customer_orders")
    last.write_bytes(good)
    write_files(built, LATE)
    store_of(started_spark, built).build()
    assert rows(started_spark, built) == WITH_LATE
    assert content(built, "customer_orders")[0] == 3


@pytest.mark.parametrize(
    ("folders", "logs"), [(("orders",), ()), (("customer_orders", "mart_runs"), ()), ((), NAMES)], ids=str
)
def test_tables_that_were_deleted_by_hand_are_made_anew(
    started_spark: SparkSession, built: Path, folders: tuple[str, ...], logs: tuple[str, ...]
) -> None:
    for name in folders:
        shutil.rmtree(built / "warehouse" / name)
    for name in logs:
        remove_log(built / "warehouse" / name)
    write_files(built, LATE)
    assert store_of(started_spark, built).build().committed
    assert rows(started_spark, built) == rows(started_spark, built, "orders") == WITH_LATE
    assert store_of(started_spark, built).query("select count(*) as n from mart_runs").first() in [(4,), (1,)]


def test_a_damaged_table_that_is_moved_away_is_made_anew(started_spark: SparkSession, built: Path) -> None:
    scramble(built / "warehouse/orders")
    (built / "warehouse/orders").rename(built / "damaged")
    store_of(started_spark, built).build()
    assert rows(started_spark, built) == rows(started_spark, built, "orders") == BUILT


def append_by_another_program(root: Path, name: str = "customer_orders") -> int:
    """Doubles a table's rows, and gives the version that this made."""
    table = DeltaTable(str(root / "warehouse" / name))
    write_deltalake(table, table.to_pyarrow_table(), mode="append")
    return table.version()


FOREIGN = (
    r"another program changed rows of customer_orders: version 3 of \S+Z \(WRITE\)\. Nothing says what they are made "
    r"from, so no build goes on from them; `mart build daily --select customer_orders --full-refresh` makes all rows "
    r"anew, or `mart restore customer_orders --version 2` brings back what was there before\."
)


def test_a_view_that_another_program_wrote_to_is_refused(started_spark: SparkSession, built: Path) -> None:
    assert append_by_another_program(built) == 3
    (view,) = store_of(started_spark, built).plan().views
    assert view.action == "refused"
    assert re.fullmatch(FOREIGN, view.reason)
    before = content(built, "mart_runs")
    with pytest.raises(TableError, match=FOREIGN):
        store_of(started_spark, built).build()
    assert content(built, "customer_orders") == (3, 8)
    assert content(built, "mart_runs") == before


def test_two_commands_lead_back_from_what_another_program_wrote(started_spark: SparkSession, built: Path) -> None:
    append_by_another_program(built)
    store = store_of(started_spark, built)
    (view,) = store.plan(select=["customer_orders"], full_refresh=True).views
    assert (view.action, view.reason) == ("build", "full refresh")
    store.build(select=["customer_orders"], full_refresh=True)
    assert rows(started_spark, built) == BUILT
    assert append_by_another_program(built) == 5
    assert store.restore("customer_orders", 4) == 6
    write_files(built, LATE)
    store.build(select=["customer_orders"])
    assert rows(started_spark, built) == WITH_LATE


def test_a_view_is_not_built_from_rows_that_another_program_wrote(started_spark: SparkSession, built: Path) -> None:
    later = {"name": "copy", "input": "customer_orders", "entities": ["customer"], "event_timestamp": "ordered_at"}
    about = """
        feature_view: copy
        description: The same.
        owner: growth@example.com
        features: {order_no: {description: Its number.}, amount: {description: Its value.}}
        """
    write_files(built, {"metadata/feature_views/copy.yml": about, "pipelines/daily.yml": tiny_pipeline(later)})
    append_by_another_program(built)
    store = store_of(started_spark, built)
    assert [view.action for view in store.plan().views] == ["refused", "blocked"]
    (view,) = store.plan(select=["copy"]).views
    assert (view.action, view.reason) == ("blocked", "waits for customer_orders, whose rows another program changed")
    with pytest.raises(TableError, match=FOREIGN):
        store.build(select=["copy"])


def test_a_change_that_comes_while_a_build_writes_is_told_at_its_end(started_spark: SparkSession, built: Path) -> None:
    write_files(built, LATE)

    def interfere(event: Event) -> None:
        if (event.kind, event.subject) == ("started", "customer_orders"):
            append_by_another_program(built)

    with pytest.raises(TableError, match="another program changed rows of customer_orders: version 3 of"):
        store_of(started_spark, built, interfere).build()
    (view,) = store_of(started_spark, built).plan().views
    assert view.action == "refused"


def test_maintenance_by_another_program_is_no_change_of_rows(started_spark: SparkSession, built: Path) -> None:
    table = DeltaTable(str(built / "warehouse/customer_orders"))
    table.optimize.compact()
    table.alter.set_table_properties({"delta.logRetentionDuration": "interval 36501 days"})
    table.vacuum(retention_hours=10_000, dry_run=False)
    assert table.version() > 2
    write_files(built, LATE)
    assert [view.action for view in store_of(started_spark, built).plan().views] == ["build"]
    store_of(started_spark, built).build()
    assert rows(started_spark, built) == WITH_LATE


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    place = tmp_path / "small"
    place.mkdir()
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    options = f"size=2m,uid={os.geteuid()},gid={os.getegid()}"
    mount = [*as_root, "mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    done = subprocess.run(mount, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        reason = f"a small disk cannot be mounted here, which takes root's rights: {done.stderr.strip()}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)  # what must hold must not be skipped unseen
        pytest.skip(reason)
    try:
        yield place
    finally:
        subprocess.run([*as_root, "umount", "-l", str(place)], check=True)


@pytest.mark.parametrize("subject", ["orders", "customer_orders"])
def test_a_full_disk_is_named_and_the_version_before_stays(
    started_spark: SparkSession, twice: Path, tmp_path: Path, small_disk: Path, subject: str
) -> None:
    root = shutil.copytree(twice, tmp_path / "mart", ignore=shutil.ignore_patterns("warehouse"))
    shutil.copytree(twice / "warehouse", small_disk, dirs_exist_ok=True)
    (root / "warehouse").symlink_to(small_disk)
    write_files(root, LATE)
    filler = small_disk / "filler"

    def fill(event: Event) -> None:
        if (event.kind, event.subject) == ("started", subject):
            state = os.statvfs(small_disk)
            filler.write_bytes(b"x" * (state.f_bavail * state.f_frsize))

    with pytest.raises(TableError) as caught:
        store_of(started_spark, root, fill).build()
    place = small_disk / subject
    said = f"table {subject}: the disk is full ({place}, on the disk mounted at {small_disk}: 0 of 2 MiB free)"
    assert caught.value.message.startswith(said)
    assert "free some space there" in caught.value.message
    assert "\tat " not in caught.value.message
    assert content(root, subject) == content(twice, subject)
    assert rows(started_spark, root) == BUILT
    filler.unlink()
    store_of(started_spark, root).build()
    assert rows(started_spark, root) == rows(started_spark, root, "orders") == WITH_LATE
