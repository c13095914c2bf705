"""Brings back what a version held, as a new commit that says so; and ends the hold that this puts on a view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from feature_mart.definitions import FeatureView
from feature_mart.delta.foreign import OPTIMIZED, PLANNED_ON
from feature_mart.delta.layout import PARTITIONS
from feature_mart.delta.log import Commit
from feature_mart.delta.tables import Table
from feature_mart.delta.writes import COMMIT_ID, EVERYTHING, NOTHING, SEQUENCE, Expected, commit, expected_state
from feature_mart.errors import FilesMissing, TableError, VersionNotFound
from feature_mart.records import Interval, Provenance, Run, WriteResult, parse_instant

# What each commit says anew, or says by the fields of `Provenance`; the rest is carried over as it is.
_NOT_CARRIED = frozenset(
    [
        *("mart", "run_id", "pipeline", "feature_view", "definition_hash", "git_commit", "git_dirty", "intervals"),
        *("horizon", "inputs", "rows", "checks", "engine", "reason", "restored_from", "on_hold", SEQUENCE, PLANNED_ON),
        *(COMMIT_ID, OPTIMIZED),
    ]
)


def restore(view: FeatureView, table: Table, version: int, run: Run) -> WriteResult:
    """Commits the rows and the schema of ``version`` as the newest version, and puts the view on hold.

    Raises:
        VersionNotFound: there is no such version, or files of it were removed. Nothing was written.
        TableError: the version is another writer's. Nothing was written.
        ConcurrentBuild: another writer committed in the meantime. Nothing was written.
    """
    expected = expected_state(table)
    pinned = table.pinned(version)
    said = _provenance_of(table.name, version, table.history())
    try:
        frame = table.read(pinned.version)
        order = [*PARTITIONS, *view.reserved_columns]
        provenance = carried(
            said, run, rows=frame.count(), intervals=_intervals(said), reason=f"restored version {version}"
        )
        return commit(
            # Rows go back into the files that their partition columns name: one each.
            frame.repartition(*PARTITIONS).sortWithinPartitions(*[name for name in order if name in frame.columns]),
            table,
            provenance=replace(provenance, extra={**provenance.extra, "restored_from": version, "on_hold": True}),
            expected=expected,
            partition_by=PARTITIONS,
            properties={},
            replaces=EVERYTHING,
            replace_schema=True,
        )
    except FilesMissing as error:
        raise VersionNotFound(
            f"version {version} of {table.name} cannot be restored: files of it were removed (by VACUUM, or by hand). "
            f"Nothing was written. `mart history {table.name}` lists the versions."
        ) from error


def release(table: Table, *, run: Run, expected: Expected) -> WriteResult:
    """Ends a hold where nothing has to be built: a commit without rows, which says so.

    Raises:
        ConcurrentBuild: another writer committed in the meantime. Nothing was written.
    """
    last = table.last_build()
    assert last is not None and last.provenance is not None  # only a commit of ours puts a view on hold
    reason = f"released from hold (restored from version {last.provenance.get('restored_from')})"
    provenance = carried(last.provenance, run, rows=0, intervals=(), reason=reason)
    return commit(
        table.read().limit(0),
        table,
        provenance=provenance,
        expected=expected,
        partition_by=PARTITIONS,
        properties={},
        replaces=NOTHING,
    )


def carried(
    said: Mapping[str, Any], run: Run, *, rows: int, intervals: tuple[Interval, ...] | None, reason: str
) -> Provenance:
    """What a commit says that takes over another one's definition, inputs and coverage: of ``run``, for ``reason``."""
    horizon = said.get("horizon")
    extra = {key: value for key, value in said.items() if key not in _NOT_CARRIED}
    return Provenance(
        run=run,
        pipeline=said.get("pipeline"),
        feature_view=str(said["feature_view"]),
        definition_hash=said.get("definition_hash"),
        intervals=intervals,
        inputs=said.get("inputs") or {},
        rows=rows,
        checks=said.get("checks") or {},
        horizon=None if horizon is None else parse_instant(horizon),
        extra={**extra, "reason": reason},
    )


def _intervals(said: Mapping[str, Any]) -> tuple[Interval, ...] | None:
    found = said.get("intervals")
    return None if found is None else tuple(Interval.from_json(pair) for pair in found)


def _provenance_of(name: str, version: int, commits: Sequence[Commit]) -> Mapping[str, Any]:
    found = next((entry for entry in commits if entry.version == version), None)
    if found is not None and found.provenance is not None:
        return found.provenance
    ours = sorted(entry.version for entry in commits if entry.provenance is not None)
    what = "is no longer in the log" if found is None else f"was made by another writer ({found.operation})"
    allowed = f"versions {', '.join(map(str, ours[-12:]))}" if ours else "none"
    raise TableError(
        f"version {version} of {name} {what}: nothing says from which inputs and definition it is, so a build could "
        f"not go on from it. Nothing was written. The engine's own: {allowed}."
    )
