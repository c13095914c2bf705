"""Whatever happens between builds, in any order: each view is what one full build of the same definition gives.

The short run draws the same few sequences each time; how many the long one draws, and from which seed, comes from the
environment (CONTRIBUTING.md).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import pytest
from deltalake import DeltaTable
from hypothesis import Phase, given, seed, settings
from pyspark.sql import SparkSession

from feature_mart.delta.session import engine_session
from feature_mart.records import parse_instant
from tests.spark.incremental_mart import COLUMNS, SOURCES, TIMES, VIEWS, Row, View, event_time, full_build
from tests.spark.incremental_sequences import Build, Happening, Mart, sequences

# A version as `FeatureStore.history` tells of it.
Commit: TypeAlias = dict[str, Any]

SEQUENCES = int(os.environ.get("FEATURE_MART_SEQUENCES", "30"))
SEED = int(os.environ.get("FEATURE_MART_SEQUENCE_SEED", "1"))
# A sequence takes seconds: it is shown as it was drawn, and not made smaller.
ONCE = settings(deadline=None, database=None, phases=[Phase.generate])


@settings(ONCE, derandomize=True, max_examples=2)
@given(sequence=sequences(builds=2))
def test_incremental_builds_equal_a_full_one(started_spark: SparkSession, sequence: tuple[Happening, ...]) -> None:
    run(engine_session(started_spark), sequence)


@pytest.mark.long
@seed(SEED)
@settings(ONCE, max_examples=SEQUENCES)
@given(sequence=sequences(builds=5))
def test_many_sequences_end_as_a_full_build(started_spark: SparkSession, sequence: tuple[Happening, ...]) -> None:
    run(engine_session(started_spark), sequence)


def run(spark: SparkSession, sequence: tuple[Happening, ...]) -> None:
    """Does a sequence to a mart; looks at all tables after each build, and compares the end with a mart built once."""
    with TemporaryDirectory() as folder:
        mart = Mart(Path(folder) / "mart", spark)
        mart.begin()
        seen = Seen(mart)
        for happening in (Build(), *sequence):
            mart.happen(happening)
            if isinstance(happening, Build):
                seen.check(happening)
        if mart.on_hold:
            release = Build(select=tuple(sorted(mart.on_hold)))
            mart.happen(release)
            seen.check(release)
        mart.happen(Build())
        seen.check(Build())
        assert {name: sorted(rows) for name, rows in mart.views.items()} == {
            name: sorted(rows) for name, rows in full_build(mart.rows_of_sources(), mart.factor, mart.now).items()
        }
        assert digests(mart) == digests(built_once(mart, Path(folder) / "once"))


def built_once(mart: Mart, folder: Path) -> Mart:
    """Another mart that reads all valid files of ``mart`` and is built a single time, up to the same horizon."""
    other = Mart(folder, mart.spark, now=mart.now, factor=mart.factor)
    other.write_definitions()
    for source in SOURCES:
        for name, rows in mart.ingested[source].items():
            other.put_file(source, name, rows)
    other.happen(Build())
    return other


def rows_in(mart: Mart, name: str, version: int | None = None) -> list[Row]:
    """The rows of a table, read without Spark and without the engine."""
    entries = DeltaTable(str(mart.folder / "warehouse" / name), version=version).to_pyarrow_table().to_pylist()
    # A source's table keeps its files' entries beside its rows.
    return sorted(tuple(entry[column] for column in COLUMNS[name]) for entry in entries if entry["_period"] != "files")


def digests(mart: Mart) -> dict[str, tuple[int, int]]:
    """Per view, how many rows there are, and the sum of their hashes: the same in whatever order they lie."""
    hashed = {
        name: [int.from_bytes(hashlib.sha256(repr(row).encode()).digest(), "big") for row in rows_in(mart, name)]
        for name in VIEWS
    }
    return {name: (len(hashes), sum(hashes)) for name, hashes in hashed.items()}


@dataclass(frozen=True)
class Reached:
    """Which intervals (by their start) a version of a view holds, and which of them its inputs have changed since."""

    covered: frozenset[datetime] = frozenset()
    due: frozenset[datetime] = frozenset()


@dataclass
class Seen:
    """What was seen of a mart's tables so far: per view, one entry for each of its versions."""

    mart: Mart
    reached: dict[str, list[Reached]] = field(default_factory=lambda: {name: [] for name in VIEWS})

    def check(self, build: Build) -> None:
        """Compares all views with the oracle, and what was built with what could be affected; then builds again."""
        for name, rows in self.mart.views.items():
            assert rows_in(self.mart, name) == sorted(rows), name
        for view in VIEWS.values():
            if view.every is not None:
                self._check_intervals(view, build)
        self._check_nothing_is_left(build)

    def _check_intervals(self, view: View, build: Build) -> None:
        """Each new commit built intervals that were missing, or that changes of the inputs can affect."""
        history = self.mart.store().history(view.name)[::-1]
        for entry in history[len(self.reached[view.name]) :]:
            if entry["restored_from"] is not None:
                self.reached[view.name].append(self.reached[view.name][entry["restored_from"]])
                continue
            version = entry["version"]
            before = self.reached[view.name][-1] if version else Reached()
            due = before.due | (self._affected(view, history[version - 1], entry, before) if version else set())
            built = {start for pair in entry["intervals"] for start in starts(pair, view)}
            if not build.full_refresh:
                assert built & before.covered <= due, f"{view.name} {version}"
            self.reached[view.name].append(Reached(before.covered | built, due - built))

    def _affected(self, view: View, last: Commit, entry: Commit, before: Reached) -> set[datetime]:
        """The intervals that what changed from one commit to the next can have a part in."""
        if last["definition_hash"] != entry["definition_hash"]:
            return set(before.covered)
        found: set[datetime] = set()
        for name in view.inputs:
            was, now = (set_of(self.mart, name, commit["inputs"][name]["version"]) for commit in (last, entry))
            if was != now and TIMES[name] is None:
                return set(before.covered)
            for row, _ in was ^ now:
                if TIMES[name] is not None:
                    found |= view.reached_from(event_time(name, row))
        return found

    def _check_nothing_is_left(self, build: Build) -> None:
        """A build of all views is the last word: the next one commits nothing."""
        if build.select or build.back is not None:
            return
        before = self._versions()
        assert not self.mart.store().build().committed
        assert self._versions() == before

    def _versions(self) -> dict[str, int]:
        warehouse = self.mart.folder / "warehouse"
        return {log.parent.name: len(list(log.glob("*.json"))) for log in sorted(warehouse.glob("*/_delta_log"))}


def set_of(mart: Mart, name: str, version: int) -> set[tuple[Row, int]]:
    """The rows of a version, equal ones told apart by their number."""
    rows = rows_in(mart, name, version)
    return {(row, rows[:number].count(row)) for number, row in enumerate(rows)}


def starts(pair: tuple[str, str], view: View) -> Iterator[datetime]:
    """The starts of the single intervals of a range."""
    assert view.every is not None
    start, end = map(parse_instant, pair)
    while start < end:
        yield start
        start += view.every
