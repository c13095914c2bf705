"""Which intervals of a view have to be built: what should be there, less what is there and still true."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from feature_mart.records import Interval, ceil_to, floor_to, merged, moved, without

# In place of a definition's hash: inputs, or the definition, have changed since the range was built. No hash is empty.
OUTDATED = ""


@dataclass(frozen=True)
class Covered:
    """A range of time that a view holds, and the definition that made it (or `OUTDATED`)."""

    interval: Interval
    definition_hash: str

    def to_json(self) -> list[str]:
        """``[start, end, definition hash]``."""
        return [*self.interval.to_json(), self.definition_hash]

    @classmethod
    def from_json(cls, entry: Sequence[Any]) -> Covered:
        """The inverse of `to_json`."""
        return cls(Interval.from_json(entry[:2]), entry[2])


def affected_by(
    changed: Iterable[Interval], *, every: timedelta, lookback: timedelta, lookahead: timedelta
) -> tuple[Interval, ...]:
    """The intervals that input rows in ``changed`` can have a part in.

    A definition run over [start, end) sees inputs from start - lookback up to end + lookahead, so a row at x reaches
    the intervals that touch [x - lookahead, x + lookback].
    """
    return merged(
        Interval(floor_to(moved(span.start, -lookahead), every), ceil_to(moved(span.end, lookback), every))
        for span in changed
    )


def to_build(
    wanted: Interval | None, covered: Iterable[Covered], *, accepted: Iterable[str], affected: Iterable[Interval]
) -> tuple[Interval, ...]:
    """What of ``wanted`` is missing, was made by a definition that is not ``accepted``, or is ``affected``."""
    if wanted is None:
        return ()
    hashes = set(accepted)
    true_still = without((entry.interval for entry in covered if entry.definition_hash in hashes), affected)
    return without([wanted], true_still)


def covered_after(
    covered: Iterable[Covered], *, built: Sequence[Interval], affected: Sequence[Interval], definition_hash: str
) -> tuple[Covered, ...]:
    """What a view holds after ``built`` was committed.

    Ranges that are ``affected`` and this commit did not rebuild are kept as `OUTDATED`: were they left out, a next
    build would find those in the midst missing, but not those at the front, as a view begins where its coverage does.
    """
    gone = [*affected, *built]
    kept = [
        Covered(interval, entry.definition_hash) for entry in covered for interval in without([entry.interval], gone)
    ]
    due = [Covered(interval, OUTDATED) for interval in without(merged(affected), built)]
    new = [Covered(interval, definition_hash) for interval in merged(built)]
    return tuple(_joined(sorted([*kept, *due, *new], key=lambda entry: entry.interval)))


def _joined(entries: Iterable[Covered]) -> list[Covered]:
    result: list[Covered] = []
    for entry in entries:
        last = result[-1] if result else None
        if last and last.definition_hash == entry.definition_hash and last.interval.end == entry.interval.start:
            result[-1] = Covered(Interval(last.interval.start, entry.interval.end), entry.definition_hash)
        else:
            result.append(entry)
    return result


def wanted_range(
    *,
    every: timedelta,
    lookahead: timedelta,
    earliest: datetime | None,
    horizon: datetime,
    covered: Sequence[Covered],
    affected: Iterable[Interval],
    start: datetime | None,
) -> Interval | None:
    """The whole intervals that the view should hold, up to the horizon; None where there is not one.

    They begin with the first input row that can have a part in any, or with what was built before or is affected
    now, or at ``start`` where that is asked for.
    """
    end = floor_to(horizon, every)
    begins = [entry.interval.start for entry in covered] + [span.start for span in affected]
    if start is not None:
        begins = [floor_to(start, every)]
    elif earliest is not None:
        begins.append(floor_to(moved(earliest, -lookahead), every))
    begin = min(begins, default=end)
    if begin < end:
        return Interval(begin, end)
    # A view that has never been built gets its (empty) table all the same, so that others can read it.
    return None if covered else Interval(end - every, end)


def windowed_range(
    *,
    every: timedelta,
    earliest: datetime | None,
    horizon: datetime,
    covered: Sequence[Covered],
    affected: Iterable[Interval],
    start: datetime | None,
) -> Interval | None:
    """The slices whose boundaries a windowed view should hold, joined to those that it holds; None where there is none.

    A slice has its boundary at its end, so that ``start`` itself is one, if it is a boundary.
    """
    end = floor_to(horizon, every)
    have = Interval(covered[0].interval.start, covered[-1].interval.end) if covered else None
    if start is not None:
        begin = moved(ceil_to(start, every), -every)
        if have is not None:
            begin, end = min(begin, have.end), max(end, have.start)
    else:
        begins = [have.start] if have is not None else [] if earliest is None else [floor_to(earliest, every)]
        begin = min([*begins, *(span.start for span in affected)], default=end)
    if begin < end:
        return Interval(begin, end)
    return None if covered else Interval(end - every, end)


def chunks(intervals: Iterable[Interval], length: timedelta | None, every: timedelta) -> list[tuple[Interval, ...]]:
    """Intervals in groups that span at most ``length`` each (rounded down to whole ``every``; at least one)."""
    todo = list(merged(intervals))
    if length is None:
        return [tuple(todo)] if todo else []
    step = max(every, every * (length // every))
    result: list[tuple[Interval, ...]] = []
    for interval in todo:
        start = interval.start
        while start < interval.end:
            end = min(start + step, interval.end)
            result.append((Interval(start, end),))
            start = end
    return result
