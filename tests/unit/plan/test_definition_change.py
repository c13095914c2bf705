"""What a changed definition means for who uses the view."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from feature_mart.definitions import FeatureView, load_project
from feature_mart.plan.definition_change import definition_change, definition_record, only_adds_features
from feature_mart.testing import write_tiny_mart
from feature_mart.windows.spec import Aggregation, Series, Window, Windows


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> FeatureView:
    root = write_tiny_mart(tmp_path_factory.mktemp("mart"))
    return load_project(root).views["customer_orders"]


def described(view: FeatureView, **features: str) -> FeatureView:
    some = next(iter(view.features.values()))
    return replace(view, features={name: replace(some, name=name, description=text) for name, text in features.items()})


def with_text(view: FeatureView, text: str) -> FeatureView:
    return replace(view, definition=replace(view.definition, text=text))


def change(before: FeatureView, after: FeatureView) -> tuple[str, ...] | None:
    found = definition_change(definition_record(before), before.definition_hash, after)
    return None if found is None else found.classes


def test_nothing_changed(view: FeatureView) -> None:
    assert change(view, view) is None


def test_words_alone(view: FeatureView) -> None:
    before, after = described(view, amount="Its value."), described(view, amount="Its net value.")
    found = definition_change(definition_record(before), before.definition_hash, after)
    assert found is not None
    assert found.classes == ("description only",)
    assert found.diff == (
        "--- metadata",
        "+++ metadata",
        "@@ -3 +3 @@",
        "-amount: Its value.",
        "+amount: Its net value.",
    )


def test_a_feature_more(view: FeatureView) -> None:
    before = with_text(described(view, amount="x"), "select customer_id, ordered_at, amount from orders")
    after = with_text(
        described(view, amount="x", more="y"), "select customer_id, ordered_at, amount, 1 as more from orders"
    )
    found = definition_change(definition_record(before), before.definition_hash, after)
    assert found is not None
    assert (found.classes, found.added, found.removed) == (("feature added",), ("more",), ())


def test_a_feature_more_and_another_one_changed(view: FeatureView) -> None:
    before = with_text(described(view, amount="x"), "select customer_id, ordered_at, amount from orders")
    after = with_text(
        described(view, amount="x", more="y"), "select customer_id, ordered_at, 2 as amount, 1 as more from orders"
    )
    assert change(before, after) == ("feature added", "values may change")


def test_a_renamed_feature_is_one_removed_and_one_added(view: FeatureView) -> None:
    before = with_text(described(view, amount="x"), "select customer_id, ordered_at, amount from orders")
    after = with_text(described(view, total="x"), "select customer_id, ordered_at, amount as total from orders")
    assert change(before, after) == ("feature added", "feature removed", "values may change")


def test_how_a_view_is_built_is_part_of_its_definition(view: FeatureView) -> None:
    after = replace(view, materialize=replace(view.materialize, lookback=timedelta(days=2)))
    found = definition_change(definition_record(view), view.definition_hash, after)
    assert found is not None
    assert found.classes == ("values may change",)
    assert "-lookback: 0d" in found.diff
    assert "+lookback: 2d" in found.diff


@pytest.mark.parametrize("record", ["", "no json", "[]"])
def test_a_record_of_another_engine_says_little_and_breaks_nothing(view: FeatureView, record: str) -> None:
    found = definition_change(record, "another hash", view)
    assert found is not None
    assert found.classes == ("values may change",)
    assert definition_change(record, view.definition_hash, view) is None


def tiles(view: FeatureView, *functions: str, text: str = "") -> FeatureView:
    """The tiles behind windows of some functions of an amount."""
    series = Series("amount", None, "amount")
    window = Window(timedelta(days=1), timedelta(0), "1d")
    outputs = tuple(Aggregation(f"amount_{name}_1d", series, name, window) for name in functions)
    windowed = replace(view, windows=Windows(timedelta(days=1), outputs))
    assert windowed.tiles is not None
    return with_text(windowed.tiles, text) if text else windowed.tiles


def test_tiles_stay_as_long_as_they_hold_all_that_is_asked_of_them(view: FeatureView) -> None:
    both = definition_record(tiles(view, "sum", "max"))
    assert only_adds_features(both, tiles(view, "sum"))
    assert only_adds_features(both, tiles(view, "mean", "max", "count"))
    assert not only_adds_features(both, tiles(view, "sum", "last"))
    assert not only_adds_features(both, tiles(view, "sum", text="select 1 as customer_id"))
    assert not only_adds_features("", tiles(view, "sum"))


def test_another_window_changes_rows(view: FeatureView) -> None:
    windowed = tiles(view, "sum").tiles_of
    assert windowed is not None
    assert not only_adds_features(definition_record(windowed), windowed)
