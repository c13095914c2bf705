"""References become views to join, or an error that names what is known."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from feature_mart import UsageError
from feature_mart.definitions import FeatureView, Project, load_project
from feature_mart.testing import tiny_pipeline, write_tiny_mart
from feature_mart.train.request import ViewRequest, resolve

SPEND = {
    "name": "spend",
    "input": "customer_orders",
    "entities": ["customer"],
    "event_timestamp": "ordered_at",
    "windows": {"every": "1d", "aggregations": [{"input": "amount", "functions": ["sum", "count"], "over": ["7d"]}]},
}
COLUMNS = {
    "customer_orders": ["order_no", "amount"],
    "copied_orders": ["order_no", "Amount"],
    "spend": ["amount_sum_7d", "amount_count_7d"],
    "keys_only": [],
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    copied = {"input": "orders", "entities": ["customer"], "event_timestamp": "ordered_at"}
    pipeline = tiny_pipeline(SPEND, {"name": "copied_orders", **copied}, {"name": "keys_only", **copied})
    services = """
        feature_services:
          churn_v1: {description: Churn., owner: ml@example.com, features: ["spend:amount_sum_7d", customer_orders]}
          upsell: {description: Upsell., owner: ml@example.com, features: [spend]}
        """
    documented = {
        f"metadata/feature_views/{name}.yml": f"""
            feature_view: {name}
            description: More of it.
            owner: growth@example.com
            features: {{{", ".join(f"{feature}: {{description: One.}}" for feature in features)}}}
            """
        for name, features in (
            ("spend", COLUMNS["spend"]),
            ("copied_orders", ("order_no", "amount")),
            ("keys_only", ("order_no", "amount")),
        )
    }
    changes = {"pipelines/daily.yml": pipeline, "metadata/feature_services.yml": services, **documented}
    return load_project(write_tiny_mart(tmp_path_factory.mktemp("mart"), changes), None, {})


def columns_of(view: FeatureView) -> Sequence[str]:
    return COLUMNS[view.name]


def short(requests: Sequence[ViewRequest]) -> list[tuple[str, str | None, dict[str, str], dict[str, str]]]:
    columns = [{name: column for name, [column] in one.features.items()} for one in requests]
    return [
        (one.view.name, one.alias, features, dict(one.join_keys))
        for one, features in zip(requests, columns, strict=True)
    ]


OWN = {"customer_id": "customer_id"}
ORDERS = {"order_no": "order_no", "amount": "amount"}


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ("customer_orders:amount", [("customer_orders", None, {"amount": "amount"}, OWN)]),
        (["customer_orders"], [("customer_orders", None, ORDERS, OWN)]),
        (
            "churn_v1",
            [("spend", None, {"amount_sum_7d": "amount_sum_7d"}, OWN), ("customer_orders", None, ORDERS, OWN)],
        ),
        (
            # Asked for twice is one column, and a view is joined once, at the place of its first mention.
            ["customer_orders:amount", "churn_v1", "customer_orders:amount"],
            [
                ("customer_orders", None, {"amount": "amount", "order_no": "order_no"}, OWN),
                ("spend", None, {"amount_sum_7d": "amount_sum_7d"}, OWN),
            ],
        ),
        (
            ["spend:amount_sum_7d", "spend@sender:amount_sum_7d"],
            [
                ("spend", None, {"amount_sum_7d": "amount_sum_7d"}, OWN),
                ("spend", "sender", {"amount_sum_7d": "sender__amount_sum_7d"}, OWN),
            ],
        ),
    ],
)
def test_references_in_all_their_forms(
    project: Project, features: str | list[str], expected: list[tuple[object, ...]]
) -> None:
    assert short(resolve(project, features, columns_of=columns_of)) == expected


def test_full_names_and_mapped_keys(project: Project) -> None:
    found = resolve(
        project,
        ["customer_orders", "copied_orders:Amount", "spend@sender"],
        columns_of=columns_of,
        join_keys={"sender": {"customer_id": "sender_id"}, "copied_orders": {"customer_id": "other_id"}},
        full_feature_names=True,
    )
    assert short(found) == [
        (
            "customer_orders",
            None,
            {"order_no": "customer_orders__order_no", "amount": "customer_orders__amount"},
            OWN,
        ),
        ("copied_orders", None, {"Amount": "copied_orders__Amount"}, {"customer_id": "other_id"}),
        (
            "spend",
            "sender",
            {"amount_sum_7d": "sender__amount_sum_7d", "amount_count_7d": "sender__amount_count_7d"},
            {"customer_id": "sender_id"},
        ),
    ]


VIEWS = "Feature views: copied_orders, customer_orders, keys_only, spend."


@pytest.mark.parametrize(
    ("features", "said"),
    [
        ([], "no features are asked for. Write view:feature, a view's name, or a feature service's name."),
        (
            "churn_v2",
            f"found churn_v2, which is no feature view and no feature service. {VIEWS} "
            "Feature services: churn_v1, upsell. Did you mean churn_v1?",
        ),
        (
            "",
            f"found an empty text, which is no feature view and no feature service. {VIEWS} "
            "Feature services: churn_v1, upsell.",
        ),
        (
            "customer_order:amount",
            f"found customer_order:amount, but customer_order is no feature view. {VIEWS} "
            "Did you mean customer_orders?",
        ),
        (
            "churn_v1:amount",
            f"found churn_v1:amount, but churn_v1 is no feature view. {VIEWS}",
        ),
        ("orders", f"found orders, but orders is a source. Features come from feature views. {VIEWS}"),
        (
            "spend__tiles",
            "found spend__tiles, but spend__tiles is a table of the engine's own. Ask for spend.",
        ),
        (
            "customer_orders:amuont",
            "found customer_orders:amuont, but amuont is no feature of customer_orders. "
            "Its features: amount, order_no. Did you mean amount?",
        ),
        (
            "customer_orders:",
            "found customer_orders:, but nothing is no feature of customer_orders. Its features: amount, order_no.",
        ),
        (
            "spend@a__b",
            "found spend@a__b, but a__b is reserved for tables of the engine. Allowed for an alias: names that neither "
            "begin with mart_ nor contain __.",
        ),
        (
            "spend@:amount_sum_7d",
            "found spend@:amount_sum_7d, but nothing is no name. Allowed for an alias: small letters, digits and _, "
            "beginning with a letter, at most 128.",
        ),
        (
            "spend@copied_orders",
            "found spend@copied_orders, but copied_orders is a feature view itself. Choose another alias.",
        ),
        (
            ["spend@a", "customer_orders@a"],
            "the alias a stands for spend and for customer_orders. Give each of them an alias of its own.",
        ),
        (
            ["customer_orders:amount", "copied_orders:Amount"],
            "customer_orders:amount and copied_orders:Amount would both be the column Amount. Ask with "
            "full_feature_names=True, which calls columns view__feature, or leave one of the two out.",
        ),
        ("keys_only@keys", "found keys_only@keys, but the feature view keys_only has no features."),
    ],
)
def test_what_leads_nowhere_is_named(project: Project, features: str | list[str], said: str) -> None:
    with pytest.raises(UsageError) as told:
        resolve(project, features, columns_of=columns_of)
    assert told.value.message == said


@pytest.mark.parametrize(
    ("join_keys", "said"),
    [
        (
            {"spend": {"customer_id": "sender_id"}},
            "join_keys names spend, which is not asked for. Asked for: sender. Did you mean sender?",
        ),
        (
            {"sender": {"costumer_id": "sender_id"}},
            "join_keys names costumer_id for sender, but that is no key of spend. Its keys: customer_id. "
            "Did you mean customer_id?",
        ),
    ],
)
def test_keys_that_map_nothing_are_named(project: Project, join_keys: dict[str, dict[str, str]], said: str) -> None:
    with pytest.raises(UsageError) as told:
        resolve(project, "spend@sender", columns_of=columns_of, join_keys=join_keys)
    assert told.value.message == said


def test_what_is_no_text_is_no_reference(project: Project) -> None:
    with pytest.raises(UsageError, match="found 7 among features, which is no text"):
        resolve(project, ["spend", 7], columns_of=columns_of)  # type: ignore[list-item]
