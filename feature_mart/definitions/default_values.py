"""Which values of a YAML file are values of a Spark type: a feature's default, and what it may be."""

from __future__ import annotations

import math
import re
from datetime import date
from decimal import Decimal
from typing import Any

from feature_mart.definitions.spark_types import BITS, base_type
from feature_mart.records import parse_instant

_TEXT_TYPES = ("string", "char", "varchar")
_TIMES = ("timestamp", "timestamp_ntz")
_LARGEST = {"float": 3.4028234663852886e38, "double": 1.7976931348623157e308}
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def fits(value: Any, kind: str) -> bool:
    """Whether a value of a YAML file, in which dates and times are texts, is one of a Spark type.

    None is changed by it but that floating numbers are rounded.

    Args:
        kind: the canonical type.
    """
    base = base_type(kind)
    if isinstance(value, bool) or base == "boolean":
        return isinstance(value, bool) and base == "boolean"
    if isinstance(value, str):
        return _text_fits(value, base, kind)
    if not isinstance(value, (int, float)):
        return False
    is_finite = isinstance(value, int) or math.isfinite(value)
    if base in BITS:
        bound = 1 << (BITS[base] - 1)
        return isinstance(value, int) and -bound <= value < bound
    if base in _LARGEST:
        return not is_finite or abs(value) <= _LARGEST[base]
    return base == "decimal" and is_finite and _decimal_fits(Decimal(str(value)), *_sizes(kind))


def allowed_values(kind: str) -> str:
    """Which values `fits` takes for a Spark type, for people."""
    base = base_type(kind)
    if base in BITS:
        bound = 1 << (BITS[base] - 1)
        return f"whole numbers from {-bound} to {bound - 1}"
    if base in _LARGEST:
        return "numbers" if base == "double" else "numbers up to 3.4e38"
    if base == "decimal":
        precision, scale = _sizes(kind)
        return f"numbers with at most {precision - scale} digits before the point and {scale} after it"
    if base in _TEXT_TYPES:
        return "texts" if base == "string" else f"texts of at most {_sizes(kind)[0]} characters"
    if base == "date":
        return "days, as in 2011-12-01"
    if base in _TIMES:
        return "moments in ISO 8601, as in 2011-12-01T06:00:00Z"
    return "true, false" if base == "boolean" else "none"


def _text_fits(value: str, base: str, kind: str) -> bool:
    if base in _TEXT_TYPES:
        return base == "string" or len(value) <= _sizes(kind)[0]
    try:
        if base == "date":
            return _DAY.fullmatch(value) is not None and date.fromisoformat(value) is not None
        return base in _TIMES and parse_instant(value) is not None
    except (ValueError, OverflowError):
        return False


def _decimal_fits(value: Decimal, precision: int, scale: int) -> bool:
    value = value.normalize()
    exponent = int(value.as_tuple().exponent)
    return not value or (exponent >= -scale and value.adjusted() < precision - scale)


def _sizes(kind: str) -> list[int]:
    """The numbers in a type's brackets."""
    return [int(number) for number in re.findall(r"\d+", kind)]
