"""Lineage from plans that Spark 4.1 wrote as JSON, kept in plans.json with the fields that are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from feature_mart.definitions.lineage.model import Lineage
from feature_mart.definitions.lineage.plan import plan_lineage
from feature_mart.definitions.lineage.relation import Relation

PLANS: dict[str, list[dict[str, Any]]] = json.loads(Path(__file__).with_name("plans.json").read_text(encoding="utf-8"))
LINEAGE = {
    # orders.withColumn("r", row_number().over(by_customer)).where("r = 1")
    #     .select("CustomerID", explode("tags"), "s.f", lag("Amount").over(by_customer))
    "window": """\
CustomerID: orders:CustomerID identity
t: orders:tags transformation
f: orders:s transformation
lg: orders:Amount transformation; orders:CustomerID window; orders:OrderedAt window
rows: orders:CustomerID filter; orders:OrderedAt filter; orders:tags explode""",
    # orders.withColumnRenamed("CustomerID", "customer_id").join(customers, "customer_id", "full")
    #     .select(…, when(Amount > 0, "a").otherwise(country), coalesce(country, "x"), nullif(country, "x"))
    "using": """\
customer_id: customers:customer_id transformation; orders:CustomerID transformation
country: customers:country identity
w: customers:country identity; orders:Amount conditional
co: customers:country transformation
nf: customers:country transformation
rows: customers:customer_id join; orders:CustomerID join""",
    # select OrderID, (select max(country) … = o.CustomerID) from orders o where exists (…) and CustomerID in (…)
    "subqueries": """\
OrderID: orders:OrderID identity
m: customers:country aggregation; customers:customer_id filter; orders:CustomerID filter
rows: customers:* filter; customers:customer_id filter; orders:CustomerID filter""",
    # with a as (…), b as (select * from a where Amount > 0) select a.CustomerID, b.Amount from a join b using (…)
    "ctes": """\
CustomerID: orders:CustomerID identity
Amount: orders:Amount identity
rows: orders:Amount filter; orders:CustomerID join""",
}


def said(relation: Relation) -> str:
    return "\n".join(
        f"{name}: {spoken(given)}".rstrip() for name, given in (*relation.columns, ("rows", relation.rows))
    )


def spoken(lineage: Lineage) -> str:
    uses = [f"{column} {', '.join(kinds)}" for column, kinds in lineage.ordered()]
    return "; ".join([*uses, *sorted(lineage.unresolved)])


def changed(plan: list[dict[str, Any]], kind: str, **fields: Any) -> str:
    """A plan whose nodes of one class are given other fields."""
    return json.dumps([{**node, **fields} if node["class"].endswith(f".{kind}") else node for node in plan])


@pytest.mark.parametrize("name", LINEAGE)
def test_plans(name: str) -> None:
    assert said(plan_lineage(json.dumps(PLANS[name]))) == LINEAGE[name]


def test_a_node_of_another_kind_passes_columns_through_and_says_that_it_is_not_followed() -> None:
    plan = changed(PLANS["window"], "Generate", **{"class": "org.apache.spark.Shuffle"})
    reason = "Shuffle: a step of Spark's plan that lineage does not follow"
    found = plan_lineage(plan)
    assert spoken(found.columns[0][1]) == "orders:CustomerID identity"
    assert spoken(found.columns[1][1]) == "t: comes from a part of Spark's plan that lineage does not follow"
    assert spoken(found.rows) == f"orders:CustomerID filter; orders:OrderedAt filter; {reason}"


def test_an_unmarked_table_is_not_taken_for_an_input() -> None:
    plan = changed(PLANS["window"], "SubqueryAlias", identifier={"name": "orders"})
    found = plan_lineage(plan)
    assert found.inputs == frozenset()
    assert spoken(found.columns[0][1]) == "LogicalRDD: a step of Spark's plan that lineage does not follow"


@pytest.mark.parametrize(
    ("plan", "error"),
    [
        ("[]", "ValueError"),
        ("no json", "JSONDecodeError"),
        (changed(PLANS["window"], "Window", **{"num-children": 2}), "ValueError"),
        (changed(PLANS["using"], "Join", joinType=1), "AttributeError"),
    ],
)
def test_a_plan_of_another_shape_is_not_resolved(plan: str, error: str) -> None:
    found = plan_lineage(plan)
    assert found.further is not None
    assert spoken(found.further("x")) == f"Spark's plan could not be read ({error})"
    assert found.columns == ()


def test_a_column_that_stands_twice_keeps_its_positions() -> None:
    # What is selected twice before a CTE is named again by position.
    plan = json.loads(json.dumps(PLANS["ctes"]))
    for node in plan:
        if node["class"].endswith(".Project") and len(node["projectList"]) == 2 and node is not plan[-1]:
            first = node["projectList"][0]
            node["projectList"] = [first, first]
            break
    found = plan_lineage(json.dumps(plan))
    assert spoken(found.columns[0][1]) == "orders:CustomerID identity"
