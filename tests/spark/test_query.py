"""Queries by name, at versions and moments, from Python and from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from pyspark.sql import SparkSession

from feature_mart import FeatureStore, TableError, UsageError, VersionNotFound
from feature_mart.cli.main import main
from feature_mart.delta.session import engine_session
from feature_mart.runner.query import tables_in
from feature_mart.testing import FixedClock, write_files, write_tiny_mart

HEADER = "customer_id,order_no,ordered_at,amount\n"


@pytest.fixture(scope="module")
def built(started_spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """A mart with two versions of its view, and rows in both quarantines."""
    root = write_tiny_mart(
        tmp_path_factory.mktemp("mart ü 100%"),
        {
            "data/orders/it's 2011.csv": HEADER + "x,bad,2011-01-02 10:00:00,1\n5,it's,2011-01-02 11:00:00,-1\n",
        },
        checks=[{"sql": "amount >= 0", "severity": "quarantine"}],
    )

    def store() -> FeatureStore:
        return FeatureStore(root, spark=engine_session(started_spark), now=FixedClock("2011-01-03T12:00:00Z"))

    store().build()
    write_files(root, {"data/orders/2011-01-02.csv": HEADER + "1,c,2011-01-02 09:30:00,99.0\n"})
    last = store()
    last.build()
    return last


def answer(store: FeatureStore, sql: str, **settings: object) -> list[tuple[object, ...]]:
    return [tuple(row) for row in store.query(sql, **settings).collect()]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select * from orders", {"orders"}),
        ("SELECT * FROM Orders o JOIN `customer_orders` c USING (customer_id)", {"orders", "customer_orders"}),
        ("with a as (select * from orders), b as (select * from a) select * from b", {"orders"}),
        ("with orders as (select * from orders) select * from orders", {"orders"}),
        ("with a as (with b as (select 1 as x) select * from b) select * from a join b on true", {"b"}),
        (
            "select (select max(amount) from orders) as m where exists (select 1 from mart_runs)",
            {"orders", "mart_runs"},
        ),
        ("select * from orders union all select * from customer_orders", {"orders", "customer_orders"}),
        ("select * from orders, lateral explode(array(1)) as t(x)", {"orders"}),
        ("select 'from nowhere' as \"from\", 1 as `from orders`", set()),
        ("select 1", set()),
    ],
)
def test_the_tables_of_a_query(sql: str, expected: set[str]) -> None:
    assert tables_in(sql) == expected


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("select * from parquet.`somewhere`", "is no plain table name"),
        ("select * from spark_catalog.default.orders", "is no plain table name"),
        ("insert into orders select * from orders", "the query must be one SELECT"),
        ("create table x as select 1", "the query must be one SELECT"),
        ("select 1; select 2", "the query must be one SELECT"),
        ("", "the query must be one SELECT"),
        ("select 'open", "the query does not parse"),
        ("select amuont from customer_orders", "the query failed: .*amuont.*amount"),
        ("select * from orders__quarantin", "there is no view or source 'orders__quarantin'"),
        ("select * from nothing__quarantine", "there is no view or source 'nothing__quarantine'"),
    ],
)
def test_what_is_no_query_is_refused(built: FeatureStore, sql: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        built.query(sql)


def test_names_common_table_expressions_and_quotes(built: FeatureStore) -> None:
    assert answer(
        built,
        """
        with orders as (select * from orders where amount >= 0 -- not 'these'
        ),
        totals as (select customer_id, sum(amount) as total from orders group by all)
        select `customer_id`, total, 'it''s' as a, "it's \\"so\\"" as b, '`' as c from totals order by 1
        """,
    ) == [(1, 104.0, "it's", 'it\'s "so"', "`"), (2, 7.5, "it's", 'it\'s "so"', "`")]
    assert answer(built, "select order_no from Customer_Orders where order_no = 'it''s' or order_no = 'b'") == [("b",)]


def test_engine_columns_and_file_markers_do_not_show(built: FeatureStore) -> None:
    expected = ["customer_id", "ordered_at", "order_no", "amount"]
    assert built.query("select * from customer_orders").columns == expected
    assert sorted(built.query("select * from orders").columns) == sorted(expected)
    assert answer(built, "select count(*) from orders") == [(4,)]


def test_quarantines_and_runs_are_read_by_name(built: FeatureStore) -> None:
    assert answer(built, "select file, reason from orders__quarantine") == [
        ("it's 2011.csv", "customer_id: 'x' is no bigint")
    ]
    assert answer(built, "select reason, raw like '%it\\'s%' from customer_orders__quarantine") == [
        ("sql: amount >= 0", True)
    ]
    assert answer(built, "select pipeline, versions['customer_orders'] as v from mart_runs order by v") == [
        ("daily", 0),
        ("daily", 1),
    ]
    joined = "select q.reason from orders__quarantine q, mart_runs r where r.versions['customer_orders'] = 1"
    assert len(answer(built, joined)) == 1
    assert built.table("orders__quarantine").count() == 1
    assert [entry["version"] for entry in built.history("mart_runs")] == [1, 0]
    with pytest.raises(UsageError, match="nothing__quarantine"):
        built.table("nothing__quarantine")


def test_versions_and_moments(built: FeatureStore) -> None:
    text = "select sum(c.amount) as a, (select sum(amount) from orders) as b from customer_orders c"
    assert answer(built, text) == [(111.5, 110.5)]
    assert answer(built, text, versions={"customer_orders": 0}) == [(15.0, 110.5)]
    assert answer(built, text, versions={"customer_orders": 0, "orders": 0}) == [(15.0, 14.0)]
    first = built.history("customer_orders")[1]["timestamp"]
    assert answer(built, text, as_of=first) == [(15.0, 14.0)]
    assert answer(built, text, as_of=first, versions={"customer_orders": 1}) == [(111.5, 14.0)]
    with pytest.raises(VersionNotFound, match="has no version 9; it has versions 0 to 1"):
        built.query(text, versions={"customer_orders": 9})
    with pytest.raises(VersionNotFound, match="did not exist at 1999-01-01T00:00:00Z: its first version is of 20"):
        built.query(text, as_of="1999-01-01")


SUMS = {
    "pipelines/daily.yml": """
        pipeline: daily
        description: Orders by customer.
        owner: growth@example.com
        feature_views:
          - name: customer_orders
            definition: features/orders.sql
            entities: [customer]
            event_timestamp: ordered_at
            materialize: {mode: interval, every: 1d}
          - name: customer_sums
            definition: features/sums.sql
            entities: [customer]
            static: true
        """,
    "features/sums.sql": "select customer_id, sum(amount) as spent from customer_orders group by customer_id",
    "metadata/feature_views/customer_sums.yml": """
        feature_view: customer_sums
        description: What a customer spent.
        owner: growth@example.com
        features: {spent: {description: In all.}}
        """,
}


TOTALS = {"customer_orders": "amount", "customer_sums": "spent", "orders": "amount"}


def test_a_moment_is_looked_up_once_for_all_tables_of_a_query(spark: SparkSession, tmp_path: Path) -> None:
    store = FeatureStore(write_tiny_mart(tmp_path, SUMS), spark=spark, now=FixedClock("2011-01-03T12:00:00Z"))
    store.build()
    # The sums read the orders, so they were committed last.
    moment = store.history("customer_sums")[0]["timestamp"]
    write_files(tmp_path, {"data/orders/2011-01-02.csv": HEADER + "1,c,2011-01-02 09:30:00,99.0\n"})
    store.build()
    parts = [f"(select sum({column}) from {name}) as {name}" for name, column in TOTALS.items()]
    arguments = ["--mart", str(tmp_path), "query", f"select {', '.join(parts)}", "--json"]
    now = CliRunner().invoke(main, arguments)
    assert list(json.loads(now.stdout)[0].values()) == [111.5, 111.5, 111.5]
    then = CliRunner().invoke(main, [*arguments, "--as-of", moment])
    assert list(json.loads(then.stdout)[0].values()) == [15.0, 15.0, 15.0]
    read = "customer_orders=0, customer_sums=0, orders=0"
    assert then.stderr == f"query: as of {moment} these versions are read: {read}\n"
    with pytest.raises(UsageError) as both:
        store.table("customer_orders", 0, moment)
    assert both.value.message == "customer_orders is asked for at version 0 and as of a moment: give one of the two."


# from the command line


@pytest.fixture
def mart(built: FeatureStore) -> Callable[..., Result]:
    """Runs `mart` in the built mart; the Spark of the tests is there already, so the command uses it."""

    def run(*arguments: str) -> Result:
        result = CliRunner().invoke(main, ["--mart", str(built.project.root), *arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def test_the_command_prints_a_table_or_json(mart: Callable[..., Result], tmp_path: Path) -> None:
    file = tmp_path / "top.sql"
    text = "-- the dearest orders\nselect order_no, amount, ordered_at from customer_orders\norder by amount desc;\n"
    file.write_text(text)
    table = mart("query", str(file), "--limit", "2")
    assert table.exit_code == 0
    assert "99.0" in table.output
    assert "2 rows shown; there are more" in table.output
    entries = json.loads(mart("query", str(file), "--json", "--version", "customer_orders=0").output)
    assert [(entry["order_no"], entry["amount"]) for entry in entries] == [("b", 7.5), ("a", 5.0), ("c", 2.5)]
    assert entries[0]["ordered_at"] == "2011-01-01T11:00:00Z"
    assert json.loads(mart("query", "select 1 as one where false", "--json").output) == []


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("select * from customer_orders", "--version", "customer_orders=9"), 1, "has no version 9"),
        (("select * from customer_orders", "--as-of", "1999-01-01"), 1, "did not exist at 1999-01-01T00:00:00Z"),
        (("select nothing from customer_orders",), 2, "the query failed"),
        (("select 1/(amount-amount) from customer_orders",), 2, "the query failed"),
        (("select 1/(amount-amount) from customer_orders", "--output", "out.json"), 2, "the query failed"),
        (("select array(1) as a", "--output", "out.csv"), 2, "CSV has no place for the nested columns a"),
        (("select 1 as a", "--output", "no-such-folder/out.csv"), 2, "no-such-folder"),
    ],
)
def test_the_command_ends_with_the_right_code(
    mart: Callable[..., Result],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = mart("query", *arguments)
    assert result.exit_code == code
    assert result.stderr.startswith("Error: ")
    assert said in result.stderr


def test_results_are_written_to_files(mart: Callable[..., Result], tmp_path: Path) -> None:
    text = "select order_no, amount, array(customer_id) as ids, ordered_at from customer_orders order by order_no"
    for suffix in ("csv", "json", "parquet"):
        flat = text.replace("array(customer_id)", "customer_id") if suffix == "csv" else text
        result = mart("query", flat, "--output", str(tmp_path / f"out.{suffix}"))
        assert (result.exit_code, result.output) == (0, f"wrote 3 rows to {tmp_path / f'out.{suffix}'}\n")
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[0] == '"order_no","amount","ids","ordered_at"'
    assert lines[1].startswith('"a",5,1,2011-01-01 10:00:00')
    first = json.loads((tmp_path / "out.json").read_text().splitlines()[0])
    assert first == {"order_no": "a", "amount": 5.0, "ids": [1], "ordered_at": "2011-01-01T10:00:00.000Z"}
    assert pq.read_table(tmp_path / "out.parquet").column("ids").to_pylist() == [[1], [2], [1]]


def test_a_view_that_is_not_built_is_told(started_spark: SparkSession, tmp_path: Path) -> None:
    store = FeatureStore(write_tiny_mart(tmp_path), spark=engine_session(started_spark))
    with pytest.raises(TableError, match="table customer_orders does not exist yet: run `mart build`"):
        store.query("select * from customer_orders")
