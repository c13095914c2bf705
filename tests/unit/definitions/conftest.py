from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from feature_mart.definitions import Project, Validation, validate_project

WriteMart = Callable[..., Path]
Validate = Callable[..., Validation]

#: A small mart without a problem; tests change single files of it.
MART: Mapping[str, str] = {
    "conf/base.yml": "mart: shop\nwarehouse: warehouse\n",
    "metadata/entities.yml": """\
entities:
  customer:
    description: A shopper with an account.
    keys: {customer_id: bigint}
""",
    "metadata/sources.yml": """\
sources:
  orders:
    description: One order.
    format: csv
    path: data/orders/*.csv
    schema: {OrderID: string, CustomerID: bigint, OrderedAt: timestamp, Amount: double}
    event_timestamp: OrderedAt
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
    event_timestamp: ordered_at
  - name: customer_value
    definition: features/customer_value.py
    entities: [customer]
    event_timestamp: ordered_at
""",
    "features/order_totals.sql": """\
select CustomerID as customer_id, OrderedAt as ordered_at, sum(Amount) as amount
from orders
group by CustomerID, OrderedAt
""",
    "features/customer_value.py": """\
from pyspark.sql import DataFrame


def transform(order_totals: DataFrame) -> DataFrame:
    return order_totals.select("customer_id", "ordered_at", "amount")
""",
    "metadata/feature_views/order_totals.yml": """\
feature_view: order_totals
description: What a customer ordered.
owner: sales@example.com
tags: [monetary]
features:
  amount: {description: Sum of the order., unit: GBP, type: double}
""",
    "metadata/feature_views/customer_value.yml": """\
feature_view: customer_value
description: What a customer is worth.
features:
  amount: {description: Value of the customer.}
""",
    "metadata/feature_services.yml": """\
feature_services:
  churn: {description: Churn model., owner: ml@example.com, features: ["customer_value:amount", order_totals]}
""",
    "tests/mart/order_totals.yml": """\
feature_view: order_totals
tests:
  - name: amounts are added up
    interval: [2011-01-01, 2011-01-02]
    given: {orders: [{OrderID: "1", CustomerID: 7, OrderedAt: 2011-01-01T10:00:00Z, Amount: 2.5}]}
    expect: [{customer_id: 7, amount: 2.5}]
""",
}


@pytest.fixture
def mart_files() -> Mapping[str, str]:
    """The files of `MART`."""
    return MART


@pytest.fixture
def write_mart(tmp_path: Path) -> WriteMart:
    """Writes `MART`, with some files replaced, added, or (None) left out; gives its folder."""

    def write(changes: Mapping[str, str | bytes | None] | None = None) -> Path:
        for name, text in {**MART, **(changes or {})}.items():
            if text is not None:
                path = tmp_path / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path

    return write


@pytest.fixture
def validate(write_mart: WriteMart) -> Validate:
    """Validates `MART` with changed files."""

    def run(
        changes: Mapping[str, str | bytes | None] | None = None,
        environment: str | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> Validation:
        return validate_project(write_mart(changes), environment, variables or {})

    return run


@pytest.fixture
def load(validate: Validate) -> Callable[..., Project]:
    """Loads `MART` with changed files, which must have no problem."""

    def run(
        changes: Mapping[str, str | bytes | None] | None = None,
        environment: str | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> Project:
        found = validate(changes, environment, variables)
        assert [problem.text() for problem in found.errors] == []
        assert found.project is not None
        return found.project

    return run
