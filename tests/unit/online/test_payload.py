"""Values come back from their bytes exactly as Arrow has them."""

from __future__ import annotations

import math
import struct
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_mart.online.payload import LAYOUTS, PayloadLayout
from feature_mart.records import EPOCH, MICROSECOND

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5) | st.integers(253, 258).map("é".__mul__)


def _decimals(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    most = 10**precision - 1
    whole = st.integers(-most, most) | st.sampled_from([most, -most, 0, 1, -1])
    return whole.map(lambda number: Decimal(f"{number}E-{scale}"))


_EARLIEST, _LATEST = map(datetime.fromisoformat, ("0001-01-01", "9999-12-31T23:59:59.999999"))
_JUST_BEFORE = EPOCH.replace(tzinfo=None) - timedelta(microseconds=1)
_NAIVE = st.datetimes() | st.sampled_from([_EARLIEST, _LATEST, _JUST_BEFORE])
_AWARE = _NAIVE.map(lambda moment: moment.replace(tzinfo=timezone.utc))
SINGLE: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.bool_(), st.booleans()),
    (pa.int8(), st.integers(-(2**7), 2**7 - 1)),
    (pa.int16(), st.integers(-(2**15), 2**15 - 1)),
    (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    (pa.int64(), st.integers(-(2**63), 2**63 - 1) | st.sampled_from([-(2**63), 2**63 - 1, 2**53 + 1])),
    (pa.float32(), st.floats(width=32)),
    (pa.float64(), st.floats()),
    (pa.decimal128(9, 2), _decimals(9, 2)),
    (pa.decimal128(18, 18), _decimals(18, 18)),
    (pa.decimal128(38, 18), _decimals(38, 18)),
    (pa.decimal128(38, 0), _decimals(38, 0)),
    (pa.date32(), st.dates() | st.sampled_from([date.min, date.max])),
    (pa.timestamp("us", tz="UTC"), _AWARE),
    (pa.timestamp("us"), _NAIVE),
    (pa.string(), TEXT),
    (pa.binary(), st.binary(max_size=5) | st.just(b"\x00" * 300)),
]


@st.composite
def kinds(draw: st.DrawFn, depth: int = 2) -> tuple[pa.DataType, st.SearchStrategy[Any]]:
    """A type, and its values, None among those that are inside of others."""
    shape = draw(st.sampled_from(["single", "single", "list", "struct", "map"])) if depth else "single"
    if shape == "single":
        kind, values = draw(st.sampled_from(SINGLE))
        return kind, values
    kind, values = draw(kinds(depth - 1))
    inner = st.none() | values
    if shape == "list":
        return pa.list_(kind), st.lists(inner, max_size=3)
    if shape == "struct":
        other, others = draw(kinds(depth - 1))
        return pa.struct([("a", kind), ("b c", other)]), st.fixed_dictionaries({"a": inner, "b c": st.none() | others})
    names, keys = draw(st.sampled_from([SINGLE[4], SINGLE[9], SINGLE[-2]]))
    return pa.map_(names, kind), st.lists(st.tuples(keys, inner), max_size=3, unique_by=lambda pair: pair[0])


@st.composite
def tables(draw: st.DrawFn) -> tuple[PayloadLayout, pa.Table]:
    """A layout, and rows of it."""
    chosen = draw(st.lists(kinds(), min_size=0, max_size=10))
    count = draw(st.integers(1, 4))
    columns = {
        f"f{at}": pa.array(draw(st.lists(st.none() | values, min_size=count, max_size=count)), kind)
        for at, (kind, values) in enumerate(chosen)
    }
    features = pa.schema([(name, values.type) for name, values in columns.items()])
    moments = st.lists(_AWARE | _AWARE.map(lambda at: at.replace(microsecond=0)), min_size=count, max_size=count)
    has_event, has_created = draw(st.booleans()), draw(st.booleans())
    if has_event:
        columns["at"] = pa.array(draw(moments), pa.timestamp("us", tz="UTC"))
    if has_created:
        known = draw(st.lists(st.booleans(), min_size=count, max_size=count))
        created = [at if there else None for at, there in zip(draw(moments), known, strict=True)]
        columns["created"] = pa.array(created, pa.timestamp("us", tz="UTC"))
    if not columns:
        columns["f0"] = pa.array([None] * count, pa.int64())
        features = pa.schema([("f0", pa.int64())])
    number = draw(st.integers(0, LAYOUTS - 1))
    layout = PayloadLayout(features, "at" if has_event else None, "created" if has_created else None, number)
    return layout, pa.table(columns)


def bits(value: Any) -> Any:
    """Equal where two values are the same to the last bit and of the same type."""
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else struct.pack("<d", value)
    if isinstance(value, Decimal):
        return value.as_tuple()
    if isinstance(value, dict):
        return {name: bits(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [bits(entry) for entry in value]
    return type(value), value


def micros(moment: datetime | None) -> int | None:
    return None if moment is None else (moment - EPOCH) // MICROSECOND


@given(tables(), st.binary(max_size=9))
def test_rows_come_back_as_arrow_has_them(drawn: tuple[PayloadLayout, pa.Table], before: bytes) -> None:
    layout, rows = drawn
    payloads = layout.encoded(rows)
    assert len(payloads) == len(rows)
    for payload, row in zip(payloads, rows.to_pylist(), strict=True):
        time, created, features = layout.decoded(before + payload, len(before))
        assert time == micros(row.get("at"))
        assert created == micros(row.get("created"))
        assert bits(features) == bits([row[name] for name in layout.features.names])


@given(tables())
def test_a_row_has_the_same_bytes_whatever_stands_beside_it(drawn: tuple[PayloadLayout, pa.Table]) -> None:
    layout, rows = drawn
    alone = [layout.encoded(rows.slice(number, 1))[0] for number in range(len(rows))]
    assert layout.encoded(rows) == alone
    assert layout.encoded(pa.concat_tables([rows.slice(1), rows.slice(0, 1)])) == [*alone[1:], alone[0]]


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=4))
def test_doubles_keep_every_bit_those_of_nan_too(raw: list[int]) -> None:
    values = np.array(raw, dtype=np.uint64).view(np.float64)
    layout = PayloadLayout(pa.schema([("f", pa.float64())]), None, None)
    payloads = layout.encoded(pa.table({"f": pa.array(values)}))
    found = [layout.decoded(payload, 0)[2][0] for payload in payloads]
    assert [struct.unpack("<Q", struct.pack("<d", value))[0] for value in found] == raw


def test_a_value_of_another_layout_is_refused() -> None:
    features = pa.schema([("f", pa.int64())])
    (payload,) = PayloadLayout(features, None, None, 3).encoded(pa.table({"f": [1]}))
    with pytest.raises(ValueError, match="a value of layout 3 was found where 4 is live"):
        PayloadLayout(features, None, None, 4).decoded(payload, 0)


def test_values_are_small() -> None:
    kinds: dict[str, pa.DataType] = {f"d{number}": pa.float64() for number in range(7)}
    kinds |= {"i": pa.int64(), "j": pa.int64(), "s": pa.string()}
    layout = PayloadLayout(pa.schema(list(kinds.items())), "at", None)
    rows = pa.table({name: pa.array(["GB" if name == "s" else 1], kind) for name, kind in kinds.items()})
    rows = rows.append_column("at", pa.array([EPOCH], pa.timestamp("us", tz="UTC")))
    (payload,) = layout.encoded(rows)
    assert len(payload) == 1 + 5 + 9 * 8 + 3
