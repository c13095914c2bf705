"""Tiles become rows: the values of all windows at the boundaries at which any of them changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from feature_mart.columns.arrow import (
    Array,
    Flags,
    Integers,
    boundaries,
    column,
    flags,
    integers,
    known,
    picked,
    plain,
    slices_of,
)
from feature_mart.columns.codes import entity_codes
from feature_mart.records import ANCHOR, MICROSECOND, iso
from feature_mart.windows.functions import FUNCTIONS
from feature_mart.windows.lookup import LoadedSeries, Lookup, SumTooLarge
from feature_mart.windows.tiles import TileColumns
from feature_mart.windows.tiles_names import tile_column

# How many values are worked out at once; an entity's own are never parted.
_VALUES_AT_ONCE = 8_000_000


@dataclass(frozen=True)
class Output:
    """One column of the rows. ``length`` and ``shift`` of its window in slices; no ``length``: all that was before."""

    name: str
    series: str
    function: str
    length: int | None
    shift: int
    kind: pa.DataType


@dataclass(frozen=True)
class Boundaries:
    """The boundaries first to last, counted in slices, for which rows are wanted.

    ``is_start``: nothing is known before the first one, so that each entity with a value gets its row there; else a row
    is there where its values differ from those at the boundary before.
    """

    first: int
    last: int
    is_start: bool


def boundary_number(moment: datetime, columns: TileColumns) -> int:
    """The number of a boundary, counted from `ANCHOR`."""
    return (moment - ANCHOR) // columns.every


def rows_of(
    tiles: pa.Table, columns: TileColumns, outputs: Sequence[Output], wanted: Boundaries, integral: frozenset[str]
) -> Iterator[pa.Table]:
    """The rows at the wanted boundaries, by entity and time, in pieces.

    Args:
        tiles: all tiles of the entities that can have a part in the windows at these boundaries, in any order.
        integral: the series whose values are whole numbers by their type.

    Raises:
        OverflowError: a sum of whole numbers does not fit its type; says of which output, entity and boundary.
    """
    if not tiles.num_rows:
        return
    entities, first_rows = entity_codes([plain(tiles[name]) for name in columns.keys])
    slices = slices_of(tiles[columns.time], columns.step)
    order = np.lexsort((slices, entities))
    entities, slices = entities[order], slices[order]
    tiles = picked(tiles, order)
    keys = picked(tiles.select(list(columns.keys)), np.searchsorted(entities, np.arange(len(first_rows))))
    width = wanted.last - wanted.first + 2
    at_once = max(1, _VALUES_AT_ONCE // (width * (len(outputs) + 2)))
    for begin in range(0, len(first_rows), at_once):
        end = min(begin + at_once, len(first_rows))
        low, high = np.searchsorted(entities, [begin, end])
        block = _Block(
            keys.slice(begin, end - begin),
            entities[low:high] - begin,
            slices[low:high],
            tiles.slice(low, high - low),
            columns,
            wanted,
            integral,
        )
        yield block.rows(outputs)


@dataclass(frozen=True)
class _Block:
    """Some entities, with all their tiles in order."""

    keys: pa.Table
    entities: Integers
    slices: Integers
    tiles: pa.Table
    columns: TileColumns
    wanted: Boundaries
    integral: frozenset[str]

    def rows(self, outputs: Sequence[Output]) -> pa.Table:
        loaded = self._load({output.series for output in outputs})
        entity, boundary = self._candidates(outputs, loaded)
        lookups: dict[tuple[str, int | None, int], Lookup] = {}
        results = []
        for output in outputs:
            window = (output.series, output.length, output.shift)
            if window not in lookups:
                lookups[window] = self._lookup(loaded[output.series], output.length, output.shift, entity, boundary)
            results.append(self._values(output, lookups[window], entity, boundary))
        kept = np.flatnonzero(self._differs(outputs, results, entity, boundary))
        arrays = [
            *(picked(self.keys[name], entity[kept]) for name in self.columns.keys),
            boundaries(boundary[kept], self.columns.step),
            *(picked(result, kept) for result in results),
        ]
        names = [*self.columns.keys, self.columns.time, *(output.name for output in outputs)]
        return pa.Table.from_arrays(arrays, names=names)

    @property
    def _origin(self) -> int:
        return min(int(self.slices.min()), self.wanted.first - 1)

    @property
    def _stride(self) -> int:
        return max(int(self.slices.max()), self.wanted.last) - self._origin + 2

    def _load(self, names: set[str]) -> Mapping[str, LoadedSeries]:
        keys = self.entities * np.int64(self._stride) + (self.slices - self._origin)
        loaded = {}
        for name in sorted(names):
            counts = plain(self.tiles[tile_column(name, "count")])
            some = integers(counts.fill_null(0)) > 0
            has_values = column(some)
            columns = {
                partial: plain(self.tiles[tile_column(name, partial)]).filter(has_values)
                for partial in self.columns.series[name]
            }
            loaded[name] = LoadedSeries(keys[some], self._stride, name in self.integral, columns)
        return loaded

    def _candidates(self, outputs: Sequence[Output], loaded: Mapping[str, LoadedSeries]) -> tuple[Integers, Integers]:
        """The boundaries of each entity at which a tile enters or leaves a window: nothing changes at others."""
        before = 0 if self.wanted.is_start else 1
        first, width = self.wanted.first - before, self.wanted.last - self.wanted.first + 1 + before
        grid = np.zeros((len(self.keys), width), dtype=np.bool_)
        grid[:, 0] = True
        edges = {
            (output.series, offset)
            for output in outputs
            for offset in (
                output.shift + 1,
                *(() if output.length is None else (output.shift + output.length + 1,)),
            )
        }
        for name, offset in sorted(edges):
            entity, slices = np.divmod(loaded[name].keys, np.int64(self._stride))
            at = slices + (self._origin + offset - first)
            inside = (at >= 0) & (at < width)
            grid[entity[inside], at[inside]] = True
        entity, at = np.nonzero(grid)
        return entity, at + first

    def _lookup(
        self, series: LoadedSeries, length: int | None, shift: int, entity: Integers, boundary: Integers
    ) -> Lookup:
        base = entity * np.int64(self._stride)
        end = boundary - (shift + self._origin)
        high_key = base + np.clip(end, 0, self._stride - 1)
        low_key = base if length is None else base + np.clip(end - length, 0, self._stride - 1)
        low, high = (np.searchsorted(series.keys, keys, side="left") for keys in (low_key, high_key))
        return Lookup(series, low, high, high_key, length)

    def _values(self, output: Output, lookup: Lookup, entity: Integers, boundary: Integers) -> Array:
        try:
            return FUNCTIONS[output.function].compute(lookup).cast(output.kind)
        except SumTooLarge as error:
            row = self.keys.slice(int(entity[error.row]), 1).to_pylist()[0]
            moment = ANCHOR + int(boundary[error.row]) * self.columns.step * MICROSECOND
            who = ", ".join(f"{name}={value!r}" for name, value in row.items())
            raise OverflowError(
                f"{output.name} of {who} at {iso(moment)}: the sum does not fit {error.limit}"
            ) from None

    def _differs(
        self, outputs: Sequence[Output], results: Sequence[Array], entity: Integers, boundary: Integers
    ) -> Flags:
        """Where values differ from those before: of the last candidate, or at an entity's first one, of nothing."""
        differs = np.zeros(len(entity), dtype=np.bool_)
        holds = np.zeros(len(entity), dtype=np.bool_)
        for output, result in zip(outputs, results, strict=True):
            differs[1:] |= _unlike(result[1:], result[:-1])
            holds |= _holds_something(result, output.function)
        is_first = np.ones(len(entity), dtype=np.bool_)
        is_first[1:] = entity[1:] != entity[:-1]
        differs[is_first] = holds[is_first]
        return differs if self.wanted.is_start else differs & (boundary >= self.wanted.first)


def _holds_something(result: Array, function: str) -> Flags:
    nothing = FUNCTIONS[function].of_nothing
    return known(result) if nothing is None else integers(result) != nothing


def _unlike(left: Array, right: Array) -> Flags:
    """Where two columns differ; null equals null, and NaN equals NaN."""
    compared: Array = pc.not_equal(left, right)
    differ = flags(compared.fill_null(False))
    if pa.types.is_floating(left.type):
        differ &= ~(_is_nan(left) & _is_nan(right))
    unlike: Flags = differ | (known(left) != known(right))
    return unlike


def _is_nan(values: Array) -> Flags:
    found: Array = pc.is_nan(values)
    return flags(found.fill_null(False))
