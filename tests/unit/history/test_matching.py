"""How far input rows can be told from the text of a definition."""

from __future__ import annotations

from typing import Any

import pytest

from feature_mart.history.matching import Match, match_inputs

LINES = ["CustomerID", "InvoiceDate", "Quantity"]
KEYS = ["customer_id"]


def of(text: str, columns: dict[str, list[str]] | None = None) -> dict[str, Match]:
    definition: dict[str, Any] = {"kind": "sql", "path": "features/a.sql", "text": text, "derived": {}}
    return match_inputs(definition, KEYS, "at", columns or {"lines": LINES})


def test_a_row_by_row_select_is_exact() -> None:
    match = of(
        "select cast(l.CustomerID as bigint) as customer_id, l.InvoiceDate as at, l.Quantity * 2 as n "
        "from Lines l where l.Quantity > 0 order by 1"
    )["lines"]
    assert match.kind == "exact"
    assert match.why == "each row comes from one row of this input: those of that key and event timestamp"
    assert match.keys == {"customer_id": "TRY_CAST(l.CustomerID AS BIGINT)"}
    assert (match.event_timestamp, match.where, match.alias) == ("l.InvoiceDate", "l.Quantity > 0", "l")


def test_an_input_that_is_taken_as_it_is_is_exact() -> None:
    found = match_inputs({"kind": "input"}, KEYS, "at", {"totals": ["customer_id", "at", "x"]})["totals"]
    assert (found.kind, found.keys, found.event_timestamp) == ("exact", {"customer_id": "`customer_id`"}, "`at`")


@pytest.mark.parametrize(
    "text",
    [
        "select CustomerID as customer_id, InvoiceDate as at, sum(Quantity) as n from lines group by all",
        "select distinct CustomerID as customer_id, InvoiceDate as at from lines",
        "select CustomerID as customer_id, InvoiceDate as at, lag(Quantity) over (order by 1) as n from lines",
        "select CustomerID as customer_id, InvoiceDate as at from lines limit 1",
        "select CustomerID as customer_id, InvoiceDate as at, own(Quantity) as n from lines",
        "select CustomerID as customer_id, InvoiceDate as at from lines where Quantity > (select 1)",
        "select a.CustomerID as customer_id, a.InvoiceDate as at from lines a join lines b on a.Quantity = b.Quantity",
        "with l as (select * from lines) select CustomerID as customer_id, InvoiceDate as at from l",
        "with lines as (select * from lines) select CustomerID as customer_id, InvoiceDate as at from lines",
        "with a as (select CustomerID as c, InvoiceDate from lines), b as (select c as d, max(InvoiceDate) as at "
        "from a group by c) select d as customer_id, at from b",
    ],
)
def test_everything_else_gives_candidates_by_the_key_followed_to_the_input(text: str) -> None:
    match = of(text)["lines"]
    assert match.kind == "candidates"
    assert match.event_timestamp is None and match.where is None
    assert match.keys["customer_id"].strip("()") == "`CustomerID`" or match.keys["customer_id"] in (
        *("CustomerID", "((`CustomerID`))"),
    )


def test_the_key_s_expression_is_followed_through_common_table_expressions() -> None:
    match = of(
        "with a as (select cast(CustomerID as bigint) as c from lines) select c + 1 as customer_id, max(1) as at from a"
    )["lines"]
    assert match.keys == {"customer_id": "((TRY_CAST(`CustomerID` AS BIGINT)) + 1)"}


@pytest.mark.parametrize(
    "text",
    [
        "select max(CustomerID) as customer_id, InvoiceDate as at from lines group by 2",
        "select concat(a.CustomerID, b.CustomerID) as customer_id, a.InvoiceDate as at from lines a, other b",
        "select id as customer_id, at from lines lateral view explode(array(1)) t as id",
        "select 1 as customer_id, InvoiceDate as at from lines union all select 2, InvoiceDate from lines",
    ],
)
def test_a_key_that_cannot_be_followed_is_said(text: str) -> None:
    match = of(text)["lines"]
    assert (match.kind, match.why) == (None, "the definition does not say how customer_id is found in it")


def test_columns_of_the_key_s_name_are_candidates_also_without_a_sql_text() -> None:
    found = match_inputs({"kind": "python"}, KEYS, "at", {"a": ["Customer_ID"], "b": ["other"]})
    assert (found["a"].kind, found["a"].keys) == ("candidates", {"customer_id": "`Customer_ID`"})
    assert found["b"].kind is None


def test_each_input_of_a_join_is_matched_by_itself() -> None:
    found = of(
        "select a.CustomerID as customer_id, a.InvoiceDate as at from lines a join names n on n.name = a.name",
        {"lines": LINES, "names": ["customer_id", "name"], "rates": ["rate"]},
    )
    assert {name: match.kind for name, match in found.items()} == {
        "lines": "candidates",
        "names": "candidates",
        "rates": None,
    }
