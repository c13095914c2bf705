"""What a spine's columns must be is told from their names and types alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from feature_mart import UsageError
from feature_mart.definitions import FeatureView, Project, load_project
from feature_mart.testing import write_tiny_mart
from feature_mart.train.request import ViewRequest
from feature_mart.train.spine_columns import check_spine, wanted_types


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> FeatureView:
    project: Project = load_project(write_tiny_mart(tmp_path_factory.mktemp("mart")), None, {})
    return project.views["customer_orders"]


def asked(view: FeatureView, key: str = "bigint", *, static: bool = False, **join_keys: str) -> ViewRequest:
    changed = replace(view, keys={"customer_id": key}, static=static, ttl=timedelta(days=1))
    return ViewRequest(changed, None, {"amount": ["amount"]}, join_keys or {"customer_id": "customer_id"})


TIME = ("event_timestamp", "timestamp")


@pytest.mark.parametrize(
    ("key", "columns", "casts"),
    [
        ("bigint", {"customer_id": "bigint", "event_timestamp": "timestamp", "label": "double"}, {}),
        ("bigint", {"customer_id": "int", "event_timestamp": "timestamp"}, {"customer_id": "bigint"}),
        ("decimal(10,0)", {"customer_id": "int", "event_timestamp": "timestamp"}, {"customer_id": "decimal(10,0)"}),
        ("varchar(8)", {"customer_id": "string", "event_timestamp": "timestamp"}, {}),
        ("bigint", {"customer_id": "void", "event_timestamp": "date"}, {"customer_id": "bigint", **dict([TIME])}),
        (
            "string",
            {"customer_id": "string", "event_timestamp": "timestamp_ntz", "label": "void"},
            {"label": "string", **dict([TIME])},
        ),
    ],
)
def test_types_that_fit_are_cast_without_a_loss(
    view: FeatureView, key: str, columns: Mapping[str, str], casts: Mapping[str, str]
) -> None:
    assert check_spine(list(columns.items()), [asked(view, key)]) == casts


def test_static_views_need_no_time(view: FeatureView) -> None:
    request = asked(view, static=True)
    assert check_spine([("customer_id", "bigint"), ("event_timestamp", "string")], [request]) == {}
    assert wanted_types([request]) == {"customer_id": "bigint"}
    assert wanted_types([request, asked(view)]) == {"customer_id": "bigint", "event_timestamp": "timestamp"}


CAST = "Only a type whose values all are values of {0} can be joined: cast the column to {0} first."


@pytest.mark.parametrize(
    ("key", "columns", "said"),
    [
        (
            "bigint",
            [("custmer_id", "bigint"), TIME],
            "the spine has no column customer_id, the key of customer_orders. It has: custmer_id, event_timestamp. "
            "Did you mean custmer_id? Rename the column that holds it, or name it in "
            "join_keys={'customer_orders': {'customer_id': …}}.",
        ),
        (
            "bigint",
            [("customer_id", "bigint"), ("event_time", "timestamp")],
            "the spine has no column event_timestamp, the moment at which each row wants its features. It has: "
            "customer_id, event_time. Did you mean event_time? Rename the column that holds it.",
        ),
        (
            "bigint",
            [("customer_id", "bigint"), ("event_timestamp", "string")],
            "the spine's column event_timestamp holds text where a time belongs. Make it a timestamp first: "
            "pandas.to_datetime(df['event_timestamp'], utc=True), or to_timestamp(event_timestamp) in Spark.",
        ),
        (
            "bigint",
            [("customer_id", "bigint"), ("event_timestamp", "bigint")],
            "event_timestamp is bigint where a time belongs. Make it a timestamp first: "
            "pandas.to_datetime(df['event_timestamp'], utc=True), or to_timestamp(event_timestamp) in Spark.",
        ),
        (
            "int",
            [("customer_id", "bigint"), TIME],
            "the spine's column customer_id is bigint, but the key of customer_orders is int. " + CAST.format("int"),
        ),
        (
            "string",
            [("customer_id", "bigint"), TIME],
            "the spine's column customer_id is bigint, but the key of customer_orders is string. "
            + CAST.format("string"),
        ),
        (
            "timestamp",
            [("customer_id", "date"), TIME],
            "the spine's column customer_id is date, but the key of customer_orders is timestamp. "
            + CAST.format("timestamp"),
        ),
        (
            "bigint",
            [("customer_id", "double"), TIME],
            "the spine's column customer_id is double, but the key of customer_orders is bigint. "
            + CAST.format("bigint")
            + ' pandas keeps whole numbers as floats where one is missing: df[…].astype("Int64") keeps them whole.',
        ),
        (
            "bigint",
            [("customer_id", "bigint"), TIME, ("Amount", "double")],
            "the spine has a column Amount, and customer_orders:amount would be the column amount. Rename the spine's, "
            "or ask with full_feature_names=True, which calls columns view__feature.",
        ),
        (
            "bigint",
            [("customer_id", "bigint"), TIME, ("label", "int"), ("label", "int")],
            "the spine has the column label twice. Rename or drop one of them.",
        ),
        (
            "bigint",
            [("customer_id", "bigint"), TIME, ("label", "int"), ("Label", "int")],
            "the spine has the column label and Label, which SQL does not tell apart. Rename or drop one of them.",
        ),
        (
            "bigint",
            [("customer_id", "bigint"), TIME, ("_spine_row", "bigint")],
            "the spine has the column _spine_row. Names that begin with _ are kept for the engine's own columns, which "
            "readers do not see. Rename it, to spine_row for example.",
        ),
    ],
)
def test_what_cannot_be_joined_is_named(view: FeatureView, key: str, columns: list[tuple[str, str]], said: str) -> None:
    with pytest.raises(UsageError) as told:
        check_spine(columns, [asked(view, key)])
    assert told.value.message == said


def test_a_mapped_key_that_is_missing_or_wanted_in_two_types(view: FeatureView) -> None:
    with pytest.raises(UsageError) as told:
        check_spine([("customer_id", "bigint"), TIME], [asked(view, customer_id="sender_id")])
    assert told.value.message == (
        "the spine has no column sender_id, which join_keys gives for customer_id, of customer_orders. It has: "
        "customer_id, event_timestamp. Did you mean customer_id? Rename the column that holds it, or name it in "
        "join_keys={'customer_orders': {'customer_id': …}}."
    )
    with pytest.raises(UsageError) as told:
        wanted_types([asked(view), asked(view, "string")])
    assert told.value.message == (
        "the spine's column customer_id is to be customer_id of customer_orders, which is bigint, and customer_id of "
        "customer_orders, which is string. Give the spine a column for each, and name them in join_keys."
    )
