"""Arms of an experiment share what is joined, and have columns of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from feature_mart import UsageError
from feature_mart.definitions import FeatureView, Project, load_project
from feature_mart.testing import tiny_pipeline, write_tiny_mart
from feature_mart.train.arms import Asked, understood

COPIED = {"name": "copied_orders", "input": "orders", "entities": ["customer"], "event_timestamp": "ordered_at"}
FILES = {
    "pipelines/daily.yml": tiny_pipeline(COPIED),
    "metadata/feature_views/copied_orders.yml": """
        feature_view: copied_orders
        description: The orders again.
        owner: growth@example.com
        features: {order_no: {description: The number.}, amount: {description: The value.}}
        """,
    "metadata/feature_services.yml": """
        feature_services:
          churn_v1: {description: Churn., owner: ml@example.com, features: ["customer_orders:amount"]}
          churn_v2: {description: Churn., owner: ml@example.com, features: [customer_orders]}
        """,
}
ARMS = {"control": "churn_v1", "candidate": ["churn_v2", "copied_orders@again:amount"]}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return load_project(write_tiny_mart(tmp_path_factory.mktemp("mart"), FILES), None, {})


def columns_of(view: FeatureView) -> Sequence[str]:
    return ("order_no", "amount")


def asked(project: Project, features: Any, **more: Any) -> Asked:
    return understood(project, features, columns_of=columns_of, **more)


def joined(found: Asked) -> list[tuple[str, Mapping[str, Sequence[str]]]]:
    return [(one.name, one.features) for one in found.views]


def test_what_arms_share_is_joined_once_and_is_a_column_of_each(project: Project) -> None:
    found = asked(project, ARMS, join_keys={"again": {"customer_id": "other_id"}})
    assert joined(found) == [
        ("customer_orders", {"amount": ("control__amount", "candidate__amount"), "order_no": ("candidate__order_no",)}),
        ("again", {"amount": ("candidate__again__amount",)}),
    ]
    assert [dict(one.join_keys) for one in found.views] == [
        {"customer_id": name} for name in ("customer_id", "other_id")
    ]
    # In the order of the arms, and in each as it was asked there.
    candidate = ["candidate__order_no", "candidate__amount", "candidate__again__amount"]
    assert found.columns == ("control__amount", *candidate)
    assert found.to_json(project.services) == {
        "asked": ["churn_v1", "churn_v2", "copied_orders@again:amount"],
        "services": ["churn_v1", "churn_v2"],
        "arms": {
            "control": {"asked": ["churn_v1"], "services": ["churn_v1"], "columns": ["control__amount"]},
            "candidate": {
                "asked": ["churn_v2", "copied_orders@again:amount"],
                "services": ["churn_v2"],
                "columns": candidate,
            },
        },
    }


def test_full_names_have_the_arm_first(project: Project) -> None:
    found = asked(project, {"a": "churn_v1", "b": "copied_orders:amount"}, full_feature_names=True)
    assert found.columns == ("a__customer_orders__amount", "b__copied_orders__amount")


def test_two_views_with_one_feature_may_be_in_two_arms(project: Project) -> None:
    found = asked(project, {"a": "customer_orders:amount", "b": "copied_orders:amount"})
    assert found.columns == ("a__amount", "b__amount")


def test_without_arms_nothing_is_told_apart(project: Project) -> None:
    found = asked(project, "churn_v1")
    assert (found.columns, found.arms, found.references) == (("amount",), {}, ("churn_v1",))


@pytest.mark.parametrize(
    ("features", "told"),
    [
        ({}, "features names no arm. Write what each arm is to have, as in {'control': 'churn_v1'}."),
        ({"": "churn_v1"}, "'' is no name of an arm: write small letters, digits and _, beginning with a letter"),
        ({"Control": "churn_v1"}, "'Control' is no name of an arm"),
        ({"a__b": "churn_v1"}, "'a__b' is no name of an arm"),
        ({1: "churn_v1"}, "1 is no name of an arm"),
        ({"a": "churn_v1", "b": []}, "arm b: no features are asked for."),
        ({"a": "churn_v1", "b": "churn_v3"}, "arm b: found churn_v3, which is no feature view and no feature service."),
        ({"a": ["customer_orders:amount", "copied_orders:amount"]}, "arm a: customer_orders:amount and copied_orders:"),
        (
            {"a": "customer_orders@x:amount", "b": "copied_orders@x:amount"},
            "the alias x stands for customer_orders and for copied_orders. Give each of them an alias of its own.",
        ),
    ],
)
def test_what_cannot_be_an_arm_is_named(project: Project, features: Any, told: str) -> None:
    with pytest.raises(UsageError) as error:
        asked(project, features)
    assert error.value.message.startswith(told)


def test_a_key_mapped_for_no_arm_is_named(project: Project) -> None:
    with pytest.raises(UsageError, match="join_keys names agian, which is not asked for"):
        asked(project, ARMS, join_keys={"agian": {"customer_id": "other_id"}})
