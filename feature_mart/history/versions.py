"""The versions of a table as plain dicts, for people and for programs."""

from __future__ import annotations

from typing import Any

from feature_mart.delta.log import Commit
from feature_mart.delta.tables import Table
from feature_mart.errors import TableError
from feature_mart.records import iso

_PROVENANCE = (
    "run_id",
    "pipeline",
    "feature_view",
    "definition_hash",
    "git_commit",
    "git_dirty",
    "intervals",
    "horizon",
    "inputs",
    "rows",
    "checks",
    "engine",
    "mart",
)
_MORE = ("reason", "quarantined", "coverage", "restored_from", "on_hold")


def versions_of(table: Table, limit: int | None = None) -> list[dict[str, Any]]:
    """One dict per version, newest first, with every key of the provenance (None where a foreign writer committed).

    Raises:
        TableError: the table does not exist.
    """
    commits = table.history(limit)
    if not commits:
        raise TableError(f"{table.name} has no versions yet: it has not been built. Run `mart build`.")
    return [_entry(commit) for commit in commits]


def _entry(commit: Commit) -> dict[str, Any]:
    said = commit.provenance or {}
    return {
        "version": commit.version,
        "timestamp": iso(commit.committed_at),
        "operation": commit.operation,
        **{key: said.get(key) for key in (*_PROVENANCE, *_MORE)},
    }
