"""Chains: from a feature up to source columns and down to services, as data, text, Mermaid and a picture."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest

from feature_mart.definitions import Project
from feature_mart.definitions.lineage.chain import Chain, chain_of
from feature_mart.definitions.lineage.mart import MartLineage
from feature_mart.definitions.lineage.model import InputColumn, Lineage, ViewLineage, direct
from feature_mart.definitions.lineage.show import FORMATS
from feature_mart.errors import UsageError

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def chain(open_project: Callable[..., Project]) -> Callable[[str], Chain]:
    project = open_project()
    columns = {name: direct(InputColumn("customer_value", name)) for name in ("customer_id", "ordered_on", "value")}
    hashed = project.views["customer_score"].definition_hash
    captured = {"customer_score": ViewLineage("customer_score", hashed, "python", columns, Lineage())}
    return lambda subject: chain_of(MartLineage(project, captured), subject)


def test_as_text(chain: Callable[[str], Chain]) -> None:
    assert (
        FORMATS["text"](chain("customer_value:value"))
        == """\
customer_value:value
├─ customer_region:region  conditional
│  └─ regions:region  identity
└─ order_totals:amount  identity
   └─ orders:Amount  aggregation

which rows there are:
   customer_region: all of its inputs
   order_totals: orders:CustomerID (group_by); orders:OrderedAt (group_by); orders:Status (filter)
   customer_value: customer_region:customer_id (join); order_totals:customer_id (join)

used by:
   customer_value:value
   ├─ customer_score:value  identity
   │  └─ service churn
   └─ customer_value:doubled  transformation
      └─ service churn
"""
    )


def test_rows_that_are_counted_lead_on_to_what_decides_them(chain: Callable[[str], Chain]) -> None:
    text = FORMATS["text"](chain("customer_value:order_count"))
    assert text.startswith(
        """\
customer_value:order_count
└─ order_totals:n  identity
   └─ rows of orders  aggregation
"""
    )


def test_what_a_source_decides_is_found_downwards(chain: Callable[[str], Chain]) -> None:
    text = FORMATS["text"](chain("order_totals:customer_id"))
    assert "   order_totals:customer_id\n   ├─ rows of customer_value  join\n" in text
    assert "   └─ customer_value:customer_id  identity\n      └─ customer_score:customer_id  identity\n" in text


def test_a_whole_view(chain: Callable[[str], Chain]) -> None:
    text = FORMATS["text"](chain("customer_region"))
    assert text.startswith("customer_region:customer_id\n└─ regions:customer_id  identity\ncustomer_region:region\n")


def test_nothing_that_uses_it(chain: Callable[[str], Chain]) -> None:
    text = FORMATS["text"](chain("customer_value:order_count"))
    assert text.endswith("used by:\n   (nothing in this mart)\n")


def test_what_is_not_resolved_is_told(open_project: Callable[..., Project]) -> None:
    found = chain_of(MartLineage(open_project()), "customer_score:value")
    reason = "its definition is Python, and its lineage has not been written yet: run `mart lineage --write`"
    assert found.to_dict()["unresolved"] == [{"column": "customer_score:value", "reason": reason}]
    assert "customer_score:value\n   (not known: see below)\n" in FORMATS["text"](found)
    assert FORMATS["text"](found).endswith(f"not resolved:\n   customer_score:value: {reason}\n")


def test_as_data(chain: Callable[[str], Chain]) -> None:
    assert chain("order_totals:amount").to_dict() == {
        "subject": "order_totals:amount",
        "nodes": [
            {"id": "customer_score:value", "type": "feature", "producer": "customer_score", "column": "value"},
            {"id": "customer_value:doubled", "type": "feature", "producer": "customer_value", "column": "doubled"},
            {"id": "customer_value:value", "type": "feature", "producer": "customer_value", "column": "value"},
            {"id": "order_totals:amount", "type": "feature", "producer": "order_totals", "column": "amount"},
            {"id": "orders:Amount", "type": "source_column", "producer": "orders", "column": "Amount"},
            {"id": "churn", "type": "feature_service"},
            {"id": "spend", "type": "feature_service"},
        ],
        "edges": [
            {"from": "customer_score:value", "to": "churn", "kinds": []},
            {"from": "customer_value:doubled", "to": "churn", "kinds": []},
            {"from": "customer_value:value", "to": "customer_score:value", "kinds": ["identity"]},
            {"from": "customer_value:value", "to": "customer_value:doubled", "kinds": ["transformation"]},
            {"from": "order_totals:amount", "to": "customer_value:doubled", "kinds": ["transformation"]},
            {"from": "order_totals:amount", "to": "customer_value:value", "kinds": ["identity"]},
            {"from": "order_totals:amount", "to": "spend", "kinds": []},
            {"from": "orders:Amount", "to": "order_totals:amount", "kinds": ["aggregation"]},
        ],
        "rows": {
            "order_totals": [
                {"column": "orders:CustomerID", "kinds": ["group_by"]},
                {"column": "orders:OrderedAt", "kinds": ["group_by"]},
                {"column": "orders:Status", "kinds": ["filter"]},
            ]
        },
        "unresolved": [],
    }


def test_as_mermaid(chain: Callable[[str], Chain]) -> None:
    assert (
        FORMATS["mermaid"](chain("customer_value:doubled"))
        == """\
flowchart LR
    subgraph p0["customer_region"]
        c0["region"]
    end
    subgraph p1["customer_value"]
        c1["doubled"]
    end
    subgraph p2["order_totals"]
        c2["amount"]
    end
    subgraph p3["orders"]
        c3["Amount"]
    end
    subgraph p4["regions"]
        c4["region"]
    end
    s0(["churn"])
    c0 -.->|"conditional"| c1
    c1 --> s0
    c2 -->|"transformation"| c1
    c3 -->|"aggregation"| c2
    c4 -->|"identity"| c0
    style c1 stroke-width:3px
"""
    )


def test_as_a_picture(chain: Callable[[str], Chain]) -> None:
    found = chain("customer_value:doubled")
    svg = FORMATS["svg"](found)
    assert svg == FORMATS["svg"](chain("customer_value:doubled"))
    root = ET.fromstring(svg)
    boxes = {str(box.findtext(f"{SVG}text")): box.find(f"{SVG}rect") for box in root.iter(f"{SVG}g")}
    left = {name: int(box.get("x", "")) for name, box in boxes.items() if box is not None}
    assert set(left) == {str(node) for node in found.types} | {"churn"}
    for start, end in found.edges():
        assert left[start] < left[end]
    places = [(box.get("x"), box.get("y")) for box in boxes.values() if box is not None]
    assert len(set(places)) == len(places)
    width, height = int(root.get("width", "")), int(root.get("height", ""))
    assert all(int(x or 0) < width and int(y or 0) < height for x, y in places)
    dashed = [path for path in root.iter(f"{SVG}path") if path.get("stroke-dasharray")]
    assert [path.findtext(f"{SVG}title") for path in dashed] == ["conditional"]


@pytest.mark.parametrize(
    ("subject", "message"),
    [
        (
            "order_total",
            "there is no feature view 'order_total'. Did you mean order_totals?\nSee what there is: mart list",
        ),
        ("orders", "orders is a source, where lineage begins."),
        (
            "order_totals:amout",
            "order_totals has no column 'amout'. Did you mean order_totals:amount?\n"
            "It has: customer_id, ordered_on, amount, n",
        ),
    ],
)
def test_unknown_names(chain: Callable[[str], Chain], subject: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        chain(subject)
    assert raised.value.message.startswith(message)
