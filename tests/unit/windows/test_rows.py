"""Tiles and rows, against brute force."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_mart.windows.rows import Boundaries, Output, boundary_number, rows_of
from feature_mart.windows.tiles import TileColumns, tile_schema, tiles_of
from tests.windows_oracle import Event, Feature, rows_at_changes

START = datetime(2024, 1, 1, tzinfo=timezone.utc)  # a Monday
PARTIALS = ("count", "distinct", "doubled", "first", "last", "maximum", "minimum", "squares", "sum", "trues")
ORDERED = ("count", "count_distinct", "first", "last", "max", "min")
ADDED = (*ORDERED, "mean", "stddev", "sum", "variance")
WINDOWS = ((1, 0), (3, 0), (None, 0), (2, 2), (None, 1), (12, 0))

KINDS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any], tuple[str, ...], tuple[str, ...]]] = {
    "money": (pa.float64(), st.integers(-500, 900).map(lambda cents: cents / 100), ADDED, PARTIALS[:-1]),
    "awkward": (pa.float64(), st.sampled_from([1e16, -1e16, 1.0, 0.5, 1e-9, 5e-324, 3.0]), ADDED, PARTIALS[:-1]),
    "whole": (
        pa.int64(),
        st.one_of(st.integers(-3, 9), st.sampled_from([2**53 + 1, -(2**60) + 1])),
        ADDED,
        PARTIALS[:-1],
    ),
    "decimal": (
        pa.decimal128(12, 2),
        st.integers(-500, 900).map(lambda cents: Decimal(cents) / 100),
        ADDED,
        PARTIALS[:-1],
    ),
    "text": (
        pa.string(),
        st.sampled_from(["", "a", "ä", "b|c", "zz"]),
        ORDERED,
        ("count", *PARTIALS[1:2], *PARTIALS[3:7]),
    ),
    "flag": (pa.bool_(), st.booleans(), ("count", "any", "all", "last"), ("count", "last", "trues")),
}


def result_type(function: str, kind: pa.DataType) -> pa.DataType:
    if function.startswith("count"):
        return pa.int64()
    if function in ("mean", "variance", "stddev"):
        return pa.float64()
    if function == "sum" and pa.types.is_decimal(kind):
        return pa.decimal128(38, kind.scale)
    return kind


@st.composite
def moments(draw: st.DrawFn, every: timedelta) -> datetime:
    """Some on boundaries, some a microsecond beside them."""
    at = START + every * draw(st.integers(0, 12))
    return at + draw(
        st.sampled_from([timedelta(0), timedelta(microseconds=1), every / 2, every - timedelta(microseconds=1)])
    )


@settings(max_examples=250, deadline=None)
@given(
    data=st.data(),
    kind=st.sampled_from(sorted(KINDS)),
    every=st.sampled_from([timedelta(days=1), timedelta(minutes=15)]),
)
def test_rows_are_those_of_brute_force(data: st.DataObject, kind: str, every: timedelta) -> None:
    arrow, values, functions, partials = KINDS[kind]
    events = data.draw(
        st.lists(st.tuples(st.sampled_from([1, 2, 7]), moments(every), st.one_of(st.none(), values)), max_size=20)
    )
    columns = TileColumns(("k",), "t", None, every, {"v": tuple(sorted(partials))})
    table = pa.table(
        {
            "k": pa.array([entity for entity, _, _ in events], pa.int64()),
            "t": pa.array([at for _, at, _ in events], pa.timestamp("us", tz="UTC")),
            "v": pa.array([value for _, _, value in events], arrow),
            "_nans": pa.array([0] * len(events), pa.int64()),
        }
    )
    tiles = tiles_of(table, columns)
    order = data.draw(st.permutations(range(len(tiles))))
    outputs = [
        Output(f"{function}_{length}_{shift}", "v", function, length, shift, result_type(function, arrow))
        for length, shift in WINDOWS
        for function in functions
    ]
    first = data.draw(st.integers(-2, 8))
    count = data.draw(st.integers(1, 12))
    begin = boundary_number(START, columns) + first
    is_start = data.draw(st.booleans())
    pieces = list(
        rows_of(
            tiles.take(pa.array(order, pa.int64())),
            columns,
            outputs,
            Boundaries(begin, begin + count - 1, is_start),
            frozenset({"v"} if kind == "whole" else ()),
        )
    )
    found = {(row.pop("k"), row.pop("t")): tuple(row.values()) for piece in pieces for row in piece.to_pylist()}
    boundaries = [START + every * (first + number) for number in range(count)]
    earlier = [] if is_start else [boundaries[0] - every]
    expected = rows_at_changes(
        [Event(entity, at, {"v": value}) for entity, at, value in events],
        [
            Feature(
                "v", output.function, None if output.length is None else every * output.length, every * output.shift
            )
            for output in outputs
        ],
        [*earlier, *boundaries],
    )
    expected = {key: row for key, row in expected.items() if key[1] >= boundaries[0]}
    assert found.keys() == expected.keys()
    assert sum(len(piece) for piece in pieces) == len(found)
    for key, row in expected.items():
        for output, one, other in zip(outputs, found[key], row, strict=True):
            assert one == other, (key, output.name)


def of(
    values: list[Any], kind: pa.DataType, function: str, partials: tuple[str, ...], result: pa.DataType
) -> list[Any]:
    """A function of all values, at the boundary after them."""
    columns = TileColumns(("k",), "t", None, timedelta(days=1), {"v": partials})
    count = len(values)
    events = pa.table(
        {
            "k": pa.array([1] * count),
            "t": pa.array(
                [START + timedelta(hours=number % 24) for number in range(count)], pa.timestamp("us", tz="UTC")
            ),
            "v": pa.array(values, kind),
            "_nans": pa.array([0] * count, pa.int64()),
        }
    )
    at = boundary_number(START, columns) + 1
    outputs = [Output("out", "v", function, 1, 0, result)]
    pieces = rows_of(tiles_of(events, columns), columns, outputs, Boundaries(at, at, True), frozenset({"v"}))
    return [value for piece in pieces for value in piece["out"].to_pylist()]


def test_a_sum_of_integers_that_does_not_fit_says_of_whom_and_when() -> None:
    with pytest.raises(OverflowError) as caught:
        of([2**62, 2**62], pa.int64(), "sum", ("count", "sum"), pa.int64())
    assert str(caught.value) == (
        "out of k=1 at 2024-01-02T00:00:00Z: the sum does not fit bigint, which ends at 9223372036854775807"
    )


def test_a_sum_of_integers_may_leave_the_range_in_between() -> None:
    assert of([2**62, 2**62, -(2**62)], pa.int64(), "sum", ("count", "sum"), pa.int64()) == [2**62]


@pytest.mark.parametrize(
    ("values", "expected"),
    [([math.inf, 1.0], math.inf), ([-math.inf], -math.inf), ([1e308, 1e308], math.inf), ([0.1] * 10, 1.0)],
)
def test_sums_of_infinities_are_infinite_and_sums_of_tenths_are_whole(values: list[float], expected: float) -> None:
    assert of(values, pa.float64(), "sum", ("count", "sum"), pa.float64()) == [expected]


def test_infinities_of_both_signs_have_no_sum() -> None:
    (found,) = of([math.inf, -math.inf], pa.float64(), "sum", ("count", "sum"), pa.float64())
    assert math.isnan(found)


@pytest.mark.parametrize("value", [0.1, 1e15 + 0.3, 3.0])
def test_equal_values_have_no_variance(value: float) -> None:
    assert of([value] * 7, pa.float64(), "variance", ("count", "doubled", "squares"), pa.float64()) == [0.0]


def test_a_variance_half_way_between_two_doubles_is_rounded_to_the_right_one() -> None:
    """Its exact value is a little more than half way: twice the precision of doubles takes it for less."""
    partials = ("count", "doubled", "squares")
    assert of([0.88, 1.63], pa.float64(), "variance", partials, pa.float64()) == [0.28124999999999994]


def test_negative_zero_is_zero() -> None:
    assert of([0.0, -0.0], pa.float64(), "count_distinct", ("count", "distinct"), pa.int64()) == [1]
    (least,) = of([0.0, -0.0], pa.float64(), "min", ("count", "minimum"), pa.float64())
    assert str(least) == "0.0"


def test_of_no_events_there_are_no_tiles() -> None:
    columns = TileColumns(("k",), "t", None, timedelta(days=1), {"v": ("count",)})
    schema = pa.table(
        {
            "k": pa.array([], pa.int64()),
            "t": pa.array([], pa.timestamp("us", tz="UTC")),
            "v": pa.array([], pa.float64()),
        }
    ).schema
    tiles = tiles_of(schema.empty_table(), columns)
    assert (tiles.num_rows, tiles.schema) == (0, tile_schema(columns, schema))
