"""The retail pipeline, unchanged, on the real Online Retail files.

The expected figures were computed from the same files with DuckDB, by queries that share nothing with the definitions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from feature_mart import FeatureStore
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
