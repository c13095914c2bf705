"""Random draws that give the same values on every platform and every Python.

Only ``Random.random()`` is used: its sequence for a seed is promised to stay, while methods such as ``choice`` or
``shuffle`` have changed between versions. For the same reason nothing here takes a logarithm or a power: additions,
multiplications and divisions of floats are exact by IEEE 754, the C library's ``log`` is not the same everywhere.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from random import Random
from typing import Generic, TypeVar

T = TypeVar("T")

STREAMS = ("products", "shoppers", "invoices", "guests", "dirt", "merchants", "cards", "transactions", "fraud")


class Draws:
    """One independent stream of draws; each part of the sample has its own, so that one does not shift another."""

    def __init__(self, seed: int, stream: str) -> None:
        self.random = Random(seed * len(STREAMS) + STREAMS.index(stream)).random

    def below(self, limit: int) -> int:
        """A whole number from 0 to ``limit - 1``."""
        return int(self.random() * limit)

    def between(self, lowest: int, highest: int) -> int:
        """A whole number from ``lowest`` to ``highest``, both included, all alike."""
        return lowest + int(self.random() * (highest - lowest + 1))

    def around(self, mean: float) -> float:
        """A number from 0 to ``2 * mean``, mostly near the mean (triangular)."""
        return mean * (self.random() + self.random())

    def chance(self, share: float) -> bool:
        """True in ``share`` of the draws."""
        return self.random() < share

    def pick(self, values: Sequence[T]) -> T:
        """One of the values, all alike."""
        return values[int(self.random() * len(values))]


class Weighted(Generic[T]):
    """Values that are drawn in proportion to their weights."""

    def __init__(self, weights: Iterable[tuple[T, float]]) -> None:
        pairs = list(weights)
        self.values = [value for value, _ in pairs]
        self.sums = list(accumulate(weight for _, weight in pairs))

    def draw(self, draws: Draws) -> T:
        """One of the values."""
        position = bisect_right(self.sums, draws.random() * self.sums[-1])
        return self.values[min(position, len(self.values) - 1)]
