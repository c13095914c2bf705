"""Facts that steps hand to each other: small, frozen, without behaviour that needs an engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
# Where intervals of every length are counted from: a Monday, so that weeks begin on one.
ANCHOR = datetime(1970, 1, 5, tzinfo=timezone.utc)
EARLIEST = datetime(1, 1, 1, tzinfo=timezone.utc)
LATEST = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=timezone.utc)
MICROSECOND = timedelta(microseconds=1)

Severity = Literal["error", "warn", "quarantine"]


def as_utc(moment: datetime) -> datetime:
    """The same instant in UTC; a moment without a zone is read as UTC."""
    return moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment.astimezone(timezone.utc)


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC with a ``Z``, with microseconds only where there are any."""
    return as_utc(moment).isoformat().replace("+00:00", "Z")


def parse_instant(text: str) -> datetime:
    """A UTC instant from ISO 8601 text (a date, or a date and time; ``Z`` or an offset allowed).

    Raises:
        ValueError: the text is no ISO 8601 date or time.
    """
    normal = text.strip()
    if normal.endswith(("Z", "z")):
        normal = normal[:-1] + "+00:00"
    return as_utc(datetime.fromisoformat(normal))


def moved(moment: datetime, by: timedelta) -> datetime:
    """``moment + by``, or the calendar's first or last moment where that is outside the years 1 to 9999."""
    try:
        return moment + by
    except OverflowError:
        return LATEST if by > timedelta(0) else EARLIEST


def floor_to(moment: datetime, every: timedelta) -> datetime:
    """The last boundary of intervals of length ``every`` (counted from `ANCHOR`) that is not after ``moment``.

    The interval in which the calendar begins is cut off there.
    """
    return moved(moment, -((moment - ANCHOR) % every))


def ceil_to(moment: datetime, every: timedelta) -> datetime:
    """The first boundary of intervals of length ``every`` (counted from `ANCHOR`) that is not before ``moment``.

    The interval in which the calendar ends is cut off there.
    """
    return moved(moment, (ANCHOR - moment) % every)


@dataclass(frozen=True, order=True)
class Interval:
    """The instants from ``start`` (included) to ``end`` (excluded), in UTC."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start >= self.end:
            raise ValueError(f"an interval must end after it starts: {iso(self.start)} to {iso(self.end)}")

    def __str__(self) -> str:
        return f"[{iso(self.start)}, {iso(self.end)})"

    def to_json(self) -> list[str]:
        """``[start, end]`` as ISO 8601 texts."""
        return [iso(self.start), iso(self.end)]

    @classmethod
    def from_json(cls, pair: Iterable[str]) -> Interval:
        """The inverse of `to_json`."""
        start, end = pair
        return cls(parse_instant(start), parse_instant(end))


def spanning(first: int, last: int) -> Interval:
    """The shortest interval that holds two instants, in microseconds since the epoch, as far as the calendar goes."""
    start = min(moved(EPOCH, first * MICROSECOND), LATEST - MICROSECOND)
    return Interval(start, max(moved(EPOCH, (last + 1) * MICROSECOND), start + MICROSECOND))


def merged(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    """The same instants as the fewest intervals: sorted, without overlaps, neighbours joined."""
    result: list[Interval] = []
    for interval in sorted(intervals):
        if result and interval.start <= result[-1].end:
            result[-1] = Interval(result[-1].start, max(result[-1].end, interval.end))
        else:
            result.append(interval)
    return tuple(result)


def without(intervals: Iterable[Interval], removed: Iterable[Interval]) -> tuple[Interval, ...]:
    """What is left of ``intervals`` when the instants of ``removed`` are taken out."""
    left = list(merged(intervals))
    for cut in merged(removed):
        pieces: list[Interval] = []
        for interval in left:
            if interval.start < cut.start:
                pieces.append(Interval(interval.start, min(interval.end, cut.start)))
            if interval.end > cut.end:
                pieces.append(Interval(max(interval.start, cut.end), interval.end))
            if interval.end <= cut.start or interval.start >= cut.end:
                pieces.append(interval)
        left = list(merged(pieces))
    return tuple(left)


@dataclass(frozen=True)
class TableVersion:
    """One version of one Delta table. ``table_id`` tells a table from another made later under the same name."""

    table_id: str
    version: int

    def to_json(self) -> dict[str, Any]:
        """As it stands in a commit's provenance."""
        return {"table_id": self.table_id, "version": self.version}


@dataclass(frozen=True)
class CheckResult:
    """What one check found. ``failed`` counts rows, or is 1 where the rule speaks of the table as a whole."""

    name: str
    severity: Severity
    passed: bool
    failed: int
    message: str
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class CheckReport:
    """The results of all checks of one build of one view, and how many rows it covers."""

    rows: int
    results: tuple[CheckResult, ...] = ()
    quarantined: int = 0

    @property
    def is_publishable(self) -> bool:
        """Whether no check of severity ``error`` failed."""
        return all(result.passed or result.severity != "error" for result in self.results)

    def counts(self) -> dict[str, int]:
        """``passed``, ``warned`` and ``failed``, as the provenance names them."""
        return {
            "passed": sum(result.passed for result in self.results),
            "warned": sum(not result.passed and result.severity != "error" for result in self.results),
            "failed": sum(not result.passed and result.severity == "error" for result in self.results),
        }


@dataclass(frozen=True)
class ForeignChange:
    """A commit by which another program changed a table's rows.

    ``last_good``: the engine's newest version from before such changes, None where there is none.
    """

    version: int
    committed_at: datetime
    operation: str
    last_good: int | None


@dataclass(frozen=True)
class Run:
    """One call of build: what all its commits share."""

    run_id: str
    mart: str
    started_at: datetime
    horizon: datetime
    git_commit: str | None
    git_dirty: bool | None
    engine: str


@dataclass(frozen=True)
class Provenance:
    """What a Delta commit says about itself, as JSON in its ``userMetadata``.

    ``coverage`` lists the ranges that an interval view holds after this commit, each with the hash of the definition
    that made it (empty where it is to be built again); ``definition`` is the text behind ``definition_hash``, so
    that a commit made from a dirty work tree explains itself too.
    """

    run: Run
    pipeline: str | None
    feature_view: str
    definition_hash: str | None
    intervals: tuple[Interval, ...] | None
    inputs: Mapping[str, Mapping[str, Any]]
    rows: int
    checks: Mapping[str, int]
    horizon: datetime | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """A plain dict with the keys of the contract, and those of ``extra`` after them."""
        return {
            "mart": self.run.mart,
            "run_id": self.run.run_id,
            "pipeline": self.pipeline,
            "feature_view": self.feature_view,
            "definition_hash": self.definition_hash,
            "git_commit": self.run.git_commit,
            "git_dirty": self.run.git_dirty,
            "intervals": None if self.intervals is None else [interval.to_json() for interval in self.intervals],
            "horizon": None if self.horizon is None else iso(self.horizon),
            "inputs": {name: dict(self.inputs[name]) for name in sorted(self.inputs)},
            "rows": self.rows,
            "checks": dict(self.checks),
            "engine": self.run.engine,
            **self.extra,
        }


@dataclass(frozen=True)
class WriteResult:
    """What a commit did: the table's version afterwards, and how many rows the commit wrote."""

    table: str
    version: int
    rows: int
    committed: bool = True
