"""Maintenance of the mart's tables, one after the other: which ones, by which rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from feature_mart.definitions import FeatureView, Project, Source
from feature_mart.definitions.problems import counted, did_you_mean
from feature_mart.delta.address import RUNS_TABLE, quarantine_of
from feature_mart.delta.writes import FILE_RETENTION_DAYS
from feature_mart.errors import UsageError
from feature_mart.history.optimize import Contents, Optimized, optimize
from feature_mart.history.pins import Needs, pins
from feature_mart.history.vacuum import SAFE_AGE, Rules, Vacuumed, vacuum
from feature_mart.read.conform import FILE
from feature_mart.runner.online import Online
from feature_mart.runner.workspace import Event, Workspace
from feature_mart.write.view import statistics_columns

_DEFAULT = timedelta(days=FILE_RETENTION_DAYS)


def vacuum_tables(
    workspace: Workspace, names: Sequence[str], *, dry_run: bool = False, safe_age: timedelta | None = None
) -> list[dict[str, Any]]:
    """Removes what no kept version needs of the tables behind some views and sources, all where none is named.

    Returns:
        One dict per table that exists, as `Vacuumed.to_json` has it.

    Raises:
        UsageError: there is no such view or source, or its table is not the mart's, or not on a local disk.
        TableError: a training set does not say what it needs, or a table cannot be read or cleaned.
        OnlineStoreUnavailable: the online store cannot be asked which versions it needs.
    """
    retention = _retentions(workspace.project)
    chosen = tables_of(workspace.project, names)
    instead = (
        "Delta's own VACUUM knows nothing of training sets and runs: give it a retention longer than you need those."
    )
    _require_local(workspace, "vacuum", instead)
    views = [*workspace.project.views.values(), *workspace.project.tiles.values()]
    now = workspace.now()
    online = Online(workspace)
    try:
        published = online.pinned_versions()
    finally:
        online.close()
    needed = pins(Needs(workspace.tables, views, lambda name: retention.get(name, _DEFAULT), now, published))
    found: list[dict[str, Any]] = []
    for name in chosen:
        rules = Rules(retention.get(name, _DEFAULT), now, SAFE_AGE if safe_age is None else safe_age)
        cleaned = vacuum(workspace.tables.table(name), needed, rules, dry_run=dry_run)
        if cleaned is not None:
            workspace.tell(Event("done", name, _said(cleaned, dry_run)))
            found.append({**cleaned.to_json(), "dry_run": dry_run})
    return found


def optimize_tables(workspace: Workspace, names: Sequence[str], *, dry_run: bool = False) -> list[dict[str, Any]]:
    """Lays out anew what is due of the tables behind some views and sources, all where none is named.

    Returns:
        One dict per table that exists, as `Optimized.to_json` has it.

    Raises:
        UsageError: there is no such view or source, or its table is not the mart's, or not on a local disk.
        ConcurrentBuild: a build took rows away that were being rewritten. Tables before it stay optimized.
    """
    chosen = tables_of(workspace.project, names)
    _require_local(workspace, "optimize", "Delta's own OPTIMIZE works there, and builds take no notice of it.")
    run, found = workspace.new_run(None), []
    for name in chosen:
        if workspace.project.has_table(name):
            workspace.tell(Event("started", name, "looking at its files"))
            contents = _contents(workspace.project.producer(name))
            done = optimize(workspace.tables.table(name), contents, run, workspace.now(), dry_run=dry_run)
            if done is None:
                workspace.tell(Event("skipped", name, "not built yet"))
            else:
                workspace.tell(Event("done" if done.files[0] else "skipped", name, _optimized(done)))
                found.append({**done.to_json(), "dry_run": dry_run})
    return found


def _contents(producer: Source | FeatureView) -> Contents:
    times = [name for name in (producer.event_timestamp, producer.created_timestamp) if name is not None]
    if isinstance(producer, FeatureView):
        return Contents(producer.keys, times, statistics_columns(producer))
    # A source's rows are found by the time of the event and by the file that they came from.
    return Contents({}, times[:1] if producer.event_timestamp else [], [FILE, *times[:1]])


def _optimized(done: Optimized) -> str:
    if done.why_not is not None:
        return f"left as it is: {done.why_not}"
    before, after = done.files
    if not before:
        return f"{counted(done.untouched, 'file')}, none due"
    return f"{counted(before, 'file')} " + ("would be laid out anew" if after is None else f"became {after}")


def tables_of(project: Project, names: Sequence[str]) -> list[str]:
    """The mart's own tables behind views and sources: their own, tiles and quarantines; all where none is named.

    Raises:
        UsageError: there is no such view or source, or its table is somebody else's.
    """
    in_place = {source.name for source in project.sources.values() if source.format in ("delta", "table")}
    known = [*sorted(project.sources.keys() - in_place), *project.views]
    for name in names:
        if name in in_place:
            raise UsageError(f"{name} is read in place: its table is not the mart's, and is left to whoever owns it.")
        if name not in known:
            hint = did_you_mean(name, known)
            raise UsageError(f"there is no view or source {name!r}. Known: {', '.join(known)}.{hint}")
    found: list[str] = []
    for name in names or known:
        tiles = project.views[name].tiles if name in project.views else None
        own = [name] if tiles is None else [tiles.name, name]
        found += [table for each in own for table in (each, quarantine_of(each))]
    return [*found, *([] if names else [RUNS_TABLE])]


def _retentions(project: Project) -> Mapping[str, timedelta]:
    """How long versions of each table are kept, where a view says it."""
    declared = {view.name: view.retention for view in [*project.views.values(), *project.tiles.values()]}
    return {
        table: retention
        for name, retention in declared.items()
        if retention is not None
        for table in (name, quarantine_of(name))
    }


def _require_local(workspace: Workspace, command: str, instead: str) -> None:
    table = workspace.tables.table(RUNS_TABLE)
    if table.folder is None:
        settings = workspace.project.settings
        place = f"the catalog {settings.catalog}" if settings.catalog else settings.warehouse_uri
        raise UsageError(f"the mart's tables are in {place}: `mart {command}` works on a local disk only. {instead}")


def _said(cleaned: Vacuumed, dry_run: bool) -> str:
    count = len(cleaned.files) + len(cleaned.orphans)
    return f"{counted(count, 'file')} {'would go' if dry_run else 'removed'}"
