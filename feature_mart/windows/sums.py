"""Exact sums as tiles keep them, and of any stretch of tiles."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pyarrow as pa

from feature_mart.columns.arrow import Array, Doubles, Flags, Integers, column, decimal_words, doubles, integers, lists
from feature_mart.windows.exact_sums import Limbs, of_doubles, of_integers, of_words

_SPLIT = float((1 << 27) + 1)
_LARGEST_SQUARED = 2.0**500  # beyond it the parts of a square overflow, and the square counts as infinite
_MOST_HIGH, _MOST_LOW = np.int64((10**38 - 1) >> 64), np.uint64((10**38 - 1) & (2**64 - 1))
_NEAR_HALF = 2.0**-20
_CANCELS = 2.0**-30  # a difference so small beside what it is of has lost digits, and is worked out in whole numbers


def whole_type(kind: pa.DataType) -> pa.DataType:
    """The type in which tiles keep sums of whole numbers or decimals."""
    return pa.decimal128(38, kind.scale if pa.types.is_decimal(kind) else 0)


def expansions_of(values: Array, starts: Integers, *, squared: bool = False) -> Array:
    """The sum of each run of doubles as a list of doubles whose exact sum it is, the nearest one first.

    A run with an infinite value is kept as the infinities in it.
    """
    numbers = doubles(values)
    errors = None
    if squared:
        numbers = np.where(np.abs(numbers) > _LARGEST_SQUARED, np.inf, numbers)
        numbers, errors = _squares(numbers)
    is_finite = np.isfinite(numbers)
    limbs = of_doubles(np.where(is_finite, numbers, 0.0)).grouped(starts)
    if errors is not None:
        limbs = limbs.plus(of_doubles(errors).grouped(starts))
    counts, parts = limbs.to_expansions()
    if not is_finite.all():
        counts, parts = _with_infinities(counts, parts, numbers, starts)
    return lists(np.cumsum(counts), column(parts))


def _squares(numbers: Doubles) -> tuple[Doubles, Doubles]:
    """Squares, and what their rounding left out (Dekker, "A floating-point technique", 1971)."""
    with np.errstate(invalid="ignore"):
        square = numbers * numbers
        wide = numbers * _SPLIT
        high = wide - (wide - numbers)
        low = numbers - high
        error = ((high * high - square) + 2.0 * high * low) + low * low
    return square, np.where(np.isfinite(square), error, 0.0)


def _with_infinities(counts: Integers, parts: Doubles, numbers: Doubles, starts: Integers) -> tuple[Integers, Doubles]:
    found = [np.logical_or.reduceat(numbers == infinity, starts) for infinity in (np.inf, -np.inf)]
    lists = np.split(parts, np.cumsum(counts)[:-1])
    for at in np.flatnonzero(found[0] | found[1]):
        lists[at] = np.array([value for flags, value in zip(found, (np.inf, -np.inf), strict=True) if flags[at]])
    return np.array([len(part) for part in lists], dtype=np.int64), np.concatenate(lists)


def wholes_of(values: Array, starts: Integers) -> Array:
    """The sum of each run of whole numbers or decimals."""
    limbs = _limbs_of_wholes(values).grouped(starts)
    sums, too_large = _decimals(limbs, whole_type(values.type))
    if too_large.any():
        raise OverflowError("the sum of one slice has more than 38 digits")
    return sums


@dataclass(frozen=True)
class ExactSums:
    """Running sums over tiles. ``infinities``: running counts of positive and negative ones, where there are any."""

    limbs: Limbs
    kind: pa.DataType
    infinities: tuple[Integers, Integers] | None = None

    @classmethod
    def running(cls, column: Array) -> ExactSums:
        """From a tile column, one value per tile."""
        if not pa.types.is_list(column.type):
            return cls(_limbs_of_wholes(column).running(), column.type)
        parts = doubles(column.flatten())
        is_finite = np.isfinite(parts)
        ends = column.offsets.to_numpy()
        running = of_doubles(np.where(is_finite, parts, 0.0)).running()
        sums = Limbs(running.base, running.limbs[:, ends - ends[0]])
        if is_finite.all():
            return cls(sums, column.type)
        counted = [np.concatenate([[0], np.cumsum(parts == value)])[ends - ends[0]] for value in (np.inf, -np.inf)]
        return cls(sums, column.type, (counted[0], counted[1]))

    def doubles(self, low: Integers, high: Integers) -> Doubles:
        """The sum of tiles ``low`` to ``high`` - 1, as the nearest double."""
        result = self.limbs.between(low, high).to_doubles()
        if pa.types.is_decimal(self.kind) and self.kind.scale:
            result = _scaled(result, self.limbs.between(low, high), self.kind.scale)
        if self.infinities is None:
            return result
        above, below = (counts[high] > counts[low] for counts in self.infinities)
        result[above] = np.inf
        result[below] = -np.inf
        result[above & below] = np.nan
        return result

    def wholes(self, low: Integers, high: Integers) -> tuple[Array, Flags]:
        """The sums as decimals of 38 digits, and which ones do not fit."""
        return _decimals(self.limbs.between(low, high), self.kind)

    def integers(self, low: Integers, high: Integers) -> tuple[Integers, Flags]:
        """The sums as int64, and which ones do not fit."""
        return self.limbs.between(low, high).to_integers()


def variances(count: Integers, total: ExactSums, squares: ExactSums, low: Integers, high: Integers) -> Doubles:
    """Sample variances: (n Σx² − (Σx)²) / (n (n − 1)); NaN with fewer than two values, or with infinite ones.

    In twice the precision of doubles from the exact sums, so that only the last step rounds; where the two terms all
    but cancel, or the result is all but half way between two doubles, in whole numbers.
    """
    sums, sums_rest = _pair(total.limbs.between(low, high))
    power, power_rest = _pair(squares.limbs.between(low, high))
    number = count.astype(np.float64)
    with np.errstate(all="ignore"):
        first, first_rest = _product(number, power)
        second, second_rest = _product(sums, sums)
        rest = (first_rest + number * power_rest) - (second_rest + 2.0 * sums * sums_rest)
        difference, difference_rest = _added(first, -second, rest)
        result, is_unsure = _quotient(difference, difference_rest, number * (number - 1.0))
    result[count < 2] = np.nan
    is_unsure |= ~(np.abs(difference) > _CANCELS * first)
    for at in np.flatnonzero((count >= 2) & is_unsure):
        spread = _exactly(count[at], total.limbs, squares.limbs, low[at], high[at])
        result[at] = float(spread)
    for sums_of in (total, squares):
        if sums_of.infinities is not None:
            for counts in sums_of.infinities:
                result[counts[high] > counts[low]] = np.nan
    return result


def _exactly(count: int, total: Limbs, squares: Limbs, low: int, high: int) -> Fraction:
    number = int(count)
    summed, power = _fraction(total, low, high), _fraction(squares, low, high)
    return (number * power - summed * summed) / (number * (number - 1))


def _fraction(sums: Limbs, low: int, high: int) -> Fraction:
    limbs = (sums.limbs[:, high] - sums.limbs[:, low]).tolist()
    whole = sum(limb << (32 * j) for j, limb in enumerate(limbs))
    return Fraction(whole) * Fraction(2) ** (32 * sums.base)


def _pair(limbs: Limbs) -> tuple[Doubles, Doubles]:
    nearest = limbs.to_doubles()
    return nearest, limbs.minus(of_doubles(np.where(np.isfinite(nearest), nearest, 0.0))).to_doubles()


def _product(left: Doubles, right: Doubles) -> tuple[Doubles, Doubles]:
    """Products, and what their rounding left out (Dekker 1971)."""
    product = left * right
    halves = []
    for factor in (left, right):
        wide = factor * _SPLIT
        high = wide - (wide - factor)
        halves.append((high, factor - high))
    (a, b), (c, d) = halves
    return product, ((a * c - product) + a * d + b * c) + b * d


def _added(left: Doubles, right: Doubles, rest: Doubles) -> tuple[Doubles, Doubles]:
    """Sums, and what their rounding left out (two-sum: Knuth, The Art of Computer Programming, volume 2, 4.2.2)."""
    total = left + right
    virtual = total - left
    left_out = (left - (total - virtual)) + (right - virtual) + rest
    nearest = total + left_out
    return nearest, (total - nearest) + left_out


def _quotient(value: Doubles, rest: Doubles, divisor: Doubles) -> tuple[Doubles, Flags]:
    """(value + rest) / divisor, rounded once, and where twice the precision may not tell which way.

    The first quotient is mended by what it leaves.
    """
    first = value / divisor
    back, back_rest = _product(first, divisor)
    left = ((value - back) - back_rest) + rest
    places = np.abs(left / divisor / np.spacing(first)) % 1.0
    is_unsure: Flags = np.abs(places - 0.5) < _NEAR_HALF
    return np.where(np.isfinite(left), first + left / divisor, first), is_unsure


def _scaled(rounded: Doubles, sums: Limbs, scale: int) -> Doubles:
    """Whole numbers of 10**-scale as doubles, rounded once."""
    exact = np.abs(rounded) <= 2.0**53
    if scale <= 22 and exact.all():
        return rounded / 10.0**scale  # both are exact, so the division is the only rounding
    unit = Fraction(1, 10**scale)
    return np.array([float(_whole(sums, at) * unit) for at in range(len(rounded))])


def _whole(sums: Limbs, at: int) -> int:
    return sum(limb << (32 * (sums.base + j)) for j, limb in enumerate(sums.limbs[:, at].tolist()))


def _limbs_of_wholes(values: Array) -> Limbs:
    if pa.types.is_decimal(values.type):
        low, high = decimal_words(values)
        return of_words(low.view(np.uint64), high)
    return of_integers(integers(values))


def _decimals(limbs: Limbs, kind: pa.DataType) -> tuple[Array, Flags]:
    """Whole numbers as decimals of 38 digits, and which ones have more; those are 0."""
    low, high, too_large = limbs.to_words()
    is_negative = high < 0
    size = np.where(is_negative, ~high, high)
    rest = np.where(is_negative, ~low, low)
    too_large |= (size > _MOST_HIGH) | ((size == _MOST_HIGH) & (rest > _MOST_LOW))
    words = np.empty(2 * len(low), dtype=np.int64)
    words[::2] = np.where(too_large, 0, low.view(np.int64))
    words[1::2] = np.where(too_large, 0, high)
    return pa.Array.from_buffers(kind, len(low), [None, pa.py_buffer(words.tobytes())]), too_large
