"""Versions compared, brought back and explained, on real tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pyspark.sql import SparkSession

from feature_mart import FeatureStore, TableError, UsageError, VersionNotFound
from feature_mart.cli.main import main
from feature_mart.testing import FixedClock, tiny_pipeline, write_files, write_tiny_mart

OPEN = Callable[..., FeatureStore]
HEADER = "customer_id,order_no,ordered_at,amount\n"
SECOND = "data/orders/2011-01-02.csv"
VIEW = "customer_orders"


@pytest.fixture
def tiny(spark: SparkSession, tmp_path: Path) -> OPEN:
    """Opens the tiny mart with changes laid over its files; called again, it opens what is there by then."""

    def open_store(changes: Mapping[str, str | bytes | None] | None = None) -> FeatureStore:
        write = write_files if (tmp_path / "conf").exists() else write_tiny_mart
        write(tmp_path, changes or {})
        return FeatureStore(tmp_path, spark=spark, now=FixedClock("2011-01-03T12:00:00Z"))

    return open_store


def rows(store: FeatureStore, version: int | None = None) -> list[tuple[Any, ...]]:
    return sorted(
        tuple(row) for row in store.table(VIEW, version).select("customer_id", "order_no", "amount").collect()
    )


def columns_of(store: FeatureStore, version: int) -> list[str]:
    return store.table(VIEW, version).columns


def test_a_diff_follows_the_change_feed_and_says_what_changed(tiny: OPEN) -> None:
    tiny().build()
    tiny({SECOND: HEADER + "1,c,2011-01-02 09:30:00,99.0\n3,d,2011-01-02 10:00:00,1.0\n"}).build()
    store = tiny()
    found = store.diff(VIEW, 0, 1)
    assert found["compared"] == {"by": "change feed", "why": None}
    assert found["key"] == ["customer_id", "ordered_at"]
    assert found["rows"] == {"added": 1, "removed": 0, "changed": 1}
    assert found["features"] == {"order_no": 0, "amount": 1}
    assert found["examples"] == {
        "added": [
            {
                "key": {"customer_id": 3, "ordered_at": "2011-01-02T10:00:00Z"},
                "values": {"order_no": "d", "amount": 1.0},
            }
        ],
        "removed": [],
        "changed": [
            {
                "key": {"customer_id": 1, "ordered_at": "2011-01-02T09:30:00Z"},
                "old": {"amount": 2.5},
                "new": {"amount": 99.0},
            }
        ],
    }
    assert found["definition"] == {"changed": False, "diff": []}
    assert found["from"]["run_id"] == store.history(VIEW)[1]["run_id"]
    back = store.diff(VIEW, 1, 0, limit=0)
    assert (back["rows"], back["compared"]["by"]) == ({"added": 0, "removed": 1, "changed": 1}, "change feed")
    assert back["examples"] == {"added": [], "removed": [], "changed": []}
    assert store.diff(VIEW, 1, 1)["rows"] == {"added": 0, "removed": 0, "changed": 0}
    with pytest.raises(VersionNotFound, match="table customer_orders has no version 7; it has versions 0 to 1"):
        store.diff(VIEW, 0, 7)
    with pytest.raises(UsageError, match=r"^orders is a source; name a feature view"):
        store.diff("orders", 0, 0)


SQL = "features/orders.sql"
PIPELINE = "pipelines/daily.yml"
METADATA = "metadata/feature_views/customer_orders.yml"
ADDED = """
    feature_view: customer_orders
    description: What a customer ordered.
    owner: growth@example.com
    features:
      order_no: {description: The number of the order.}
      amount: {description: Its value., unit: GBP}
      parts: {description: Its value in parts.}
    """
# Twice the same key; a NaN, a negative zero, a null and a nested value in each version.
BEFORE = "select customer_id, ordered_at, order_no, amount, array(amount * 0) as parts from orders"
AFTER = (
    "select customer_id, ordered_at, order_no, case when order_no = 'n' then amount else amount * 1 end as amount, "
    "array(-0.0D * abs(amount)) as parts from orders where order_no <> 'x'"
)


def test_the_same_values_and_several_rows_of_a_key_are_compared_as_they_are(tiny: OPEN) -> None:
    odd = "".join(
        f"4,{no},2011-01-01 08:00:00,{amount}\n" for no, amount in zip("nzxe", ("NaN", "-0.0", "1", ""), strict=True)
    )
    tiny({"data/orders/odd.csv": HEADER + odd, SQL: BEFORE, METADATA: ADDED}).build()
    tiny({SQL: AFTER}).build()
    found = tiny().diff(VIEW, 0, 1)
    # Only the row that the definition leaves out is gone: NaN, -0.0 and [-0.0] are what they were.
    assert found["rows"]["added"] == 0 and found["rows"]["changed"] == 0
    assert [entry["values"]["order_no"] for entry in found["examples"]["removed"]] == ["x"]
    assert found["examples"]["removed"][0]["values"]["parts"] == [0.0]
    assert found["definition"]["changed"]
    assert [line for line in found["definition"]["diff"] if line[0] in "+-"] == [
        *("--- features/orders.sql", "+++ features/orders.sql", f"-{BEFORE}", f"+{AFTER}")
    ]


def test_versions_with_other_columns_or_types_are_compared_in_full(tiny: OPEN, tmp_path: Path) -> None:
    tiny().build()
    text = "select customer_id, ordered_at, order_no, cast(amount as string) as amount from orders"
    store = tiny({SQL: text})
    store.build("daily", select=[VIEW], full_refresh=True)
    found = store.diff(VIEW, 0, 1, limit=1)
    assert found["compared"] == {"by": "whole versions", "why": "types differ: amount"}
    assert found["columns"] == {"added": [], "removed": [], "retyped": {"amount": ["double", "string"]}}
    assert found["rows"] == {"added": 0, "removed": 0, "changed": 0}
    narrow = tiny({SQL: "select customer_id, ordered_at, amount * 2 as amount from orders", METADATA: NARROW})
    narrow.build("daily", select=[VIEW], full_refresh=True)
    found = narrow.diff(VIEW, 0, 2)
    assert found["columns"] == {"added": [], "removed": ["order_no"], "retyped": {}}
    assert (found["rows"]["changed"], found["features"]) == (3, {"amount": 3})


NARROW = """
    feature_view: customer_orders
    description: What a customer ordered.
    owner: growth@example.com
    features:
      amount: {description: Its value., unit: GBP}
    """


def test_a_diff_across_full_rebuilds_tells_an_added_feature_from_changed_values(tiny: OPEN) -> None:
    tiny().build()
    wider = "select customer_id, ordered_at, order_no, amount, array(amount) as parts from orders"
    tiny({SQL: wider, METADATA: ADDED}).build(full_refresh=True)
    store = tiny({SECOND: HEADER + "1,c,2011-01-02 09:30:00,99.0\n"})
    store.build(full_refresh=True)
    added, both, changed = store.diff(VIEW, 0, 1), store.diff(VIEW, 0, 2), store.diff(VIEW, 1, 2)
    assert added["rows"] == {"added": 0, "removed": 0, "changed": 0}
    assert added["columns"] == {"added": ["parts"], "removed": [], "retyped": {}}
    assert f"+{wider}" in added["definition"]["diff"]
    assert (both["columns"], both["features"]) == (added["columns"], {"order_no": 0, "amount": 1})
    assert changed["columns"] == {"added": [], "removed": [], "retyped": {}}
    assert changed["rows"] == {"added": 0, "removed": 0, "changed": 1}
    assert changed["features"] == {"order_no": 0, "amount": 1, "parts": 1}
    assert not changed["definition"]["changed"]


def test_a_restored_view_has_the_old_content_and_is_on_hold_until_it_is_named(tiny: OPEN) -> None:
    tiny().build()
    tiny({SQL: "select customer_id, ordered_at, amount * 2 as amount from orders", METADATA: NARROW}).build(
        "daily", select=[VIEW], full_refresh=True
    )
    store = tiny()
    assert store.restore(VIEW, 0) == 2
    assert rows(store) == rows(store, 0)
    assert columns_of(store, 2) == columns_of(store, 0) != columns_of(store, 1)
    restored, _, first = store.history(VIEW)
    carried = ("definition_hash", "inputs", "coverage", "intervals", "horizon", "rows", "pipeline")
    assert {key: restored[key] for key in carried} == {key: first[key] for key in carried}
    assert (restored["reason"], restored["restored_from"], restored["on_hold"]) == ("restored version 0", 0, True)
    assert restored["run_id"] != first["run_id"]

    (left,) = tiny({SECOND: HEADER + "1,c,2011-01-02 09:30:00,99.0\n"}).build().views
    assert (left.committed, left.version.version) == (False, 2)
    assert left.reason == (
        "on hold since version 2 (restored from version 0): left as it is; "
        "`mart build daily --select customer_orders` builds it again"
    )
    assert rows(store) == rows(store, 0)
    (built,) = tiny().build(select=[VIEW], full_refresh=True).views
    assert built.committed and store.history(VIEW)[0]["on_hold"] is None
    assert sorted(row.amount for row in store.table(VIEW).collect()) == [10.0, 15.0, 198.0]


def test_a_diff_across_a_restore_follows_the_change_feed(tiny: OPEN) -> None:
    tiny().build()
    tiny({SECOND: HEADER + "1,c,2011-01-02 09:30:00,99.0\n"}).build()
    store = tiny()
    assert store.restore(VIEW, 0) == 2
    back, none = store.diff(VIEW, 1, 2), store.diff(VIEW, 0, 2)
    assert [found["compared"]["by"] for found in (back, none)] == ["change feed", "change feed"]
    assert back["rows"] == {"added": 0, "removed": 0, "changed": 1}
    assert none["rows"] == {"added": 0, "removed": 0, "changed": 0}


@pytest.mark.parametrize("materialize", [{"mode": "interval", "every": "1d"}, {"mode": "full"}])
def test_a_view_that_is_up_to_date_is_released_by_a_commit_without_rows(
    tiny: OPEN, materialize: dict[str, str]
) -> None:
    store = tiny({PIPELINE: tiny_pipeline(materialize=materialize)})
    store.build()
    store.restore(VIEW, 0)
    assert not tiny().build("daily").views[0].committed
    (released,) = tiny().build(select=[VIEW]).views
    assert (released.committed, released.version.version) == (True, 2)
    assert released.reason == "released from hold; its rows are up to date"
    entry = store.history(VIEW)[0]
    assert (entry["on_hold"], entry["rows"], entry["intervals"]) == (None, 0, [])
    assert entry["reason"] == "released from hold (restored from version 0)"
    assert rows(store) == rows(store, 0)
    assert tiny().build().views[0].reason == "up to date"
    assert store.explain(f"{VIEW}:amount", {"customer_id": 2})["written_by"]["version"] == 0


def test_what_cannot_be_restored_is_refused(tiny: OPEN, tmp_path: Path, spark: SparkSession) -> None:
    tiny().build()
    store = tiny({SECOND: HEADER + "1,c,2011-01-02 09:30:00,99.0\n"})
    store.build()
    table = tmp_path / "warehouse" / VIEW
    spark.sql(f"DELETE FROM delta.`{table}` WHERE customer_id = 2")
    with pytest.raises(VersionNotFound, match="has no version 9; it has versions 0 to 2"):
        store.restore(VIEW, 9)
    with pytest.raises(TableError) as foreign:
        store.restore(VIEW, 2)
    assert foreign.value.message == (
        "version 2 of customer_orders was made by another writer (DELETE): nothing says from which inputs and "
        "definition it is, so a build could not go on from it. Nothing was written. The engine's own: versions 0, 1."
    )
    now = {Path(name).name for name in store.table(VIEW).inputFiles()}
    for file in table.rglob("*.parquet"):
        if file.name not in now and "_delta_log" not in file.parts:
            file.unlink()
    with pytest.raises(VersionNotFound) as vacuumed:
        store.restore(VIEW, 0)
    assert vacuumed.value.message == (
        "version 0 of customer_orders cannot be restored: files of it were removed (by VACUUM, or by hand). Nothing "
        "was written. `mart history customer_orders` lists the versions."
    )
    with pytest.raises(
        VersionNotFound, match="versions 0 and 2 of customer_orders cannot be compared: files that they"
    ):
        store.diff(VIEW, 0, 2)
    assert [entry["version"] for entry in store.history(VIEW)] == [2, 1, 0]


def test_a_value_is_explained_down_to_the_row_that_made_it(tiny: OPEN) -> None:
    tiny().build()
    store = tiny({SECOND: HEADER + "1,c,2011-01-02 09:30:00,99.0\n"})
    store.build()
    found = store.explain(f"{VIEW}:amount", {"customer_id": "1"})
    assert (found["value"], found["event_timestamp"], found["version"]) == (99.0, "2011-01-02T09:30:00Z", 1)
    written = found["written_by"]
    assert (written["version"], written["run_id"]) == (1, store.history(VIEW)[0]["run_id"])
    assert written["interval"] == ["2011-01-02T00:00:00Z", "2011-01-03T00:00:00Z"]
    assert written["definition"]["text"] == (store.project.root / SQL).read_text()
    (orders,) = found["inputs"]
    assert (orders["name"], orders["version"], orders["match"], orders["count"]) == ("orders", 1, "exact", 1)
    (row,) = orders["rows"]
    assert row == {
        "customer_id": 1,
        "order_no": "c",
        "ordered_at": "2011-01-02T09:30:00Z",
        "amount": 99.0,
        "_file": "2011-01-02.csv",
    }
    # The row of the day before was not rebuilt: the first version wrote it.
    earlier = store.explain(f"{VIEW}:amount", {"customer_id": 1}, at="2011-01-02T09:29:59Z")
    assert (earlier["value"], earlier["written_by"]["version"], earlier["inputs"][0]["version"]) == (5.0, 0, 0)
    older = store.explain(f"{VIEW}:amount", {"customer_id": 1}, version=0)
    assert (older["value"], older["inputs"][0]["rows"][0]["amount"]) == (2.5, 2.5)


@pytest.mark.parametrize(
    ("reference", "key", "at", "error", "said"),
    [
        (f"{VIEW}:amuont", {"customer_id": 1}, None, UsageError, "has no feature 'amuont'.*Did you mean amount?"),
        (VIEW, {"customer_id": 1}, None, UsageError, "has no feature ''; write VIEW:FEATURE"),
        ("customer_order:amount", {"customer_id": 1}, None, UsageError, "Did you mean customer_orders?"),
        (f"{VIEW}:amount", {"customer_id": "x"}, None, UsageError, "the key customer_id is bigint, and 'x' is none"),
        (f"{VIEW}:amount", {"customer_id": 9}, None, TableError, "has no row of customer_id=9 at version 0"),
        (
            *(f"{VIEW}:amount", {"customer_id": 1}, "2010-12-31", TableError),
            "has no row of customer_id=1 with an event timestamp up to 2010-12-31T00:00:00Z at version 0",
        ),
    ],
)
def test_what_cannot_be_explained_is_said(
    built_once: FeatureStore, reference: str, key: dict[str, Any], at: str | None, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        built_once.explain(reference, key, at)


@pytest.fixture(scope="module")
def built_once(started_spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    from feature_mart.delta.session import engine_session

    root = write_tiny_mart(tmp_path_factory.mktemp("mart"))
    store = FeatureStore(root, spark=engine_session(started_spark), now=FixedClock("2011-01-03T12:00:00Z"))
    store.build()
    return store


GROUPED = """
    with seen as (select cast(customer_id as bigint) as customer, ordered_at, order_no, amount from orders)
    select customer as customer_id, date_trunc('day', ordered_at) as ordered_at, min(order_no) as order_no,
        sum(amount) as amount
    from seen group by customer, date_trunc('day', ordered_at)
    """


def test_rows_behind_an_aggregate_are_those_of_its_group(tiny: OPEN) -> None:
    many = "".join(f"1,m{number:02},2011-01-01 12:00:{number:02},1.0\n" for number in range(30))
    store = tiny({SQL: GROUPED, "data/orders/many.csv": HEADER + many})
    store.build()
    store.restore(VIEW, 0)
    found = store.explain(f"{VIEW}:amount", {"customer_id": 1}, at="2011-01-01T23:00:00Z")
    assert (found["value"], found["event_timestamp"]) == (35.0, "2011-01-01T00:00:00Z")
    assert (found["written_by"]["version"], found["restored_by"]) == (0, [1])
    (orders,) = found["inputs"]
    # The build saw three days at once; the rows are those of the day.
    assert (orders["match"], orders["count"], len(orders["rows"])) == ("exact", 31, 20)
    assert orders["why"] == "the row is made from one group: all rows of its customer_id, ordered_at"
    assert [row["order_no"] for row in orders["rows"][:2]] == ["a", "m00"]  # in the order of time


def test_rows_behind_a_window_are_candidates_of_that_key_and_interval(tiny: OPEN) -> None:
    text = """
        select customer_id, ordered_at, order_no,
            sum(amount) over (partition by customer_id, date(ordered_at) order by ordered_at, order_no) as amount
        from orders
        """
    more = "1,d,2011-01-01 12:00:00,1.0\n1,e,2011-01-01 13:00:00,1.0\n"
    store = tiny({SQL: text, "data/orders/more.csv": HEADER + more})
    store.build()
    (orders,) = store.explain(f"{VIEW}:amount", {"customer_id": 1}, at="2011-01-01T12:00:00Z")["inputs"]
    assert (orders["match"], [row["order_no"] for row in orders["rows"]]) == ("candidates", ["a", "d", "e"])
    assert orders["why"] == "all rows of that key in reach of the interval, as the definition uses a window function"


def test_an_input_whose_key_cannot_be_found_is_counted(tiny: OPEN) -> None:
    text = (
        "select max(customer_id) as customer_id, ordered_at, order_no, sum(amount) as amount from orders group by all"
    )
    sources = (tiny().project.root / "metadata/sources.yml").read_text().replace("customer_id", "buyer")
    files = {f"data/orders/2011-01-0{day}.csv": None for day in (1, 2)}
    bought = HEADER.replace("customer_id", "buyer") + "1,a,2011-01-01 10:00:00,5.0\n2,b,2011-01-01 11:00:00,7.5\n"
    store = tiny(
        {
            **files,
            "data/orders/b.csv": bought,
            "metadata/sources.yml": sources,
            SQL: text.replace("(customer", "(buyer", 1).replace("buyer_id", "buyer"),
        }
    )
    store.build()
    (orders,) = store.explain(f"{VIEW}:amount", {"customer_id": 1})["inputs"]
    assert (orders["match"], orders["count"], orders["rows"]) == (None, 2, [])
    assert orders["why"] == "the definition does not say how customer_id is found in it"


def test_the_commands_print_and_end_as_they_should(built_once: FeatureStore) -> None:
    def mart(*arguments: str) -> Any:
        return CliRunner().invoke(main, ["--mart", str(built_once.project.root), *arguments])

    explained = mart("explain", f"{VIEW}:amount", "--key", "customer_id=2")
    assert explained.exit_code == 0
    assert (
        "customer_orders:amount of customer_id=2 at 2011-01-01T11:00:00Z: 7.5\nread at version 0\n" in explained.output
    )
    assert "input orders, version 0: 1 row, exact:\n  each row comes from one row" in explained.output
    said = json.loads(mart("explain", f"{VIEW}:amount", "--key", "customer_id=2", "--json").output)
    assert (said["value"], said["inputs"][0]["match"]) == (7.5, "exact")
    wrong = mart("explain", f"{VIEW}:amount", "--key", "2")
    assert (wrong.exit_code, wrong.stderr) == (2, "Error: --key '2': write KEY=VALUE, as in --key customer_id=17850.\n")
    same = mart("diff", VIEW, "--from", "0", "--to", "0")
    assert same.output.startswith(
        "customer_orders: version 0 → 0\ncompared by: change feed; key: customer_id, ordered_at\n"
    )
    assert json.loads(mart("diff", VIEW, "--from", "0", "--to", "0", "--json").output)["rows"]["changed"] == 0
    assert mart("diff", VIEW, "--from", "0", "--to", "4").exit_code == 1
    restored = mart("restore", VIEW, "--version", "0")
    assert restored.output == (
        "customer_orders: version 1 has the content of version 0, and is on hold: builds leave it as it is.\n"
        "To build it again: mart build daily --select customer_orders\n"
    )
    assert "restored version 0, on hold" in mart("history", VIEW).output
