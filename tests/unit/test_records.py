"""Intervals and instants."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_mart.records import (
    ANCHOR,
    EARLIEST,
    EPOCH,
    LATEST,
    MICROSECOND,
    CheckReport,
    CheckResult,
    Interval,
    ceil_to,
    floor_to,
    iso,
    merged,
    moved,
    parse_instant,
    spanning,
    without,
)

DAY = timedelta(days=1)
BASE = datetime(2011, 1, 1, tzinfo=timezone.utc)

slots = st.sets(st.integers(0, 30))


def as_intervals(numbers: set[int]) -> list[Interval]:
    return [Interval(BASE + DAY * number, BASE + DAY * (number + 1)) for number in numbers]


def as_slots(intervals: tuple[Interval, ...]) -> set[int]:
    found = set()
    for interval in intervals:
        start = interval.start
        while start < interval.end:
            found.add((start - BASE) // DAY)
            start += DAY
    return found


@given(slots)
def test_merging_keeps_the_same_instants_in_the_fewest_intervals(numbers: set[int]) -> None:
    result = merged(as_intervals(numbers))
    assert as_slots(result) == numbers
    assert all(left.end < right.start for left, right in pairwise(result))


@given(slots, slots)
def test_taking_out_is_the_difference_of_sets(numbers: set[int], removed: set[int]) -> None:
    assert as_slots(without(as_intervals(numbers), as_intervals(removed))) == numbers - removed


@given(
    st.integers(-60_000_000_000_000_000, 250_000_000_000_000_000).map(lambda micros: EPOCH + micros * MICROSECOND),
    st.sampled_from([timedelta(minutes=15), timedelta(hours=1), DAY, timedelta(days=7)]),
)
def test_flooring_and_ceiling_enclose_the_moment(moment: datetime, every: timedelta) -> None:
    floor, ceiling = floor_to(moment, every), ceil_to(moment, every)
    assert floor <= moment <= ceiling
    assert ceiling - floor in (timedelta(0), every)
    assert (floor - ANCHOR) % every == timedelta(0)


def test_weeks_begin_on_monday() -> None:
    assert (
        floor_to(datetime(2011, 1, 5, 12, tzinfo=timezone.utc), timedelta(days=7)).strftime("%A %F")
        == "Monday 2011-01-03"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2011-01-01", BASE),
        ("2011-01-01T00:00:00Z", BASE),
        ("2011-01-01T01:00:00+01:00", BASE),
        ("2011-01-01 00:00:00", BASE),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=timezone.utc)),
    ],
)
def test_instants_are_read_as_utc(text: str, expected: datetime) -> None:
    assert parse_instant(text) == expected
    assert parse_instant(iso(expected)) == expected


def test_an_empty_interval_is_refused() -> None:
    with pytest.raises(ValueError, match="must end after it starts"):
        Interval(BASE, BASE)


def test_an_interval_survives_json() -> None:
    interval = Interval(BASE, BASE + timedelta(microseconds=1))
    assert interval.to_json() == ["2011-01-01T00:00:00Z", "2011-01-01T00:00:00.000001Z"]
    assert Interval.from_json(interval.to_json()) == interval


def test_a_report_with_a_failed_error_is_not_publishable() -> None:
    warned = CheckResult("a", "warn", False, 1, "")
    failed = CheckResult("b", "error", False, 1, "")
    assert CheckReport(1, (warned,)).is_publishable
    assert not CheckReport(1, (warned, failed)).is_publishable
    assert CheckReport(1, (warned, failed)).counts() == {"passed": 0, "warned": 1, "failed": 1}


def test_intervals_end_where_the_calendar_does() -> None:
    week = timedelta(days=7)
    assert floor_to(EARLIEST, timedelta(days=30)) == EARLIEST
    assert ceil_to(LATEST, week) == LATEST
    assert moved(EARLIEST, -week) == EARLIEST
    assert moved(LATEST, week) == LATEST
    assert spanning(0, 5) == Interval(EPOCH, EPOCH + 6 * MICROSECOND)
    far = 10**18
    assert spanning(-far, 0) == Interval(EARLIEST, EPOCH + MICROSECOND)
    assert spanning(0, far) == Interval(EPOCH, LATEST)
    assert spanning(far, far) == Interval(LATEST - MICROSECOND, LATEST)
    assert spanning(-far, -far) == Interval(EARLIEST, EARLIEST + MICROSECOND)
