"""What differs between two versions of a view: rows by key, columns, the definition, and what made each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from feature_mart.definitions import FeatureView
from feature_mart.delta.errors import delta_errors
from feature_mart.delta.log import Commit
from feature_mart.delta.tables import Table
from feature_mart.errors import FilesMissing, TableError, VersionNotFound
from feature_mart.history.definition_diff import definition_diff
from feature_mart.history.shape import Shape, shape_of
from feature_mart.records import iso

FEED, WHOLE = "change feed", "whole versions"
_SAID = ("run_id", "git_commit", "git_dirty", "definition_hash", "reason")


@dataclass(frozen=True)
class Way:
    """How two versions are compared, and why not by the change feed where it is not."""

    name: str
    why: str | None = None


def diff_versions(view: FeatureView, table: Table, before: int, after: int, *, limit: int) -> dict[str, Any]:
    """What there is in version ``after`` and was not in ``before``, the other way round, and changed, by key.

    Args:
        limit: how many examples of each kind to show.

    Raises:
        VersionNotFound: there is no such version, or files that it needs were removed.
        UsageError: a version lacks a column by which the view's rows are told apart.
    """
    for version in (before, after):
        table.pinned(version)
    commits = {commit.version: commit for commit in table.history()}
    shape = shape_of(view, table.columns(before), table.columns(after))
    changes, way = _changes(table, shape, (before, after), commits, limit)
    said = [dict(commits[version].provenance or {}) if version in commits else {} for version in (before, after)]
    return {
        "view": view.name,
        "from": _described(before, commits.get(before)),
        "to": _described(after, commits.get(after)),
        "compared": {"by": way.name, "why": way.why},
        "key": list(shape.key),
        **changes,
        "columns": {
            "added": list(shape.added),
            "removed": list(shape.removed),
            "retyped": {name: list(kinds) for name, kinds in shape.retyped.items()},
        },
        "definition": {
            "changed": said[0].get("definition_hash") != said[1].get("definition_hash"),
            "diff": definition_diff(said[0], said[1]),
        },
    }


def _described(version: int, commit: Commit | None) -> dict[str, Any]:
    said = {} if commit is None else commit.provenance or {}
    time = None if commit is None else iso(commit.committed_at)
    return {"version": version, "timestamp": time, **{key: said.get(key) for key in _SAID}}


def choose_way(shape: Shape, older: int, newer: int, commits: Mapping[int, Commit]) -> Way:
    """The change feed, unless it cannot tell or holds more rows than the two versions do.

    The rows that commits wrote say how long the feed is: a night's few, or the table again and again where it is built
    whole.
    """
    if shape.retyped:
        return Way(WHOLE, f"types differ: {', '.join(sorted(shape.retyped))}")
    written = [commits[version] for version in range(older + 1, newer + 1) if version in commits]
    in_feed = sum(_rows(commit, "rows") for commit in written)
    in_versions = sum(_rows(commits[version], "table_rows") for version in (older, newer) if version in commits)
    if in_versions and in_feed > in_versions:
        return Way(WHOLE, f"the versions between wrote {in_feed} rows, the two hold about {in_versions}")
    return Way(FEED)


def _rows(commit: Commit, key: str) -> int:
    return int((commit.provenance or {}).get(key) or 0)


def _changes(
    table: Table, shape: Shape, versions: tuple[int, int], commits: Mapping[int, Commit], limit: int
) -> tuple[dict[str, Any], Way]:
    before, after = versions
    if before == after:
        return _nothing(shape), Way(FEED)
    way = choose_way(shape, min(versions), max(versions), commits)
    if way.name == FEED:
        try:
            return _by_feed(table, shape, before, after, limit), way
        except TableError as error:
            way = Way(WHOLE, f"the change feed cannot be read: {error.message}")
    try:
        return _by_versions(table, shape, before, after, limit), way
    except FilesMissing as error:
        raise VersionNotFound(
            f"versions {before} and {after} of {table.name} cannot be compared: files that they need were removed (by "
            f"VACUUM, or by hand). `mart history {table.name}` lists the versions."
        ) from error


def _nothing(shape: Shape) -> dict[str, Any]:
    kinds: Sequence[str] = ("added", "removed", "changed")
    return {
        "rows": dict.fromkeys(kinds, 0),
        "features": dict.fromkeys(shape.features, 0),
        "examples": {kind: [] for kind in kinds},
    }


def _by_feed(table: Table, shape: Shape, before: int, after: int, limit: int) -> dict[str, Any]:
    from pyspark.sql import functions as F

    from feature_mart.delta.changes import change_feed
    from feature_mart.history.row_changes import row_changes, signed

    # Versions may be asked for backwards; the feed only runs forwards.
    feed = change_feed(table, min(before, after), max(before, after))
    kinds = dict(feed.dtypes)
    other = sorted(name for name, kind in shape.types.items() if kinds.get(name) != kind)
    if other:
        raise TableError(f"it has other columns than the versions: {', '.join(other)}")
    forwards = 1 if before < after else -1
    came = F.col("_change_type").isin("insert", "update_postimage")
    with delta_errors(table.name):
        found = row_changes(signed(feed, shape, F.when(came, forwards).otherwise(-forwards)), shape, limit)
    return {"rows": found.counts, "features": found.features, "examples": found.examples}


def _by_versions(table: Table, shape: Shape, before: int, after: int, limit: int) -> dict[str, Any]:
    from pyspark.sql import functions as F

    from feature_mart.history.row_changes import row_changes, signed

    with delta_errors(table.name):
        old, new = (signed(table.read(version), shape, F.lit(sign)) for version, sign in ((before, -1), (after, 1)))
        found = row_changes(old.unionByName(new), shape, limit)
    return {"rows": found.counts, "features": found.features, "examples": found.examples}
