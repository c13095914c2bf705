"""Definitions that fail on their data or give what they must not give: `mart build` says so and publishes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pyspark.sql import SparkSession

from feature_mart import FeatureStore
from feature_mart.cli.main import main
from feature_mart.delta.session import engine_session
from feature_mart.testing import FixedClock, tiny_pipeline, write_files, write_tiny_mart

FIRST = [(1, "a", 5.0), (1, "c", 2.5), (2, "b", 7.5)]
PLAIN = "select customer_id, ordered_at, order_no, amount from orders"
OVERFLOW = "features/orders.sql, or one of the view's checks, failed on its data: [ARITHMETIC_OVERFLOW]"
PYTHON = "def transform(orders):\n    "
SUM = (
    "select customer_id, max(ordered_at) as ordered_at, 'x' as order_no, "
    "cast(sum(customer_id + 9223372036854775800) as double) as amount from orders group by customer_id"
)

# Spark computes it while it plans, before there is a row.
CONSTANT = PLAIN.replace("amount from", "cast(cast(9e18 as bigint) * 2 as double) as amount from")


def store_of(spark: SparkSession, root: Path) -> FeatureStore:
    return FeatureStore(root, spark=engine_session(spark), now=FixedClock("2011-01-03T12:00:00Z"))


@pytest.fixture(scope="module")
def root(started_spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mart that was built once."""
    root = write_tiny_mart(tmp_path_factory.mktemp("mart"))
    store_of(started_spark, root).build()
    return root


@pytest.mark.parametrize(
    ("definition", "checks", "code", "said"),
    [
        (SUM, None, 1, OVERFLOW),
        (
            CONSTANT,
            None,
            1,
            OVERFLOW,
        ),
        (PLAIN.replace("amount from", "amount / (customer_id - 1) as amount from"), None, 1, "DIVIDE_BY_ZERO"),
        (PLAIN.replace("amount from", "cast(order_no as double) as amount from"), None, 1, "CAST_INVALID_INPUT"),
        (PYTHON + "raise KeyError('no such thing')\n", None, 1, "KeyError: 'no such thing' (line 2)"),
        (PYTHON + "return orders.collect()\n", None, 1, "it must return a DataFrame"),
        (PLAIN + " where amount > 1000", [{"row_count": {"minimum": 1}}], 1, "checks failed; nothing was published"),
        (PLAIN.replace(", amount", ", amount, amount * 2 as twice"), None, 2, "twice"),
        (PLAIN.replace(", amount", ""), None, 2, "amount"),
        (PLAIN.replace(", amount", ", amount, order_no as AMOUNT"), None, 2, "AMOUNT"),
        (PYTHON + "return orders.selectExpr('*', 'amount as AMOUNT')\n", None, 1, "columns of the same name: "),
    ],
)
def test_a_definition_that_cannot_be_published_changes_nothing(
    started_spark: SparkSession, root: Path, definition: str, checks: list[Any] | None, code: int, said: str
) -> None:
    path = "features/orders.py" if definition.startswith(PYTHON) else "features/orders.sql"
    if definition.startswith(PYTHON):
        write_files(root, {"features/orders.py": definition, "features/orders.sql": None})
    else:
        write_files(root, {"features/orders.sql": definition + "\n"})
    write_files(root, {"pipelines/daily.yml": tiny_pipeline(definition=path, checks=checks)})
    try:
        result = CliRunner().invoke(main, ["--mart", str(root), "build"])
        assert result.exit_code == code, result.output
        assert said in result.stderr
        assert ("Error: view customer_orders: " if code == 1 else "Error: ") in result.stderr
        assert "\tat " not in result.stderr
        assert "Traceback" not in result.stderr
        assert "^^^" not in result.stderr
        sql = "select customer_id, order_no, amount from customer_orders order by all"
        write_files(root, {"pipelines/daily.yml": tiny_pipeline(), "features/orders.sql": PLAIN + "\n"})
        (root / "features/orders.py").unlink(missing_ok=True)
        assert [tuple(row) for row in store_of(started_spark, root).query(sql).collect()] == FIRST
        assert [entry["version"] for entry in store_of(started_spark, root).history("customer_orders")] == [0]
    finally:
        write_files(root, {"pipelines/daily.yml": tiny_pipeline(), "features/orders.sql": PLAIN + "\n"})
        (root / "features/orders.py").unlink(missing_ok=True)
