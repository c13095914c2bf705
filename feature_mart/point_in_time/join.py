"""The point-in-time join, and the latest row of each entity: which feature row belongs to which spine row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import numpy as np
import pyarrow as pa

from feature_mart.columns.arrow import Array, Flags, Integers, known, picked, plain
from feature_mart.columns.codes import entity_codes
from feature_mart.point_in_time.entities import Entities
from feature_mart.point_in_time.order import (
    EARLIEST_MICROS,
    LATEST_MICROS,
    OrderedRows,
    RowColumns,
    by_group_and_time,
    instants_or,
)
from feature_mart.records import EPOCH, MICROSECOND, as_utc


@dataclass(frozen=True)
class Rule:
    """When a feature row counts for a spine row at t.

    ``available_after``: how long after its event timestamp a row is known, or from its created timestamp on; ``ttl``:
    how long before t its event timestamp may lie. Both bounds are inclusive.
    """

    available_after: timedelta | Literal["created_timestamp"] = timedelta(0)
    ttl: timedelta | None = None


@dataclass(frozen=True)
class Spine:
    """Spine rows by their entities, for joins with any number of views that have the same keys.

    ``codes``: the number of each row's entity, −1 where a key is null; ``times``: microseconds since 1970, where
    ``has_time``.
    """

    entities: Entities
    codes: Integers
    times: Integers
    has_time: Flags

    @classmethod
    def of(cls, keys: Sequence[Array], times: Array | None) -> Spine:
        """A spine with at least one key; no times where static views alone are joined."""
        entities = Entities.of(keys)
        codes = entities.find(keys)
        if times is None:
            return cls(entities, codes, np.zeros(len(codes), dtype=np.int64), np.zeros(len(codes), dtype=np.bool_))
        return cls(entities, codes, instants_or(times, 0), known(times))


@dataclass(frozen=True)
class Matches:
    """What the spine rows found; all arrays are as long as the spine.

    ``index``: the number of the feature row, −1 where none counts; ``is_expired``: where one was available but older
    than the ttl; ``is_tied``: where several rows had the same event and created timestamps, and their values decided.
    """

    index: Integers
    is_expired: Flags
    is_tied: Flags


def as_of(spine: Spine, rows: pa.Table, columns: RowColumns, rule: Rule) -> Matches:
    """The one feature row that counts for each spine row.

    It is, of the rows of its keys that are available at its time, the one with the greatest event timestamp; of equal
    ones the greatest created timestamp, null ones lowest; of equal ones what `ties.choose` takes; unless it is older
    than the ttl. A null key or time finds nothing. A static view is joined on keys alone.

    Args:
        rows: in any order; faster where an entity's rows lie together by time. Keys have the spine's types. Ties are
            decided by all columns that are here: give all of the view's where `Matches.is_tied` says there are any.

    Raises:
        ValueError: rows are available from their created timestamp on, and have none.
    """
    is_static = columns.event_timestamp is None
    at_creation = rule.available_after == "created_timestamp" and not is_static
    if at_creation and columns.created_timestamp is None:
        raise ValueError(
            "available_after: created_timestamp needs the name of the created timestamp's column, found none"
        )
    ordered = OrderedRows.of(rows, columns, spine.entities, only_created=at_creation)
    asked = np.flatnonzero((spine.codes >= 0) & (spine.has_time | is_static))
    codes, times = spine.codes[asked], spine.times[asked]
    low, high = ordered.starts[codes], ordered.ends[codes]
    at = high - 1 if is_static else _last_available(ordered, low, high, times, rule)
    is_found = at >= low
    asked, times, at = asked[is_found], times[is_found], at[is_found]
    is_expired = np.zeros(len(spine.codes), dtype=np.bool_)
    if rule.ttl is not None and not is_static:
        is_old = ordered.events[at] < _minus(times, rule.ttl)
        is_expired[asked[is_old]] = True
        asked, at = asked[~is_old], at[~is_old]
    index, is_tied = np.full(len(is_expired), -1, dtype=np.int64), np.zeros_like(is_expired)
    index[asked], is_tied[asked] = ordered.chosen(at)
    return Matches(index, is_expired, is_tied)


def latest(rows: pa.Table, columns: RowColumns, until: datetime | None = None) -> Integers:
    """The latest row of each entity, by its number in the table, in the order of the keys (the first key counts most).

    Of several, the row is chosen as in `as_of`. Rows with a null key or event timestamp are nobody's.

    Args:
        until: the greatest event timestamp that counts; None for any. A static view has none, and gives all its rows.
    """
    return latest_and_ties(rows, columns, until)[0]


def latest_and_ties(rows: pa.Table, columns: RowColumns, until: datetime | None = None) -> tuple[Integers, bool]:
    """`latest`, and whether values had to decide anywhere, for which all of the view's columns must be there."""
    entities = Entities.of(_keys(rows, columns))
    is_bounded = until is not None and columns.event_timestamp is not None
    bound = (as_utc(until) - EPOCH) // MICROSECOND if until is not None and is_bounded else LATEST_MICROS
    ordered = OrderedRows.of(rows, columns, entities, until=bound)
    index, is_tied = ordered.chosen(ordered.ends[ordered.starts < ordered.ends] - 1)
    codes, _ = entity_codes([picked(key, index) for key in _keys(rows, columns)])
    return index[np.argsort(codes)], bool(is_tied.any())


def ties(rows: pa.Table, columns: RowColumns) -> int:
    """How many rows have the keys, event and created timestamp of another, the first of each kind not counted."""
    ordered = OrderedRows.of(rows, columns, Entities.of(_keys(rows, columns)))
    return int(np.count_nonzero(ordered.is_as_before))


def _keys(rows: pa.Table, columns: RowColumns) -> list[Array]:
    return [plain(rows[name]) for name in columns.keys]


def _last_available(ordered: OrderedRows, low: Integers, high: Integers, times: Integers, rule: Rule) -> Integers:
    """The last place in each range whose row is available at a time; less than ``low`` where there is none."""
    if isinstance(rule.available_after, timedelta):
        return _last_not_after(ordered.events, low, high, _minus(times, rule.available_after))
    by_creation = by_group_and_time(ordered.groups, ordered.created)
    at = _last_not_after(ordered.created[by_creation], low, high, times)
    # Of the rows created up to a place the one with the greatest place in order counts. Those of entities before have
    # lesser places, so that nothing has to begin anew with each entity; −1 stands for the place before all.
    return np.append(np.maximum.accumulate(by_creation), -1)[at]


def _last_not_after(values: Integers, low: Integers, high: Integers, bounds: Integers) -> Integers:
    """The last place in each range of ascending values with one not after the bound; low − 1 if there is none."""
    at = low - 1
    step = 1 << int((high - low).max(initial=0)).bit_length() >> 1
    while step:
        ahead = at + step
        is_inside = ahead < high
        at += step * (is_inside & (values[np.where(is_inside, ahead, 0)] <= bounds))
        step >>= 1
    return at


def _minus(times: Integers, span: timedelta) -> Integers:
    """Times moved to the past, no further than int64 goes."""
    micros = min(span // MICROSECOND, LATEST_MICROS)
    return np.maximum(times, EARLIEST_MICROS + micros) - micros
