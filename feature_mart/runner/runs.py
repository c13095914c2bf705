"""The table `mart_runs`: one commit per completed run of a pipeline, with the versions that it left of its views."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from feature_mart.delta.address import RUNS_TABLE
from feature_mart.delta.tables import Table
from feature_mart.delta.writes import NOTHING, commit, expected_state, table_properties
from feature_mart.errors import ConcurrentBuild
from feature_mart.records import Provenance, Run, TableVersion, iso
from feature_mart.runner.workspace import Workspace

_ATTEMPTS = 10
_SCHEMA = (
    "run_id string, pipeline string, mart string, started_at string, finished_at string, horizon string, "
    "git_commit string, git_dirty boolean, engine string, versions map<string,bigint>"
)
_TIMES = ("started_at", "finished_at", "horizon")


def record_run(workspace: Workspace, run: Run, pipeline: str, versions: Mapping[str, TableVersion]) -> bool:
    """Records that ``run`` completed ``pipeline``; runs of other pipelines may record at the same time.

    A run that leaves the versions which the last recorded one left is not recorded again. Returns whether it was.

    Raises:
        FilesMissing: files of earlier records are gone.
    """
    table = workspace.tables.table(RUNS_TABLE)
    members = [view.name for view in workspace.project.views.values() if view.pipeline == pipeline]
    kept = {name: versions[name] for name in members if name in versions}
    if _last_recorded(table, pipeline) == {name: version.to_json() for name, version in kept.items()}:
        return False
    table.require_files()  # before a record is added to those that nobody can read any more
    frame = _row(workspace, run, pipeline, kept)
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
            commit(
                frame,
                table,
                provenance=provenance,
                expected=expected_state(table),
                partition_by=(),
                properties=table_properties(["run_id"]),
                replaces=NOTHING,
            )
            return True
        except ConcurrentBuild:
            if attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def _row(workspace: Workspace, run: Run, pipeline: str, versions: Mapping[str, TableVersion]) -> DataFrame:
    """The record as a frame of one row."""
    row = (
        run.run_id,
        pipeline,
        run.mart,
        iso(run.started_at),
        iso(workspace.now()),
        iso(run.horizon),
        run.git_commit,
        run.git_dirty,
        run.engine,
        {name: version.version for name, version in versions.items()},
    )
    texts = workspace.session().createDataFrame([row], _SCHEMA)
    return texts.withColumns({name: F.col(name).cast("timestamp") for name in _TIMES}).coalesce(1)


def _last_recorded(table: Table, pipeline: str) -> Mapping[str, Any] | None:
    """The versions in the last record of a pipeline."""
    for limit in (20, None):
        for entry in table.history(limit):
            if entry.provenance is not None and entry.provenance.get("pipeline") == pipeline:
                found: Mapping[str, Any] = entry.provenance["inputs"]
                return found
    return None
