"""Which intervals are built, against sets of day numbers."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_mart.plan.intervals import OUTDATED, Covered, affected_by, chunks, covered_after, to_build, wanted_range
from feature_mart.records import EPOCH, MICROSECOND, Interval, spanning

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
BASE = datetime(2011, 1, 1, tzinfo=timezone.utc)
NONE = timedelta(0)


def day(number: int, length: int = 1) -> Interval:
    return Interval(BASE + DAY * number, BASE + DAY * (number + length))


def days(intervals: tuple[Interval, ...] | list[Interval]) -> set[int]:
    return {
        number
        for interval in intervals
        for number in range((interval.start - BASE) // DAY, (interval.end - BASE) // DAY)
    }


@given(st.sets(st.integers(0, 20)), st.sets(st.integers(0, 20)), st.sets(st.integers(0, 20)))
def test_what_is_missing_foreign_or_affected_is_built(ours: set[int], theirs: set[int], affected: set[int]) -> None:
    covered = [Covered(day(n), "ours") for n in ours] + [Covered(day(n), "theirs") for n in theirs - ours]
    built = to_build(day(0, 21), covered, accepted=["ours"], affected=[day(n) for n in affected])
    assert days(built) == set(range(21)) - (ours - affected)


@given(st.sets(st.integers(0, 20)), st.sets(st.integers(0, 20)), st.sets(st.integers(0, 20)))
def test_coverage_marks_what_was_affected_and_not_rebuilt(
    before: set[int], built: set[int], affected: set[int]
) -> None:
    after = covered_after(
        [Covered(day(n), "old") for n in before],
        built=[day(n) for n in built],
        affected=[day(n) for n in affected],
        definition_hash="new",
    )
    assert days([entry.interval for entry in after if entry.definition_hash == "new"]) == built
    assert days([entry.interval for entry in after if entry.definition_hash == "old"]) == before - built - affected
    assert days([entry.interval for entry in after if entry.definition_hash == OUTDATED]) == affected - built


def test_coverage_survives_json() -> None:
    entry = Covered(day(3), "abc")
    assert Covered.from_json(entry.to_json()) == entry


@pytest.mark.parametrize(
    ("lookback", "lookahead", "expected"),
    [(0, 0, {5}), (2, 0, {5, 6, 7}), (0, 2, {3, 4, 5}), (1, 1, {4, 5, 6})],
)
def test_a_changed_row_reaches_the_intervals_that_see_it(lookback: int, lookahead: int, expected: set[int]) -> None:
    found = affected_by([day(5)], every=DAY, lookback=DAY * lookback, lookahead=DAY * lookahead)
    assert days(list(found)) == expected


@pytest.mark.parametrize(
    ("hour", "lookback", "lookahead", "expected"),
    [(6, 36, 0, {5, 6}), (12, 36, 0, {5, 6, 7}), (6, 0, 6, {5}), (5, 0, 6, {4, 5})],
)
def test_a_row_reaches_no_further_than_the_margins(
    hour: int, lookback: int, lookahead: int, expected: set[int]
) -> None:
    micros = (BASE + DAY * 5 + HOUR * hour - EPOCH) // MICROSECOND
    found = affected_by([spanning(micros, micros)], every=DAY, lookback=HOUR * lookback, lookahead=HOUR * lookahead)
    assert days(found) == expected


def range_of(**changed: object) -> Interval | None:
    arguments = {
        "every": DAY,
        "lookahead": NONE,
        "earliest": None,
        "horizon": BASE + DAY * 10,
        "covered": (),
        "affected": (),
        "start": None,
    }
    return wanted_range(**{**arguments, **changed})  # type: ignore[arg-type]


def test_a_first_build_begins_with_the_first_row_and_ends_with_the_last_whole_interval() -> None:
    found = range_of(earliest=BASE + timedelta(days=2, hours=5), horizon=BASE + timedelta(days=10, hours=7))
    assert found == day(2, 8)


def test_a_first_build_without_rows_still_makes_a_table() -> None:
    assert range_of() == day(9)


def test_nothing_is_wanted_before_the_first_boundary_after_what_is_there() -> None:
    assert range_of(covered=(Covered(day(10, 2), "h"),)) is None


def test_an_asked_start_is_rounded_down_to_its_interval() -> None:
    assert range_of(start=BASE + timedelta(days=4, hours=1)) == day(4, 6)


def test_rows_before_what_was_built_are_wanted_too() -> None:
    assert range_of(covered=(Covered(day(5, 5), "h"),), affected=(day(1),)) == day(1, 9)


def test_chunks_cover_the_same_and_are_no_longer_than_asked() -> None:
    found = chunks([day(0, 7), day(10)], timedelta(days=3), DAY)
    assert [list(map(str, group)) for group in found] == [[str(i)] for i in (day(0, 3), day(3, 3), day(6), day(10))]


def test_a_chunk_is_never_shorter_than_an_interval() -> None:
    assert len(chunks([day(0, 2)], timedelta(hours=1), DAY)) == 2


def test_without_a_chunk_all_is_one_commit() -> None:
    assert chunks([day(0), day(5)], None, DAY) == [(day(0), day(5))]
    assert chunks([], None, DAY) == []


def test_where_nothing_is_wanted_nothing_is_built() -> None:
    assert to_build(None, [Covered(day(0), "h")], accepted=[], affected=[day(0)]) == ()
