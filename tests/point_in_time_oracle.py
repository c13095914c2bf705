"""The point-in-time join by brute force, in plain Python: each spine row looks at all feature rows.

Shares no code with the engine. Instants and durations are whole microseconds, which Python's integers hold at any size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cmp_to_key
from typing import Any

Row = Mapping[str, Any]


@dataclass(frozen=True)
class View:
    """How the rows of a view are found. ``available_after``: None means from the created timestamp on."""

    keys: Sequence[str]
    event: str | None
    created: str | None
    available_after: int | None = 0
    ttl: int | None = None


@dataclass(frozen=True)
class Found:
    """The row that counts, whether there was one that is too old, and whether values had to decide."""

    row: Row | None = None
    is_expired: bool = False
    is_tied: bool = False


def as_of(keys: Sequence[Any], time: int | None, rows: Sequence[Row], view: View) -> Found:
    """What one spine row finds."""
    mine = [row for row in rows if _is_same(keys, [row[name] for name in view.keys])]
    if view.event is not None:
        if time is None:
            return Found()
        mine = [row for row in mine if _is_available(row, time, view)]
    if not mine:
        return Found()
    best = mine[0]
    for row in mine[1:]:
        best = row if _compare_rows(row, best, view) > 0 else best
    if view.event is not None and view.ttl is not None and time is not None and best[view.event] < time - view.ttl:
        return Found(is_expired=True)
    return Found(best, is_tied=sum(_compare_times(row, best, view) == 0 for row in mine) > 1)


def latest(rows: Sequence[Row], view: View, until: int | None) -> list[Row]:
    """The latest row of each combination of keys, in their order."""
    found: list[Row] = []
    for row in rows:
        keys = [row[name] for name in view.keys]
        if any(_is_same(keys, [other[name] for name in view.keys]) for other in found):
            continue
        time = 10**30 if until is None else until
        best = as_of(keys, time, rows, View(view.keys, view.event, view.created)).row
        if best is not None:
            found.append(best)

    def by_keys(left: Row, right: Row) -> int:
        return _first(
            0 if _is_same([left[k]], [right[k]]) else _compare(_key(left[k]), _key(right[k])) for k in view.keys
        )

    return sorted(found, key=cmp_to_key(by_keys))


def ties(rows: Sequence[Row], view: View) -> int:
    """How many rows have a row before them that keys and times do not tell apart."""
    found = 0
    for number, row in enumerate(rows):
        if view.event is not None and row[view.event] is None:
            continue
        keys = [row[name] for name in view.keys]
        before = [other for other in rows[:number] if _is_same(keys, [other[name] for name in view.keys])]
        if view.event is not None:
            before = [other for other in before if other[view.event] is not None]
        found += any(_compare_times(row, other, view) == 0 for other in before)
    return found


def number_of(row: Row | None, rows: Sequence[Row]) -> int:
    """The first of the rows that is like this one in every value, bit by bit; −1 for none."""
    if row is None:
        return -1
    return next(number for number, other in enumerate(rows) if not _first(_compare(row[k], other[k]) for k in row))


def _is_available(row: Row, time: int, view: View) -> bool:
    assert view.event is not None
    event = row[view.event]
    if event is None:
        return False
    if view.available_after is not None:
        return bool(event + view.available_after <= time)
    assert view.created is not None
    created = row[view.created]
    return created is not None and created <= time


def _is_same(left: Sequence[Any], right: Sequence[Any]) -> bool:
    return all(
        a is not None and b is not None and (a == b or (_is_nan(a) and _is_nan(b)))
        for a, b in zip(left, right, strict=True)
    )


def _compare_times(left: Row, right: Row, view: View) -> int:
    return _first(_compare(left[name], right[name]) for name in (view.event, view.created) if name is not None)


def _compare_rows(left: Row, right: Row, view: View) -> int:
    return _compare_times(left, right, view) or _first(_compare(left[name], right[name]) for name in sorted(left))


def _compare(left: Any, right: Any) -> int:
    """Less than 0, 0 or greater: nothing is lowest, then NaN of negative sign; −0.0 is less than 0.0; NaN greatest."""
    if left is None or right is None:
        return (left is not None) - (right is not None)
    if isinstance(left, dict):
        return _first(_compare(left[name], right[name]) for name in sorted(left))
    if isinstance(left, list | tuple):
        pairs = zip(left, right, strict=False)
        return _first(_compare(a, b) for a, b in pairs) or len(left) - len(right)
    if isinstance(left, float):
        left, right = _in_order(left), _in_order(right)
    return int(left > right) - int(left < right)


def _in_order(number: float) -> tuple[float, float, float]:
    sign = math.copysign(1, number)
    return (sign, 0, 0) if math.isnan(number) else (0, number, sign)


def _first(compared: Any) -> int:
    return next((result for result in compared if result), 0)


def _key(value: Any) -> Any:
    return math.nan if _is_nan(value) else value


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
