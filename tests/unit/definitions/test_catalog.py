from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import pytest

from feature_mart.definitions import Project
from feature_mart.definitions.catalog import describe, search
from feature_mart.errors import UsageError

Load = Callable[..., Project]


def names(project: Project, text: str = "") -> list[str]:
    return [hit["name"] for hit in search(project, text)]


def test_without_words_everything_is_listed(load: Load) -> None:
    project = load()
    assert names(project) == ["customer_value", "order_totals", "orders", "churn", "customer", "daily"]
    hit = search(project)[1]
    assert hit == {
        "kind": "feature_view",
        "name": "order_totals",
        "description": "What a customer ordered.",
        "owner": "sales@example.com",
        "tags": ["monetary"],
        "features": ["amount"],
        "file": "pipelines/daily.yml",
        "line": 6,
        "score": 0,
    }
    json.dumps(search(project))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("amount", ["customer_value:amount", "order_totals:amount"]),
        ("ORDER", ["order_totals", "orders", "order_totals:amount"]),
        ("monetary", ["order_totals", "order_totals:amount"]),
        ("churn model", ["churn"]),
        ("ml@example.com", ["churn"]),
        ("customer worth", ["customer_value"]),
        ("nothing of the kind", []),
    ],
)
def test_words_are_ranked_name_tag_description_owner(text: str, found: list[str], load: Load) -> None:
    assert names(load(), text) == found


def test_a_view_in_full(load: Load, mart_files: Mapping[str, str]) -> None:
    pipeline = mart_files["pipelines/daily.yml"].replace(
        "    event_timestamp: ordered_at\n",
        "    event_timestamp: ordered_at\n    ttl: 365d\n    available_after: 3h\n    online: {features: [amount]}\n"
        "    materialize: {mode: interval}\n    checks: [{row_count: {minimum: 1}}]\n    derived: {half: amount / 2}\n",
        1,
    )
    metadata = mart_files["metadata/feature_views/order_totals.yml"] + (
        "  half: {description: Half., allowed_values: [1, 2], default: 1,\n"
        "    deprecated: {since: 2026-10-01, replacement: 'order_totals:amount'}}\n"
    )
    project = load({"pipelines/daily.yml": pipeline, "metadata/feature_views/order_totals.yml": metadata})
    shown = describe(project, "order_totals")
    json.dumps(shown)
    assert shown["keys"] == {"customer_id": "bigint"}
    assert (shown["ttl"], shown["available_after"], shown["freshness"]) == ("365d", "3h", None)
    assert shown["materialize"] == {"mode": "interval", "every": "1d", "lookback": "0d", "lookahead": "0d"}
    assert (shown["definition"], shown["online"]) == ("features/order_totals.sql", ["amount"])
    assert shown["checks"] == [{"check": "row_count >= 1", "severity": "error", "line": 14}]
    assert (shown["upstream"], shown["downstream"]) == (["orders"], ["customer_value"])
    assert shown["feature_services"] == ["churn"]
    half = shown["features"][1]
    assert (half["name"], half["derived"], half["allowed_values"], half["default"]) == ("half", "amount / 2", [1, 2], 1)
    assert half["deprecated"] == {"since": "2026-10-01", "replacement": "order_totals:amount"}
    assert describe(project, "customer_value")["materialize"] == {"mode": "full"}


def test_a_feature(load: Load) -> None:
    project = load()
    shown = describe(project, "order_totals:amount")
    assert (shown["kind"], shown["name"], shown["unit"]) == ("feature", "order_totals:amount", "GBP")
    assert (shown["file"], shown["line"]) == ("metadata/feature_views/order_totals.yml", 6)
    assert shown["feature_services"] == ["churn"]
    assert describe(project, "customer_value:amount")["feature_services"] == ["churn"]
    with pytest.raises(UsageError, match=r"'order_totals:amunt'\. Did you mean order_totals:amount"):
        describe(project, "order_totals:amunt")


def test_features_that_only_a_build_knows(load: Load, mart_files: Mapping[str, str]) -> None:
    code = mart_files["features/customer_value.py"].replace('.select("customer_id", "ordered_at", "amount")', ".agg()")
    metadata = (
        "feature_view: customer_value\ndescription: x\n"
        "features: {'n_*': {description: Counts.}, amount: {description: y}}\n"
    )
    project = load({"features/customer_value.py": code, "metadata/feature_views/customer_value.yml": metadata})
    assert names(project, "counts") == ["customer_value:n_*"]
    assert describe(project, "customer_value:n_orders")["description"] == "Counts."
    assert [feature["name"] for feature in describe(project, "customer_value")["features"]] == ["amount", "n_*"]


def test_everything_else(load: Load, mart_files: Mapping[str, str]) -> None:
    sources = mart_files["metadata/sources.yml"] + (
        "    quarantine: {maximum_share: 0.01}\n    freshness: 36h\n    clock_skew: 10m\n    options: {header: true}\n"
        "  bank: {description: x, format: table, table: a.b}\n"
    )
    project = load({"metadata/sources.yml": sources})
    source = describe(project, "orders")
    assert (source["options"], source["quarantine"], source["freshness"]) == (
        ["header"],
        {"maximum_share": 0.01},
        "36h",
    )
    assert (source["clock_skew"], describe(project, "bank")["clock_skew"]) == ("10m", None)
    assert (source["deleted_files"], source["downstream"]) == ("keep", ["order_totals", "customer_value"])
    bank = describe(project, "bank")
    assert (bank["quarantine"], bank["deleted_files"], bank["path"]) == (None, None, None)
    assert describe(project, "churn")["entities"] == ["customer"]
    assert describe(project, "customer")["feature_views"] == ["order_totals", "customer_value"]
    assert describe(project, "daily")["feature_views"] == ["order_totals", "customer_value"]
    for name in ("orders", "churn", "customer", "daily"):
        json.dumps(describe(project, name))


def test_unknown_names(load: Load) -> None:
    project = load()
    with pytest.raises(UsageError) as raised:
        describe(project, "order_total")
    assert str(raised.value) == (
        "There is no view, feature, source, service, entity or pipeline 'order_total'. Did you mean order_totals?\n"
        "See what there is: mart list"
    )
    with pytest.raises(UsageError, match=r"'zebra'\.\nSee"):
        describe(project, "zebra")
