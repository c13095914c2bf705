"""What a feature is where no value is found: the default of its metadata, in the type that the feature is stored in."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

import pyarrow as pa

from feature_mart.columns.arrow import Array
from feature_mart.errors import UsageError
from feature_mart.records import parse_instant


def default_column(view: str, feature: str, default: Any, kind: pa.DataType) -> Array:
    """The default as a column of one row.

    Args:
        default: as YAML has it: dates and times are texts there.

    Raises:
        UsageError: it is no value of the type.
    """
    try:
        return pa.array([_value(default, kind)], kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, InvalidOperation, ValueError, OverflowError) as error:
        raise UsageError(
            f"the default of {view}:{feature} is {default!r}, but the feature is stored as {kind}, in which that is no "
            f"value: {error}. Correct default in metadata/feature_views/{view}.yml."
        ) from error


def _value(default: Any, kind: pa.DataType) -> Any:
    if pa.types.is_decimal(kind):
        return Decimal(str(default))  # 0.1 is written, and meant, as a decimal
    if pa.types.is_timestamp(kind):
        moment = parse_instant(str(default))
        return moment if kind.tz is not None else moment.replace(tzinfo=None)
    if pa.types.is_nested(kind):
        raise ValueError("a default is a single value")
    if pa.types.is_floating(kind):
        return float(default)  # of a whole number, too, that no floating number is equal to
    return pa.scalar(default).cast(kind).as_py()
