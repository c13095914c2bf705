"""What a build does with one view, decided without Spark from what was recorded."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from feature_mart.definitions import Definition, FeatureView, load_project
from feature_mart.plan.definition_change import definition_record, only_adds_features
from feature_mart.plan.intervals import Covered
from feature_mart.plan.steps import (
    Found,
    Request,
    ViewState,
    clock_remark,
    held_step,
    horizon_of,
    plan_intervals,
    plan_whole,
)
from feature_mart.records import Interval, TableVersion
from feature_mart.testing import write_tiny_mart

DAY = timedelta(days=1)
BASE = datetime(2011, 1, 1, tzinfo=timezone.utc)
PINNED = {"orders": TableVersion("t", 3)}


def day(number: int, length: int = 1) -> Interval:
    return Interval(BASE + DAY * number, BASE + DAY * (number + length))


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> FeatureView:
    return load_project(write_tiny_mart(tmp_path_factory.mktemp("mart")), None, {}).views["customer_orders"]


@pytest.fixture(scope="module")
def whole(view: FeatureView) -> FeatureView:
    return replace(view, materialize=replace(view.materialize, mode="full"))


def state(view: FeatureView, **changes: object) -> ViewState:
    known = ViewState(
        version=0,
        definition_hash=view.definition_hash,
        definition=definition_record(view),
        inputs=PINNED,
        horizon=BASE + 3 * DAY,
        covered=(Covered(day(0, 3), view.definition_hash),),
        table_rows=3,
        earliest=BASE,
        latest=BASE + 2 * DAY,
        latest_input=BASE + 2 * DAY,
    )
    return replace(known, **changes)  # type: ignore[arg-type]  # a test's own shorthand


def planned(view: FeatureView, known: ViewState | None, **asked: object) -> str:
    request = Request(full_refresh=bool(asked.get("full_refresh")), end=BASE if "end" in asked else None)
    horizon = asked.get("horizon", BASE + 3 * DAY)
    pinned = asked.get("pinned", PINNED)
    step = plan_whole(view, known, pinned, request, horizon)  # type: ignore[arg-type]
    return f"{step.action}: {step.reason}"


def test_a_whole_view_is_built_only_for_a_reason(whole: FeatureView) -> None:
    known = state(whole)
    later = BASE + 4 * DAY
    newer, older, other = TableVersion("t", 4), TableVersion("t", 2), TableVersion("u", 3)
    assert planned(whole, None) == "build: new"
    assert planned(whole, known) == "skip: up to date"
    assert planned(whole, known, full_refresh=True) == "build: full refresh"
    assert planned(whole, known, pinned={"orders": newer}) == "build: inputs changed: orders v3 → v4"
    assert planned(whole, known, pinned={"orders": other}) == (
        "build: inputs changed: orders is another table of that name, at v3"
    )
    assert planned(whole, known, pinned={**PINNED, "more": newer}) == "build: inputs changed: more is new"
    assert planned(whole, known, pinned={"orders": older}) == "skip: a newer build has published this view already"
    assert planned(whole, state(whole, definition_hash="x")) == "build: definition changed"
    assert planned(whole, known, horizon=later) == "skip: up to date"
    assert planned(whole, known, horizon=later, end=True) == "build: the horizon moved"
    assert planned(whole, state(whole, latest_input=later), horizon=later) == "build: the horizon moved"


def test_a_horizon_that_went_back_is_remarked_on(view: FeatureView) -> None:
    known, early = state(view), BASE + 2 * DAY
    assert "is before the last build's, 2011-01-04T00:00:00Z" in str(clock_remark(known, Request(), early))
    assert clock_remark(known, Request(end=early), early) is None  # it was asked for
    assert clock_remark(known, Request(), BASE + 3 * DAY) is None
    assert clock_remark(None, Request(), early) is None


def test_today_is_the_start_of_the_day_where_a_definition_asks_for_it(view: FeatureView, whole: FeatureView) -> None:
    now = BASE + timedelta(hours=7)
    asks = replace(whole, definition=replace(whole.definition, parameters=frozenset({"interval_end"})))
    assert horizon_of(whole, None, now) == now
    assert horizon_of(asks, None, now) == BASE
    assert horizon_of(asks, now, now) == now
    assert horizon_of(view, now, now) == BASE


def intervals(view: FeatureView, known: ViewState | None, request: Request | None = None, **found: object) -> object:
    step = plan_intervals(
        view,
        known,
        found.pop("pinned", PINNED),  # type: ignore[arg-type]
        request or Request(),
        BASE + 4 * DAY,
        Found(**found),  # type: ignore[arg-type]
    )
    return step.action, step.reason, step.intervals, step.replaces_everything


def due(view: FeatureView, known: ViewState, request: Request | None = None, **found: object) -> object:
    asked = request or Request()
    return plan_intervals(view, known, PINNED, asked, BASE + 4 * DAY, Found(**found)).affected  # type: ignore[arg-type]


def test_intervals_are_built_only_for_a_reason(view: FeatureView) -> None:
    known = state(view)
    changed = {"orders": TableVersion("t", 4)}
    older = {"orders": TableVersion("t", 2)}
    foreign = state(view, definition_hash="x", covered=(Covered(day(0, 3), "x"),))
    assert intervals(view, None, earliest=BASE) == ("build", "new", (day(0, 4),), True)
    assert intervals(view, known) == ("build", "the horizon moved", (day(3),), False)
    assert intervals(view, known, pinned=changed, affected=(day(1),)) == (
        "build",
        "inputs changed: orders v3 → v4",
        (day(1), day(3)),
        False,
    )
    assert intervals(view, known, pinned=older) == ("skip", "a newer build has published this view already", (), False)
    assert intervals(view, known, affected=None) == ("build", "the horizon moved", (day(0, 4),), True)
    assert intervals(view, known, Request(full_refresh=True)) == ("build", "full refresh", (day(0, 4),), True)
    assert intervals(view, known, Request(start=BASE + DAY)) == ("build", "backfill", (day(3),), False)
    assert intervals(view, foreign) == ("build", "definition changed", (day(0, 4),), True)
    assert intervals(view, foreign, accepts_older=True) == ("build", "definition changed", (day(3),), False)
    backfill = Request(start=BASE + DAY)
    assert intervals(view, foreign, backfill, accepts_older=True) == (
        "build",
        "definition changed",
        (day(1, 3),),
        False,
    )
    # A range that another definition made is due, unless that one agrees with today's as far as it goes.
    assert due(view, foreign, backfill) == (day(0, 3),)
    assert due(view, foreign, backfill, accepts_older=True) == ()
    assert due(view, known, backfill) == ()
    assert due(view, known, affected=None) == (day(0, 3),)
    done = state(view, covered=(Covered(day(0, 4), view.definition_hash),))
    assert intervals(view, done) == ("skip", "up to date", (), False)


def test_a_state_is_read_from_provenance(view: FeatureView) -> None:
    found = ViewState.from_provenance(
        7,
        {
            "definition_hash": "h",
            "definition": "d",
            "inputs": {"orders": {"table_id": "t", "version": 3}, "files": {"files": 2, "digest": "x"}},
            "horizon": "2011-01-04T00:00:00Z",
            "coverage": [["2011-01-01T00:00:00Z", "2011-01-04T00:00:00Z", "h"]],
            "table_rows": 3,
        },
    )
    assert found.inputs["orders"] == TableVersion("t", 3)
    assert found.horizon == BASE + 3 * DAY
    assert found.covered == (Covered(day(0, 3), "h"),)
    assert found.latest is None


def with_sql(view: FeatureView, text: str, derived: dict[str, str] | None = None) -> FeatureView:
    definition = Definition("sql", "features/orders.sql", text, ("orders",), frozenset())
    return replace(view, definition=definition, derived=derived or {})


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("select a, b from orders", "select a, b, c from orders", True),
        ("select a, b from orders", "select c, b, a from orders -- in another order", True),
        ("select a, b from orders", "select a, b + 1 as b, c from orders", False),
        ("select a, b from orders", "select a from orders", False),
        ("select a from orders", "select a, b from orders where a > 1", False),
        ("select distinct a from orders", "select distinct a, b from orders", False),
        (
            "select a, count(*) as n from orders group by all",
            "select a, b, count(*) as n from orders group by all",
            False,
        ),
        (
            "select a from orders union all select b from orders",
            "select a from orders union all select b from orders",
            False,
        ),
        ("select a from orders", "select a, from from", False),
    ],
)
def test_whether_a_change_only_adds_features(view: FeatureView, before: str, after: str, expected: bool) -> None:
    record = definition_record(with_sql(view, before))
    assert only_adds_features(record, with_sql(view, after)) is expected


def test_derived_features_count_as_features(view: FeatureView) -> None:
    text = "select a from orders"
    record = definition_record(with_sql(view, text, {"x": "a + 1"}))
    assert only_adds_features(record, with_sql(view, text, {"x": "a + 1", "y": "a + 2"}))
    assert not only_adds_features(record, with_sql(view, text, {"x": "a + 2"}))


def test_what_cannot_be_compared_is_taken_to_change_values(view: FeatureView) -> None:
    sql = with_sql(view, "select a from orders")
    python = replace(view, definition=replace(sql.definition, kind="python"))
    assert not only_adds_features(definition_record(sql), python)
    assert not only_adds_features(definition_record(python), sql)
    assert not only_adds_features("", sql)
    assert not only_adds_features("{", sql)


def test_a_view_on_hold_is_left_until_it_is_named(view: FeatureView, whole: FeatureView) -> None:
    said = (
        "on hold since version 4 (restored from version 1): left as it is; "
        "`mart build daily --select customer_orders` builds it again"
    )
    for entry, intervals in ((view, ()), (whole, None)):
        known = state(entry, version=4, on_hold=True, restored_from=1)
        left = held_step(entry, known, Request(full_refresh=True, named=("other",)), BASE + 3 * DAY)
        assert left is not None
        assert (left.action, left.reason, left.intervals, left.held) == ("skip", said, intervals, True)
        assert held_step(entry, known, Request(named=("customer_orders",)), BASE) is None
        assert held_step(entry, state(entry), Request(), BASE) is None
    assert held_step(view, None, Request(), BASE) is None


def test_a_commit_says_whether_its_view_is_on_hold() -> None:
    assert ViewState.from_provenance(4, {"on_hold": True, "restored_from": 1}).on_hold
    assert not ViewState.from_provenance(5, {"restored_from": None}).on_hold
