"""What the models of all files share: strictness, and the kinds of values that stand in them."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, WithJsonSchema

from feature_mart.definitions import durations
from feature_mart.definitions.names import (
    LONGEST_NAME,
    checked_column,
    checked_name,
    checked_source_column,
    checked_table_name,
)
from feature_mart.definitions.problems import Invalid
from feature_mart.definitions.spark_types import canonical_type, checked_key_type
from feature_mart.records import parse_instant

Item = TypeVar("Item")
Scalar = bool | int | float | str


class Model(BaseModel):
    """A map in a file: unknown keys are errors, values are not converted, nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True, populate_by_name=True)


def _text(value: str) -> str:
    if not value.strip():
        raise Invalid("is empty", allowed="a text", fix="write something, or leave the key out")
    return value.strip()


def _number(value: object) -> int | float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
        raise Invalid("is no number", allowed="a number", fix="write a number without quotes, as in 0.5")
    return value


def _scalar(value: object) -> Scalar:
    if not isinstance(value, (bool, int, float, str)):
        raise Invalid("is no single value", allowed="a text, a number, true or false", fix="write one value")
    return value


def _scalar_text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(_scalar(value))


def _date(value: object) -> str:
    if isinstance(value, str):
        try:
            return date.fromisoformat(value).isoformat()
        except ValueError:
            pass
    raise Invalid("is no date", allowed="YYYY-MM-DD", fix="write a date, as in 2026-10-01")


def _instant(value: object) -> str:
    if isinstance(value, str):
        try:
            parse_instant(value)
        except (ValueError, OverflowError):
            pass
        else:
            return value
    raise Invalid(
        "is no date or time", allowed="ISO 8601, as in 2011-01-01 or 2011-01-01T10:00:00Z", fix="write a date or a time"
    )


def _duration_or_zero(value: object) -> timedelta:
    return durations.parse_duration(value, zero_allowed=True)


_DURATION_SCHEMA = {"type": "string", "pattern": f"^{durations.PATTERN.pattern}$", "description": durations.ALLOWED}
_COLUMN_SCHEMA = {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_]*$"}
_NAME_SCHEMA = {"type": "string", "pattern": "^[a-z][a-z0-9_]*$", "maxLength": LONGEST_NAME}
_SCALARS = ["string", "number", "boolean"]

Text = Annotated[str, AfterValidator(_text)]
Name = Annotated[str, AfterValidator(checked_name), WithJsonSchema(_NAME_SCHEMA)]
TableName = Annotated[str, AfterValidator(checked_table_name), WithJsonSchema(_NAME_SCHEMA)]
Column = Annotated[str, AfterValidator(checked_column), WithJsonSchema(_COLUMN_SCHEMA)]
SourceColumn = Annotated[str, AfterValidator(checked_source_column), WithJsonSchema({"type": "string"})]
SparkType = Annotated[str, AfterValidator(canonical_type), WithJsonSchema({"type": "string"})]
KeyType = Annotated[str, AfterValidator(checked_key_type), WithJsonSchema({"type": "string"})]
Duration = Annotated[timedelta, PlainValidator(durations.parse_duration), WithJsonSchema(_DURATION_SCHEMA)]
DurationOrZero = Annotated[timedelta, PlainValidator(_duration_or_zero), WithJsonSchema(_DURATION_SCHEMA)]
Number = Annotated[int | float, PlainValidator(_number), WithJsonSchema({"type": "number"})]
Value = Annotated[Scalar, PlainValidator(_scalar), WithJsonSchema({"type": _SCALARS})]
ScalarText = Annotated[str, PlainValidator(_scalar_text), WithJsonSchema({"type": _SCALARS})]
Date = Annotated[str, PlainValidator(_date), WithJsonSchema({"type": "string", "format": "date"})]
Instant = Annotated[str, PlainValidator(_instant), WithJsonSchema({"type": "string"})]
Share = Annotated[float, Field(ge=0, le=1)]
Listed = Annotated[tuple[Item, ...], Field(strict=False)]
Row = Annotated[dict[str, Any], Field(strict=True)]

__all__ = [
    "AfterValidator",
    "BeforeValidator",
    "Column",
    "Date",
    "Duration",
    "DurationOrZero",
    "Instant",
    "Item",
    "KeyType",
    "Listed",
    "Model",
    "Name",
    "Number",
    "Row",
    "Scalar",
    "ScalarText",
    "Share",
    "SourceColumn",
    "SparkType",
    "TableName",
    "Text",
    "Value",
]
