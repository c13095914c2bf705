"""What a windowed view computes, in plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

from feature_mart.windows.functions import FUNCTIONS


@dataclass(frozen=True)
class Window:
    """A stretch of time before a boundary T: [T - shift - length, T - shift); with no ``length``, all before.

    ``written`` is how the files write it, as outputs are called after that: 7d is not called 1w.
    """

    length: timedelta | None
    shift: timedelta
    written: str


@dataclass(frozen=True)
class Series:
    """The events of one column: all, or those for which ``where`` holds. ``name`` is alike wherever these are."""

    input: str
    where: str | None
    name: str


@dataclass(frozen=True)
class Aggregation:
    """One output: a function of a series over a window."""

    name: str
    series: Series
    function: str
    window: Window


@dataclass(frozen=True)
class Windows:
    """The outputs of a windowed view, and the distance of its boundaries.

    ``created``: the input's column by which events of one moment are told apart, where it has one.
    """

    every: timedelta
    aggregations: tuple[Aggregation, ...]
    created: str | None = None

    @cached_property
    def series(self) -> Mapping[Series, tuple[str, ...]]:
        """Each series with the partial aggregates that its functions need, all in a stable order."""
        needed: dict[Series, set[str]] = {}
        for aggregation in self.aggregations:
            needed.setdefault(aggregation.series, {"count"}).update(FUNCTIONS[aggregation.function].partials)
        ordered = sorted(needed, key=lambda series: series.name)
        return {series: tuple(sorted(needed[series])) for series in ordered}

    @property
    def reach(self) -> timedelta | None:
        """How long an event can have a part in a row at most; None where that is for ever."""
        lengths = [entry.window for entry in self.aggregations]
        if any(window.length is None for window in lengths):
            return None
        return max(window.shift + window.length for window in lengths if window.length is not None)
