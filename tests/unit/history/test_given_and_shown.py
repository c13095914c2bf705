"""Keys as they are given, values as they are shown, the columns of two versions, what changed in a definition."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

import pytest

from feature_mart.columns.values import plain, same
from feature_mart.definitions import FeatureView, load_project
from feature_mart.definitions.key_values import key_values
from feature_mart.errors import UsageError
from feature_mart.history.definition_diff import definition_diff
from feature_mart.history.shape import common_type, shape_of
from feature_mart.testing import write_tiny_mart


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> FeatureView:
    return load_project(write_tiny_mart(tmp_path_factory.mktemp("mart")), None, {}).views["customer_orders"]


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("bigint", "17850", 17850),
        ("bigint", 17850, 17850),
        ("tinyint", "-128", -128),
        ("string", "=a=", "=a="),
        ("string", 7, "7"),
        ("double", "1e3", 1000.0),
        ("decimal(10,2)", "1.50", Decimal("1.50")),
        ("boolean", "True", True),
        ("binary", "00ff", b"\x00\xff"),
        ("date", "2011-01-01", date(2011, 1, 1)),
        ("timestamp", "2011-01-01", datetime(2011, 1, 1, tzinfo=timezone.utc)),
    ],
)
def test_a_key_is_read_in_its_type(view: FeatureView, kind: str, given: Any, expected: Any) -> None:
    found = key_values(replace(view, keys={"k": kind}), {"k": given})["k"]
    assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        *(("bigint", "x"), ("bigint", 1.5), ("bigint", True), ("bigint", str(1 << 63)), ("tinyint", "128")),
        *(("double", "x"), ("decimal(10,2)", "x"), ("boolean", "1"), ("binary", "xyz"), ("date", "01.02.2011")),
        ("timestamp", "yesterday"),
    ],
)
def test_a_key_of_another_type_is_refused(view: FeatureView, kind: str, given: Any) -> None:
    with pytest.raises(UsageError) as caught:
        key_values(replace(view, keys={"k": kind}), {"k": given})
    assert caught.value.message == f"the key k is {kind}, and {given!r} is none."


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "the key of customer_orders lacks customer_id. Its keys: customer_id (bigint)."),
        (
            {"costumer_id": 1},
            "costumer_id is no key of customer_orders. Its keys: customer_id (bigint). Did you mean customer_id?",
        ),
    ],
)
def test_a_key_is_given_whole(view: FeatureView, given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        key_values(view, given)
    assert caught.value.message == said


def test_values_are_the_same_text_everywhere() -> None:
    moment = datetime(2011, 1, 1, 10, 0, 0, 5, tzinfo=timezone.utc)
    assert plain([moment, Decimal("1.50"), b"\xff", float("nan"), float("-inf"), None, True, {"a": (1.5, "x")}]) == [
        *("2011-01-01T10:00:00.000005Z", "1.50", "ff", "nan", "-inf", None, True, {"a": [1.5, "x"]})
    ]
    assert plain(datetime(2011, 1, 1)) == "2011-01-01T00:00:00"  # noqa: DTZ001 (a time without a zone is meant)
    assert same(float("nan"), float("nan")) and same(None, None) and same(-0.0, 0.0)
    assert not same(None, 0) and not same(float("nan"), 0.0)


def test_the_shape_of_two_versions(view: FeatureView) -> None:
    before = {"customer_id": "bigint", "ordered_at": "timestamp", "amount": "int", "note": "string"}
    after = {"customer_id": "bigint", "ordered_at": "timestamp", "amount": "bigint", "order_no": "string"}
    shape = shape_of(view, before, after)
    assert (shape.key, shape.features) == (("customer_id", "ordered_at"), ("amount",))
    assert (shape.added, shape.removed, shape.retyped) == (("order_no",), ("note",), {"amount": ("int", "bigint")})
    assert shape.types["amount"] == "bigint"
    # A created timestamp that only one of them has tells no rows apart.
    late = replace(view, created_timestamp="order_no")
    assert shape_of(late, before, after).key == ("customer_id", "ordered_at")
    with pytest.raises(UsageError, match="one of them has no column ordered_at, by which its rows are told apart now"):
        shape_of(view, {"customer_id": "bigint"}, after)


def test_types_that_hold_no_other_are_compared_as_text() -> None:
    assert [common_type("int", "bigint"), common_type("bigint", "int"), common_type("bigint", "date")] == [
        *("bigint", "bigint", "string")
    ]


def said(text: str, **more: Any) -> dict[str, Any]:
    return {"definition": json.dumps({"kind": "sql", "path": "features/a.sql", "text": text, "derived": {}, **more})}


def test_what_changed_in_a_definition() -> None:
    words = {"description": "A.", "owner": "a@example.com", "features": {"x": "One."}}
    before = said("select 1\nfrom a\n", derived={"d": "x + 1"}, described=words)
    after = said("select 2\nfrom a\n", derived={"d": "x + 2"}, described={**words, "description": "B."})
    assert definition_diff(before, after) == [
        *("--- features/a.sql", "+++ features/a.sql", "@@ -1,2 +1,2 @@", "-select 1", "+select 2", " from a"),
        *("--- derived", "+++ derived", "@@ -1 +1 @@", "-d: x + 1", "+d: x + 2"),
        *("--- metadata", "+++ metadata", "@@ -1 +1 @@", "-description: A.", "+description: B."),
    ]
    assert definition_diff(before, before) == []
    assert definition_diff({}, {"definition": "no json"}) == []
