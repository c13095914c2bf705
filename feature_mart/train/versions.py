"""Which version of each view a training set is made from: numbers, fixed once, before a row is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from feature_mart.definitions import FeatureView
from feature_mart.definitions.problems import counted, did_you_mean, listed
from feature_mart.delta.address import RUNS_TABLE
from feature_mart.delta.completed_runs import CompletedRun, last_completed
from feature_mart.delta.tables import Table, Tables
from feature_mart.errors import FilesMissing, TableError, UsageError, VersionNotFound
from feature_mart.records import TableVersion, iso


def pin(
    tables: Tables,
    views: Sequence[FeatureView],
    *,
    versions: Mapping[str, int] | None = None,
    as_of: datetime | None = None,
) -> dict[str, TableVersion]:
    """The version of each view, by name. Needs no Spark with a warehouse.

    What the last completed run of a view's pipeline left goes before anything that was committed later: builds of a
    single view, restores, changes by other programs.

    Args:
        versions: by view, the number to take in place of the run's.
        as_of: take the last run that had completed at that moment.

    Raises:
        UsageError: both are given, or a version of a view that is not asked for.
        TableError: a view has not been built by a run that completed, or its table was made anew since.
        VersionNotFound: a view has no such version (any more), or no run had completed at ``as_of``.
        FilesMissing: files of a version are gone.
    """
    named = dict(versions or {})
    if named and as_of is not None:
        raise UsageError("versions and as_of are both given: give one of the two.")
    _require_asked(named, [view.name for view in views])
    runs = tables.table(RUNS_TABLE)
    pipelines = sorted({view.pipeline for view in views if view.name not in named})
    last = {pipeline: last_completed(runs, pipeline, as_of) for pipeline in pipelines}
    pinned: dict[str, TableVersion] = {}
    for view in views:
        table = tables.table(view.name)
        if view.name in named:
            pinned[view.name] = table.pinned(named[view.name])
        else:
            pinned[view.name] = _of_run(view, table, last[view.pipeline], as_of)
        advice = (
            f"Take another version (`mart history {view.name}` lists them): versions={{{view.name!r}: …}}, or put back "
            "from a backup what is missing."
        )
        require_whole(view.name, table, pinned[view.name].version, advice=advice)
    return pinned


def _require_asked(named: Mapping[str, int], names: Sequence[str]) -> None:
    """Refuses versions of other views than those that are asked for, and what is no version."""
    unknown = sorted(set(named) - set(names))
    if unknown:
        raise UsageError(
            f"versions names {unknown[0]}, of which no feature is asked for. Views asked for: {listed(names)}."
            + did_you_mean(unknown[0], names)
        )
    for name, version in named.items():
        if type(version) is not int:  # True would be version 1
            raise UsageError(
                f"versions={{{name!r}: {version!r}}}: a version is a whole number, as `mart history` shows it."
            )


def _of_run(view: FeatureView, table: Table, run: CompletedRun | None, as_of: datetime | None) -> TableVersion:
    """The version that a run left of a view, if it is one of the table that is there now."""
    build = f"`mart build {view.pipeline}`"
    current = table.current()
    if run is None and as_of is not None:
        raise VersionNotFound(
            f"view {view.name}: no run of its pipeline {view.pipeline} had completed at {iso(as_of)}. "
            f"`mart history {RUNS_TABLE}` lists the runs; give a later moment, or versions={{{view.name!r}: …}}."
        )
    if run is None or view.name not in run.versions:
        what = "has not been built" if current is None else "is part of no run that completed"
        which = "" if run is None else f" (the last of {view.pipeline} is of {iso(run.committed_at)})"
        or_name = "" if current is None else f", or name a version of it: versions={{{view.name!r}: …}}"
        raise TableError(f"view {view.name} {what}{which}. Run {build}{or_name}.")
    found = run.versions[view.name]
    if current is None or current.table_id != found.table_id:
        what = "is gone" if current is None else "was made anew"
        raise TableError(
            f"view {view.name}: its table {what} since the run of {iso(run.committed_at)}, which left version "
            f"{found.version}. Put that table back, or run {build} and take what it leaves."
        )
    return found


def require_whole(view: str, table: Table, version: int, *, advice: str) -> None:
    """Refuses a version of which the log's entries or files were removed.

    Raises:
        VersionNotFound: the log does not reach back to it.
        FilesMissing: files of it are gone.
    """
    try:
        lost = table.lost_files(version)
    except VersionNotFound as error:
        raise VersionNotFound(
            f"view {view}, version {version}: the log does not reach back to it any more: {error.message} {advice}"
        ) from error
    if lost:
        raise FilesMissing(
            f"view {view}, version {version}: {counted(len(lost), 'file')} missing, removed by VACUUM or by hand: "
            f"{lost[0]} for one. {advice}"
        )
