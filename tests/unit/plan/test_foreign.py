"""What is said of a view whose rows another program changed."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from feature_mart.definitions import FeatureView, load_project
from feature_mart.plan.foreign import foreign_refusal
from feature_mart.plan.steps import Request, ViewState
from feature_mart.records import ForeignChange
from feature_mart.testing import write_tiny_mart

WHEN = datetime(2011, 1, 5, tzinfo=timezone.utc)


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> FeatureView:
    return load_project(write_tiny_mart(tmp_path_factory.mktemp("mart"))).views["customer_orders"]


def state(view: FeatureView, last_good: int | None) -> ViewState:
    change = ForeignChange(7, WHEN, "WRITE", last_good)
    return ViewState(3, view.definition_hash, "", {}, None, (), 0, None, None, None, foreign=change)


def test_both_ways_out_are_named_where_there_is_a_version_to_go_back_to(view: FeatureView) -> None:
    said = foreign_refusal(view, state(view, 3), Request())
    assert said is not None
    assert "version 7 of 2011-01-05T00:00:00Z (WRITE)" in said
    assert "--select customer_orders --full-refresh` makes all rows anew, or `mart restore customer_orders" in said
    assert "--version 3` brings back what was there before" in said


def test_without_such_a_version_there_is_one_way_out(view: FeatureView) -> None:
    said = foreign_refusal(view, state(view, None), Request())
    assert said is not None
    assert "mart restore" not in said
    assert foreign_refusal(view, state(view, None), Request(full_refresh=True, named=(view.name,))) is None
