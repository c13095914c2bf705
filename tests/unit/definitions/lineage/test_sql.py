"""Lineage of SQL texts. That Spark's own plans say the same is checked in tests/spark/test_lineage.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from feature_mart.definitions.lineage.model import Lineage
from feature_mart.definitions.lineage.relation import Relation
from feature_mart.definitions.lineage.sql_query import query_lineage, unknown_columns

CASES = Path(__file__).with_name("queries.txt")
COLUMN = re.compile(r"(\w+) (?:\w+(?:<[^ ]*>)?)(?:, |$)")


def read_cases() -> tuple[dict[str, list[str]], dict[str, tuple[str, str]]]:
    """The columns of each table, and queries by name, each with the lineage that it has."""
    head, *parts = CASES.read_text(encoding="utf-8").split("\n## ")
    tables = dict(line.removeprefix("table ").split(": ", 1) for line in head.splitlines() if line.startswith("table "))
    queries = {}
    for part in parts:
        title, text = part.split("\n", 1)
        query, *lineage = text.strip().split("\n=> ")
        queries[title] = (query, "\n".join(lineage))
    return {name: COLUMN.findall(schema) for name, schema in tables.items()}, queries


TABLES, QUERIES = read_cases()
#: Tables whose columns nobody has declared.
UNKNOWN = ("events", "clicks")


def lineage_of(query: str) -> Relation:
    tree = sqlglot.parse_one(query, dialect="spark")
    assert isinstance(tree, exp.Query)
    return query_lineage(tree, lambda table: None if table in UNKNOWN else TABLES[table])


def unknown_in(query: str) -> list[str]:
    tree = sqlglot.parse_one(query, dialect="spark")
    assert isinstance(tree, exp.Query)
    found = unknown_columns(tree, lambda table: None if table in UNKNOWN else TABLES[table])
    return [column.sql("spark") for column in found]


def said(relation: Relation) -> str:
    return "\n".join(
        f"{name}: {spoken(given)}".rstrip() for name, given in (*relation.columns, ("rows", relation.rows))
    )


def spoken(lineage: Lineage) -> str:
    uses = [f"{column} {', '.join(kinds)}" for column, kinds in lineage.ordered()]
    return "; ".join([*uses, *sorted(lineage.unresolved)])


def test_the_tables_are_read() -> None:
    assert TABLES["orders"] == ["OrderID", "CustomerID", "OrderedAt", "Amount", "Tags", "Address", "Prices"]
    assert len(QUERIES) > 100


@pytest.mark.parametrize("name", QUERIES)
def test_queries(name: str) -> None:
    query, expected = QUERIES[name]
    relation = lineage_of(query)
    assert said(relation) == expected
    assert relation.further is None
    assert unknown_in(query) == []


# What Spark's plan cannot show, or shows otherwise.
OTHERS = {
    "a recursive cte": (
        "with recursive r(id, n) as (select CustomerID, 1 from customers union all "
        "select o.CustomerID, r.n + length(o.OrderID) from r join orders o on o.CustomerID = r.id) select id, n from r",
        """\
id: customers:CustomerID identity; orders:CustomerID identity
n: orders:OrderID transformation
rows: customers:CustomerID join; orders:CustomerID join""",
    ),
    "qualify": (
        "select OrderID from orders qualify row_number() over (partition by CustomerID order by OrderedAt) = 1",
        "OrderID: orders:OrderID identity\nrows: orders:CustomerID filter; orders:OrderedAt filter",
    ),
    "union by name": (
        "select OrderID as a, Amount as b from orders union all by name select price as b, product as a from products",
        """\
a: orders:OrderID identity; products:product identity
b: orders:Amount identity; products:price identity
rows:""",
    ),
    "parameters": (
        "select :interval_end as t from orders where OrderedAt < :interval_end",
        "t:\nrows: orders:OrderedAt filter",
    ),
    "columns that nobody has declared": (
        "select e.user_id, max(e.payload.size) as size from events e where kind = 'x' group by e.user_id",
        """\
user_id: events:user_id identity
size: events:payload aggregation
rows: events:kind filter; events:user_id group_by""",
    ),
    "a table with declared columns beside one without": (
        "select country, kind from customers join events on events.user_id = CustomerID",
        """\
country: customers:country identity
kind: events:kind identity
rows: customers:CustomerID join; events:user_id join""",
    ),
    "two tables without declared columns": (
        "select e.kind, page from events e join clicks c on c.id = e.id",
        """\
kind: events:kind identity
page: page: the columns of more than one of its inputs are not known
rows: clicks:id join; events:id join""",
    ),
    "a name that is nowhere": (
        "select Amont as a from orders",
        "a: Amont: no column that its inputs are known to have\nrows:",
    ),
    "pivot": (
        "select CustomerID, a from orders pivot (sum(Amount) for OrderID in ('a', 'b'))",
        """\
CustomerID: PIVOT and UNPIVOT make columns that lineage does not follow
a: PIVOT and UNPIVOT make columns that lineage does not follow
rows: PIVOT and UNPIVOT make columns that lineage does not follow""",
    ),
    "a star in a struct of unknown columns": (
        "select struct(*) as s from events",
        "s: *: which columns it stands for is known from the data only\nrows:",
    ),
    "more aliases than columns are known": (
        "select a, b from events as e(a, b)",
        """\
a: a: an alias of a column that is not known
b: b: an alias of a column that is not known
rows:""",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_queries(name: str) -> None:
    query, expected = OTHERS[name]
    assert said(lineage_of(query)) == expected


def test_a_star_over_unknown_columns_gives_any_column() -> None:
    relation = lineage_of("with e as (select *, 1 as one from events where kind = 'x') select * from e")
    assert said(relation) == "one:\nrows: events:kind filter"
    assert relation.further is not None
    assert spoken(relation.further("payload")) == "events:payload identity"


def test_a_star_over_two_tables_of_unknown_columns_is_not_resolved() -> None:
    relation = lineage_of("select * from events join clicks using (id)")
    assert relation.further is not None
    assert spoken(relation.further("page")) == "page: the columns of more than one of its inputs are not known"


def test_the_fields_of_a_struct_are_not_known() -> None:
    relation = lineage_of("select Address.* from orders")
    assert relation.further is not None
    expected = "orders:Address transformation; Address.*: the fields of a struct are known from the data only"
    assert spoken(relation.further("street")) == expected


def test_a_union_of_columns_that_are_not_all_known_says_so() -> None:
    relation = lineage_of("select 1 as id, * from events union all select CustomerID, country from customers")
    reason = "UNION of columns of which not all are known"
    assert said(relation) == f"id: customers:CustomerID identity; {reason}\nrows:"


def test_the_order_of_names_changes_nothing() -> None:
    one = lineage_of("select OrderID from orders o join customers c on o.CustomerID = c.CustomerID where country = 'x'")
    other = lineage_of("select OrderID from customers c join orders o on c.CustomerID = o.CustomerID and country = 'x'")
    assert [spoken(part[1]) for part in one.columns] == [spoken(part[1]) for part in other.columns]
    assert set(one.rows.uses) == set(other.rows.uses)


@pytest.mark.parametrize(
    ("query", "unknown"),
    [
        ("select Amout from orders", ["Amout"]),
        (
            "select o.OrderID from orders o join customers c on o.CustomerID = c.CustomerId where c.city = 'x'",
            ["c.city"],
        ),
        ("with unused as (select nothing from orders) select OrderID from orders", ["nothing"]),
        ("select OrderID from orders where exists (select 1 from customers where region = 1)", ["region"]),
        ("select Address.city.name, Address.anything from orders", []),
        ("select Anything, e.more from events e", []),
        ("select Anything from events join orders using (OrderID)", []),
        # Names that Spark gives by itself.
        ("select `sum(Amount)` from (select sum(Amount) from orders)", []),
        ("select session_window.start from orders group by session_window(OrderedAt, '1 day')", []),
        ("select user, session_user from orders", []),
        ("select grouping__id from orders group by CustomerID with cube", []),
        ("select user_name, o.`Amout` from orders o", ["user_name", "o.`Amout`"]),
    ],
)
def test_names_that_no_input_has(query: str, unknown: list[str]) -> None:
    assert unknown_in(query) == unknown
