"""Lays the rows of a table out anew where its files are too many or too coarse: a commit in which no row changes.

Tasks write the files and delta-rs commits them (docs/adr/0010-tasks-write-files-and-a-commit-names-them.md). Delta's
own OPTIMIZE is not used: it keeps a file in the bucket that it lies in, and sorts nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from feature_mart.delta import layout
from feature_mart.delta.compaction import LaidFile, due_files, laid_files, layout_of
from feature_mart.delta.data_files import Target
from feature_mart.delta.errors import delta_errors
from feature_mart.delta.file_commits import commit_rewritten
from feature_mart.delta.foreign import foreign_change
from feature_mart.delta.layout import PARTITIONS, PERIOD, Layout
from feature_mart.delta.placement import lay_out, period_text
from feature_mart.delta.tables import Table
from feature_mart.delta.writes import NOTHING
from feature_mart.errors import MartError, TableError
from feature_mart.records import Run
from feature_mart.write.files import NOT_COMMITTED, discarded_on, target_for, write_frame


@dataclass(frozen=True)
class Contents:
    """How rows of a table lie: by ``keys`` (a column's name to its Spark type; none of a source's) and by ``times``.

    ``times``: the event timestamp, then the created timestamp, as far as there are any.
    """

    keys: Mapping[str, str]
    times: Sequence[str]
    statistics_on: Sequence[str]

    @property
    def time(self) -> str | None:
        """The event timestamp."""
        return self.times[0] if self.times else None


@dataclass(frozen=True)
class Optimized:
    """What was done to a table, or would be. ``version``: the one that it made, None where there was nothing to do.

    ``files`` and ``size`` (in bytes) are those of the files that are rewritten, before and after; None after in a dry
    run. ``untouched``: files that stay as they are. ``why_not``: why a table cannot be laid out anew.
    """

    table: str
    version: int | None
    untouched: int
    files: tuple[int, int | None]
    size: tuple[int, int | None]
    why_not: str | None = None

    def to_json(self) -> dict[str, Any]:
        """A plain dict for people and programs."""
        return {
            "table": self.table,
            "version": self.version,
            "untouched_files": self.untouched,
            "files_before": self.files[0],
            "files_after": self.files[1],
            "bytes_before": self.size[0],
            "bytes_after": self.size[1],
            "why_not": self.why_not,
        }


def optimize(table: Table, contents: Contents, run: Run, now: datetime, *, dry_run: bool) -> Optimized | None:
    """Rewrites what is due of a table; None where it does not exist. Starts Spark only where something is.

    Raises:
        ConcurrentBuild: a build took rows away that were being rewritten. The table is as the build left it.
        FilesMissing: files of the table are gone. Nothing was written.
    """
    recent = table.recent()
    if recent is None:
        return None
    if recent.own is None or foreign_change(table.log, recent) is not None:
        why = "another program changed its rows, and no build has made them anew since"
        return Optimized(table.name, None, 0, (0, 0), (0, 0), why)
    files = laid_files(table, recent.newest, contents.time)
    if files is None:
        return Optimized(table.name, None, 0, (0, 0), (0, 0), "its log does not say how many rows each file has")
    wanted = layout_of(files)
    due = due_files(files, wanted, now)
    size = sum(file.size for file in due)
    if not due or dry_run:
        after = None if due else 0
        return Optimized(table.name, None, len(files) - len(due), (len(due), after), (size, after))
    target = _target(table, contents, wanted)
    if target is None:
        return Optimized(table.name, None, len(files), (0, 0), (0, 0), "only Spark writes types of its columns")
    version, count, written = _rewrite(table, recent.newest, contents, target, due, run)
    return Optimized(table.name, version, len(files) - len(due), (len(due), count), (size, written))


def _target(table: Table, contents: Contents, wanted: Layout) -> Target | None:
    """Where the rows are written; None where tasks cannot write them as Spark would."""
    kinds = {name: kind for name, kind in table.log.columns().items() if name not in PARTITIONS}
    return target_for(
        table,
        kinds,
        keys=tuple(contents.keys),
        time=contents.time,
        layout=wanted,
        statistics_on=[name for name in contents.statistics_on if name in kinds],
        replaces=NOTHING,
    )


def _rewrite(
    table: Table, version: int, contents: Contents, target: Target, due: Sequence[LaidFile], run: Run
) -> tuple[int, int, int]:
    """The version that was made, and how many files of how many bytes it has in the place of those that were due."""
    table.require_files()
    rows = table.read(version).where(F.col(PERIOD).isin(sorted({file.period for file in due})))
    with discarded_on((MartError,), target):
        with delta_errors(table.name, table.address.uri):
            written = write_frame(_laid_out(rows, contents, target, due), target)
        expected, found = (sum(file.rows for file in files) for files in (due, written.files))
        if expected != found:
            raise TableError(
                f"table {table.name}: its log tells of {expected} rows in the files to be laid out anew, and they hold "
                f"{found}. Nothing was changed. See who wrote to it (`mart history {table.name}`)."
            )
    with discarded_on(NOT_COMMITTED, target):
        made = commit_rewritten(written.files, due, table, run)
    return made.version, len(written.files), sum(file.size for file in written.files)


def _laid_out(rows: DataFrame, contents: Contents, target: Target, due: Sequence[LaidFile]) -> DataFrame:
    """The rows gathered and sorted as they are to be written."""
    assert target.layout is not None
    if contents.keys:
        placed = lay_out(rows, keys=contents.keys, time_columns=contents.times, layout=target.layout)
        return placed.drop(*PARTITIONS)
    parts = -(-sum(file.rows for file in due) // layout.ROWS_PER_BUCKET)
    order = [PERIOD, *contents.times]
    placed = rows.withColumn(PERIOD, period_text(contents.time, target.layout.period))
    gathered = placed.coalesce(1) if parts <= 1 else placed.repartitionByRange(parts, *order)
    return gathered.sortWithinPartitions(*order).drop(PERIOD)
