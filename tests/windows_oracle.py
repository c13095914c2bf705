"""Windowed features by brute force, in plain Python: for each boundary, all events of the window are looked at again.

Shares no code with the engine. Sums are exact fractions, rounded once.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any


@dataclass(frozen=True)
class Event:
    """What happened to an entity: a value of each column, None where it has none."""

    entity: Hashable
    at: datetime
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Feature:
    """A function of a column over the ``length`` before ``shift`` before a boundary; no length: all before."""

    column: str
    function: str
    length: timedelta | None
    shift: timedelta = timedelta(0)


Row = tuple[Any, ...]


def rows_at_changes(
    events: Sequence[Event], features: Sequence[Feature], boundaries: Sequence[datetime]
) -> dict[tuple[Hashable, datetime], Row]:
    """The rows at the boundaries at which an entity's values differ from those at the boundary before."""
    rows: dict[tuple[Hashable, datetime], Row] = {}
    nothing = tuple(0 if feature.function in ("count", "count_distinct") else None for feature in features)
    for entity in {event.entity for event in events}:
        before = nothing
        for boundary in boundaries:
            now = tuple(_value(events, entity, feature, boundary) for feature in features)
            if now != before:
                rows[entity, boundary] = now
            before = now
    return rows


def _value(events: Sequence[Event], entity: Hashable, feature: Feature, boundary: datetime) -> Any:
    found = sorted(_within(events, entity, feature, boundary))
    return FUNCTIONS[feature.function]([value for _, value in found])


def _within(
    events: Sequence[Event], entity: Hashable, feature: Feature, boundary: datetime
) -> Iterator[tuple[datetime, Any]]:
    end = boundary - feature.shift
    for event in events:
        value = event.values[feature.column]
        is_after = feature.length is None or event.at >= end - feature.length
        if event.entity == entity and value is not None and event.at < end and is_after:
            yield event.at, value


def _sum(values: list[Any]) -> Any:
    if not values:
        return None
    total = sum(map(Fraction, values))
    if isinstance(values[0], float):
        return float(total)
    return int(total) if isinstance(values[0], int) else sum(values, Decimal(0))


def _mean(values: list[Any]) -> float | None:
    return float(sum(map(Fraction, values))) / len(values) if values else None


def _variance(values: list[Any]) -> float | None:
    if len(values) < 2:
        return None
    doubles = [Fraction(float(value)) for value in values]
    mean = sum(doubles) / len(doubles)
    return float(sum((value - mean) ** 2 for value in doubles) / (len(doubles) - 1))


def _stddev(values: list[Any]) -> float | None:
    variance = _variance(values)
    return None if variance is None else math.sqrt(variance)


FUNCTIONS: Mapping[str, Any] = {
    "count": len,
    "sum": _sum,
    "mean": _mean,
    "min": lambda values: min(values, default=None),
    "max": lambda values: max(values, default=None),
    "variance": _variance,
    "stddev": _stddev,
    "count_distinct": lambda values: len(set(values)),
    "first": lambda values: values[0] if values else None,
    "last": lambda values: values[-1] if values else None,
    "any": lambda values: any(values) if values else None,
    "all": lambda values: all(values) if values else None,
}
