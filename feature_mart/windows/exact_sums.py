"""Sums of many numbers that are exact, so that no order in which rows, files or partitions come can change a bit.

A number is kept in fixed point, as limbs of 32 bits in int64 columns: number i is the sum over j of
``limbs[j, i] * 2**(32 * (base + j))``. Limbs add up without carries, 2**31 numbers before one can overflow, so running
sums and their differences are those of whole columns of limbs. Only a finished sum is carried and rounded, once, half
to even, as IEEE 754 rounds. The idea is Kulisch's long accumulator (Kulisch, "Computer Arithmetic and Validity", 2008);
here it is only as long as the numbers at hand need.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from feature_mart.columns.arrow import Doubles, Flags, Integers

BITS = 32
_LOW = np.int64(0xFFFFFFFF)
_FRACTION = np.int64((1 << 52) - 1)
_UNIT = 1075  # the biased exponent of doubles whose mantissa counts ones
_CHUNK = 16_384  # columns at a time, so that what is between stays in the processor's cache
_SHORT = np.int64(1 << 40)
_SAFE_BELOW = -960  # below 2**-960, what a rounding leaves may be too small for a double


@dataclass(frozen=True)
class Limbs:
    """n numbers in fixed point: ``limbs`` has the shape (k, n), the lowest limb first; limbs may be negative."""

    base: int
    limbs: Integers

    def running(self) -> Limbs:
        """N + 1 sums: of no number, of the first, of the first two, …"""
        sums = np.zeros((self.limbs.shape[0], self.limbs.shape[1] + 1), dtype=np.int64)
        np.cumsum(self.limbs, axis=1, out=sums[:, 1:])
        return Limbs(self.base, sums)

    def grouped(self, starts: Integers) -> Limbs:
        """The sums of the runs of numbers that begin at ``starts``."""
        if not len(starts):
            return Limbs(self.base, self.limbs[:, :0])
        return Limbs(self.base, np.add.reduceat(self.limbs, starts, axis=1))

    def between(self, low: Integers, high: Integers) -> Limbs:
        """Of running sums: the sum of the numbers ``low`` to ``high`` - 1, for each pair."""
        limbs = np.empty((len(self.limbs), len(low)), dtype=np.int64)
        for row, sums in zip(limbs, self.limbs, strict=True):
            np.subtract(sums.take(high), sums.take(low), out=row)
        return Limbs(self.base, limbs)

    def minus(self, other: Limbs) -> Limbs:
        """The differences, number by number."""
        base = min(self.base, other.base)
        top = max(self.base + len(self.limbs), other.base + len(other.limbs))
        return Limbs(base, self._between(base, top) - other._between(base, top))

    def times(self, factors: Integers) -> Limbs:
        """Each number times a whole number of at most 31 bits."""
        return Limbs(self.base, self._carried() * factors)

    def plus(self, other: Limbs) -> Limbs:
        """The sums, number by number."""
        return self.minus(Limbs(other.base, -other.limbs))

    def to_doubles(self) -> Doubles:
        """The nearest doubles, ties to even; infinite beyond the largest."""
        result = np.empty(self.limbs.shape[1], dtype=np.float64)
        for start in range(0, len(result), _CHUNK):
            piece = self.limbs[:, start : start + _CHUNK]
            result[start : start + _CHUNK] = _rounded_short(piece, self.base)
        return result

    def to_expansions(self) -> tuple[Integers, Doubles]:
        """Each number as the shortest list of doubles whose exact sum it is, each the nearest to what is left.

        Returns:
            How many doubles each number has, shape (n,), and all of them, one number's after the other's.
        """
        left, parts, owners = self, [], []
        todo = np.arange(self.limbs.shape[1])
        while len(todo):
            nearest = left.to_doubles()
            some = nearest != 0
            todo, nearest = todo[some], nearest[some]
            left = Limbs(left.base, left.limbs[:, some]).minus(of_doubles(nearest))
            parts.append(nearest)
            owners.append(todo)
        owner = np.concatenate([*owners, np.zeros(0, dtype=np.int64)]).astype(np.int64)
        order = np.argsort(owner, kind="stable")
        values = np.concatenate([*parts, np.zeros(0)])[order]
        return np.bincount(owner, minlength=self.limbs.shape[1]).astype(np.int64), values

    def to_words(self) -> tuple[NDArray[np.uint64], Integers, Flags]:
        """Whole numbers as two's complement of 128 bits: low words, high words, and which ones do not fit."""
        limbs = self._between(0, max(5, self.base + len(self.limbs)))
        carried = Limbs(0, limbs)._carried()
        low = carried[0].astype(np.uint64) | (carried[1].astype(np.uint64) << np.uint64(BITS))
        high = carried[2] | (carried[3] << np.int64(BITS))
        sign = np.where(high < 0, np.int64(-1), np.int64(0))
        rest = carried[4:]
        fits = np.all(rest[:-1] == (sign & _LOW), axis=0) & (rest[-1] == sign)
        return low, high, ~fits

    def to_integers(self) -> tuple[Integers, Flags]:
        """Whole numbers as int64, and which ones do not fit."""
        low, high, too_large = self.to_words()
        integers = low.astype(np.int64)
        return integers, too_large | (high != np.where(integers < 0, np.int64(-1), np.int64(0)))

    def _between(self, base: int, top: int) -> Integers:
        """The limbs from ``base`` to below ``top``, which include all of this number's."""
        below, above = self.base - base, top - self.base - len(self.limbs)
        if not below and not above:
            return self.limbs
        return np.pad(self.limbs, ((below, above), (0, 0)))

    def _magnitudes(self) -> tuple[Integers, Flags]:
        limbs = self._carried()
        is_negative = limbs[-1] < 0
        if is_negative.any():
            np.negative(limbs, out=limbs, where=is_negative)
            for j in range(len(limbs) - 1):
                limbs[j + 1] += limbs[j] >> np.int64(BITS)
                limbs[j] &= _LOW
        return limbs, is_negative

    def _carried(self) -> Integers:
        """Limbs of 32 bits each, not negative, but the last, which has the sign; two more than before."""
        limbs = np.pad(self.limbs, ((0, 2), (0, 0)))
        for j in range(len(limbs) - 1):
            limbs[j + 1] += limbs[j] >> np.int64(BITS)
            limbs[j] &= _LOW
        return limbs


def of_doubles(values: Doubles) -> Limbs:
    """Finite doubles, exactly."""
    bits = np.ascontiguousarray(values).view(np.int64)
    lowest, highest = _places(bits)
    base = (lowest - _UNIT) // BITS
    k = (highest - _UNIT - base * BITS) // BITS + 3
    limbs = np.zeros((k, len(bits)), dtype=np.int64)
    for start in range(0, len(bits), _CHUNK):
        part = bits[start : start + _CHUNK]
        exponent, size = _decoded(part)
        offset = exponent - (_UNIT + base * BITS)
        if lowest < _UNIT + base * BITS + BITS and (offset < 0).any():
            # The places below the lowest one that is set are zeros.
            size = size >> np.clip(-offset, 0, 63)
            offset = np.maximum(offset, 0)
        shift = offset & 31
        rest = size >> (BITS - shift)
        sign = np.where(part < 0, np.int64(-1), np.int64(1))
        pieces = (((size << shift) & _LOW) * sign, (rest & _LOW) * sign, (rest >> np.int64(BITS)) * sign)
        if k == len(pieces):
            for row, piece in zip(limbs, pieces, strict=True):
                row[start : start + _CHUNK] = piece
        else:
            limb, at = offset >> 5, np.arange(start, start + len(part))
            for j, piece in enumerate(pieces):
                limbs[limb + j, at] = piece
    return Limbs(base, limbs)


def _decoded(bits: Integers) -> tuple[Integers, Integers]:
    """The biased exponent and the whole mantissa of doubles; subnormal numbers have the smallest normal exponent."""
    exponent = (bits >> np.int64(52)) & np.int64(0x7FF)
    size = (bits & _FRACTION) | np.where(exponent > 0, _FRACTION + 1, np.int64(0))
    return np.maximum(exponent, 1), size


def _places(bits: Integers) -> tuple[int, int]:
    """The lowest place that is set in any number, and the highest exponent of one, both biased alike."""
    lowest, highest = [], []
    for start in range(0, len(bits), _CHUNK):
        exponent, size = _decoded(bits[start : start + _CHUNK])
        some = size != 0
        if not some.all():
            exponent, size = exponent[some], size[some]
        if len(size):
            zeros = ((size & -size).astype(np.float64).view(np.int64) >> np.int64(52)) - 1023
            lowest.append(int((exponent + zeros).min()))
            highest.append(int(exponent.max()))
    return min(lowest, default=_UNIT), max([*lowest, *highest], default=_UNIT)


def of_integers(values: Integers) -> Limbs:
    """Whole numbers of 64 bits."""
    return Limbs(0, np.stack([values & _LOW, values >> np.int64(BITS)]))


def of_words(low: NDArray[np.uint64], high: Integers) -> Limbs:
    """Whole numbers of 128 bits in two's complement."""
    lows = [low & np.uint64(_LOW), low >> np.uint64(BITS)]
    return Limbs(0, np.stack([*(word.astype(np.int64) for word in lows), high & _LOW, high >> np.int64(BITS)]))


def _rounded_short(limbs: Integers, base: int) -> Doubles:
    """`_rounded`, faster where three limbs hold sums that are far from filling them, as they nearly always do."""
    if len(limbs) != 3 or base * BITS < _SAFE_BELOW:
        return _rounded(limbs, base)
    middle = limbs[1] + (limbs[0] >> np.int64(BITS))
    high = limbs[2] + (middle >> np.int64(BITS))
    if (np.abs(high) >= _SHORT).any():
        return _rounded(limbs, base)
    word = ((middle & _LOW) << np.int64(BITS)) | (limbs[0] & _LOW)  # 64 bits, read as signed: the carry is in `high`
    high -= word >> np.int64(63)
    # high * 2**64 + word, both exact as sums of two doubles; all errors are kept, so only the last line rounds
    # (two-sum: Knuth, The Art of Computer Programming, volume 2, 4.2.2, theorem B).
    large = high.astype(np.float64) * 2.0**64
    small = word.astype(np.float64)
    is_past = small == 2.0**63
    small = np.where(is_past, 2.0**63 - 1024, small)
    rest = (word - small.astype(np.int64)).astype(np.float64)
    total = large + small
    virtual = total - large
    error = (large - (total - virtual)) + (small - virtual)
    with np.errstate(over="ignore"):
        rounded: Doubles = np.ldexp(total + (error + rest), base * BITS)
    return rounded


def _rounded(limbs: Integers, base: int) -> Doubles:
    carried, is_negative = Limbs(base, limbs)._magnitudes()
    top = np.full(carried.shape[1], -1, dtype=np.int64)
    for j, limb in enumerate(carried):
        top[limb != 0] = j
    result = np.zeros(carried.shape[1], dtype=np.float64)
    columns = np.flatnonzero(top >= 0)
    if len(columns):
        result[columns] = _rounded_magnitudes(carried[:, columns], top[columns], base)
    np.negative(result, out=result, where=is_negative & (result != 0))
    return result


def _rounded_magnitudes(limbs: Integers, top: Integers, base: int) -> Doubles:
    """Magnitudes as doubles. ``top``: the highest limb of each that is not zero."""
    at = np.arange(limbs.shape[1])

    def limb(below: int) -> NDArray[np.uint64]:
        place = top - below
        return np.where(place >= 0, limbs[np.maximum(place, 0), at], 0).astype(np.uint64)

    first, second, third = limb(0), limb(1), limb(2)
    # The highest 64 bits, from the first one that is set; what lies below them only says whether a tie is one.
    width = np.frexp(first.astype(np.float64))[1].astype(np.uint64)  # exact: first has at most 32 bits
    up = np.uint64(BITS) - width
    word = (((first << np.uint64(BITS)) | second) << up) | (third >> width)
    is_more = (third & ((np.uint64(1) << width) - np.uint64(1))) != 0
    for j in range(limbs.shape[0] - 3):
        is_more |= (limbs[j] != 0) & (j < top - 2)
    word |= is_more.astype(np.uint64)
    exponent = (base + top - 1) * BITS - up.astype(np.int64)
    with np.errstate(over="ignore"):
        # Sums of doubles are multiples of the smallest one, so a subnormal result is exact and is not rounded twice.
        rounded: Doubles = np.ldexp(word.astype(np.float64), exponent.astype(np.int32))
        return rounded
