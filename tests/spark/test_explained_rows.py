"""Input rows that are called exact: run on them alone, a definition gives the row that they explain, and no other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from feature_mart.columns.values import plain_row
from feature_mart.delta.names import named
from feature_mart.history.input_rows import Asked, matching
from feature_mart.history.matching import Published, match_inputs

ROOT = Path(__file__).resolve().parents[2]
ORDERS = "customer_id bigint, order_no string, ordered_at timestamp, amount double, note string"
LINES = (
    "InvoiceNo string, StockCode string, Quantity int, InvoiceDate timestamp, UnitPrice double, CustomerID double, "
    "Description string"
)
TOTALS = (
    "customer_id bigint, invoice_timestamp timestamp, order_value decimal(18,3), item_count bigint, "
    "is_cancellation boolean"
)
CARDS = (
    "transaction_id string, card_id string, customer_id bigint, merchant_id string, transaction_timestamp timestamp, "
    "amount decimal(18,2), currency string, billed_amount decimal(18,2), channel string"
)
FACTS = (
    "customer_id bigint, card_id string, transaction_timestamp timestamp, billed_amount decimal(18,2), "
    "is_night_time_transaction boolean, is_foreign_currency boolean"
)


def at(day: int, hour: int) -> datetime:
    return datetime(2011, 1, day, hour, tzinfo=timezone.utc)


#: For each input its columns and some rows: nulls, twins, NaN and negative zero, letters of both cases, several days.
DATA: dict[str, tuple[str, list[tuple[Any, ...]]]] = {
    "orders": (
        ORDERS,
        [
            (1, "a", at(1, 9), 5.0, "x"),
            (1, "b", at(1, 23), 7.5, "X"),
            (1, "c", at(2, 0), -2.5, None),
            (2, "d", at(1, 9), float("nan"), "x"),
            (2, "d", at(1, 9), float("nan"), "x"),
            (None, "e", at(1, 9), 0.0, "y"),
            (None, "f", None, -0.0, "y"),
            (2, None, at(3, 1), None, None),
        ],
    ),
    "invoice_lines": (
        LINES,
        [
            ("5", "85a", 2, at(1, 9), 1.5, 7.0, "CUP"),
            ("5", "85A", 1, at(1, 9), 1.5, 7.0, "CUP"),
            ("5", "85A", 1, at(1, 9), 1.5, 7.0, "CUP"),
            ("5", "22", 1, at(2, 0), 0.0, 7.0, None),
            ("C6", "85A", -1, at(1, 10), 1.5, 7.0, "CUP"),
            ("8", "85A", 4, at(1, 11), 2.0, None, "CUP"),
            ("9", None, 4, at(1, 11), 2.0, 8.0, "CUP"),
        ],
    ),
    "invoice_totals": (
        TOTALS,
        [(7, at(1, 9), "3.000", 2, False), (7, at(1, 10), "-1.500", -1, True), (8, at(2, 9), "1.000", 1, False)],
    ),
    "card_transactions": (
        CARDS,
        [
            ("t1", "k1", 7, "m1", at(1, 9), "5.00", "GBP", "5.00", "chip"),
            ("t1", "k1", 7, "m1", at(1, 9), "5.00", "GBP", "5.00", "chip"),
            ("t2", "k1", 8, "m1", at(2, 9), "5.00", "EUR", "4.00", None),
            ("t3", None, 7, "m2", at(2, 9), None, None, "4.00", "web"),
        ],
    ),
    "transaction_facts": (
        FACTS,
        [
            (7, "k1", at(1, 3), "4.00", True, False),
            (7, "k2", at(1, 9), "5.00", False, None),
            (8, "k3", at(1, 9), "5.00", False, True),
            (None, "k4", at(1, 9), "5.00", False, True),
        ],
    ),
}
TEXTS = {
    "alias, position and expression": """
        select customer_id, date_trunc('day', ordered_at) as day, upper(note) as kind, count(*) as n, sum(amount) as s
        from orders o where amount is null or o.amount > -1
        group by customer_id, day, 3 having count(*) > 0
        """,
    "NaN, zeros and nulls": "select amount, note, count(*) as n, min(order_no) as order_no from orders group by 1, 2",
    "distinct": "select distinct customer_id, lower(note) as note from orders",
    "the day of the latest": """
        with a as (select customer_id as c, ordered_at as at, amount from orders where note is not null),
        g as (select c, max(at) as last_at, sum(amount) as total, avg(amount) as mean from a
              group by c, date_trunc('day', at)),
        h as (select * from g where total is null or total <> 5)
        select h.c as customer_id, last_at, total, mean + 1 as more from (select * from h) as h
        """,
    "row by row": "select customer_id, ordered_at, order_no, amount * 2 as n from orders where order_no <> 'c'",
    "an input's name hidden": """
        with orders as (select customer_id as id, count(*) as n from orders group by customer_id)
        select id as customer_id, n from orders
        """,
    **{
        path: (ROOT / "features" / path).read_text()
        for path in (
            "retail/invoice_totals.sql",
            "retail/customer_daily_orders.sql",
            "retail/product_daily_sales.sql",
            "payments/card_customer.sql",
            "payments/transaction_facts.sql",
            "payments/customer_card_spend.sql",
        )
    },
}
KEYS = {"row by row": ["customer_id", "order_no"]}


@pytest.fixture(scope="module")
def inputs(started_spark: SparkSession) -> Iterator[dict[str, DataFrame]]:
    from feature_mart.delta.session import engine_session

    frames, session = {}, engine_session(started_spark)
    for name, (columns, rows) in DATA.items():
        types = [column.strip().split(" ", 1) for column in columns.replace("(18,", "(18;").split(",")]
        as_text = ", ".join(f"{column} {'string' if 'decimal' in kind else kind}" for column, kind in types)
        casts = [f"cast({column} as {kind.replace(';', ',')}) as {column}" for column, kind in types]
        frames[name] = session.createDataFrame(rows, as_text).coalesce(1).selectExpr(*casts).cache()
    yield frames
    for frame in frames.values():
        frame.unpersist()


@pytest.mark.parametrize("name", TEXTS)
def test_a_definition_gives_the_row_from_the_rows_that_explain_it(name: str, inputs: dict[str, DataFrame]) -> None:
    text = TEXTS[name]
    (read,) = [given for given in DATA if f"from {given}" in text]
    seen = inputs[read]
    spark = seen.sparkSession

    def run(rows: DataFrame) -> DataFrame:
        with named({read: rows}):
            return spark.sql(text)

    made = run(seen)
    types = dict(made.dtypes)
    keys = KEYS.get(name, [column for column in types if column.endswith("_id") or column == "note"][:1])
    view = Published(keys, next((column for column in types if types[column] == "timestamp"), None), types)
    match = match_inputs({"kind": "sql", "text": text}, view, {read: dict(seen.dtypes)})[read]
    assert match.kind == "exact", match.why
    explained = made.toArrow().to_pylist()
    assert explained
    for row in explained[:4]:
        found = matching(seen, match, Asked({}, row, types))
        given = {json.dumps(plain_row(entry)) for entry in run(found).toArrow().to_pylist()}
        assert given == {json.dumps(plain_row(row))}


def test_every_row_of_a_group_and_no_other_is_found(inputs: dict[str, DataFrame]) -> None:
    text, seen = TEXTS["NaN, zeros and nulls"], inputs["orders"]
    types = {"amount": "double", "note": "string", "n": "bigint", "order_no": "string"}
    match = match_inputs({"kind": "sql", "text": text}, Published([], None, types), {"orders": dict(seen.dtypes)})
    values = {"amount": 0.0, "note": "y", "n": 2, "order_no": "e"}
    found = matching(seen, match["orders"], Asked({}, values, types)).collect()
    assert [row.order_no for row in found] == ["e", "f"]  # a negative zero is in the group of zero
