"""What `mart_runs` tells of runs that completed: the versions that each left of its pipeline's views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from feature_mart.delta.tables import Table
from feature_mart.records import TableVersion, as_utc

# Runs of other pipelines lie between two of one; the last is rarely far back.
_LOOK_BACK = (20, None)


@dataclass(frozen=True)
class CompletedRun:
    """A run that completed, and the ``versions`` that it left, by view. ``committed_at``: when that was recorded."""

    run_id: str
    committed_at: datetime
    versions: Mapping[str, TableVersion]


def last_completed(runs: Table, pipeline: str, as_of: datetime | None = None) -> CompletedRun | None:
    """The last run of a pipeline that was recorded, at or before ``as_of`` where that is given; None without one.

    Args:
        runs: the table `mart_runs`, whether it exists or not.
    """
    for limit in _LOOK_BACK:
        for commit in runs.history(limit):
            said = commit.provenance
            is_too_late = as_of is not None and commit.committed_at > as_utc(as_of)
            if said is not None and said.get("pipeline") == pipeline and not is_too_late:
                versions = {name: TableVersion(**version) for name, version in said["inputs"].items()}
                return CompletedRun(said["run_id"], commit.committed_at, versions)
    return None
