"""The ``windows:`` block of a feature view."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field, PlainValidator, WithJsonSchema

from feature_mart.definitions.durations import ALLOWED as DURATION_ALLOWED
from feature_mart.definitions.durations import PATTERN, parse_duration
from feature_mart.definitions.files.base import Column, Duration, Listed, Model, Text
from feature_mart.definitions.problems import Invalid, nearest
from feature_mart.windows.functions import FUNCTIONS
from feature_mart.windows.spec import Window

LIFETIME = "lifetime"
WINDOW_ALLOWED = f"{DURATION_ALLOWED}; or {LIFETIME}; or {{window: 30d, shift: 30d}}"


def _window(value: object) -> Window:
    if not isinstance(value, dict):
        return Window(_length(value), timedelta(0), str(value))
    unknown = sorted(set(value) - {"window", "shift"})
    if unknown or "window" not in value:
        message = f"has the key {unknown[0]}" if unknown else "has no window"
        raise Invalid(message, allowed="window and shift", fix="write {window: 30d, shift: 30d}")
    length, written = _length(value["window"]), str(value["window"])
    if "shift" not in value:
        return Window(length, timedelta(0), written)
    return Window(length, parse_duration(value["shift"]), f"{written}_shift_{value['shift']}")


def _length(value: object) -> timedelta | None:
    if value == LIFETIME:
        return None
    try:
        return parse_duration(value)
    except Invalid as wrong:
        raise Invalid(
            wrong.message, allowed=WINDOW_ALLOWED, nearest=nearest(value, [LIFETIME]), fix=wrong.fix
        ) from None


def _function(value: object) -> str:
    if isinstance(value, str) and value in FUNCTIONS:
        return value
    meant = nearest(value, FUNCTIONS)
    fix = f"write {meant}" if meant else "name one of the functions"
    raise Invalid("is no function of windows", allowed=", ".join(FUNCTIONS), nearest=meant, fix=fix)


_LENGTH_SCHEMA = {"type": "string", "pattern": f"^({PATTERN.pattern}|{LIFETIME})$"}
_WINDOW_SCHEMA = {
    "anyOf": [
        _LENGTH_SCHEMA,
        {
            "type": "object",
            "properties": {"window": _LENGTH_SCHEMA, "shift": {"type": "string", "pattern": f"^{PATTERN.pattern}$"}},
            "required": ["window"],
            "additionalProperties": False,
        },
    ]
}
WindowText = Annotated[Window, PlainValidator(_window), WithJsonSchema(_WINDOW_SCHEMA)]
FunctionName = Annotated[str, PlainValidator(_function), WithJsonSchema({"type": "string", "enum": list(FUNCTIONS)})]


class AggregationEntry(Model):
    """Functions of one column of the input, over windows of time."""

    input: Column = Field(description="The column of the input.", examples=["order_value"])
    functions: Listed[FunctionName] = Field(
        description="What is worked out of its values; null is no value, and NaN counts as null.",
        examples=[["sum", "mean", "max", "count"]],
        min_length=1,
    )
    over: Listed[WindowText] = Field(
        description="The windows: how long before a boundary they begin, `lifetime` for all that was before, or with "
        "`shift` that they end so long before it.",
        examples=[["7d", "30d", {"window": "30d", "shift": "30d"}, "lifetime"]],
        min_length=1,
    )
    where: Text | None = Field(
        default=None,
        description="A SQL condition on columns of the input; events for which it is not true do not count.",
        examples=["order_value > 0"],
    )
    name: Column | None = Field(
        default=None,
        description="The output's name, in place of `<input>_<function>_<window>`; for one function over one window.",
        examples=["orders_last_month"],
    )


class WindowsEntry(Model):
    """Windowed aggregations: a row at each boundary at which an entity's values change."""

    every: Duration = Field(
        default=timedelta(days=1),
        description="The distance of the boundaries, counted from Monday, midnight UTC.",
        examples=["1d"],
    )
    aggregations: Listed[AggregationEntry] = Field(
        description="What is worked out.",
        examples=[[{"input": "order_value", "functions": ["sum"], "over": ["30d"]}]],
        min_length=1,
    )
