"""The retail pipeline, unchanged, on the real Online Retail files.

The expected figures were computed from the same files with DuckDB, by queries that share nothing with the definitions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pyspark.sql import SparkSession
from sklearn.ensemble import HistGradientBoostingClassifier  # type: ignore[import-untyped]  # it ships no types
from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]

from feature_mart import FeatureStore, split_by_time
from feature_mart.testing import FixedClock

HORIZON = "2011-12-10T00:00:00Z"

EXPECTED = {
    "select count(*), count(distinct InvoiceNo), count(distinct CustomerID), count(distinct Country), "
    "count_if(InvoiceNo like 'C%'), count_if(UnitPrice <= 0), count_if(CustomerID is null) from invoice_lines": (
        541_909,
        25_900,
        4_372,
        38,
        9_288,
        2_517,
        135_080,
    ),
    "select count(*), count_if(is_cancellation), count(distinct customer_id), sum(order_value), sum(line_count), "
    "sum(item_count), sum(product_count) from invoice_totals": (
        22_190,
        3_654,
        4_372,
        Decimal("8300065.814"),
        406_829,
        4_906_888,
        396_681,
    ),
    "select count(*), sum(order_count), sum(gross_value), sum(refunded_value), sum(net_value) "
    "from customer_daily_orders": (
        19_296,
        18_536,
        Decimal("8911407.904"),
        Decimal("611342.090"),
        Decimal("8300065.814"),
    ),
    "select count(*), sum(returned_line_count), sum(returned_item_count), sum(returned_value), "
    "sum(matched_line_count) from customer_returns": (3_256, 8_539, 269_484, Decimal("474403.330"), 6_953),
    "select count(*), sum(days_since_last_order) from customer_profile": (4_372, 403_707),
    "select count(*), count_if(country = 'United Kingdom'), count_if(country = 'Germany') from customer_country": (
        4_372,
        3_950,
        95,
    ),
    "select count(*), count(distinct stock_code) from product_daily_sales": (279_601, 3_958),
    "select count(*) from product_catalogue": (3_958,),
    "select count(*), count(distinct snapshot_at), sum(order_count_365d), sum(order_count_90d) "
    "from customer_snapshot": (135_469, 52, 403_906, 183_500),
    "select count(*), count_if(is_churned), sum(following_order_count) from customer_churn_label": (
        132_886,
        77_224,
        110_104,
    ),
}


@pytest.fixture(scope="module")
def built(
    started_spark: SparkSession, reference_mart: Callable[[], Path], retail_files: Path
) -> Iterator[FeatureStore]:
    """The mart after one build of the pipeline."""
    store = FeatureStore(
        reference_mart(),
        spark=started_spark,
        now=FixedClock("2011-12-10T03:00:00Z"),
        variables={"RETAIL_DATA": str(retail_files)},
    )
    store.build("retail_daily", end=HORIZON)
    yield store


@pytest.mark.parametrize("sql", EXPECTED)
def test_the_known_figures_come_out(built: FeatureStore, sql: str) -> None:
    (row,) = built.query(sql).collect()
    assert tuple(row) == EXPECTED[sql]


def test_exact_copies_of_a_line_are_kept(built: FeatureStore) -> None:
    columns = ", ".join(built.project.sources["invoice_lines"].schema)
    copies = f"select count(*) - 1 as surplus from invoice_lines group by {columns}"
    (row,) = built.query(f"select sum(surplus) as surplus from ({copies})").collect()
    assert row["surplus"] == 5_268


def test_no_line_was_set_aside(built: FeatureStore) -> None:
    assert built.history("invoice_lines")[0]["quarantined"] == 0
    assert built.history("invoice_lines")[0]["inputs"]["invoice_lines"]["files"] == 305


def test_a_second_build_reads_and_writes_nothing(built: FeatureStore) -> None:
    before = {name: len(built.history(name)) for name in ("invoice_lines", "invoice_totals", "mart_runs")}
    assert not built.build("retail_daily", end=HORIZON).committed
    assert {name: len(built.history(name)) for name in before} == before


MOMENTS = ("2010-12-05", "2011-06-15", "2011-12-10")

LINES = """
    create table lines as
    select cast(CustomerID as double)::bigint as customer_id, InvoiceNo, InvoiceDate as sold_at,
           upper(StockCode) as code, Quantity as quantity, Quantity * UnitPrice::decimal(12, 3) as line_value
    from read_csv($files, header = true, types = {
        'InvoiceNo': 'varchar', 'StockCode': 'varchar', 'Quantity': 'integer', 'InvoiceDate': 'timestamp',
        'UnitPrice': 'decimal(12, 3)', 'CustomerID': 'double'})
    where CustomerID is not null
    """
SPEND = """
    with
    invoices as (
        select customer_id, InvoiceNo, max(sold_at) as sold_at, sum(line_value) as v,
               InvoiceNo like 'C%' as is_cancelled
        from lines group by customer_id, InvoiceNo, date_trunc('day', sold_at)
    ),
    spend as (
        select customer_id,
            sum(v) filter (sold_at >= $t - interval 7 day), count(v) filter (sold_at >= $t - interval 7 day),
            sum(v) filter (sold_at >= $t - interval 30 day), max(v) filter (sold_at >= $t - interval 30 day),
            count(v) filter (sold_at >= $t - interval 90 day), sum(v) filter (sold_at >= $t - interval 365 day),
            sum(v) filter (sold_at >= $t - interval 60 day and sold_at < $t - interval 30 day),
            count(distinct InvoiceNo) filter (not is_cancelled),
            min(sold_at) filter (not is_cancelled), max(sold_at) filter (not is_cancelled),
            count(InvoiceNo) filter (is_cancelled and sold_at >= $t - interval 90 day)
        from invoices where sold_at < $t group by customer_id
    ),
    products as (
        select customer_id,
            count(distinct code) filter (quantity > 0 and sold_at >= $t - interval 30 day),
            count(distinct code) filter (quantity > 0 and sold_at >= $t - interval 365 day),
            sum(quantity) filter (quantity > 0 and sold_at >= $t - interval 365 day),
            sum(quantity) filter (quantity < 0 and sold_at >= $t - interval 365 day)
        from lines where sold_at < $t group by customer_id
    )
    """
SPEND_COLUMNS = (
    "order_value_sum_7d, order_value_count_7d, order_value_sum_30d, order_value_max_30d, order_value_count_90d, "
    "order_value_sum_365d, order_value_sum_30d_shift_30d, invoice_no_count_distinct_lifetime, "
    "invoice_timestamp_first_lifetime, invoice_timestamp_last_lifetime, cancellation_count_90d"
)
PRODUCT_COLUMNS = (
    "stock_code_count_distinct_30d, stock_code_count_distinct_365d, units_bought_365d, units_returned_365d"
)


@pytest.fixture(scope="module")
def lines(retail_files: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(LINES, {"files": sorted(map(str, retail_files.glob("*.csv.gz")))})
        yield connection


@pytest.mark.parametrize(
    ("view", "time", "columns", "relation"),
    [
        ("customer_spend", "invoice_timestamp", SPEND_COLUMNS, "spend"),
        ("customer_products", "invoiced_at", PRODUCT_COLUMNS, "products"),
    ],
)
def test_the_latest_windowed_rows_are_what_duckdb_makes_of_the_files(
    built: FeatureStore, lines: duckdb.DuckDBPyConnection, view: str, time: str, columns: str, relation: str
) -> None:
    for moment in MOMENTS:
        at = datetime.fromisoformat(moment)
        query = f"{SPEND} select * from {relation}"
        expected = {row[0]: row[1:] for row in lines.execute(query, {"t": at}).fetchall()}
        latest = built.query(
            f"select customer_id, max_by(struct({columns}), {time}) as row from {view} "
            f"where {time} <= timestamp'{moment} 00:00:00Z' group by customer_id"
        )
        found = {row["customer_id"]: tuple(map(plain, row["row"].values())) for row in latest.toArrow().to_pylist()}
        assert found.keys() == expected.keys()
        assert {who: (found[who], expected[who]) for who in found if found[who] != expected[who]} == {}


def plain(value: Any) -> Any:
    """Instants as DuckDB gives them for timestamps without a zone."""
    return value.replace(tzinfo=None) if isinstance(value, datetime) else value


def test_a_churn_model_is_trained_on_real_customers_and_its_training_set_verifies(built: FeatureStore) -> None:
    name = "real_churn"
    job = built.get_historical_features(
        built.query("select customer_id, snapshot_at as event_timestamp, is_churned from customer_churn_label"),
        "churn_v1",
    )
    manifest = job.save(name)
    assert built.verify_training_set(name).is_equal
    rows = job.to_df()
    assert manifest["rows"] == len(rows) == built.table("customer_churn_label").count()
    learn, judge = split_by_time(rows, datetime(2011, 7, 1, tzinfo=timezone.utc), gap=timedelta(days=60))
    assert len(learn) > 10_000
    measures = ["days_since_last_order", "order_count_90d", "net_value_365d", "returned_line_count"]
    model = HistGradientBoostingClassifier(random_state=0)
    model.fit(learn[measures].astype(float), learn["is_churned"].astype(bool))
    scores = model.predict_proba(judge[measures].astype(float))[:, 1]
    # That a customer who was silent for long stays silent is known of this shop; guessing would give 0.5.
    assert roc_auc_score(judge["is_churned"].astype(bool), scores) > 0.7
