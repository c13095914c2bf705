"""Values of one column as int64 codes that sort as the values do, so that one piece of code serves every type."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from feature_mart.columns.arrow import Array, Doubles, Flags, Integers, column, doubles, flags, integers, picked

_SIGN = np.int64(-(2**63))


@dataclass(frozen=True)
class Coded:
    """The codes of a column's values, and what they stand for: ``dictionary[code]``, or the code's own bits."""

    codes: Integers
    kind: pa.DataType
    dictionary: Array | None = None

    def decode(self, codes: Integers, is_null: Flags) -> Array:
        """The values that codes stand for, null where ``is_null``."""
        if self.dictionary is not None:
            return picked(self.dictionary, codes, is_null)
        if pa.types.is_floating(self.kind):
            bits = np.where(codes < 0, ~codes ^ _SIGN, codes)
            return column(bits.view(np.float64), is_null).cast(self.kind)
        if pa.types.is_boolean(self.kind):
            return column(codes.astype(np.bool_), is_null)
        return _reinterpreted(column(codes, is_null), self.kind)


def coded(values: Array) -> Coded:
    """Codes for a column without nulls. −0.0 is 0.0, all NaN are one, the greatest; texts sort by their UTF-8 bytes.

    Raises:
        pyarrow.ArrowNotImplementedError: values of the type have no order.
    """
    kind = values.type
    if pa.types.is_floating(kind):
        numbers = doubles(values)
        return Coded(_double_codes(np.where(np.isnan(numbers), np.nan, numbers)), kind)
    if pa.types.is_boolean(kind):
        return Coded(flags(values).astype(np.int64), kind)
    if pa.types.is_integer(kind) or pa.types.is_timestamp(kind) or pa.types.is_date32(kind):
        return Coded(_as_integers(values), kind)
    encoded = values.dictionary_encode()
    order = pc.array_sort_indices(encoded.dictionary)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order.to_numpy()] = np.arange(len(order))
    return Coded(rank[encoded.indices.to_numpy()], kind, encoded.dictionary.take(order))


def exact_codes(values: Array) -> Integers:
    """Codes for a column without nulls as `coded` gives them, but equal only where values are the same bit by bit.

    −0.0 comes before 0.0; NaN is the greatest, or the lowest if its sign is negative.

    Raises:
        pyarrow.ArrowNotImplementedError: values of the type have no order.
    """
    if pa.types.is_floating(values.type):
        numbers: Doubles = values.cast(pa.float64()).to_numpy()
        return _double_codes(numbers)
    return coded(values).codes


def entity_codes(keys: list[Array]) -> tuple[Integers, Integers]:
    """One code for each combination of keys, and the first row of each: codes[rows[i]] == i.

    Codes follow the keys' order, so that nothing depends on the order of rows.
    """
    count = len(keys[0])
    combined = np.zeros(count, dtype=np.int64)
    for key in keys:
        codes = coded(key).codes
        _, dense = np.unique(codes, return_inverse=True)
        pairs = combined * np.int64(int(dense.max(initial=0)) + 1) + dense
        _, combined = np.unique(pairs, return_inverse=True)
    codes, rows = np.unique(combined, return_index=True)
    assert len(codes) == (int(combined.max(initial=-1)) + 1)
    return combined.astype(np.int64), rows.astype(np.int64)


def _double_codes(values: Doubles) -> Integers:
    bits = values.view(np.int64)
    return np.where(bits < 0, ~bits ^ _SIGN, bits)


def _as_integers(values: Array) -> Integers:
    if pa.types.is_timestamp(values.type):
        return integers(values.cast(pa.timestamp("us", values.type.tz)).view(pa.int64()))
    return integers(values.view(pa.int32()) if pa.types.is_date32(values.type) else values)


def _reinterpreted(codes: Array, kind: pa.DataType) -> Array:
    if pa.types.is_date32(kind):
        return codes.cast(pa.int32()).view(kind)
    return codes.view(kind) if pa.types.is_timestamp(kind) else codes.cast(kind)
