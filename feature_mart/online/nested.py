"""Arrays, maps and structs as JSON, read back into exactly what they were; the type says what each text means."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa

from feature_mart.records import EPOCH, MICROSECOND

Convert = Callable[[Any], Any]


def writer(kind: pa.DataType) -> Callable[[Any], bytes]:
    """What turns a value, as Arrow's ``as_py`` gives it, into bytes."""
    plain = _to_json(kind)
    return lambda value: json.dumps(plain(value), ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def reader(kind: pa.DataType) -> Callable[[bytes], Any]:
    """What turns the bytes back: lists, dicts for structs, lists of pairs for maps."""
    value = _from_json(kind)
    return lambda stored: value(json.loads(stored))


def _or_none(convert: Convert) -> Convert:
    return lambda value: None if value is None else convert(value)


def _same(value: Any) -> Any:
    return value


def _to_json(kind: pa.DataType) -> Convert:
    if pa.types.is_map(kind):
        key, item = _to_json(kind.key_type), _to_json(kind.item_type)
        return _or_none(lambda pairs: [[key(name), item(value)] for name, value in pairs])
    if pa.types.is_struct(kind):
        fields = [(kind.field(at).name, _to_json(kind.field(at).type)) for at in range(kind.num_fields)]
        return _or_none(lambda entry: [convert(entry[name]) for name, convert in fields])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        item = _to_json(kind.value_type)
        return _or_none(lambda values: [item(value) for value in values])
    return _or_none(_single(kind)[0])


def _from_json(kind: pa.DataType) -> Convert:
    if pa.types.is_map(kind):
        key, item = _from_json(kind.key_type), _from_json(kind.item_type)
        return _or_none(lambda pairs: [(key(name), item(value)) for name, value in pairs])
    if pa.types.is_struct(kind):
        fields = [(kind.field(at).name, _from_json(kind.field(at).type)) for at in range(kind.num_fields)]
        return _or_none(
            lambda values: {name: convert(value) for (name, convert), value in zip(fields, values, strict=True)}
        )
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        item = _from_json(kind.value_type)
        return _or_none(lambda values: [item(value) for value in values])
    return _or_none(_single(kind)[1])


def _single(kind: pa.DataType) -> tuple[Convert, Convert]:
    """How a single value is written and read."""
    if pa.types.is_decimal(kind):
        return str, Decimal
    if pa.types.is_date(kind):
        return date.isoformat, date.fromisoformat
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return bytes.hex, bytes.fromhex
    if pa.types.is_timestamp(kind):
        zone = None if kind.tz is None else timezone.utc
        return _micros, lambda micros: (EPOCH + micros * MICROSECOND).replace(tzinfo=zone)
    return _same, _same


def _micros(value: datetime) -> int:
    aware = value if value.tzinfo is not None else value.replace(tzinfo=timezone.utc)
    return (aware - EPOCH) // MICROSECOND
