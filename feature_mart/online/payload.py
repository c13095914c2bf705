"""The values of one row as bytes, and back: small, exact, and cheap to read.

A payload is, all numbers little-endian::

    u8     flags: 1 a null bitmap follows, 2 the event timestamp is in whole seconds, the rest: number of the layout
    i40    event timestamp in seconds since 1970; i64 in microseconds without flag 2; nothing in a static view
    i64    created timestamp in microseconds, where the view has one (the least number: null)
    bytes  one bit per feature, set where it is null
    fixed  features of fixed width, in order (decimals of up to 18 digits as i64 of their last digit, others as i128)
    rest   the others in order, each with its length before it: u8, or 255 and u32

The columns are written from Arrow as a whole; a row is read by one `struct` call.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timezone
from decimal import Decimal
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from feature_mart.columns.arrow import Array, Flags, Integers, decimal_words, instants, known, plain
from feature_mart.online import nested
from feature_mart.records import EPOCH, MICROSECOND

LAYOUTS = 64
_HAS_NULLS, _IN_SECONDS = 1, 2
_SECOND = 1_000_000
_NEVER = -(2**63)
_SHORT = 255
_EPOCH_DAY = date(1970, 1, 1).toordinal()

Converter = Callable[[Any], Any]
Row = tuple[int | None, int | None, list[Any]]

# Arrow type: format of `struct`, NumPy's type.
_NUMBERS: Mapping[pa.DataType, tuple[str, str]] = {
    pa.bool_(): ("?", "?"),
    pa.int8(): ("b", "i1"),
    pa.int16(): ("h", "<i2"),
    pa.int32(): ("i", "<i4"),
    pa.int64(): ("q", "<i8"),
    pa.float32(): ("f", "<f4"),
    pa.float64(): ("d", "<f8"),
    pa.date32(): ("i", "<i4"),
}


@dataclass(frozen=True)
class _Fixed:
    """How a feature of fixed width is written and read. ``convert``: from what `struct` gives; None: as it is."""

    code: str
    dtype: Any
    numbers: Callable[[Array], NDArray[Any]]
    convert: Converter | None = None


@dataclass(frozen=True)
class _Varied:
    """How a feature of varying length is written and read."""

    write: Callable[[Array], list[bytes]]
    read: Converter


def _fixed(kind: pa.DataType) -> _Fixed | None:
    if kind in _NUMBERS:
        code, dtype = _NUMBERS[kind]
        convert = (lambda days: date.fromordinal(_EPOCH_DAY + days)) if pa.types.is_date32(kind) else None
        return _Fixed(code, dtype, lambda values: _numbers(values, dtype), convert)
    if pa.types.is_timestamp(kind):
        zone = None if kind.tz is None else timezone.utc
        return _Fixed("q", "<i8", instants, lambda micros: (EPOCH + micros * MICROSECOND).replace(tzinfo=zone))
    if pa.types.is_decimal128(kind):
        scale = kind.scale
        if kind.precision <= 18:
            return _Fixed("q", "<i8", lambda values: decimal_words(values)[0], lambda whole: _decimal(whole, scale))
        return _Fixed(
            "16s",
            [("low", "<i8"), ("high", "<i8")],
            _words,
            lambda raw: _decimal(int.from_bytes(raw, "little", signed=True), scale),
        )
    return None


def _numbers(values: Array, dtype: str) -> NDArray[Any]:
    if pa.types.is_date32(values.type):
        values = values.view(pa.int32())
    found: NDArray[Any] = values.to_numpy(zero_copy_only=False).astype(dtype, copy=False)
    return found


def _words(values: Array) -> NDArray[Any]:
    low, high = decimal_words(values)
    found = np.empty(len(low), dtype=[("low", "<i8"), ("high", "<i8")])
    found["low"], found["high"] = low, high
    return found


def _decimal(whole: int, scale: int) -> Decimal:
    return Decimal(f"{whole}E-{scale}")


def _varied(kind: pa.DataType) -> _Varied:
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _Varied(lambda values: values.cast(pa.binary()).to_pylist(), lambda raw: str(raw, "utf-8"))
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return _Varied(lambda values: values.to_pylist(), bytes)
    write = nested.writer(kind)
    return _Varied(lambda values: [write(value) for value in values.to_pylist()], nested.reader(kind))


@dataclass(frozen=True)
class PayloadLayout:
    """Which values stand in a payload.

    ``features``: in order, in Arrow's types; ``event_timestamp`` and ``created_timestamp``: names of columns of
    timestamps, None where the view has none; ``number``: below `LAYOUTS`, tells layouts of one view that follow each
    other apart.
    """

    features: pa.Schema
    event_timestamp: str | None
    created_timestamp: str | None
    number: int = 0

    @cached_property
    def _fixed(self) -> list[tuple[int, _Fixed]]:
        found = [(at, _fixed(field.type)) for at, field in enumerate(self.features)]
        return [(at, how) for at, how in found if how is not None]

    @cached_property
    def _varied(self) -> list[tuple[int, _Varied]]:
        return [(at, _varied(field.type)) for at, field in enumerate(self.features) if _fixed(field.type) is None]

    @cached_property
    def _bitmap(self) -> int:
        return (len(self.features) + 7) // 8

    # Writing

    def encoded(self, rows: pa.Table) -> list[bytes]:
        """The payload of each row. Rows have all columns of the layout, and an event timestamp each."""
        columns = [plain(rows[name]) for name in self.features.names]
        is_null = [None if not values.null_count else ~known(values) for values in columns]
        has_null = np.zeros(len(rows), dtype=np.bool_)
        for flags in is_null:
            has_null |= False if flags is None else flags
        filled = [_filled(values) for values in columns]
        kinds = has_null.astype(np.int64) * _HAS_NULLS
        times = None if self.event_timestamp is None else instants(plain(rows[self.event_timestamp]))
        if times is not None:
            kinds |= (times % _SECOND == 0) * _IN_SECONDS
        fixed = [(f"f{at}", how.dtype, how.numbers(filled[at])) for at, how in self._fixed]
        varied = [list(map(_with_length, how.write(filled[at]))) for at, how in self._varied]
        created = self._created(rows)
        found: list[bytes] = [b""] * len(rows)
        for kind in np.unique(kinds).tolist():
            where = np.flatnonzero(kinds == kind)
            heads = self._heads(kind, where, times, created, is_null, fixed)
            at = where.tolist()
            if varied:
                tails = ([values[number] for number in at] for values in varied)
                heads = list(map(b"".join, zip(heads, *tails, strict=True)))
            for number, payload in zip(at, heads, strict=True):
                found[number] = payload
        return found

    def _created(self, rows: pa.Table) -> Integers | None:
        if self.created_timestamp is None:
            return None
        values = plain(rows[self.created_timestamp])
        micros = instants(_filled(values))
        return np.where(known(values), micros, _NEVER) if values.null_count else micros

    def _heads(
        self,
        kind: int,
        where: Integers,
        times: Integers | None,
        created: Integers | None,
        is_null: Sequence[Flags | None],
        fixed: Sequence[tuple[str, Any, NDArray[Any]]],
    ) -> list[bytes]:
        """What all payloads of one kind begin with: everything but values of varying length."""
        fields: list[tuple[Any, ...]] = [("flags", "u1")]
        if times is not None:
            fields += [("low", "<u4"), ("high", "i1")] if kind & _IN_SECONDS else [("time", "<i8")]
        fields += [("created", "<i8")] if created is not None else []
        fields += [("nulls", "u1", (self._bitmap,))] if kind & _HAS_NULLS else []
        packed = np.zeros(len(where), dtype=[*fields, *((name, dtype) for name, dtype, _ in fixed)])
        packed["flags"] = kind | self.number << 2
        if times is not None and kind & _IN_SECONDS:
            seconds = times[where] // _SECOND
            packed["low"], packed["high"] = seconds & 0xFFFFFFFF, seconds >> 32
        elif times is not None:
            packed["time"] = times[where]
        if created is not None:
            packed["created"] = created[where]
        if kind & _HAS_NULLS:
            none = np.zeros(len(where), dtype=np.bool_)
            flags = np.stack([none if found is None else found[where] for found in is_null], axis=1)
            packed["nulls"] = np.packbits(flags, axis=1, bitorder="little")
        for name, _, values in fixed:
            packed[name] = values[where]
        raw, width = packed.tobytes(), packed.dtype.itemsize
        return [raw[start : start + width] for start in range(0, len(raw), width)]

    # Reading

    @cached_property
    def _structs(self) -> list[struct.Struct]:
        """By flags."""
        codes = "".join(how.code for _, how in self._fixed)
        found = []
        for kind in range(4):
            time = "" if self.event_timestamp is None else ("Ib" if kind & _IN_SECONDS else "q")
            created = "" if self.created_timestamp is None else "q"
            nulls = f"{self._bitmap}s" if kind & _HAS_NULLS else ""
            found.append(struct.Struct(f"<{time}{created}{nulls}{codes}"))
        return found

    @cached_property
    def _converted(self) -> list[tuple[int, Converter]]:
        return [(at, how.convert) for at, (_, how) in enumerate(self._fixed) if how.convert is not None]

    def decoded(self, cell: bytes, start: int) -> Row:
        """The event and created timestamp (microseconds since 1970) and the features of the payload that begins there.

        Raises:
            ValueError: it was written by another layout.
        """
        flags = cell[start]
        if flags >> 2 != self.number:
            raise ValueError(f"a value of layout {flags >> 2} was found where {self.number} is live")
        how = self._structs[flags & 3]
        values: list[Any] = list(how.unpack_from(cell, start + 1))
        at, time, created = 0, None, None
        if self.event_timestamp is not None:
            if flags & _IN_SECONDS:
                time, at = ((values[1] << 32) + values[0]) * _SECOND, 2
            else:
                time, at = values[0], 1
        if self.created_timestamp is not None:
            created = None if values[at] == _NEVER else values[at]
            at += 1
        nulls = b""
        if flags & _HAS_NULLS:
            nulls = values[at]
            at += 1
        features = values[at:] if at else values
        for number, convert in self._converted:
            features[number] = convert(features[number])
        if self._varied:
            features = self._with_varied(cell, start + 1 + how.size, features)
        if nulls:
            bits = int.from_bytes(nulls, "little")
            features = [None if bits >> number & 1 else value for number, value in enumerate(features)]
        return time, created, features

    def _with_varied(self, cell: bytes, at: int, fixed: list[Any]) -> list[Any]:
        features: list[Any] = [None] * len(self.features)
        for (number, _), value in zip(self._fixed, fixed, strict=True):
            features[number] = value
        for number, how in self._varied:
            length = cell[at]
            at += 1
            if length == _SHORT:
                length = int.from_bytes(cell[at : at + 4], "little")
                at += 4
            raw = cell[at : at + length]
            features[number] = how.read(raw) if length else _nothing(self.features.field(number).type)
            at += length
        return features


def _nothing(kind: pa.DataType) -> Any:
    """What no bytes are: an empty text; where a value is null nobody looks at it."""
    return "" if pa.types.is_string(kind) or pa.types.is_large_string(kind) else b""


def _filled(values: Array) -> Array:
    """Nulls replaced by something that can be written."""
    if not values.null_count:
        return values
    kind = values.type
    if pa.types.is_nested(kind):
        return values  # written as JSON's null
    if pa.types.is_decimal(kind):
        return values.fill_null(pa.scalar(Decimal(0), kind))
    if pa.types.is_timestamp(kind):
        return values.fill_null(pa.scalar(datetime(1970, 1, 1, tzinfo=None if kind.tz is None else timezone.utc), kind))
    if pa.types.is_date(kind):
        return values.fill_null(pa.scalar(date(1970, 1, 1), kind))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return values.fill_null("")
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return values.fill_null(b"")
    return values.fill_null(pa.scalar(False if pa.types.is_boolean(kind) else 0, kind))


def _with_length(value: bytes) -> bytes:
    length = len(value)
    head = bytes((length,)) if length < _SHORT else bytes((_SHORT,)) + length.to_bytes(4, "little")
    return head + value
