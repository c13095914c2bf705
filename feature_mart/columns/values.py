"""Values of rows as plain data, for people and for JSON: the same text for the same value everywhere."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

from feature_mart.records import iso


def plain(value: Any) -> Any:
    """A value as JSON has it: instants in ISO 8601 with a ``Z``, decimals as text, bytes as hexadecimal text.

    What is no number in JSON (NaN, infinities) is text as well.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, datetime):
        return iso(value) if value.tzinfo is not None else iso(value.replace(tzinfo=timezone.utc)).removesuffix("Z")
    if isinstance(value, date | Decimal):
        return str(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return value


def plain_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """`plain` for each value of a row."""
    return {name: plain(value) for name, value in row.items()}


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal, null and NaN being equal to themselves."""
    both_nan = isinstance(one, float) and isinstance(other, float) and math.isnan(one) and math.isnan(other)
    return both_nan or bool(one == other)
