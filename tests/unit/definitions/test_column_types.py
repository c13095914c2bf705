"""Types that the files tell without a run, and those of which they say nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from feature_mart.definitions import FeatureView, load_project
from feature_mart.definitions.column_types import known_types
from feature_mart.testing import write_tiny_mart

INPUTS = {"orders": {"customer_id": "bigint", "Amount": "double", "note": "string"}, "rates": {"rate": "float"}}


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> FeatureView:
    found = load_project(write_tiny_mart(tmp_path_factory.mktemp("mart"))).views["customer_orders"]
    return replace(found, columns=None, features={})


def types(view: FeatureView, text: str) -> dict[str, str]:
    sql = replace(view, definition=replace(view.definition, text=text))
    return known_types(sql, lambda name: INPUTS.get(name, {}))


@pytest.mark.parametrize(
    ("expression", "kind"),
    [
        ("amount", "double"),
        ("o.AMOUNT", "double"),
        ("(note)", "string"),
        ("cast(amount as decimal(12, 3))", "decimal(12,3)"),
        ("try_cast(note as long)", "bigint"),
        ("note::date", "date"),
        ("timestamp '2011-01-01'", "timestamp"),
        ("'a'", "string"),
        ("count(*)", "bigint"),
        ("count(distinct note) filter (where amount > 0)", "bigint"),
        ("count_if(amount > 0)", "bigint"),
        ("amount > 0", "boolean"),
        ("note is null", "boolean"),
        ("note like 'a%'", "boolean"),
        # What only Spark's own rules tell.
        ("sum(amount)", None),
        ("amount * 2", None),
        ("coalesce(amount, 0)", None),
        ("cast(note as varchar(3))", "string"),
        ("cast(note as interval day)", None),
        ("own(note)", None),
        ("null", None),
    ],
)
def test_types_of_expressions(view: FeatureView, expression: str, kind: str | None) -> None:
    assert types(view, f"select {expression} as x from orders o").get("x") == kind


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("with a as (select amount as x from orders), b as (select x from a) select b.x from b", {"x": "double"}),
        ("select o.amount, r.rate as x from orders o left join rates r on true", {"amount": "double", "x": "float"}),
        (
            "with orders as (select cast(amount as int) as amount from orders) select amount from orders",
            {"amount": "int"},
        ),
        ("select amount from orders o join rates", {}),  # which of the two, only the data's names tell
        ("select amount from orders union all select rate from rates", {}),
        ("select x from orders as o(x, y, z)", {}),
        ("with a(x) as (select note from orders) select x from a", {}),
        ("select x from (select amount as x from orders)", {}),
        ("select x from range(3) as r", {}),
        ("select * from orders", {}),
        ("from orders |> select amount", {}),
    ],
)
def test_names_are_followed_where_they_lead_to_one_column(
    view: FeatureView, text: str, expected: dict[str, str]
) -> None:
    assert types(view, text) == expected


def test_inputs_derived_features_and_declared_types(tmp_path: Path) -> None:
    root = write_tiny_mart(
        tmp_path,
        {
            "metadata/feature_views/customer_orders.yml": """
                feature_view: customer_orders
                description: What a customer ordered.
                owner: growth@example.com
                features:
                  order_no: {description: The number of the order.}
                  amount: {description: Its value., type: float}
                  is_large: {description: Whether it is a large one.}
                  twice: {description: Twice its value.}
                """,
            "pipelines/daily.yml": """
                pipeline: daily
                description: Orders by customer.
                feature_views:
                  - name: customer_orders
                    input: orders
                    entities: [customer]
                    event_timestamp: ordered_at
                    derived: {is_large: amount > 5, twice: amount * 2}
                """,
        },
    )
    project = load_project(root)
    view = project.views["customer_orders"]
    known = {"customer_id": "bigint", "order_no": "string", "ordered_at": "timestamp"}
    found = known_types(view, lambda name: project.sources[name].schema)
    assert found == {**known, "amount": "float", "is_large": "boolean"}
    python = replace(view, definition=replace(view.definition, kind="python"), derived={})
    assert known_types(python, lambda _: {}) == {"amount": "float"}
