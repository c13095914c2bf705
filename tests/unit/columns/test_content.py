"""Digests of content: the same for the same rows in any order, another for any other."""

from __future__ import annotations

import math
import random
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from feature_mart.columns.content import Content

AT = datetime(2011, 1, 1, tzinfo=timezone.utc)
ROWS: list[dict[str, Any]] = [
    {
        "k": 1,
        "v": 0.5,
        "t": "a",
        "d": Decimal("1.50"),
        "at": AT,
        "l": [1, None],
        "s": {"x": 1.0, "y": None},
        "m": [("a", 1)],
    },
    {"k": 2, "v": None, "t": "", "d": None, "at": None, "l": [], "s": None, "m": []},
    {
        "k": None,
        "v": math.nan,
        "t": None,
        "d": Decimal("-0.01"),
        "at": AT,
        "l": None,
        "s": {"x": None, "y": "q"},
        "m": None,
    },
]
KINDS: dict[str, pa.DataType] = {
    "k": pa.int64(),
    "v": pa.float64(),
    "t": pa.string(),
    "d": pa.decimal128(38, 18),
    "at": pa.timestamp("us", tz="UTC"),
    "l": pa.list_(pa.int32()),
    "s": pa.struct([pa.field("x", pa.float64()), pa.field("y", pa.string())]),
    "m": pa.map_(pa.string(), pa.int64()),
}
TYPES = {name: str(kind) for name, kind in KINDS.items()}


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=pa.schema(KINDS))


def digest(rows: pa.Table) -> str:
    return Content.of(rows).digest(TYPES)


def test_order_of_rows_and_columns_and_the_cut_into_parts_do_not_matter() -> None:
    rows = ROWS * 5
    whole = table(rows)
    random.Random(1).shuffle(rows)
    shuffled = table(rows).select(sorted(KINDS, reverse=True))
    parts = Content.whole(
        [Content.of(shuffled.slice(0, 4)), Content.of(shuffled.slice(4, 0)), Content.of(shuffled.slice(4))]
    )
    assert digest(whole) == digest(shuffled) == parts.digest(TYPES)
    again = Content.from_json(parts.to_json())
    assert again.digest(TYPES) == digest(whole)
    assert again.statistics(TYPES) == Content.of(whole).statistics(TYPES)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("k", 3),
        ("k", None),
        ("v", 0.5000000000000001),
        ("v", -0.5),
        ("t", "A"),
        ("t", ""),
        ("t", None),
        ("d", Decimal("1.500000000000000001")),
        ("at", AT.replace(microsecond=1)),
        ("l", [None, 1]),
        ("l", [1]),
        ("l", []),
        ("l", None),
        ("s", {"x": None, "y": None}),
        ("s", None),
        ("m", [("a", None)]),
        ("m", [("b", 1)]),
        ("m", []),
    ],
)
def test_any_other_value_gives_another_digest(column: str, value: Any) -> None:
    assert digest(table([{**ROWS[0], column: value}, *ROWS[1:]])) != digest(table(ROWS))


def test_negative_zero_is_another_value_and_every_nan_the_same() -> None:
    def of(value: float) -> str:
        return Content.of(pa.table({"v": [value]})).digest({"v": "double"})

    assert of(0.0) != of(-0.0)
    assert of(math.nan) == of(-math.nan)


def test_values_that_change_places_are_noticed() -> None:
    one, other = pa.table({"a": [1, 2], "b": [3, 4]}), pa.table({"a": [1, 2], "b": [4, 3]})
    swapped = pa.table({"a": [3, 4], "b": [1, 2]})
    kinds = {"a": "bigint", "b": "bigint"}
    assert len({Content.of(rows).digest(kinds) for rows in (one, other, swapped)}) == 3


def test_a_row_that_is_there_twice_counts_twice() -> None:
    assert digest(table([ROWS[0], ROWS[0]])) != digest(table([ROWS[0]]))
    assert digest(table([ROWS[0], ROWS[0], ROWS[1]])) != digest(table([ROWS[0], ROWS[1], ROWS[1]]))


def test_what_is_known_of_columns() -> None:
    rows = pa.table({"day": [date(2011, 1, 2), None, date(1969, 1, 1)], "v": [2.5, math.inf, None]})
    found = Content.of(rows).statistics({"day": "date", "v": "double"})
    assert found == {
        "day": {"type": "date", "nulls": 1, "min": "1969-01-01", "max": "2011-01-02"},
        "v": {"type": "double", "nulls": 1, "min": 2.5, "max": None},
    }


def test_no_rows_have_a_digest_too() -> None:
    empty = table([])
    assert digest(empty) == Content.whole([]).digest(TYPES)
    assert digest(empty) != digest(table(ROWS))
