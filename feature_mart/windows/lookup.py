"""What functions look up: the values of one series in many windows at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import numpy as np
import pyarrow as pa

from feature_mart.columns.arrow import Array, Flags, Integers, column, picked
from feature_mart.windows.partials import PARTIALS, Occurrences, RangeExtremes
from feature_mart.windows.sums import ExactSums, variances

State = TypeVar("State")


class SumTooLarge(Exception):
    """A sum of whole numbers that its type cannot hold. ``row``: the first of them, by its number."""

    def __init__(self, row: int, limit: str) -> None:
        super().__init__(f"the sum does not fit {limit}")
        self.row = row
        self.limit = limit


@dataclass
class LoadedSeries:
    """The tiles of one series that hold values, in the order of entity and slice.

    ``keys``: entity * stride + slice, ascending; ``columns``: the partial aggregates of those tiles; ``is_integral``:
    whether the values are whole numbers by their type.
    """

    keys: Integers
    stride: int
    is_integral: bool
    columns: Mapping[str, Array]
    _states: dict[str, object] = field(default_factory=dict)

    def state(self, partial: str, kind: type[State]) -> State:
        """What windows are looked up in; made when it is first needed."""
        if partial not in self._states:
            self._states[partial] = PARTIALS[partial].load(self.columns[partial], self.keys, self.stride)
        found = self._states[partial]
        assert isinstance(found, kind)
        return found


@dataclass(frozen=True)
class Lookup:
    """Many windows of one length over one series.

    ``low`` and ``high``: the first tile of each window and the one after its last, by number; ``high_key``: the same
    end as a key; ``length``: in slices, None for all that was before.
    """

    series: LoadedSeries
    low: Integers
    high: Integers
    high_key: Integers
    length: int | None

    @cached_property
    def count(self) -> Integers:
        """How many values each window has."""
        running = self.series.state("count", np.ndarray)
        return running.take(self.high) - running.take(self.low)

    @cached_property
    def is_empty(self) -> Flags:
        """Which windows have no value: only tiles with values are here."""
        return self.low >= self.high

    def array(self, values: np.ndarray, *, null_where_empty: bool = False) -> Array:
        """Results as a column."""
        return column(values, self.is_empty if null_where_empty else None)

    def trues(self) -> Integers:
        """How many of the values are true."""
        running = self.series.state("trues", np.ndarray)
        return running.take(self.high) - running.take(self.low)

    def distinct(self) -> Integers:
        """How many different values each window has."""
        return self.series.state("distinct", Occurrences).between(self.high_key, self.length)

    def extreme(self, which: str) -> Array:
        """The least or the greatest value."""
        found = self.series.state(which, RangeExtremes)
        return found.column.decode(found.between(self.low, self.high), self.is_empty)

    def first(self) -> Array:
        """The first value."""
        return self._tile("first", self.low)

    def last(self) -> Array:
        """The last value."""
        return self._tile("last", self.high - 1)

    def sum(self) -> Array:
        """The sum: of floats as the nearest double, of whole numbers and decimals exactly.

        Raises:
            SumTooLarge: a sum of whole numbers does not fit.
        """
        sums, kind = self.series.state("sum", ExactSums), self.series.columns["sum"].type
        if pa.types.is_list(kind):
            return self.array(sums.doubles(self.low, self.high), null_where_empty=True)
        if self.series.is_integral:
            wholes, too_large = sums.integers(self.low, self.high)
            _refuse(too_large, "bigint, which ends at 9223372036854775807")
            return self.array(wholes, null_where_empty=True)
        decimals, too_large = sums.wholes(self.low, self.high)
        _refuse(too_large, "a decimal of 38 digits")
        return picked(decimals, np.arange(len(decimals)), self.is_empty)

    def mean(self) -> Array:
        """The sum as the nearest double, over the count."""
        count = np.maximum(self.count, 1)
        sums = self.series.state("sum", ExactSums).doubles(self.low, self.high)
        return self.array(sums / count, null_where_empty=True)

    def variance(self, *, root: bool = False) -> Array:
        """The sample's variance, or its root."""
        count = self.count
        total, squares = (self.series.state(name, ExactSums) for name in ("doubled", "squares"))
        result = variances(count, total, squares, self.low, self.high)
        return column(np.sqrt(result) if root else result, count < 2)

    def _tile(self, partial: str, at: Integers) -> Array:
        return picked(self.series.state(partial, pa.Array), at, self.is_empty)


def _refuse(too_large: Flags, limit: str) -> None:
    if too_large.any():
        raise SumTooLarge(int(np.argmax(too_large)), limit)
