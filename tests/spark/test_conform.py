"""Text into declared types: what fits, and what is said of what does not."""

from __future__ import annotations

import math
from datetime import date, datetime, timezone
from decimal import Decimal

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from feature_mart.delta.session import engine_session
from feature_mart.read.conform import conformed


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("int", "6", 6),
        ("int", " 6 ", 6),
        ("bigint", "9223372036854775807", 2**63 - 1),
        ("double", "17850.0", 17850.0),
        ("double", "1e3", 1000.0),
        ("double", "-Infinity", -math.inf),
        ("decimal(10,2)", "12.30", Decimal("12.30")),
        ("decimal(10,2)", "12.3", Decimal("12.30")),
        ("boolean", "true", True),
        ("date", "2011-02-28", date(2011, 2, 28)),
        ("timestamp", "2011-01-01T10:00:00.123456Z", datetime(2011, 1, 1, 10, 0, 0, 123456, tzinfo=timezone.utc)),
        ("timestamp", "2011-01-01 10:00:00", datetime(2011, 1, 1, 10, tzinfo=timezone.utc)),
        ("timestamp", "2011-01-01T10:00:00+05:30", datetime(2011, 1, 1, 4, 30, tzinfo=timezone.utc)),
        ("string", "", ""),
    ],
)
def test_what_fits_becomes_a_value(spark: SparkSession, kind: str, text: str, expected: object) -> None:
    row = _one(spark, kind, text)
    value = row["micros"] if kind == "timestamp" else row["v"]
    if isinstance(expected, datetime):
        expected = round(expected.timestamp() * 1_000_000)
    assert value == expected
    assert row["_reason"] is None
    assert row["_raw"] is None


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("int", "6.0"),
        ("int", "1,200"),
        ("int", "2147483648"),
        ("bigint", "9223372036854775808"),
        ("double", "1,5"),
        ("double", "1d"),
        ("double", "2.5F"),
        ("decimal(10,2)", "12.345"),
        ("decimal(3,2)", "10.00"),
        ("boolean", "maybe"),
        ("date", "28/02/2011"),
        ("date", "2011-02-30"),
        ("timestamp", "12/1/2010 8:26"),
        ("timestamp", "10:00:00"),
        ("timestamp", "now"),
    ],
)
def test_what_does_not_fit_becomes_a_reason(spark: SparkSession, kind: str, text: str) -> None:
    row = _one(spark, kind, text)
    assert row["v"] is None
    assert row["_reason"] == f"v: '{text}' is no {kind}"
    assert text in str(row["_raw"])


def test_bytes_that_are_not_utf8_are_named(spark: SparkSession) -> None:
    assert _one(spark, "string", "caf\ufffd")["_reason"] == "v: bytes that are not UTF-8"


def test_a_declared_format_is_used(spark: SparkSession) -> None:
    row = _one(spark, "timestamp", "01/12/2010 08:26", {"timestampFormat": "dd/MM/yyyy HH:mm"})
    assert row["micros"] == 1291191960000000
    assert _one(spark, "date", "01/12/2010", {"dateFormat": "dd/MM/yyyy"})["v"] == date(2010, 12, 1)


def test_years_one_and_9999_are_kept(spark: SparkSession) -> None:
    assert _one(spark, "timestamp", "0001-01-01 00:00:00")["micros"] == -62135596800000000
    assert _one(spark, "timestamp", "9999-12-31 23:59:59.999999")["micros"] == 253402300799999999


def test_a_long_value_is_shortened_in_its_reason(spark: SparkSession) -> None:
    assert _one(spark, "int", "9" * 100)["_reason"] == f"v: '{'9' * 60}…' is no int"


def _one(spark: SparkSession, kind: str, text: str, formats: dict[str, str] | None = None) -> dict[str, object]:
    own = engine_session(spark)
    texts = own.createDataFrame([(text, "f")], "v string, _file string")
    frame = conformed(texts, {"v": kind}, formats=formats or {}, raw=F.to_csv(F.struct("v")))
    # Times come out as numbers: Python's own conversion goes through the machine's local time.
    micros = F.unix_micros("v") if kind == "timestamp" else F.lit(None)
    value = F.col("v").cast("string") if kind == "timestamp" else F.col("v")
    row = frame.select(value.alias("v"), micros.alias("micros"), "_reason", "_raw").first()
    assert row is not None
    return row.asDict()
