"""Which rows are of the same entity: a number for each combination of keys, found again in other rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from feature_mart.columns.arrow import Array, Flags, Integers, column, flags, known
from feature_mart.columns.codes import coded


@dataclass(frozen=True)
class _Level:
    """One key: its distinct values, and the distinct pairs of (number by the keys before it, number of its value)."""

    values: Array
    pairs: Array


@dataclass(frozen=True)
class Entities:
    """The combinations of keys that some rows have, numbered from 0 without gaps.

    Keys are compared one by one and by value, never joined to one text: NaN equals NaN, −0.0 equals 0.0, texts are
    equal if their code points are.
    """

    levels: tuple[_Level, ...]

    @classmethod
    def of(cls, keys: Sequence[Array]) -> Entities:
        """The entities of rows; those with a null among their keys have none. At least one key."""
        keys = _where(_all_known(keys), keys)
        levels: list[_Level] = []
        numbers = np.zeros(len(keys[0]), dtype=np.int64)
        for key in keys:
            values = key.unique()
            pairs = column(numbers * len(values) + _places(key, values)).unique()
            levels.append(_Level(values, pairs))
            numbers = _step(numbers, key, levels[-1])
        return cls(tuple(levels))

    def __len__(self) -> int:
        return len(self.levels[-1].pairs)

    def find(self, keys: Sequence[Array]) -> Integers:
        """The number of each row's entity, −1 where a key is null or the entity is none of these.

        The keys are of the types that the entities were made from.
        """
        is_known = _all_known(keys)
        keys = _where(is_known, keys)
        # Files keep the rows of an entity together: one of each run is looked up.
        heads = _heads(keys)
        numbers = np.zeros(len(heads), dtype=np.int64)
        for key, level in zip(keys, self.levels, strict=True):
            numbers = _step(numbers, key.take(pa.array(heads)), level)
        found = np.full(len(is_known), -1, dtype=np.int64)
        found[is_known] = np.repeat(numbers, np.diff(heads, append=len(keys[0])))
        return found


def _step(numbers: Integers, key: Array, level: _Level) -> Integers:
    """The numbers by one key more, −1 where there is none."""
    values = _places(key, level.values)
    # Where there was none by the keys before, the pair is negative, as none is.
    return _places(column(np.where(values < 0, -1, numbers * len(level.values) + values)), level.pairs)


def _places(values: Array, among: Array) -> Integers:
    """The place of each value among distinct ones, −1 where it is not there."""
    places: Array = pc.index_in(values, value_set=among)
    found: Integers = places.fill_null(-1).to_numpy().astype(np.int64)
    return found


def _heads(keys: Sequence[Array]) -> Integers:
    """Where keys differ from those of the row before."""
    count = len(keys[0])
    is_head = np.zeros(count, dtype=np.bool_)
    is_head[:1] = True
    for key in keys:
        is_head[1:] |= flags(pc.not_equal(key[1:], key[:-1]))
    return np.flatnonzero(is_head)


def _all_known(keys: Sequence[Array]) -> Flags:
    is_known: Flags = np.logical_and.reduce([known(key) for key in keys])
    return is_known


def _where(is_kept: Flags, keys: Sequence[Array]) -> list[Array]:
    """The keys of some rows, such that equal values have equal bits."""
    kept = keys if is_kept.all() else [key.filter(column(is_kept)) for key in keys]
    return [column(coded(key).codes) if pa.types.is_floating(key.type) else key for key in kept]
