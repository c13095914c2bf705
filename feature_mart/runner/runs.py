"""The table `mart_runs`: one commit per completed run of a pipeline, with the versions that it left of its views."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from feature_mart.delta.address import RUNS_TABLE
from feature_mart.delta.completed_runs import last_completed
from feature_mart.delta.writes import expected_state, table_properties
from feature_mart.errors import ConcurrentBuild
from feature_mart.records import Provenance, Run, TableVersion
from feature_mart.runner.workspace import Workspace
from feature_mart.write.files import append_rows

_ATTEMPTS = 10
_INSTANT = pa.timestamp("us", tz="UTC")
_COLUMNS: dict[str, pa.DataType] = {
    "run_id": pa.string(),
    "pipeline": pa.string(),
    "mart": pa.string(),
    "started_at": _INSTANT,
    "finished_at": _INSTANT,
    "horizon": _INSTANT,
    "git_commit": pa.string(),
    "git_dirty": pa.bool_(),
    "engine": pa.string(),
    "versions": pa.map_(pa.string(), pa.int64()),
}


def record_run(workspace: Workspace, run: Run, pipeline: str, versions: Mapping[str, TableVersion]) -> bool:
    """Records that ``run`` completed ``pipeline``; runs of other pipelines may record at the same time.

    A run that leaves the versions which the last recorded one left is not recorded again. Returns whether it was.

    Raises:
        FilesMissing: files of earlier records are gone.
    """
    table = workspace.tables.table(RUNS_TABLE)
    members = [view.name for view in workspace.project.views.values() if view.pipeline == pipeline]
    kept = {name: versions[name] for name in members if name in versions}
    last = last_completed(table, pipeline)
    if last is not None and last.versions == kept:
        return False
    table.require_files()  # before a record is added to those that nobody can read any more
    record = _record(workspace, run, pipeline, kept)
    provenance = Provenance(
        run=run,
        pipeline=pipeline,
        feature_view=RUNS_TABLE,
        definition_hash=None,
        intervals=None,
        inputs={name: version.to_json() for name, version in kept.items()},
        rows=1,
        checks={"passed": 0, "warned": 0, "failed": 0},
        horizon=run.horizon,
    )
    for attempt in range(_ATTEMPTS):
        try:
            append_rows(
                record,
                table,
                provenance=provenance,
                expected=expected_state(table),
                properties=table_properties(["run_id"]),
                statistics_on=["run_id"],
            )
            return True
        except ConcurrentBuild:
            if attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def _record(workspace: Workspace, run: Run, pipeline: str, versions: Mapping[str, TableVersion]) -> pa.Table:
    """The record, a table of one row."""
    row = {
        "run_id": run.run_id,
        "pipeline": pipeline,
        "mart": run.mart,
        "started_at": run.started_at,
        "finished_at": workspace.now(),
        "horizon": run.horizon,
        "git_commit": run.git_commit,
        "git_dirty": run.git_dirty,
        "engine": run.engine,
        "versions": sorted((name, version.version) for name, version in versions.items()),
    }
    return pa.Table.from_pylist([row], schema=pa.schema(_COLUMNS))
