"""What other programs committed to a table since the engine did: rows whose origin nothing tells.

Each commit of the engine says on which version it was planned (`PLANNED_ON`), so that the newest one alone tells the
usual case, in which nobody else committed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from feature_mart.delta.log import LOOK_BACK, Commit, TableLog
from feature_mart.records import ForeignChange

# In a commit's user metadata: the version of the table that it was planned on, -1 before the first.
PLANNED_ON = "planned_on"
# In the user metadata of a commit of ours that laid the same rows out anew, and says what the build before it said.
OPTIMIZED = "optimized"

# What these do changes no row, whoever does it.
_CHANGES_NO_ROW = (
    *("OPTIMIZE", "REORG", "VACUUM START", "VACUUM END", "CLUSTER BY", "COMPUTE STATS", "UPGRADE PROTOCOL"),
    *("SET TBLPROPERTIES", "UNSET TBLPROPERTIES", "ADD CONSTRAINT", "DROP CONSTRAINT", "ADD FEATURE", "DROP FEATURE"),
    *("CREATE TABLE", "ADD COLUMNS", "CHANGE COLUMN", "CHANGE COLUMNS"),
)


@dataclass(frozen=True)
class Recent:
    """The end of a table's log: the engine's newest commit, and those of others since the state it was planned on."""

    newest: int
    own: Commit | None
    foreign: tuple[Commit, ...]


def may_change_rows(commit: Commit) -> bool:
    """Whether a commit may have changed rows, by what it calls itself."""
    return commit.operation not in _CHANGES_NO_ROW


def recent_commits(log: TableLog) -> Recent | None:
    """The end of the log, from as few commits as tell it; None where there is no table."""
    for limit in LOOK_BACK:
        commits = log.commits(limit)
        if not commits:
            return None
        own = next((commit for commit in commits if commit.provenance is not None), None)
        floor = -1 if own is None else _planned_on(own)
        is_whole = limit is None or len(commits) < limit
        if is_whole or (own is not None and commits[-1].version <= floor + 1):
            foreign = (commit for commit in commits if commit.version > floor and commit.provenance is None)
            return Recent(commits[0].version, own, tuple(foreign))
    raise AssertionError("unreachable")  # the last limit is none


def foreign_change(log: TableLog, recent: Recent) -> ForeignChange | None:
    """The newest change of rows by another program that the engine's newest commit does not know of."""
    changes = [commit for commit in recent.foreign if may_change_rows(commit) and log.has_changed_rows(commit.version)]
    if not changes:
        return None
    newest, first = changes[0], changes[-1]
    return ForeignChange(newest.version, newest.committed_at, newest.operation, _last_good(log.commits(), first))


def same_rows(log: TableLog, after: int, until: int) -> bool:
    """Whether all commits after one version, up to another, are known to have left the rows as they were."""
    for limit in (1, until - after):
        commits = [commit for commit in log.commits(limit) if after < commit.version <= until]
        if not all(_keeps_rows(log, commit) for commit in commits):
            return False
    return len(commits) == until - after


def _keeps_rows(log: TableLog, commit: Commit) -> bool:
    if commit.provenance is not None:
        return bool(commit.provenance.get(OPTIMIZED))
    return not (may_change_rows(commit) and log.has_changed_rows(commit.version))


def _last_good(commits: Sequence[Commit], change: Commit) -> int | None:
    """The engine's newest version from before a change."""
    return next((c.version for c in commits if c.provenance is not None and c.version < change.version), None)


def _planned_on(commit: Commit) -> int:
    """Of a commit from before this was recorded: the version before it."""
    assert commit.provenance is not None
    return int(commit.provenance.get(PLANNED_ON, commit.version - 1))
