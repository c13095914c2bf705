"""Defaults of metadata in the types of features, as they are written there."""

from __future__ import annotations

import math
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from feature_mart import UsageError
from feature_mart.columns.defaults import default_column
from feature_mart.definitions.default_values import allowed_values, fits

INSTANT = pa.timestamp("us", tz="UTC")
INSTANT_10 = datetime(2011, 1, 1, 10, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("written", "kind", "meant"),
    [
        (0, pa.decimal128(10, 2), Decimal("0.00")),
        (0.1, pa.decimal128(38, 18), Decimal("0.1")),
        (1e20, pa.decimal128(38, 2), Decimal(10**20)),
        ("2011-01-01", pa.date32(), date(2011, 1, 1)),
        ("2011-01-01", INSTANT, datetime(2011, 1, 1, tzinfo=timezone.utc)),
        ("2011-01-01T05:30:00+05:30", INSTANT, datetime(2011, 1, 1, tzinfo=timezone.utc)),
        ("2011-01-01 10:00:00", pa.timestamp("us"), INSTANT_10.replace(tzinfo=None)),
        (1, pa.float64(), 1.0),
        (7, pa.int8(), 7),
        ("x", pa.string(), "x"),
        (False, pa.bool_(), False),
    ],
)
def test_what_is_written_is_what_is_meant(written: Any, kind: pa.DataType, meant: Any) -> None:
    assert default_column("v", "f", written, kind).to_pylist() == [meant]


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        (300, pa.int8()),
        (0.125, pa.decimal128(10, 2)),
        ("x", pa.decimal128(10, 2)),
        ("soon", INSTANT),
        ("x", pa.int64()),
        (1.5, pa.int64()),
        ("x", pa.list_(pa.string())),
    ],
)
def test_what_the_type_cannot_hold_is_named(written: Any, kind: pa.DataType) -> None:
    with pytest.raises(UsageError) as told:
        default_column("v", "f", written, kind)
    assert told.value.message.startswith(f"the default of v:f is {written!r}, but the feature is stored as {kind}, in")
    assert told.value.message.endswith("Correct default in metadata/feature_views/v.yml.")


WHOLE = [0, 1, -1, 127, 128, 2**53 + 1, 2**63 - 1, 2**63, -(2**63)]
PARTS = [0.1, 0.125, 1.0, -0.0]
TEXTS = ["", "x", "xyz", "0", "2011-1-1", "2011-13-01", "soon", "0001-01-01T00:00:00+14:00"]
DAYS = ["2011-01-01", "9999-12-31"]
MOMENTS = [*DAYS, "2011-01-01T05:30:00+05:30", "2011-01-01 10:00:00.000001"]
VALUES: list[Any] = [*WHOLE, 10**400, *PARTS, 1e20, 1e39, math.nan, math.inf, True, False, *TEXTS, *MOMENTS, [1]]
FITTING: dict[str, tuple[pa.DataType, list[Any]]] = {
    "boolean": (pa.bool_(), [True, False]),
    "tinyint": (pa.int8(), WHOLE[:4]),
    "bigint": (pa.int64(), [*WHOLE[:7], -(2**63)]),
    "float": (pa.float32(), [*WHOLE, *PARTS, 1e20, math.nan, math.inf]),
    "double": (pa.float64(), [*WHOLE, *PARTS, 1e20, 1e39, math.nan, math.inf]),
    "decimal(4,2)": (pa.decimal128(4, 2), [*WHOLE[:3], 0.1, 1.0, -0.0]),
    "decimal(38,18)": (pa.decimal128(38, 18), [*WHOLE, *PARTS]),
    "string": (pa.string(), [*TEXTS, *MOMENTS]),
    "varchar(2)": (pa.string(), ["", "x", "0"]),
    "date": (pa.date32(), DAYS),
    "timestamp": (INSTANT, MOMENTS),
    "timestamp_ntz": (pa.timestamp("us"), MOMENTS),
    "binary": (pa.binary(), []),
    "array<string>": (pa.list_(pa.string()), []),
}


@pytest.mark.parametrize("kind", FITTING)
def test_what_fits_a_type_can_be_a_column_of_it(kind: str) -> None:
    arrow, expected = FITTING[kind]
    found = [value for value in VALUES if fits(value, kind)]
    # By their texts: True is not 1 here, and NaN is itself.
    assert list(map(repr, found)) == list(map(repr, expected))
    for value in found:
        assert default_column("v", "f", value, arrow).null_count == 0


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("smallint", "whole numbers from -32768 to 32767"),
        ("float", "numbers up to 3.4e38"),
        ("double", "numbers"),
        ("decimal(10,2)", "numbers with at most 8 digits before the point and 2 after it"),
        ("string", "texts"),
        ("char(3)", "texts of at most 3 characters"),
        ("date", "days, as in 2011-12-01"),
        ("timestamp_ntz", "moments in ISO 8601, as in 2011-12-01T06:00:00Z"),
        ("boolean", "true, false"),
        ("map<string,int>", "none"),
    ],
)
def test_what_is_allowed_is_told(kind: str, told: str) -> None:
    assert allowed_values(kind) == told
