"""How far input rows can be told from the text of a definition."""

from __future__ import annotations

from typing import Any

import pytest

from feature_mart.history.matching import Match, Published, Same, match_inputs

LINES = {"CustomerID": "double", "InvoiceDate": "timestamp", "Quantity": "int", "Tags": "array<string>"}
VIEW = Published(
    ["customer_id"],
    "at",
    {"customer_id": "bigint", "at": "timestamp", "n": "bigint", "d": "date", "t": "array<string>"},
)
CUSTOMER = Same("`CustomerID`", "`_row_customer_id`", "bigint")
MOMENT = Same("`InvoiceDate`", "`_row_at`", "timestamp")


def of(text: str, columns: dict[str, dict[str, str]] | None = None, view: Published = VIEW) -> dict[str, Match]:
    definition: dict[str, Any] = {"kind": "sql", "path": "features/a.sql", "text": text, "derived": {}}
    return match_inputs(definition, view, columns or {"lines": LINES})


@pytest.mark.parametrize(
    "text",
    [
        "select cast(l.CustomerID as bigint) as customer_id, l.InvoiceDate as at, l.Quantity * 2 as n "
        "from Lines l where l.Quantity > 0 order by 1",
        "with a as (select * from lines), b as (select cast(customerid as bigint) as c, InvoiceDate, Quantity from a) "
        "select b.c as customer_id, at, q from (select c, InvoiceDate as at, Quantity q from b where quantity > 0) b",
    ],
)
def test_a_row_by_row_select_is_exact(text: str) -> None:
    match = of(text)["lines"]
    assert match.kind == "exact"
    assert match.why == "each row comes from one row of this input: those of that key and event timestamp"
    customer, moment = match.same
    assert customer.input.strip("()") == "TRY_CAST(`CustomerID` AS BIGINT"
    assert (customer.row, customer.kind, moment) == ("`_row_customer_id`", "bigint", MOMENT)
    assert match.where == "(`Quantity` > 0)"


def test_a_definition_that_does_not_parse_is_none() -> None:
    assert of("select from where")["lines"].kind is None


def test_an_input_that_is_taken_as_it_is_is_exact() -> None:
    found = match_inputs({"kind": "input"}, VIEW, {"totals": {"customer_id": "bigint", "at": "timestamp"}})["totals"]
    assert found.kind == "exact"
    assert [entry.input for entry in found.same] == ["`customer_id`", "`at`"]
    gone = match_inputs({"kind": "input"}, VIEW, {"totals": {"customer_id": "bigint"}})["totals"]
    assert gone.kind == "candidates"


@pytest.mark.parametrize(
    ("text", "same"),
    [
        (
            "select CustomerID as customer_id, InvoiceDate as at, sum(Quantity) as n from lines group by 1, at "
            "having sum(Quantity) > 0",
            (CUSTOMER, MOMENT),
        ),
        (
            "select CustomerID as customer_id, max(l.InvoiceDate) as at from lines l "
            "group by CustomerID, date_trunc('day', InvoiceDate)",
            (CUSTOMER, Same("DATE_TRUNC('DAY', `InvoiceDate`)", "DATE_TRUNC('DAY', `_row_at`)")),
        ),
        ("select distinct CustomerID as customer_id, InvoiceDate as at from lines", (CUSTOMER, MOMENT)),
        (
            "with g as (select CustomerID as c, count(*) as n from lines group by CustomerID) "
            "select c as customer_id, n + 1 as n from g where n > 1",
            (CUSTOMER,),
        ),
    ],
)
def test_a_group_that_the_row_tells_is_exact(text: str, same: tuple[Same, ...]) -> None:
    match = of(text)["lines"]
    assert (match.kind, match.same) == ("exact", same)
    assert match.why.startswith("the row is made from one group: all rows of its customer_id")


BY_CUSTOMER = "from lines group by CustomerID"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"select CustomerID as customer_id, max(InvoiceDate) as at {BY_CUSTOMER}, Quantity", "groups by Quantity, "),
        # What the row has is a function of the group, and may be the same for two of them.
        (f"select CustomerID as customer_id, Quantity + 1 as n {BY_CUSTOMER}, Quantity", "groups by Quantity, "),
        # A maximum tells of itself alone, and only in the type that it had.
        (
            f"select CustomerID as customer_id, max(InvoiceDate) as at {BY_CUSTOMER}, InvoiceDate > Quantity",
            "groups by InvoiceDate > Quantity, which the row does not tell",
        ),
        (
            f"select CustomerID as customer_id, max(InvoiceDate) as d {BY_CUSTOMER}, year(InvoiceDate)",
            "groups by YEAR(InvoiceDate), which the row does not tell",
        ),
        (f"select CustomerID as customer_id, Tags as t {BY_CUSTOMER}, Tags", "groups by Tags, "),
        (f"select CustomerID as customer_id, InvoiceDate as at {BY_CUSTOMER} with rollup", "uses GROUP BY ALL, ROLLUP"),
        (f"select CustomerID as customer_id {BY_CUSTOMER}, cube(Quantity)", "uses GROUP BY ALL, ROLLUP"),
        ("select CustomerID as customer_id, InvoiceDate as at, 1 as n from lines group by all", "uses GROUP BY ALL"),
        (f"select distinct CustomerID as customer_id, count(*) as n {BY_CUSTOMER}", "is DISTINCT over groups"),
        (
            f"with g as (select CustomerID as c, max(1) as n {BY_CUSTOMER}) select c as customer_id from g group by 1",
            "groups what is grouped already",
        ),
        (
            "select CustomerID as customer_id, lag(Quantity) over (order by 1) as at from lines",
            "uses a window function",
        ),
        ("select CustomerID as customer_id, InvoiceDate as at from lines limit 1", "uses LIMIT"),
        ("select CustomerID as customer_id, InvoiceDate as at, own(Quantity) as n from lines", "uses OWN(Quantity)"),
        ("select CustomerID as customer_id from lines where Quantity > (select 1)", "uses (SELECT 1)"),
        ("select CustomerID as customer_id, Quantity as n from lines", "does not say how at is found in a row"),
        ("select CustomerID as customer_id, other as at from lines", "uses other, which is not followed"),
        ("select a.CustomerID as customer_id from lines a join lines b on a.Quantity = b.Quantity", "joins"),
        ("select CustomerID as customer_id from lines lateral view explode(Tags) t as tag", "uses LATERAL VIEW"),
        ("select CustomerID as customer_id from lines tablesample (1 rows)", "reads lines TABLESAMPLE"),
        ("with l as (select 1 as c union all select 2) select c as customer_id from l", "is no single SELECT"),
        ("with recursive l as (select CustomerID from lines) select CustomerID as customer_id from l", "is recursive"),
        ("select 1 as customer_id", "reads no input"),
        ("select id as customer_id from range(9)", "reads RANGE(9)"),
        ("select CustomerID as customer_id, max(InvoiceDate) as at from lines", "aggregates without GROUP BY"),
        ("with l(a, b) as (select CustomerID, 1 from lines) select a as customer_id from l", "renames the columns"),
    ],
)
def test_everything_else_gives_candidates_and_says_why(text: str, reason: str) -> None:
    match = of(text)["lines"]
    assert match.kind in ("candidates", None)
    assert match.same == () and match.where is None
    if match.kind == "candidates":
        assert match.why.startswith(f"all rows of that key in reach of the interval, as the definition {reason}")
        assert match.keys["customer_id"].strip("()") == "`CustomerID`"


def test_the_key_s_expression_is_followed_through_common_table_expressions() -> None:
    match = of(
        "with a as (select cast(CustomerID as bigint) as c from lines) "
        "select c + 1 as customer_id, max(1) as at from a limit 9"
    )["lines"]
    assert match.keys == {"customer_id": "((TRY_CAST(`CustomerID` AS BIGINT)) + 1)"}


@pytest.mark.parametrize(
    "text",
    [
        "select max(CustomerID) as customer_id, InvoiceDate as at from lines group by all",
        "select concat(a.CustomerID, b.CustomerID) as customer_id, a.InvoiceDate as at from lines a, other b",
        "select id as customer_id, at from lines lateral view explode(array(1)) t as id",
        "select 1 as customer_id, InvoiceDate as at from lines union all select 2, InvoiceDate from lines",
    ],
)
def test_a_key_that_cannot_be_followed_is_said(text: str) -> None:
    match = of(text)["lines"]
    assert (match.kind, match.why) == (None, "the definition does not say how customer_id is found in it")


def test_columns_of_the_key_s_name_are_candidates_also_without_a_sql_text() -> None:
    found = match_inputs({"kind": "python"}, VIEW, {"a": {"Customer_ID": "bigint"}, "b": {"other": "int"}})
    assert (found["a"].kind, found["a"].keys) == ("candidates", {"customer_id": "`Customer_ID`"})
    assert found["b"].kind is None


def test_each_input_of_a_join_is_matched_by_itself() -> None:
    found = of(
        "select a.CustomerID as customer_id, a.InvoiceDate as at from lines a join names n on n.name = a.name",
        {"lines": LINES, "names": {"customer_id": "bigint", "name": "string"}, "rates": {"rate": "double"}},
    )
    assert {name: match.kind for name, match in found.items()} == {
        "lines": "candidates",
        "names": "candidates",
        "rates": None,
    }
    assert found["lines"].why.endswith("as the definition reads several inputs")
