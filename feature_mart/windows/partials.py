"""Partial aggregates: what a tile keeps of a series, and how windows are put together from it.

A partial is made of the events of many tiles at once, and read back from the tiles of many entities at once. To add
one, write a class and its line in `PARTIALS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa

from feature_mart.columns.arrow import Array, Integers, column, integers, lists, picked
from feature_mart.columns.codes import Coded, coded
from feature_mart.windows.sums import ExactSums, expansions_of, whole_type, wholes_of


@dataclass(frozen=True)
class Runs:
    """The events of one series that have a value, those of a tile together and in the order of time.

    ``starts``: where each tile's events begin; ``values``: their values.
    """

    starts: Integers
    values: Array

    @property
    def owners(self) -> Integers:
        """The tile of each event, counted from 0."""
        marks = np.zeros(len(self.values), dtype=np.int64)
        marks[self.starts[1:]] = 1
        return np.cumsum(marks)

    @property
    def ends(self) -> Integers:
        """Where each tile's events end."""
        return np.append(self.starts, len(self.values))[1:]


class Partial(Protocol):
    """One kind of partial aggregate."""

    def tile_type(self, kind: pa.DataType) -> pa.DataType:
        """The type of the tile's column for a series of the type ``kind``."""

    def make(self, runs: Runs) -> Array:
        """One value for each tile."""

    def load(self, tiles: Array, keys: Integers, stride: int) -> object:
        """What functions look windows up in. ``keys``: entity * stride + slice of each tile, ascending."""


class _Count:
    def tile_type(self, kind: pa.DataType) -> pa.DataType:
        return pa.int64()

    def make(self, runs: Runs) -> Array:
        return column(runs.ends - runs.starts)

    def load(self, tiles: Array, keys: Integers, stride: int) -> Integers:
        """Running counts: of no tile, of the first, of the first two, …"""
        return np.concatenate([[0], np.cumsum(integers(tiles))]).astype(np.int64)


class _Trues(_Count):
    def make(self, runs: Runs) -> Array:
        flags = integers(runs.values)
        return column(np.add.reduceat(flags, runs.starts) if len(runs.starts) else flags)


class _Sum:
    def tile_type(self, kind: pa.DataType) -> pa.DataType:
        return pa.list_(pa.float64()) if pa.types.is_floating(kind) else whole_type(kind)

    def make(self, runs: Runs) -> Array:
        if pa.types.is_floating(runs.values.type):
            return expansions_of(runs.values, runs.starts)
        return wholes_of(runs.values, runs.starts)

    def load(self, tiles: Array, keys: Integers, stride: int) -> ExactSums:
        return ExactSums.running(tiles)


class _Squares(_Sum):
    """Squares of doubles; those of other numbers are the squares of the doubles next to them."""

    def tile_type(self, kind: pa.DataType) -> pa.DataType:
        return pa.list_(pa.float64())

    def make(self, runs: Runs) -> Array:
        return expansions_of(runs.values, runs.starts, squared=True)


class _Doubled(_Sum):
    """Sums of the doubles next to the values: what belongs to `_Squares`."""

    def tile_type(self, kind: pa.DataType) -> pa.DataType:
        return pa.list_(pa.float64())

    def make(self, runs: Runs) -> Array:
        return expansions_of(runs.values, runs.starts)


@dataclass(frozen=True)
class RangeExtremes:
    """The least code of any stretch of tiles, from two overlapping stretches whose lengths are powers of two.

    (The sparse table of Bender and Farach-Colton, "The LCA Problem Revisited", 2000.)
    """

    column: Coded
    is_maximum: bool

    def between(self, low: Integers, high: Integers) -> Integers:
        """The extreme code of tiles ``low`` to ``high`` - 1; 0 where there are none."""
        result = np.zeros(len(low), dtype=np.int64)
        length = high - low
        level = np.frexp(length.astype(np.float64))[1] - 1
        better = np.maximum if self.is_maximum else np.minimum
        table = self.column.codes
        for step in range(int(level.max(initial=-1)) + 1):
            if step:
                half = 1 << (step - 1)
                table = better(table[:-half], table[half:])
            at = np.flatnonzero(level == step)
            if len(at):
                result[at] = better(table.take(low[at]), table.take(high[at] - (1 << step)))
        return result


@dataclass(frozen=True)
class _Extreme:
    is_maximum: bool

    def tile_type(self, kind: pa.DataType) -> pa.DataType:
        return kind

    def make(self, runs: Runs) -> Array:
        found = coded(runs.values)
        best = np.maximum if self.is_maximum else np.minimum
        codes = best.reduceat(found.codes, runs.starts) if len(runs.starts) else found.codes
        return found.decode(codes, np.zeros(len(codes), dtype=np.bool_))

    def load(self, tiles: Array, keys: Integers, stride: int) -> RangeExtremes:
        return RangeExtremes(coded(tiles), self.is_maximum)


@dataclass(frozen=True)
class _End:
    is_last: bool

    def tile_type(self, kind: pa.DataType) -> pa.DataType:
        return kind

    def make(self, runs: Runs) -> Array:
        return picked(runs.values, runs.ends - 1 if self.is_last else runs.starts)

    def load(self, tiles: Array, keys: Integers, stride: int) -> Array:
        return tiles


@dataclass(frozen=True)
class Occurrences:
    """In which slices each value of an entity occurs: their ``keys`` in order, and of the ``following`` one with it."""

    keys: Integers
    following: Integers
    stride: int

    def between(self, high: Integers, length: int | None) -> Integers:
        """How many different values there are in the ``length`` slices before each slice of ``high``, given as keys.

        A value is counted from its slice on until the next one that has it, or until it has left the window.
        """
        entered = np.searchsorted(self.keys, high, side="left")
        leaving = self.following if length is None else np.minimum(self.keys + length, self.following)
        left = np.searchsorted(np.sort(leaving), high, side="left")
        return entered - left


class _Distinct:
    def tile_type(self, kind: pa.DataType) -> pa.DataType:
        return pa.list_(kind)

    def make(self, runs: Runs) -> Array:
        found, owners = coded(runs.values), runs.owners
        order = np.lexsort((found.codes, owners))
        codes, owners = found.codes[order], owners[order]
        is_new = np.ones(len(codes), dtype=np.bool_)
        is_new[1:] = (codes[1:] != codes[:-1]) | (owners[1:] != owners[:-1])
        codes, owners = codes[is_new], owners[is_new]
        ends = np.searchsorted(owners, np.arange(1, len(runs.starts) + 1))
        return lists(ends, found.decode(codes, np.zeros(len(codes), dtype=np.bool_)))

    def load(self, tiles: Array, keys: Integers, stride: int) -> Occurrences:
        codes = coded(tiles.flatten()).codes
        at = np.repeat(keys, np.diff(integers(tiles.offsets)))
        entity = at // stride
        order = np.lexsort((at, codes, entity))
        at, codes, entity = at[order], codes[order], entity[order]
        following = (entity + 1) * stride - 1  # the entity's last key: every value has left by then
        is_same = (codes[1:] == codes[:-1]) & (entity[1:] == entity[:-1])
        following[:-1][is_same] = at[1:][is_same]
        by_slice = np.argsort(at, kind="stable")
        return Occurrences(at[by_slice], following[by_slice], stride)


PARTIALS: Mapping[str, Partial] = {
    "count": _Count(),
    "trues": _Trues(),
    "sum": _Sum(),
    "doubled": _Doubled(),
    "squares": _Squares(),
    "minimum": _Extreme(is_maximum=False),
    "maximum": _Extreme(is_maximum=True),
    "first": _End(is_last=False),
    "last": _End(is_last=True),
    "distinct": _Distinct(),
}
