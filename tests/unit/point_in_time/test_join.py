"""The promises of the point-in-time join one by one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from feature_mart.point_in_time.join import Rule, Spine, as_of, latest, ties
from feature_mart.point_in_time.order import RowColumns

UTC = timezone.utc
INSTANT = pa.timestamp("us", tz="UTC")
MICRO = timedelta(microseconds=1)
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
SPEND = RowColumns(("id",), "at", "learned")


def spend(*rows: tuple[Any, datetime | None, datetime | None, Any]) -> pa.Table:
    """Rows of (id, event timestamp, created timestamp, value)."""
    ids, events, created, values = zip(*rows, strict=True) if rows else ((), (), (), ())
    return pa.table(
        {
            "value": pa.array(values),
            "id": pa.array(ids, pa.int64()),
            "at": pa.array(events, INSTANT),
            "learned": pa.array(created, INSTANT),
        }
    )


def found(rows: pa.Table, times: Sequence[datetime | None], rule: Rule | None = None, who: int | None = 1) -> list[Any]:
    """The value that each of the times finds for one entity; "none" where no row counts."""
    spine = Spine.of([pa.array([who] * len(times), pa.int64())], pa.array(times, INSTANT))
    index = as_of(spine, rows, SPEND, rule or Rule()).index
    return ["none" if at < 0 else rows["value"][int(at)].as_py() for at in index]


def found_by_keys(
    keys: Sequence[Sequence[Any]], spine: Sequence[Sequence[Any]], kinds: Sequence[pa.DataType]
) -> list[int]:
    """Which of the rows with these keys each spine row finds."""
    names = tuple(f"k{n}" for n in range(len(kinds)))
    rows = {name: pa.array([key[n] for key in keys], kinds[n]) for n, name in enumerate(names)}
    asked = [pa.array([key[n] for key in spine], kind) for n, kind in enumerate(kinds)]
    times = pa.array([NOON] * len(spine), INSTANT)
    table = pa.table(rows | {"at": pa.array([NOON] * len(keys), INSTANT)})
    return [int(at) for at in as_of(Spine.of(asked, times), table, RowColumns(names, "at"), Rule()).index]


def around(moment: datetime) -> list[datetime]:
    return [moment - MICRO, moment, moment + MICRO]


def test_a_row_counts_from_its_own_microsecond_on() -> None:
    assert found(spend((1, NOON, None, "a")), around(NOON)) == ["none", "a", "a"]


def test_a_later_row_of_the_same_second_does_not_count() -> None:
    rows = spend((1, NOON, None, "a"), (1, NOON + timedelta(milliseconds=600), None, "b"))
    assert found(rows, [NOON + timedelta(milliseconds=599), NOON + timedelta(milliseconds=600)]) == ["a", "b"]


def test_a_row_counts_from_when_it_is_available_on() -> None:
    rows, rule = spend((1, NOON, None, "a")), Rule(available_after=timedelta(hours=3))
    assert found(rows, around(NOON + timedelta(hours=3)), rule) == ["none", "a", "a"]


@pytest.mark.parametrize("ttl", [MICRO, timedelta(milliseconds=250), timedelta(days=365)])
def test_a_row_counts_up_to_the_last_microsecond_of_its_ttl(ttl: timedelta) -> None:
    rows = spend((1, NOON, None, "a"))
    assert found(rows, around(NOON + ttl), Rule(ttl=ttl)) == ["a", "a", "none"]


def test_an_expired_row_is_told_from_none() -> None:
    spine = Spine.of([pa.array([1, 1, 1, 2])], pa.array([NOON - MICRO, NOON, NOON + 2 * MICRO, NOON], INSTANT))
    matches = as_of(spine, spend((1, NOON, None, "a")), SPEND, Rule(ttl=MICRO))
    assert matches.index.tolist() == [-1, 0, -1, -1]
    assert matches.is_expired.tolist() == [False, False, True, False]


def test_a_row_that_is_never_available_within_its_ttl_is_never_found() -> None:
    rule = Rule(available_after=2 * MICRO, ttl=MICRO)
    assert found(spend((1, NOON, None, "a")), [NOON, NOON + MICRO, NOON + 2 * MICRO], rule) == ["none"] * 3


def test_of_the_same_event_timestamp_the_last_created_counts_and_none_is_the_lowest() -> None:
    versions = [(1, NOON, None, "a"), (1, NOON, NOON, "b"), (1, NOON, NOON + MICRO, "c")]
    for rows in itertools.permutations(versions):
        assert found(spend(*rows), [NOON]) == ["c"]
    for rows in itertools.permutations(versions[:2]):
        assert found(spend(*rows), [NOON]) == ["b"]


def test_a_later_correction_of_an_earlier_fact_does_not_win_over_a_later_fact() -> None:
    rows = spend((1, NOON, NOON + timedelta(days=9), "a"), (1, NOON + MICRO, NOON + MICRO, "b"))
    assert found(rows, [NOON + timedelta(days=10)]) == ["b"]


NESTED = pa.list_(pa.struct([("b", pa.int64()), ("a", pa.map_(pa.string(), pa.float64()))]))
ORDERED: dict[str, tuple[pa.DataType, list[Any]]] = {
    "integers": (pa.int64(), [None, -(2**63), 2**53, 2**53 + 1, 2**63 - 1]),
    "doubles": (pa.float64(), [None, -math.inf, -0.0, 0.0, 5e-324, math.inf, math.nan]),
    "floats": (pa.float32(), [None, -math.inf, -0.0, 0.0, 1.5, math.inf, math.nan]),
    "texts": (pa.string(), [None, "", "Z", "a", "a\x00", "ab", "e\u0301", "\u00e9", "\uffff", "\U0001f600"]),
    "bytes": (pa.binary(), [None, b"", b"\x00", b"\xff"]),
    "booleans": (pa.bool_(), [None, False, True]),
    "decimals": (pa.decimal128(38, 18), [None, Decimal(-1), Decimal(1), Decimal("1.000000000000000001"), Decimal(11)]),
    "dates": (pa.date32(), [None, date(1, 1, 1), date(1969, 12, 31), date(9999, 12, 31)]),
    "instants": (INSTANT, [None, datetime(1, 1, 1, tzinfo=UTC), NOON, NOON + MICRO]),
    "lists": (pa.list_(pa.float64()), [None, [], [None], [None, None], [-0.0], [0.0], [0.0, None], [1.0], [math.nan]]),
    "maps": (
        pa.map_(pa.string(), pa.int64()),
        [None, [], [("a", None)], [("a", 1)], [("a", 1), ("b", 1)], [("b", None)], [("b", 0), ("a", 1)]],
    ),
    "structs": (
        pa.struct([("b", pa.int64()), ("a", pa.int64())]),
        [None, {"a": None, "b": None}, {"a": None, "b": 9}, {"a": 1, "b": None}, {"a": 1, "b": 2}, {"a": 2, "b": 1}],
    ),
    "nested": (
        NESTED,
        [
            None,
            [],
            [None],
            [{"a": None, "b": 300}],
            [{"a": [], "b": None}],
            [{"a": [], "b": 1}, None],
            [{"a": [("k", None)], "b": 0}],
            [{"a": [("k", math.nan)], "b": 0}],
        ],
    ),
}


@pytest.mark.parametrize("kind", ORDERED)
def test_of_rows_that_time_does_not_tell_apart_the_greatest_value_counts_in_any_order(kind: str) -> None:
    arrow, ascending = ORDERED[kind]
    for size in (2, 3, len(ascending)):
        for low in range(len(ascending) - size + 1):
            values = ascending[low : low + size]
            for shown in (values, values[::-1], values[1:] + values[:1]):
                rows = spend(*[(1, NOON, None, 0)] * size).set_column(0, "value", pa.array(shown, arrow))
                spine = Spine.of([pa.array([1])], pa.array([NOON], INSTANT))
                matches = as_of(spine, rows, SPEND, Rule())
                assert matches.is_tied.tolist() == [True]
                assert repr(shown[matches.index[0]]) == repr(values[-1])


def test_lists_of_many_different_values_are_compared_value_by_value() -> None:
    values = pa.array([[number, -number] for number in range(70_000)])
    many = pa.table({"id": pa.array(range(70_000)), "at": pa.array([NOON] * 70_000, INSTANT), "value": values})
    doubled = pa.concat_tables([many, many.set_column(2, "value", pa.array([[n, 1 - n] for n in range(70_000)]))])
    assert latest(doubled, RowColumns(("id",), "at")).tolist() == list(range(70_000, 140_000))
    one = many.set_column(0, "id", pa.array([1] * 70_000))
    assert latest(one, RowColumns(("id",), "at")).tolist() == [69_999]


def test_the_first_column_by_name_decides_wherever_it_stands() -> None:
    rows = pa.table(
        {
            "id": pa.array([1, 1, 1]),
            "at": pa.array([NOON] * 3, INSTANT),
            "b": pa.array([9, 1, 2]),
            "a": pa.array(["x", "y", "y"]),
        }
    )
    spine = Spine.of([pa.array([1])], pa.array([NOON], INSTANT))
    for names in itertools.permutations(rows.column_names):
        assert as_of(spine, rows.select(list(names)), RowColumns(("id",), "at"), Rule()).index.tolist() == [2]


def test_values_decide_only_between_rows_of_the_same_times() -> None:
    rows = spend(
        (1, NOON, NOON, 1), (1, NOON, NOON, 2), (1, NOON, None, 9), (1, NOON - MICRO, None, 9), (2, NOON, NOON, 9)
    )
    assert found(rows, [NOON, NOON - MICRO]) == [2, 9]
    assert ties(rows, SPEND) == 1


def test_each_spine_row_is_answered_once_however_often_it_is_there() -> None:
    rows = spend((1, NOON, None, "a"), (1, NOON, None, "a"), (1, NOON - MICRO, None, "b"))
    assert found(rows, [NOON, NOON - MICRO, NOON, NOON]) == ["a", "b", "a", "a"]


def test_created_timestamps_may_say_when_a_row_is_available() -> None:
    rows = spend(
        (1, NOON, NOON + 5 * MICRO, "late"),
        (1, NOON - MICRO, NOON + MICRO, "first"),
        (1, NOON - MICRO, NOON + 3 * MICRO, "corrected"),
        (1, NOON - 9 * MICRO, NOON + 6 * MICRO, "older, and learned last"),
        (1, NOON + 9 * MICRO, None, "never"),
        (0, NOON, NOON, "another's"),
    )
    times = [NOON + number * MICRO for number in range(7)]
    rule = Rule("created_timestamp")
    expected = ["none", "first", "first", "corrected", "corrected", "late", "late"]
    assert found(rows, times, rule) == expected
    assert found(rows, [datetime(9999, 1, 1, tzinfo=UTC)], rule) == ["late"]
    # How old a row is says its event timestamp still.
    assert found(rows, times, Rule("created_timestamp", ttl=4 * MICRO)) == [*expected[:4], "none", "none", "none"]


def test_without_a_created_timestamp_no_row_can_be_available_from_it_on() -> None:
    spine = Spine.of([pa.array([1])], pa.array([NOON], INSTANT))
    with pytest.raises(ValueError, match="needs the name of the created timestamp's column, found none"):
        as_of(spine, spend((1, NOON, NOON, "a")), RowColumns(("id",), "at"), Rule("created_timestamp"))


def test_a_null_key_or_time_finds_nothing() -> None:
    rows = spend((1, datetime(1, 1, 1, tzinfo=UTC), None, "a"), (None, NOON, None, "b"), (2, None, NOON, "c"))
    assert found(rows, [None, NOON]) == ["none", "a"]
    assert found(rows, [NOON, None], who=None) == ["none", "none"]
    assert found(rows, [NOON, datetime(9999, 1, 1, tzinfo=UTC)], who=2) == ["none", "none"]


def test_a_null_among_two_keys_finds_nothing() -> None:
    keys = [(1, None), (None, 1), (None, None), (1, 1)]
    assert found_by_keys(keys, keys, [pa.int64(), pa.int32()]) == [-1, -1, -1, 3]


TEXT, WHOLE = pa.string(), pa.int64()


@pytest.mark.parametrize(
    ("kinds", "keys"),
    [
        ([WHOLE, WHOLE], [(1, 11), (11, 1), (1, 1), (11, 11), (111, 1)]),
        ([TEXT, TEXT], [("a", "b|c"), ("a|b", "c"), ("", "a"), ("a", ""), ("", ""), ("a\x00", ""), ("", "\x00a")]),
        ([TEXT, WHOLE, TEXT], [("1", 1, "1"), ("11", 1, ""), ("", 1, "11"), ("1", 11, "")]),
        (
            [TEXT],
            [("\u00e9",), ("e\u0301",), ("E\u0301",), ("\u212b",), ("\u00c5",), ("A\u030a",), ("a ",), ("a",), ("",)],
        ),
        ([WHOLE], [(2**53,), (2**53 + 1,), (-(2**63),), (2**63 - 1,), (0,)]),
        ([pa.int32()], [(1,), (-1,), (2**31 - 1,)]),
        ([pa.decimal128(38, 18)], [(Decimal(1),), (Decimal("1.000000000000000001"),), (Decimal(10) ** 19,)]),
        ([pa.date32()], [(date(1, 1, 1),), (date(1969, 12, 31),), (date(2038, 1, 19),), (date(9999, 12, 31),)]),
        ([INSTANT], [(NOON,), (NOON + MICRO,), (datetime(1, 1, 1, tzinfo=UTC),)]),
        ([pa.float64()], [(0.0,), (5e-324,), (math.inf,), (-math.inf,), (math.nan,), (1.0,), (1.0 + 2**-52,)]),
        ([pa.float32()], [(0.0,), (1.5,), (math.nan,), (-math.inf,)]),
        ([pa.bool_(), pa.bool_()], [(True, False), (False, True), (True, True), (False, False)]),
    ],
)
def test_keys_that_look_alike_are_told_apart(kinds: list[pa.DataType], keys: list[tuple[Any, ...]]) -> None:
    assert found_by_keys(keys, keys, kinds) == list(range(len(keys)))
    assert found_by_keys(keys[:1], keys, kinds) == [0] + [-1] * (len(keys) - 1)


def test_rows_of_keys_that_the_spine_has_only_apart_are_nobody_s() -> None:
    assert found_by_keys([(2, 5), (5, 1), (5, 5)], [(1, 1), (2, 1), (1, 2)], [WHOLE, WHOLE]) == [-1, -1, -1]


def test_every_nan_is_one_key_and_so_is_every_zero() -> None:
    rows, spine = [(math.nan, -0.0), (0.0, math.nan)], [(-math.nan, 0.0), (-0.0, -math.nan), (math.nan, math.nan)]
    assert found_by_keys(rows, spine, [pa.float64(), pa.float64()]) == [0, 1, -1]
    assert found_by_keys(rows, spine, [pa.float32(), pa.float64()]) == [0, 1, -1]


@pytest.mark.parametrize(
    "moment",
    [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999999, UTC),
        datetime(2038, 1, 19, 3, 14, 7, 1, UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999998, UTC),
    ],
)
def test_the_calendar_s_ends_are_times_like_others(moment: datetime) -> None:
    rows = spend((1, moment, moment, "a"))
    times = [moment, moment + MICRO]
    assert found(rows, times) == ["a", "a"]
    assert found(rows, times, Rule(ttl=MICRO)) == ["a", "a"]
    assert found(rows, times, Rule(available_after=MICRO)) == ["none", "a"]
    assert found(rows, times, Rule("created_timestamp")) == ["a", "a"]


@pytest.mark.parametrize("span", [timedelta(days=10**8), timedelta.max])
def test_spans_longer_than_time_itself_do_not_turn_around(span: timedelta) -> None:
    rows = spend((1, datetime(1, 1, 1, tzinfo=UTC), None, "a"))
    times = [datetime(1, 1, 1, tzinfo=UTC), NOON, datetime(9999, 12, 31, tzinfo=UTC)]
    assert found(rows, times, Rule(ttl=span)) == ["a"] * 3
    assert found(rows, times, Rule(available_after=span)) == ["none"] * 3


def test_where_nothing_is_nothing_is_found() -> None:
    assert found(spend(), [NOON, None]) == ["none", "none"]
    assert found(spend(), [NOON], Rule("created_timestamp", ttl=MICRO)) == ["none"]
    for rows in (spend(), spend((1, NOON, None, "a"))):
        matches = as_of(Spine.of([pa.array([], pa.int64())], pa.array([], INSTANT)), rows, SPEND, Rule())
        assert [len(matches.index), len(matches.is_expired), len(matches.is_tied)] == [0, 0, 0]
    assert latest(spend(), SPEND).tolist() == []
    assert ties(spend(), SPEND) == 0


def test_a_static_view_is_found_by_its_keys_alone() -> None:
    rows = pa.table({"id": pa.array([2, 1, None]), "country": ["FR", "DE", "?"]})
    keys = [pa.array([1, None, 3, 2])]
    for times in (None, pa.array([None, NOON, NOON, None], INSTANT)):
        matches = as_of(Spine.of(keys, times), rows, RowColumns(("id",), None), Rule(ttl=MICRO))
        assert matches.index.tolist() == [1, -1, -1, 0]
        assert not matches.is_expired.any()
    assert latest(rows, RowColumns(("id",), None), datetime(1, 1, 1, tzinfo=UTC)).tolist() == [1, 0]


def test_one_spine_serves_many_views() -> None:
    spine = Spine.of([pa.array([7, 1])], pa.array([NOON, NOON], INSTANT))
    assert as_of(spine, spend((1, NOON, None, "a")), SPEND, Rule()).index.tolist() == [-1, 0]
    assert as_of(spine, spend((9, NOON, None, "b"), (7, NOON, None, "c")), SPEND, Rule()).index.tolist() == [1, -1]


def test_a_key_with_most_of_the_rows_is_searched_like_others() -> None:
    events = [NOON + number * MICRO for number in range(900)]
    rows = spend(
        *((1, at, None, number) for number, at in enumerate(events)), *((2, at, None, -1) for at in events[:100])
    )
    assert found(rows, events) == list(range(900))
    assert found(rows.take(pa.array(range(999, -1, -1))), events) == list(range(900))


def test_the_latest_row_of_each_entity_comes_in_the_order_of_keys() -> None:
    rows = spend(
        (3, NOON, None, 1),
        (1, NOON, None, 1),
        (1, NOON, None, 2),
        (1, NOON + MICRO, None, 0),
        (2, NOON + MICRO, None, 1),
    )
    assert latest(rows, SPEND).tolist() == [3, 4, 0]
    assert latest(rows, SPEND, NOON).tolist() == [2, 0]
    assert latest(rows, SPEND, NOON.replace(tzinfo=None) - MICRO).tolist() == []
