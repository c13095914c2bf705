"""What a training set is like: what is missing, and how old values are."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from feature_mart import FeatureStore
from feature_mart.testing import FixedClock, tiny_pipeline, write_files, write_tiny_mart

COUNTRY = {
    "name": "customer_country",
    "definition": "features/countries.sql",
    "entities": ["customer"],
    "static": True,
}
FILES = {
    "pipelines/daily.yml": tiny_pipeline(COUNTRY, ttl="1d"),
    "features/countries.sql": """
        select customer_id, max('GB') as country from orders where customer_id = 1 group by customer_id
        """,
    "metadata/feature_views/customer_country.yml": """
        feature_view: customer_country
        description: Where a customer lives.
        owner: growth@example.com
        features:
          country: {description: As the shop knows it.}
        """,
}


def test_missing_shares_coverage_and_ages_by_feature(spark: SparkSession, tmp_path: Path) -> None:
    write_tiny_mart(tmp_path, FILES)
    write_files(
        tmp_path,
        {
            "data/orders/2011-01-01.csv": (
                b"customer_id,order_no,ordered_at,amount\n1,a,2011-01-01 10:00:00,\n2,b,2011-01-01 11:00:00,7.5\n"
            ),
            "data/orders/2011-01-02.csv": None,
        },
    )
    store = FeatureStore(tmp_path, spark=spark, now=FixedClock("2011-01-03T00:00:00Z"))
    store.build()
    spine = pd.DataFrame(
        {
            "customer_id": [1, 2, 2, 3],
            "event_timestamp": pd.to_datetime(
                ["2011-01-01T10:00:00", "2011-01-01T12:00:00", "2011-01-03T00:00:00", "2011-01-02T00:00:00"], utc=True
            ),
        }
    )
    job = store.get_historical_features(
        spine, ["customer_orders:amount", "customer_orders:order_no", "customer_country"]
    )
    told = job.describe()
    assert list(told.index) == ["amount", "order_no", "country"]
    assert told["view"].tolist() == ["customer_orders", "customer_orders", "customer_country"]
    # Customer 1 has a row without an amount; what customer 2 had is too old on the 3rd; customer 3 has none.
    assert told["missing"].tolist() == pytest.approx([0.75, 0.5, 0.75])
    assert told["coverage"].tolist() == pytest.approx([0.5, 0.5, 0.25])
    ages = told.loc["order_no", ["age_min", "age_mean", "age_max"]].tolist()
    assert ages == [pd.Timedelta(0), pd.Timedelta(minutes=30), pd.Timedelta(hours=1)]
    assert told.loc["country", ["age_min", "age_mean", "age_max"]].isna().all()
    assert job.to_df().columns.tolist() == ["customer_id", "event_timestamp", "amount", "order_no", "country"]
