"""Defaults of metadata in the types of features, as they are written there."""

from __future__ import annotations

from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from feature_mart import UsageError
from feature_mart.columns.defaults import default_column

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
