"""Building the tiny mart for real: Spark, Delta, files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from feature_mart import BuildError, CheckFailed, FeatureStore, SchemaChangeRefused, SourceError, UsageError
from feature_mart.testing import FixedClock, tiny_pipeline, write_files, write_tiny_mart

OPEN = Callable[..., FeatureStore]
NOON = "2011-01-03T12:00:00Z"


@pytest.fixture
def tiny(spark: SparkSession, tmp_path: Path) -> OPEN:
    """Opens the tiny mart with changes laid over its files; called again, it opens what is there by then."""

    def open_store(changes: Mapping[str, str | bytes | None] | None = None, now: str = NOON) -> FeatureStore:
        if not (tmp_path / "conf").exists():
            write_tiny_mart(tmp_path, changes)
        else:
            write_files(tmp_path, changes or {})
        return FeatureStore(tmp_path, spark=spark, now=FixedClock(now))

    return open_store


def rows(store: FeatureStore, name: str = "customer_orders", version: int | None = None) -> list[tuple[Any, ...]]:
    columns = [column for column in store.table(name, version).columns if column != "ordered_at"]
    return sorted(tuple(row) for row in store.table(name, version).select(*columns).collect())


def total(frame: DataFrame) -> float:
    (row,) = frame.collect()
    return float(row["total"])


FIRST = [(1, "a", 5.0), (1, "c", 2.5), (2, "b", 7.5)]


def test_a_first_build_publishes_what_the_definition_gives(tiny: OPEN) -> None:
    store = tiny()
    result = store.build()
    assert result.committed
    assert rows(store) == FIRST
    assert store.table("customer_orders").columns == ["customer_id", "ordered_at", "order_no", "amount"]


def test_a_commit_says_what_made_it(tiny: OPEN) -> None:
    store = tiny()
    result = store.build("daily")
    (entry,) = store.history("customer_orders")
    assert entry["run_id"] == result.run_id
    assert entry["mart"] == "tiny"
    assert entry["pipeline"] == "daily"
    assert entry["feature_view"] == "customer_orders"
    assert entry["definition_hash"] == store.project.views["customer_orders"].definition_hash
    assert entry["intervals"] == [["2011-01-01T00:00:00Z", "2011-01-03T00:00:00Z"]]
    assert entry["horizon"] == "2011-01-03T00:00:00Z"
    assert entry["rows"] == 3
    assert entry["checks"]["failed"] == 0
    assert entry["inputs"]["orders"]["version"] == 0
    assert entry["engine"].startswith("feature_mart ")
    (source,) = store.history("orders")
    assert source["inputs"]["orders"]["files"] == 2


def test_building_again_with_nothing_new_writes_no_commit(tiny: OPEN) -> None:
    store = tiny()
    store.build()
    again = store.build()
    assert not again.committed
    assert [len(store.history(name)) for name in ("orders", "customer_orders", "mart_runs")] == [1, 1, 1]


def test_a_completed_run_records_the_versions_that_it_left(tiny: OPEN) -> None:
    store = tiny()
    result = store.build()
    (run,) = store.query("select run_id, pipeline, versions from mart_runs").collect()
    assert (run.run_id, run.pipeline, run.versions) == (result.run_id, "daily", {"customer_orders": 0})


def test_a_new_file_builds_its_day_only(tiny: OPEN) -> None:
    store = tiny()
    store.build()
    header = "customer_id,order_no,ordered_at,amount\n"
    store = tiny({"data/orders/2011-01-03.csv": header + "3,d,2011-01-03 08:00:00,1.0\n"}, now="2011-01-04T01:00:00Z")
    store.build()
    assert rows(store) == [*FIRST, (3, "d", 1.0)]
    assert store.history("customer_orders")[0]["intervals"] == [["2011-01-03T00:00:00Z", "2011-01-04T00:00:00Z"]]
    assert store.history("orders")[0]["rows"] == 1


def test_a_late_row_rebuilds_the_day_that_it_belongs_to(tiny: OPEN) -> None:
    store = tiny()
    store.build()
    header = "customer_id,order_no,ordered_at,amount\n"
    store = tiny({"data/orders/late.csv": header + "9,z,2010-12-30 08:00:00,1.0\n8,y,2011-01-01 08:00:00,1.0\n"})
    store.build()
    assert rows(store) == sorted([*FIRST, (9, "z", 1.0), (8, "y", 1.0)])
    assert store.history("customer_orders")[0]["intervals"] == [
        ["2010-12-30T00:00:00Z", "2010-12-31T00:00:00Z"],
        ["2010-12-31T00:00:00Z", "2011-01-02T00:00:00Z"],
    ] or store.history("customer_orders")[0]["intervals"] == [["2010-12-30T00:00:00Z", "2011-01-02T00:00:00Z"]]


def test_a_corrected_file_replaces_its_rows(tiny: OPEN) -> None:
    store = tiny()
    store.build()
    header = "customer_id,order_no,ordered_at,amount\n"
    store = tiny({"data/orders/2011-01-02.csv": header + "1,c,2011-01-02 09:30:00,99.0\n"})
    store.build()
    assert rows(store) == [(1, "a", 5.0), (1, "c", 99.0), (2, "b", 7.5)]
    assert rows(store, version=0) == FIRST
    assert store.history("customer_orders")[0]["intervals"] == [["2011-01-02T00:00:00Z", "2011-01-03T00:00:00Z"]]


@pytest.mark.parametrize("content", ["", "customer_id,order_no,ordered_at,amount\n"], ids=["empty", "header only"])
def test_a_file_that_had_rows_and_has_none_is_refused(tiny: OPEN, content: str) -> None:
    tiny().build()
    store = tiny({"data/orders/2011-01-01.csv": content, "data/orders/2011-01-02.csv": content})
    with pytest.raises(SourceError) as told:
        store.build()
    assert str(told.value).startswith(
        "source orders: 2011-01-01.csv, 2011-01-02.csv: there were 3 rows, and now there are none. Nothing of this run "
    )
    assert rows(store) == FIRST
    assert store.table("orders").count() == 3


def test_a_touched_file_with_the_same_content_is_no_change(tiny: OPEN, tmp_path: Path) -> None:
    store = tiny()
    store.build()
    (tmp_path / "data/orders/2011-01-01.csv").touch()
    assert not tiny().build().committed


@pytest.mark.parametrize(("policy", "expected"), [("keep", FIRST), ("drop", FIRST[:1] + FIRST[2:])])
def test_a_deleted_file_keeps_or_drops_its_rows(tiny: OPEN, policy: str, expected: list[Any], tmp_path: Path) -> None:
    sources = (write_tiny_mart(tmp_path / "other") / "metadata/sources.yml").read_text()
    store = tiny({"metadata/sources.yml": sources + f"    deleted_files: {policy}\n"})
    store.build()
    store = tiny({"data/orders/2011-01-02.csv": None})
    store.build()
    assert rows(store) == expected


def test_a_changed_source_declaration_reads_everything_anew(tiny: OPEN, tmp_path: Path) -> None:
    store = tiny()
    store.build()
    text = (tmp_path / "metadata/sources.yml").read_text()
    store = tiny({"metadata/sources.yml": text.replace("amount: double", "amount: 'decimal(9,2)'")})
    with pytest.raises(SchemaChangeRefused, match="amount would change from double to decimal"):
        store.build()
    assert rows(store) == FIRST
    store.build(full_refresh=True)
    assert dict(store.table("customer_orders").dtypes)["amount"] == "decimal(9,2)"


def test_rows_that_do_not_fit_are_set_aside_with_their_reason(tiny: OPEN) -> None:
    bad = 'customer_id,order_no,ordered_at,amount\n4,d,2011-01-02 10:00:00,"1,200"\n5,e,not a time,1\n6,f\n7,g,,1\n'
    store = tiny({"data/orders/bad.csv": bad})
    store.build()
    assert rows(store) == FIRST
    found = store.query("select file, reason, raw from orders__quarantine order by raw").collect()
    assert {row.file for row in found} == {"bad.csv"}
    assert sorted(row.reason for row in found) == [
        "amount: '1,200' is no double",
        "not 4 fields, as the header has",
        "ordered_at: 'not a time' is no timestamp",
        "ordered_at: empty, and it is the event timestamp",
    ]
    assert any("1,200" in row.raw for row in found)


def test_more_malformed_rows_than_declared_fail_the_build(tiny: OPEN, tmp_path: Path) -> None:
    sources = (write_tiny_mart(tmp_path / "other") / "metadata/sources.yml").read_text()
    bad = "customer_id,order_no,ordered_at,amount\nx,d,2011-01-02 10:00:00,1\n"
    store = tiny(
        {"metadata/sources.yml": sources + "    quarantine: {maximum_share: 0.1}\n", "data/orders/bad.csv": bad}
    )
    with pytest.raises(SourceError, match=r"1 of 4 new rows \(25.00%\) do not fit") as caught:
        store.build()
    assert "customer_id: 'x' is no bigint" in str(caught.value)
    assert not (tmp_path / "warehouse/orders").exists()


def test_a_missing_column_names_file_and_column(tiny: OPEN) -> None:
    store = tiny({"data/orders/2011-01-02.csv": "customer_id,order_no,when,amount\n1,c,2011-01-02 09:30:00,2.5\n"})
    with pytest.raises(
        SourceError,
        match=r"source orders: 2011-01-02.csv has no column ordered_at. Its header has: customer_id, order_no, when",
    ):
        store.build()


def test_columns_may_come_in_another_order_and_with_others(tiny: OPEN) -> None:
    other = "note,amount,ordered_at,order_no,customer_id\nhello,2.5,2011-01-02 09:30:00,c,1\n"
    store = tiny({"data/orders/2011-01-02.csv": other})
    store.build()
    assert rows(store) == FIRST


def test_a_failed_check_publishes_nothing(tiny: OPEN) -> None:
    store = tiny()
    store.build()
    header = "customer_id,order_no,ordered_at,amount\n"
    store = tiny(
        {
            "pipelines/daily.yml": tiny_pipeline(checks=[{"sql": "amount < 50"}]),
            "data/orders/2011-01-02.csv": header + "1,c,2011-01-02 09:30:00,99.0\n",
        }
    )
    with pytest.raises(CheckFailed) as caught:
        store.build()
    assert '"customer_id":1' in str(caught.value)
    assert "Nothing was published by this run" in str(caught.value)
    assert rows(store) == FIRST
    assert len(store.history("customer_orders")) == 1


def test_a_day_without_rows_does_not_fail_checks_of_the_whole_view(tiny: OPEN) -> None:
    checks = [{"row_count": {"minimum": 3, "maximum": 3}}, {"freshness": "2d"}]
    tiny({"pipelines/daily.yml": tiny_pipeline(checks=checks)}).build()
    store = tiny(now="2011-01-04T12:00:00Z")
    assert store.build().committed
    assert store.history("customer_orders")[0]["intervals"] == [["2011-01-03T00:00:00Z", "2011-01-04T00:00:00Z"]]
    assert rows(store) == FIRST
    with pytest.raises(CheckFailed, match="2d 14h before the horizon; allowed: 2d"):
        tiny(now="2011-01-05T12:00:00Z").build()


def test_quarantined_rows_are_set_aside_and_the_rest_is_published(tiny: OPEN) -> None:
    checks = [{"sql": "amount < 6", "severity": "quarantine"}]
    store = tiny({"pipelines/daily.yml": tiny_pipeline(checks=checks)})
    result = store.build()
    assert result.views[0].quarantined == 1
    assert rows(store) == [(1, "a", 5.0), (1, "c", 2.5)]
    (row,) = store.query("select reason, raw from customer_orders__quarantine").collect()
    assert row.reason == "sql: amount < 6"
    assert '"order_no":"b"' in row.raw


def test_rows_without_a_key_are_set_aside(tiny: OPEN) -> None:
    header = "customer_id,order_no,ordered_at,amount\n"
    store = tiny({"data/orders/2011-01-02.csv": header + ",c,2011-01-02 09:30:00,2.5\n"})
    store.build()
    assert rows(store) == [(1, "a", 5.0), (2, "b", 7.5)]
    (row,) = store.query("select reason from customer_orders__quarantine").collect()
    assert row.reason == "customer_id is there"


def test_removing_a_feature_is_refused_and_full_refresh_does_it(tiny: OPEN, tmp_path: Path) -> None:
    tiny().build()
    changes = {
        "features/orders.sql": "select customer_id, ordered_at, order_no from orders\n",
        "metadata/feature_views/customer_orders.yml": (tmp_path / "metadata/feature_views/customer_orders.yml")
        .read_text()
        .replace("  amount: {description: Its value., unit: GBP}\n", ""),
    }
    store = tiny(changes)
    with pytest.raises(SchemaChangeRefused, match=r"amount \(double\) would be removed") as caught:
        store.build()
    assert "mart build daily --select customer_orders --full-refresh" in str(caught.value)
    store.build(full_refresh=True, select=["customer_orders"])
    assert store.table("customer_orders").columns == ["customer_id", "ordered_at", "order_no"]


def test_an_added_feature_leaves_old_rows_null(tiny: OPEN, tmp_path: Path) -> None:
    tiny().build()
    metadata = (tmp_path / "metadata/feature_views/customer_orders.yml").read_text()
    header = "customer_id,order_no,ordered_at,amount\n"
    store = tiny(
        {
            "features/orders.sql": "select customer_id, ordered_at, order_no, amount, amount > 5 as is_large "
            "from orders\n",
            "metadata/feature_views/customer_orders.yml": metadata + "  is_large: {description: Above five.}\n",
            "data/orders/2011-01-03.csv": header + "3,d,2011-01-03 08:00:00,9.0\n",
        },
        now="2011-01-04T01:00:00Z",
    )
    store.build()
    assert rows(store) == [(1, "a", 5.0, None), (1, "c", 2.5, None), (2, "b", 7.5, None), (3, "d", 9.0, True)]
    store.build(full_refresh=True)
    assert rows(store) == [(1, "a", 5.0, False), (1, "c", 2.5, False), (2, "b", 7.5, True), (3, "d", 9.0, True)]


def test_a_changed_definition_rebuilds_everything(tiny: OPEN) -> None:
    tiny().build()
    store = tiny(
        {"features/orders.sql": "select customer_id, ordered_at, order_no, amount * 2 as amount from orders\n"}
    )
    store.build()
    assert rows(store) == [(1, "a", 10.0), (1, "c", 5.0), (2, "b", 15.0)]
    assert store.history("customer_orders")[0]["reason"] == "definition changed"


def test_what_a_backfill_leaves_of_a_changed_definition_is_built_later(tiny: OPEN) -> None:
    tiny().build()
    doubled = "select customer_id, ordered_at, order_no, amount * 2 as amount from orders\n"
    store = tiny({"features/orders.sql": doubled})
    store.build(start="2011-01-02", end="2011-01-03")
    assert rows(store) == [(1, "a", 5.0), (1, "c", 5.0), (2, "b", 7.5)]
    assert store.build().views[0].reason == "an earlier build left ranges that were to be built again"
    assert rows(store) == [(1, "a", 10.0), (1, "c", 5.0), (2, "b", 15.0)]
    assert store.history("customer_orders")[0]["intervals"] == [["2011-01-01T00:00:00Z", "2011-01-02T00:00:00Z"]]


def test_a_comment_in_a_definition_is_no_change(tiny: OPEN) -> None:
    tiny().build()
    store = tiny(
        {"features/orders.sql": "-- a comment\nSELECT customer_id,\n ordered_at, order_no, amount FROM orders\n"}
    )
    assert not store.build().committed


def test_a_row_outside_its_interval_is_an_error(tiny: OPEN) -> None:
    store = tiny(
        {
            "features/orders.sql": "select customer_id, ordered_at - interval 2 days as ordered_at, "
            "order_no, amount from orders\n"
        }
    )
    with pytest.raises(CheckFailed, match="event timestamps lie in the interval that was built"):
        store.build(start="2011-01-02", end="2011-01-03")


def test_a_backfill_in_chunks_equals_one_go(tiny: OPEN) -> None:
    store = tiny()
    store.build(start="2011-01-01", end="2011-01-03", chunk=timedelta(days=1))
    assert rows(store) == FIRST
    assert len(store.history("customer_orders")) == 2
    assert not store.build().committed


def test_a_range_that_was_left_out_is_built_later(tiny: OPEN) -> None:
    store = tiny()
    store.build(start="2011-01-02", end="2011-01-03")
    assert rows(store) == [(1, "c", 2.5)]
    store.build(start="2011-01-01", end="2011-01-03")
    assert rows(store) == FIRST


def test_a_definition_that_raises_names_its_line(tiny: OPEN) -> None:
    store = tiny(
        {
            "pipelines/daily.yml": tiny_pipeline(definition="features/orders.py"),
            "features/orders.py": "def transform(orders):\n    raise KeyError('no such thing')\n",
        }
    )
    with pytest.raises(BuildError, match=r"features/orders.py failed: KeyError: 'no such thing' \(line 2\)"):
        store.build()


def test_a_python_definition_builds(tiny: OPEN) -> None:
    store = tiny(
        {
            "pipelines/daily.yml": tiny_pipeline(definition="features/orders.py"),
            "features/orders.py": """
                def transform(orders):
                    return orders.select("customer_id", "ordered_at", "order_no", "amount")
                """,
        }
    )
    store.build()
    assert rows(store) == FIRST


def test_versions_are_read_by_number_and_by_time(tiny: OPEN) -> None:
    store = tiny()
    store.build()
    header = "customer_id,order_no,ordered_at,amount\n"
    store = tiny({"data/orders/2011-01-02.csv": header + "1,c,2011-01-02 09:30:00,99.0\n"})
    store.build()
    text = "select sum(amount) as total from customer_orders"
    assert total(store.query(text)) == 111.5
    assert total(store.query(text, versions={"customer_orders": 0})) == 15.0
    first_at = store.history("customer_orders")[1]["timestamp"]
    assert total(store.query(text, as_of=first_at)) == 15.0


def test_unknown_names_are_usage_errors(tiny: OPEN) -> None:
    store = tiny()
    with pytest.raises(UsageError, match=r"there is no pipeline 'nightly'\. Known: daily"):
        store.build("nightly")
    with pytest.raises(UsageError, match="there is no view or source 'orderz'"):
        store.query("select * from orderz")
    with pytest.raises(UsageError, match="the query must be one SELECT"):
        store.query("drop table orders")


def test_a_handed_in_session_decides_no_result_and_keeps_its_settings(tiny: OPEN, spark: SparkSession) -> None:
    spark.conf.set("spark.sql.session.timeZone", "America/New_York")
    spark.conf.set("spark.sql.ansi.enabled", "false")
    try:
        store = tiny()
        store.build()
        assert rows(store) == FIRST
        (entry,) = store.history("customer_orders")
        assert entry["intervals"] == [["2011-01-01T00:00:00Z", "2011-01-03T00:00:00Z"]]
        assert spark.conf.get("spark.sql.session.timeZone") == "America/New_York"
    finally:
        spark.conf.set("spark.sql.session.timeZone", "UTC")
        spark.conf.set("spark.sql.ansi.enabled", "true")
