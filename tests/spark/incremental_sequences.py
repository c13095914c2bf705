"""Sequences of what happens to a mart between builds, and a mart that they happen to, followed by the oracle."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from pathlib import Path
from typing import TypeAlias

from hypothesis import strategies as st
from pyspark.sql import SparkSession

from feature_mart import FeatureStore
from feature_mart.runner.build import BuildResult
from feature_mart.testing import FixedClock, write_files
from tests.spark.incremental_mart import (
    BASE,
    DAY,
    DROPS_DELETED,
    FACTORS,
    FILES,
    HOUR,
    SOURCES,
    VIEWS,
    Row,
    Rows,
    csv,
    definition_of_recent_spend,
)

Orders: TypeAlias = tuple[tuple[int, timedelta, int], ...]
DAYS = 7


@dataclass(frozen=True)
class Arrives:
    """A new file, of a day that may be long past or not have come yet."""

    source: str
    day: int
    rows: Orders


@dataclass(frozen=True)
class Corrected:
    """A file has other rows than it had; one that was deleted comes back with them."""

    source: str
    pick: int
    day: int
    rows: Orders


@dataclass(frozen=True)
class Deleted:
    """A file is gone, unless it is the source's last."""

    source: str
    pick: int


@dataclass(frozen=True)
class ClockMoves:
    """Time goes on."""

    by: timedelta


@dataclass(frozen=True)
class Redefined:
    """The logic of `recent_spend` changes, or changes back."""


@dataclass(frozen=True)
class Restored:
    """A view is brought back to one of the versions that it had."""

    view: str
    pick: int


@dataclass(frozen=True)
class Build:
    """A build. ``back`` and ``length`` make it a backfill, which ends so long before now and is so long."""

    select: tuple[str, ...] = ()
    back: timedelta | None = None
    length: timedelta = DAY
    chunk: timedelta | None = None
    full_refresh: bool = False

    def span(self, now: datetime) -> tuple[datetime, datetime] | None:
        """The range that is asked for, where it is a backfill."""
        return None if self.back is None else (now - self.back - self.length, now - self.back)


Happening: TypeAlias = Arrives | Corrected | Deleted | ClockMoves | Redefined | Restored | Build

_TIMED = ("orders", "refunds")
_PICK = st.integers(0, 5)
_DAY = st.integers(0, DAYS - 1)
# Both edges of a day and of half a day, and what lies just before them.
_MOMENTS = st.builds(
    lambda half, inside: half * 12 * HOUR + inside,
    st.integers(0, 3),
    st.sampled_from([timedelta(0), 6 * HOUR, 12 * HOUR - timedelta(microseconds=1)]),
)
_ROWS = st.lists(st.tuples(st.integers(1, 3), _MOMENTS, st.integers(-5, 9)), min_size=1, max_size=3).map(tuple)
_CHUNKS = st.none() | st.sampled_from([DAY, 2 * DAY])
_VIEW = st.sampled_from(sorted(VIEWS))
_VIEWS = st.lists(_VIEW, min_size=1, max_size=2, unique=True).map(lambda names: tuple(sorted(names)))

HAPPENINGS: Mapping[str, st.SearchStrategy[Happening]] = {
    "a file arrives": st.builds(Arrives, st.sampled_from(_TIMED), _DAY, _ROWS),
    "orders are corrected": st.builds(Corrected, st.just("orders"), _PICK, _DAY, _ROWS),
    "refunds are corrected": st.builds(Corrected, st.just("refunds"), _PICK, _DAY, _ROWS),
    "customers change": st.builds(Corrected, st.just("customers"), _PICK, _DAY, _ROWS),
    "orders are deleted": st.builds(Deleted, st.just("orders"), _PICK),
    "refunds are deleted": st.builds(Deleted, st.just("refunds"), _PICK),
    "the clock moves": st.builds(ClockMoves, st.integers(1, 8).map(lambda number: number * 6 * HOUR)),
    "a definition changes": st.just(Redefined()),
    "a view is restored": st.builds(Restored, _VIEW, _PICK),
}
BUILDS: Mapping[str, st.SearchStrategy[Build]] = {
    "all": st.builds(Build, chunk=_CHUNKS),
    "selected": st.builds(Build, select=_VIEWS, chunk=_CHUNKS),
    "backfill": st.builds(
        Build,
        select=st.just(()) | _VIEWS,
        back=st.integers(0, 12).map(lambda number: number * 6 * HOUR),
        length=st.integers(1, 12).map(lambda number: number * 6 * HOUR),
        chunk=_CHUNKS,
        full_refresh=st.booleans(),
    ),
    "full refresh": st.builds(Build, full_refresh=st.just(True), select=st.just(()) | _VIEWS, chunk=_CHUNKS),
}


@st.composite
def sequences(draw: st.DrawFn, *, builds: int) -> tuple[Happening, ...]:
    """Builds with one to three other happenings before each, no kind of them much more often than another."""
    kinds = draw(st.permutations(sorted(HAPPENINGS) * ceil(builds * 3 / len(HAPPENINGS))))
    builders = draw(st.permutations(sorted(BUILDS) * ceil(builds / len(BUILDS))))
    sequence: list[Happening] = []
    for number, name in enumerate(builders[:builds]):
        before = kinds[number * 3 : number * 3 + draw(st.integers(1, 3))]
        sequence += [draw(HAPPENINGS[kind]) for kind in before]
        sequence.append(draw(BUILDS[name]))
    return tuple(sequence)


@dataclass
class Mart:
    """A mart in a folder, with what the oracle says that its tables hold after each happening."""

    folder: Path
    spark: SparkSession
    now: datetime = BASE + 4 * DAY
    factor: int = FACTORS[0]
    there: dict[str, dict[str, Rows]] = field(default_factory=lambda: {name: {} for name in SOURCES})
    ingested: dict[str, dict[str, Rows]] = field(default_factory=lambda: {name: {} for name in SOURCES})
    views: dict[str, Rows] = field(default_factory=dict)
    kept: dict[str, dict[int, Rows]] = field(default_factory=lambda: {name: {} for name in VIEWS})
    on_hold: set[str] = field(default_factory=set)
    written: int = 0

    def begin(self) -> None:
        """Writes the mart, with two files of each source."""
        self.write_definitions()
        for source in SOURCES:
            for number in range(2):
                first = ((1, HOUR, 3), (2, 20 * HOUR, 4), (1, 23 * HOUR, 5))
                self.write_file(source, f"{number}.csv", 2 * number, first[: 3 - number])

    def write_definitions(self) -> None:
        """Writes the mart's own files, with the definition of now."""
        text = {"features/recent_spend.sql": definition_of_recent_spend(self.factor)}
        write_files(self.folder, {**FILES, **text})

    def store(self) -> FeatureStore:
        """The mart as it is now."""
        return FeatureStore(self.folder, spark=self.spark, now=FixedClock(self.now), variables={})

    def rows_of_sources(self) -> dict[str, Rows]:
        """The rows that are valid as of the last ingest of each source."""
        return {name: [row for rows in files.values() for row in rows] for name, files in self.ingested.items()}

    def write_file(self, source: str, name: str, day: int, orders: Orders) -> None:
        """Puts a file there, in the place of what has its name."""
        self.written += 1
        start = BASE + day * DAY
        rows: list[Row] = []
        for number, (customer, moment, amount) in enumerate(orders):
            if source == "orders":
                rows.append((customer, f"{self.written}.{number}", start + moment, amount))
            elif source == "refunds":
                rows.append((customer, start + moment, amount))
            else:
                rows.append((customer, f"country {amount}"))
        self.put_file(source, name, rows)

    def put_file(self, source: str, name: str, rows: Rows) -> None:
        """Writes a file."""
        self.there[source][name] = rows
        write_files(self.folder, {f"data/{source}/{name}": csv(source, rows)})

    def delete_file(self, source: str, name: str) -> None:
        """Takes a file away, unless it is the last one: a source without any file is an error."""
        if len(self.there[source]) > 1:
            del self.there[source][name]
            write_files(self.folder, {f"data/{source}/{name}": None})

    def happen(self, happening: Happening) -> BuildResult | None:
        """Does it to the mart and to the oracle; gives what a build gave."""
        match happening:
            case Arrives(source, day, rows):
                self.write_file(source, f"{self.written}.csv", day, rows)
            case Corrected(source, pick, day, rows):
                self.write_file(source, picked({**self.ingested[source], **self.there[source]}, pick), day, rows)
            case Deleted(source, pick):
                self.delete_file(source, picked(self.there[source], pick))
            case ClockMoves(by):
                self.now += by
            case Redefined():
                self.factor = next(factor for factor in FACTORS if factor != self.factor)
                self.write_definitions()
            case Restored(view, pick):
                self.restore(view, sorted(self.kept[view])[pick % len(self.kept[view])])
            case Build():
                return self.build(happening)
        return None

    def restore(self, view: str, version: int) -> None:
        """Brings a view back to a version, and with that on hold."""
        now = self.store().restore(view, version)
        self.views[view] = self.kept[view][now] = self.kept[view][version]
        self.on_hold.add(view)

    def build(self, build: Build) -> BuildResult:
        """Builds, and says what the views then hold: in the range that was asked for, what a full build gives."""
        start, end = build.span(self.now) or (None, None)
        store = self.store()
        result = store.build(
            start=start, end=end, chunk=build.chunk, select=build.select, full_refresh=build.full_refresh
        )
        named = [view for name, view in VIEWS.items() if not build.select or name in build.select]
        for source in {name for view in named for name in view.inputs if name in SOURCES}:
            before = {} if source in DROPS_DELETED else self.ingested[source]
            self.ingested[source] = {**before, **self.there[source]}
        self.on_hold -= set(build.select)
        for view in named:
            if view.name in self.on_hold:
                continue
            tables = {**self.rows_of_sources(), **self.views}
            inputs = {name: tables[name] for name in view.inputs}
            self.views[view.name] = view.rebuilt(
                self.views.get(view.name, ()), inputs, self.factor, start, end or self.now
            )
        for view_build in result.views:
            self.kept[view_build.view][view_build.version.version] = self.views[view_build.view]
        return result


def picked(names: Iterable[str], pick: int) -> str:
    """One of ``names``."""
    ordered = sorted(names)
    return ordered[pick % len(ordered)]
