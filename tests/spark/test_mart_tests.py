"""`mart test`: what it says of rows that cannot be given or expected. Passing tests are those of the reference mart."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from feature_mart import FeatureStore
from feature_mart.testing import write_tiny_mart


@pytest.mark.parametrize(
    ("given", "expected", "difference"),
    [
        (
            "{customer_id: 1, ordered_at: 2011-01-01T10:00:00Z, amount: much}",
            "{customer_id: 1, amount: 5.0}",
            "given orders: row 1: amount is 'much', which is no double",
        ),
        (
            "{customer_id: 1, ordered_at: 2011-01-01T10:00:00Z, amount: 5.0}",
            "{customer_id: one, ordered_at: noon}",
            "expect: row 1: customer_id is 'one', which is no bigint; "
            "row 1: ordered_at is 'noon', which is no timestamp",
        ),
        (
            "{customer_id: 1, ordered_at: 2011-01-01T10:00:00Z, amount: 5.0}",
            "{customer_id: 1, amount: 7.5}",
            "different:  customer_id=1: amount: expected 7.5, got 5.0",
        ),
    ],
)
def test_what_is_wrong_is_named(
    spark: SparkSession, tmp_path: Path, given: str, expected: str, difference: str
) -> None:
    tests = f"""
        feature_view: customer_orders
        tests:
          - name: one order
            given: {{orders: [{given}]}}
            expect: [{expected}]
        """
    root = write_tiny_mart(tmp_path, {"tests/mart/customer_orders.yml": tests})
    (result,) = FeatureStore(root, spark=spark).test()
    assert (result.passed, result.difference) == (False, difference)
