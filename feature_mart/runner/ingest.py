"""Brings a source up to date and pins the version that a run will read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pyspark.sql import functions as F

from feature_mart.definitions import FeatureView, Source
from feature_mart.definitions.durations import format_duration
from feature_mart.definitions.problems import counted
from feature_mart.delta.address import quarantine_of
from feature_mart.delta.log import Commit
from feature_mart.delta.tables import Table
from feature_mart.delta.writes import EVERYTHING, Expected, expected_state, require_state
from feature_mart.errors import SourceError
from feature_mart.read import ingest as files
from feature_mart.read.conform import FILE, RAW, REASON
from feature_mart.read.jdbc import read_jdbc
from feature_mart.records import Provenance, Run, TableVersion, iso, parse_instant
from feature_mart.runner.workspace import Event, Workspace
from feature_mart.write.quarantine import of_files, quarantine_rows, set_aside
from feature_mart.write.source import SourceRows, store_source


@dataclass(frozen=True)
class Input:
    """An input of a definition, pinned: the same rows for all views of a run.

    ``latest`` is no earlier than the last row's event timestamp; None where there is none or it is not known.
    """

    name: str
    table: Table
    version: TableVersion
    event_timestamp: str | None
    latest: datetime | None = None


def pin(workspace: Workspace, producer: Source | FeatureView) -> Input:
    """The producer's table at its latest version.

    Raises:
        SourceError: a source's table is not there.
        TableError: a view has not been built.
    """
    table = workspace.table_of(producer)
    version = table.current()
    if version is None and isinstance(producer, Source):
        if producer.format not in ("delta", "table"):
            raise SourceError(f"source {producer.name} has not been ingested yet: run `mart build`.")
        where = producer.path or producer.table
        raise SourceError(f"source {producer.name}: there is no Delta table at {where}. Mend metadata/sources.yml.")
    commit = table.last_build()
    latest = None if commit is None or commit.provenance is None else commit.provenance.get("latest")
    return Input(
        producer.name,
        table,
        version or table.pinned(),
        producer.event_timestamp,
        parse_instant(latest) if latest else None,
    )


def ingest(workspace: Workspace, source: Source, run: Run, *, anew: bool = False) -> tuple[Input, bool]:
    """Ingests what is new of ``source`` and pins it; the second value says whether anything was committed.

    Raises:
        SourceError: the source cannot be read as declared. Its table stays as it was.
        ConcurrentBuild: another run ingested at the same time. Nothing was written.
    """
    if source.format in ("delta", "table"):
        return pin(workspace, source), False
    table = workspace.tables.table(source.name)
    expected = expected_state(table)
    last = table.last_build()
    task = _Task(workspace, source, run, table, expected, last)
    committed = _ingest_jdbc(task) if source.format == "jdbc" else _ingest_files(task, anew=anew)
    pinned = pin(workspace, source)
    _remark_on_age(workspace, source, pinned.latest, run.horizon)
    return pinned, committed


def _remark_on_age(workspace: Workspace, source: Source, latest: datetime | None, horizon: datetime) -> None:
    if source.freshness is None or latest is None:
        return
    age = horizon - latest
    if age > source.freshness:
        declared = format_duration(source.freshness)
        text = f"its latest row is of {iso(latest)}, which is older than the declared freshness of {declared}"
        workspace.tell(Event("remark", source.name, text))


@dataclass(frozen=True)
class _Task:
    """One source's part in a run, and the state of its table that it was planned on."""

    workspace: Workspace
    source: Source
    run: Run
    table: Table
    expected: Expected
    last: Commit | None


def _ingest_files(task: _Task, *, anew: bool) -> bool:
    tell, name = task.workspace.tell, task.source.name
    plan = files.plan_ingest(
        task.source, task.workspace.project.root, task.table, task.last, now=task.run.started_at, anew=anew
    )
    if not plan.is_needed:
        tell(Event("skipped", name, f"{counted(plan.changes.unchanged, 'file')}, none new"))
        return False
    tell(Event("started", name, f"reading {counted(len(plan.changes.to_read), 'file')}"))
    previous = task.table.read() if plan.is_new_declaration and task.last is not None else None
    read = files.read_files(task.workspace.session(), plan, previous)
    try:
        for remark in read.remarks:
            tell(Event("remark", name, remark))
        _commit_files(task, plan, read)
    finally:
        read.release()
    aside = f", {read.quarantined_count} set aside" if read.quarantined_count else ""
    gone = f", {counted(len(plan.dropped), 'file')} dropped" if plan.dropped else ""
    named, rows = counted(len(plan.changes.to_read), "file"), counted(read.row_count, "row")
    tell(Event("done", name, f"{named}, {rows}{aside}{gone}"))
    return True


def _commit_files(task: _Task, plan: files.IngestPlan, read: files.Ingested) -> None:
    """Commits the quarantined rows, then rows and markers."""
    latest = max(filter(None, [read.latest, _recorded(task.last, "latest", plan)]), default=None)
    earliest = min(filter(None, [read.earliest, _recorded(task.last, "earliest", plan)]), default=None)
    provenance = Provenance(
        run=task.run,
        pipeline=None,
        feature_view=task.source.name,
        definition_hash=plan.declaration,
        intervals=None,
        inputs={task.source.name: read.inputs},
        rows=read.row_count,
        checks={"passed": 0, "warned": 0, "failed": 0},
        extra={
            "base": plan.base,
            "quarantined": read.quarantined_count,
            "earliest": None if earliest is None else iso(earliest),
            "latest": None if latest is None else iso(latest),
        },
    )
    require_state(task.table, task.expected)
    _set_aside(task, plan, read, provenance)
    content = SourceRows(
        read.rows,
        read.markers,
        files.FILES_PARTITION,
        task.source.event_timestamp,
        (earliest, latest),
        _files_to_replace(plan),
    )
    store_source(content, task.table, provenance=provenance, expected=task.expected)


def _files_to_replace(plan: files.IngestPlan) -> list[str] | None:
    """None for everything, nothing where files were only added."""
    if plan.is_new_declaration:
        return None
    replaced = [*(file.name for file in plan.changes.replaced), *plan.dropped]
    # A condition on the rows to replace also binds the rows that are written, so added files stand in it as well.
    return [*replaced, *(file.name for file in plan.changes.added)] if replaced else []


def _set_aside(task: _Task, plan: files.IngestPlan, read: files.Ingested, provenance: Provenance) -> None:
    aside = task.workspace.tables.table(quarantine_of(task.source.name))
    if not read.quarantined_count and aside.current() is None:
        return
    rows = quarantine_rows(
        read.quarantined, at=F.lit(None), file=F.col(FILE), reason=REASON, raw=RAW, run_id=task.run.run_id
    )
    names = [*(file.name for file in plan.changes.to_read), *plan.dropped]
    replaces = EVERYTHING if plan.is_new_declaration else of_files(names)
    set_aside(rows, aside, provenance=provenance, replaces=replaces)


def _recorded(last: Commit | None, key: str, plan: files.IngestPlan) -> datetime | None:
    if last is None or last.provenance is None or plan.is_new_declaration:
        return None
    text = last.provenance.get(key)
    return parse_instant(text) if text else None


def _ingest_jdbc(task: _Task) -> bool:
    workspace, source, last = task.workspace, task.source, task.last
    workspace.tell(Event("started", source.name, "reading the database table"))
    read = read_jdbc(workspace.session(), source)
    recorded: Mapping[str, Any] = {} if last is None or last.provenance is None else last.provenance["inputs"]
    try:
        if recorded.get(source.name) == read.inputs:
            workspace.tell(Event("skipped", source.name, f"{read.rows} rows, none changed"))
            return False
        provenance = Provenance(
            run=task.run,
            pipeline=None,
            feature_view=source.name,
            definition_hash=None,
            intervals=None,
            inputs={source.name: read.inputs},
            rows=read.rows,
            checks={"passed": 0, "warned": 0, "failed": 0},
            extra={"latest": None if read.latest is None else iso(read.latest)},
        )
        no_markers = read.frame.limit(0).select("_file")
        span = (read.earliest, read.latest)
        content = SourceRows(read.frame, no_markers, files.FILES_PARTITION, source.event_timestamp, span, None)
        store_source(content, task.table, provenance=provenance, expected=task.expected)
    finally:
        read.frame.unpersist()
    workspace.tell(Event("done", source.name, counted(read.rows, "row")))
    return True
