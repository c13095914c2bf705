"""Keys are different for different entities, the same for the same, and readable."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from feature_mart.online.keys import by_lane, entity_of, key_text, key_texts, lane_of

TEXT = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(":%+{}~* 3A\x00\x7f\n"), max_size=6)
# Values that are easily taken for each other are drawn often.
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "bigint": st.integers(-(2**63), 2**63 - 1) | st.integers(-11, 11),
    "int": st.integers(-(2**31), 2**31 - 1),
    "smallint": st.integers(-(2**15), 2**15 - 1),
    "tinyint": st.integers(-128, 127),
    "string": TEXT | st.sampled_from(["", ":", "%3A", "%", "%25", "a:b", "1", "-1", "é", "e\u0301"]),
    "double": st.floats() | st.sampled_from([0.0, -0.0, 1.0, 1e16, math.nan, -math.inf]),
    "float": st.floats(width=32) | st.sampled_from([0.0, -0.0]),
    "decimal(20,3)": st.decimals(-(10**16), 10**16, places=3) | st.integers(-11, 11).map(Decimal),
    "date": st.dates(),
    "boolean": st.booleans(),
    "binary": st.binary(max_size=4),
    "timestamp": st.datetimes(timezones=st.just(timezone.utc)),
    "timestamp_ntz": st.datetimes(),
}
ARROW = {
    "bigint": pa.int64(),
    "int": pa.int32(),
    "smallint": pa.int16(),
    "tinyint": pa.int8(),
    "string": pa.string(),
    "double": pa.float64(),
    "float": pa.float32(),
    "decimal(20,3)": pa.decimal128(20, 3),
    "date": pa.date32(),
    "boolean": pa.bool_(),
    "binary": pa.binary(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "timestamp_ntz": pa.timestamp("us"),
}
Keys = tuple[tuple[str, ...], list[tuple[Any, ...]]]


@st.composite
def keys(draw: st.DrawFn) -> Keys:
    """Kinds, and some rows of values of them."""
    kinds = tuple(draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=3)))
    rows = draw(st.lists(st.tuples(*(VALUES[kind] for kind in kinds)), min_size=2, max_size=6))
    return kinds, rows


def same(value: Any) -> Any:
    """Equal where a join finds values equal: zeros are, and so are NaNs."""
    if isinstance(value, float):
        return "nan" if math.isnan(value) else struct.pack("<d", value + 0.0)
    return value


@given(keys())
@example((("string", "string"), [("a:", "b"), ("a", ":b")]))
@example((("string", "string"), [("", ""), (":", ""), ("", ":")]))
@example((("string",), [("%3A",), (":",)]))
@example((("string", "bigint"), [("1:-2", 3), ("1", -2)]))
@example((("double",), [(0.0,), (-0.0,)]))
def test_keys_are_equal_exactly_where_entities_are(drawn: Keys) -> None:
    kinds, rows = drawn
    texts = [key_text(kinds, row) for row in rows]
    entities = [tuple(map(same, row)) for row in rows]
    pairs = set(zip(texts, entities, strict=True))
    assert len(pairs) == len(set(texts)) == len(set(entities))


@given(keys())
@example((("string",), [("plain",), ("also plain",)]))
@example((("string",), [("plain",), ("not:plain",)]))
@example((("decimal(20,3)",), [(Decimal("1.500"),), (Decimal(0),)]))
def test_columns_give_the_keys_that_values_give(drawn: Keys) -> None:
    kinds, rows = drawn
    columns: Sequence[Any] = [pa.array([row[at] for row in rows], ARROW[kind]) for at, kind in enumerate(kinds)]
    assert key_texts(kinds, columns) == [key_text(kinds, row) for row in rows]


@given(st.decimals(-(10**15), 10**15, places=6), st.integers(0, 6))
def test_decimals_are_the_same_at_every_scale(value: Decimal, more: int) -> None:
    scaled = value.quantize(Decimal(1).scaleb(-6 - more))
    assert key_text(["decimal(38,12)"], [scaled]) == key_text(["decimal(38,12)"], [value])
    assert Decimal(key_text(["decimal(38,12)"], [value])) == value


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("bigint", -42, "-42"),
        ("string", "Zürich: 100%\n", "Zürich%3A 100%25%0A"),
        ("string", "", ""),
        ("double", -0.0, "0.0"),
        ("double", 0.1, "0.1"),
        ("float", 0.10000000149011612, "0.10000000149011612"),
        ("decimal(9,2)", Decimal("-0.00"), "0"),
        ("decimal(9,2)", Decimal("10.50"), "10.5"),
        ("decimal(9,0)", Decimal("1E+3"), "1000"),
        ("date", date(1, 2, 3), "0001-02-03"),
        ("boolean", True, "true"),
        ("binary", b"\x00\xff", "00ff"),
        ("timestamp", datetime(9999, 12, 31, 23, 59, 59, 5, timezone.utc), "99991231T235959.000005Z"),
        ("timestamp_ntz", datetime.fromisoformat("0001-01-01"), "00010101T000000.000000"),
    ],
)
def test_keys_can_be_read(kind: str, value: Any, text: str) -> None:
    assert key_text([kind], [value]) == text


def test_several_entities_make_one_key() -> None:
    assert entity_of(["customer", "shop"]) == "customer+shop"
    assert key_text(["bigint", "string"], [7, "a:b"]) == "7:a%3Ab"


@given(st.lists(TEXT, max_size=20), st.sampled_from([1, 256]))
def test_every_key_has_its_lane(texts: list[str], lanes: int) -> None:
    groups = by_lane(texts, lanes)
    assert sorted(number for numbers in groups.values() for number in numbers) == list(range(len(texts)))
    assert all(lane_of(texts[number], lanes) == lane for lane, numbers in groups.items() for number in numbers)
    assert all(0 <= lane < lanes for lane in groups)


def test_keys_are_spread_over_all_lanes() -> None:
    groups = by_lane([str(number) for number in range(20_000)], 256)
    assert len(groups) == 256
    assert max(map(len, groups.values())) < 2 * 20_000 / 256
