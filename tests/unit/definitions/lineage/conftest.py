from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from feature_mart.definitions import Project, load_project
from feature_mart.testing import write_files

#: Views on views, in SQL, in Python and taken as they are.
MART: Mapping[str, str] = {
    "conf/base.yml": "mart: shop\nwarehouse: warehouse\n",
    "metadata/entities.yml": "entities:\n  customer: {description: A shopper., keys: {customer_id: bigint}}\n",
    "metadata/sources.yml": """\
sources:
  orders:
    description: One order.
    format: csv
    path: data/*.csv
    schema: {CustomerID: bigint, OrderedAt: timestamp, Amount: double, Status: string}
    event_timestamp: OrderedAt
  regions:
    description: Where customers live.
    format: csv
    path: regions/*.csv
    schema: {customer_id: bigint, region: string}
""",
    "pipelines/daily.yml": """\
pipeline: daily
description: Every night.
owner: team@example.com
schedule: "0 3 * * *"
feature_views:
  - name: order_totals
    definition: features/order_totals.sql
    entities: [customer]
    event_timestamp: ordered_on
  - name: customer_region
    input: regions
    entities: [customer]
    static: true
  - name: customer_value
    definition: features/customer_value.sql
    entities: [customer]
    event_timestamp: ordered_on
    derived: {doubled: "value * 2"}
  - name: customer_score
    definition: features/customer_score.py
    entities: [customer]
    event_timestamp: ordered_on
""",
    "features/order_totals.sql": """\
select CustomerID as customer_id, date_trunc('day', OrderedAt) as ordered_on, sum(Amount) as amount, count(*) as n
from orders
where Status <> 'cancelled'
group by 1, 2
""",
    "features/customer_value.sql": """\
select t.customer_id, t.ordered_on, case when r.region = 'x' then t.amount else 0 end as value, t.n as order_count
from order_totals t
left join customer_region r using (customer_id)
""",
    "features/customer_score.py": """\
from pyspark.sql import DataFrame


def transform(customer_value: DataFrame) -> DataFrame:
    return customer_value.select("customer_id", "ordered_on", "value")
""",
    "metadata/feature_views/order_totals.yml": """\
feature_view: order_totals
description: What a customer ordered on a day.
features: {amount: {description: Value.}, n: {description: Orders.}}
""",
    "metadata/feature_views/customer_region.yml": """\
feature_view: customer_region
description: Where a customer lives.
features: {region: {description: Region.}}
""",
    "metadata/feature_views/customer_value.yml": """\
feature_view: customer_value
description: What a customer is worth.
features: {value: {description: Value.}, order_count: {description: Orders.}, doubled: {description: Twice.}}
""",
    "metadata/feature_views/customer_score.yml": """\
feature_view: customer_score
description: What a customer is worth, again.
features: {value: {description: Value.}}
""",
    "metadata/feature_services.yml": """\
feature_services:
  churn: {description: Churn., owner: ml@example.com, features: ["customer_value:doubled", customer_score]}
  spend: {description: Spend., owner: ml@example.com, features: ["order_totals:amount"]}
""",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_files(tmp_path, MART)


@pytest.fixture
def open_project(root: Path) -> Callable[..., Project]:
    """The mart above, with files changed."""

    def run(changes: Mapping[str, str | bytes | None] | None = None) -> Project:
        return load_project(write_files(root, changes or {}), None, {})

    return run
