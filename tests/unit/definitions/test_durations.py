from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_mart.definitions.durations import ALLOWED, UNITS, format_duration, parse_duration, spoken_duration
from feature_mart.definitions.problems import Invalid

durations = st.builds(lambda n, unit: n * UNITS[unit], st.integers(1, 10_000), st.sampled_from(sorted(UNITS)))


@given(durations)
def test_what_is_written_is_read_again(duration: timedelta) -> None:
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("250ms", timedelta(milliseconds=250)),
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("36h", timedelta(hours=36)),
        ("365d", timedelta(days=365)),
        ("2w", timedelta(weeks=2)),
    ],
)
def test_units(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


def test_shortest_text() -> None:
    assert format_duration(timedelta(days=7)) == "1w"
    assert format_duration(timedelta(hours=36)) == "36h"
    assert format_duration(timedelta(0)) == "0d"
    with pytest.raises(ValueError, match="finer than a millisecond"):
        format_duration(timedelta(microseconds=1))


def test_zero_only_where_it_means_something() -> None:
    assert parse_duration("0d", zero_allowed=True) == timedelta(0)
    with pytest.raises(Invalid, match="is zero"):
        parse_duration("0d")


@pytest.mark.parametrize(
    ("found", "fix"),
    [
        ("365 days", "write 365d"),
        ("12 Hours", "write 12h"),
        ("5 min", "write 5m"),
        ("10 d", "write 10d"),
        (7, "say the unit, as in 7d for days"),
        (True, "write a whole number and a unit, as in 365d"),
        ("-1d", "write a whole number and a unit, as in 365d"),
        ("1.5d", "write a whole number and a unit, as in 365d"),
        ("1 fortnight", "write a whole number and a unit, as in 365d"),
        ("1d\n", "write 1d"),
        (None, "write a whole number and a unit, as in 365d"),
    ],
)
def test_no_durations(found: object, fix: str) -> None:
    with pytest.raises(Invalid) as raised:
        parse_duration(found)
    assert (raised.value.message, raised.value.allowed, raised.value.fix) == ("is no duration", ALLOWED, fix)


@pytest.mark.parametrize("found", ["99999999999w", "9" * 5000 + "d"])
def test_longer_than_time(found: str) -> None:
    with pytest.raises(Invalid, match="is too long a duration"):
        parse_duration(found)


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(0), "0s"),
        (timedelta(milliseconds=900), "0s"),
        (timedelta(days=2), "2d"),
        (timedelta(days=1, hours=3, minutes=59), "1d 3h"),
        (timedelta(minutes=12, seconds=5), "12m 5s"),
        (timedelta(days=1, seconds=5), "1d 5s"),
        (-timedelta(hours=30), "-1d 6h"),
    ],
)
def test_a_duration_is_told_in_its_two_largest_units(duration: timedelta, text: str) -> None:
    assert spoken_duration(duration) == text
