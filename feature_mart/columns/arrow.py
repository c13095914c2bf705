"""Arrow's columns between the arrays that are computed with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from feature_mart.records import ANCHOR, EPOCH, MICROSECOND

# An Arrow array. Its stubs want the type of its values, which is a mart's and not known before it runs.
Array = Any
Integers = NDArray[np.int64]
Doubles = NDArray[np.float64]
Flags = NDArray[np.bool_]

# Where slices are counted from, in microseconds.
ANCHOR_MICROS = (ANCHOR - EPOCH) // MICROSECOND


def plain(column: Any) -> Array:
    """A column in one piece."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def column(values: NDArray[Any], is_null: Flags | None = None) -> Array:
    """Values as a column."""
    return pa.array(values, mask=is_null)


def lists(ends: Integers, values: Array) -> Array:
    """A column of lists, each up to its end among ``values``."""
    offsets = np.concatenate([[0], ends]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)


def picked(values: Any, at: Integers, is_null: Flags | None = None) -> Any:
    """The values, or rows, at some places; null where ``is_null``."""
    return values.take(pa.array(at, mask=is_null))


def flags(values: Array) -> Flags:
    """A column of truths without nulls."""
    found: Flags = values.to_numpy(zero_copy_only=False)
    return found


def known(values: Array) -> Flags:
    """Where a column is not null."""
    return flags(values.is_valid())


def lacking(rows: pa.Table, names: Sequence[str]) -> Flags:
    """Which rows have a null in some column of ``names``."""
    found = np.zeros(len(rows), dtype=np.bool_)
    for name in names:
        if rows[name].null_count:
            found |= ~known(plain(rows[name]))
    return found


def integers(values: Array) -> Integers:
    """A column of integers without nulls."""
    found: Integers = values.cast(pa.int64()).to_numpy()
    return found


def doubles(values: Array) -> Doubles:
    """A column of numbers without nulls as the doubles next to them; −0.0 becomes 0.0."""
    if pa.types.is_decimal(values.type):
        return _of_decimals(values)
    found: Doubles = values.cast(pa.float64(), safe=False).to_numpy() + 0.0
    return found


def decimal_words(values: Array) -> tuple[Integers, Integers]:
    """A column of decimals without nulls as whole numbers of its last digit, of 128 bits: low and high words."""
    wide = values.cast(pa.decimal128(38, values.type.scale))
    words = np.frombuffer(wide.buffers()[1], dtype=np.int64)[2 * wide.offset : 2 * (wide.offset + len(wide))]
    return words[::2].copy(), words[1::2].copy()


def _of_decimals(values: Array) -> Doubles:
    """Rounded once, as Arrow's own cast does not."""
    low, high = decimal_words(values)
    is_exact = (high == low >> np.int64(63)) & (np.abs(low) <= 1 << 53) & (values.type.scale <= 22)
    found: Doubles = low / 10.0 ** min(values.type.scale, 22)  # the quotient of two exact doubles
    for at in np.flatnonzero(~is_exact):
        found[at] = float(values[int(at)].as_py())
    return found


def instants(values: Any) -> Integers:
    """Microseconds since 1970 of a column of timestamps without nulls."""
    found: Integers = plain(values).cast(pa.timestamp("us", tz="UTC")).view(pa.int64()).to_numpy()
    return found


def slices_of(values: Any, step: int) -> Integers:
    """The slices of ``step`` microseconds in which timestamps lie, counted from `ANCHOR`."""
    found: Integers = np.floor_divide(instants(values) - ANCHOR_MICROS, step)
    return found


def boundaries(numbers: Integers, step: int) -> Array:
    """The instants at which slices begin."""
    return pa.array(numbers * step + ANCHOR_MICROS).view(pa.timestamp("us", tz="UTC"))
