"""Removes files that no version needs which is kept, and files of builds that were killed.

Delta's own VACUUM is not used: it knows a table's newest version and an age, and nothing of what pins versions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from feature_mart.definitions.durations import format_duration
from feature_mart.delta.log import Commit
from feature_mart.delta.stored_files import StoredFile, VersionFiles, remove, stored_files, version_files
from feature_mart.delta.tables import Table
from feature_mart.errors import TableError
from feature_mart.history.pins import Pin

# Files that no log names may belong to a build that still runs; none runs for so long.
SAFE_AGE = timedelta(days=7)


@dataclass(frozen=True)
class Rules:
    """What is kept of a table: versions that were current within ``retention`` of ``now``, and younger strays.

    ``safe_age``: how old a file must be that no version names, before it counts as left over.
    """

    retention: timedelta
    now: datetime
    safe_age: timedelta = SAFE_AGE


@dataclass(frozen=True)
class Vacuumed:
    """What is removed of one table (or would be), and what is kept.

    Args:
        recent: versions that are kept for their age, the newest among them.
        pinned: versions that something needs, with what it is; ``lost``: how many files such a version lacks already,
            None where it is not in the log (any more).
        expired: versions that are kept no longer.
        files: what they alone needed; ``orphans``: what no version names; ``waiting``: the same, but too young to go.
    """

    table: str
    rules: Rules
    recent: tuple[int, ...]
    pinned: Mapping[int, tuple[str, ...]]
    lost: Mapping[int, int | None]
    expired: tuple[int, ...]
    files: tuple[StoredFile, ...]
    orphans: tuple[StoredFile, ...]
    waiting: int

    def to_json(self) -> dict[str, Any]:
        """A plain dict for people and programs; sizes in bytes."""
        return {
            "table": self.table,
            "retention": format_duration(self.rules.retention),
            "newest": max(self.recent),
            "recent": list(self.recent),
            "pinned": [{"version": version, "why": list(why)} for version, why in sorted(self.pinned.items())],
            "lost": [{"version": version, "missing_files": count} for version, count in sorted(self.lost.items())],
            "expired": list(self.expired),
            "files": len(self.files),
            "bytes": sum(file.size for file in self.files),
            "orphan_files": len(self.orphans),
            "orphan_bytes": sum(file.size for file in self.orphans),
            "waiting_files": self.waiting,
        }


def vacuum(table: Table, pins: Sequence[Pin], rules: Rules, *, dry_run: bool) -> Vacuumed | None:
    """Removes what a table does not need; None where it does not exist.

    Raises:
        TableError: the log cannot be read whole, or a file cannot be removed.
    """
    if table.current() is None:
        return None
    folder = table.folder
    assert folder is not None  # the caller refuses other places
    # First the folder, then the log. A build that runs meanwhile has its files either named by the log that is read
    # now, in a version that is kept, or not yet: then they are no older than that build, and stay for their age. The
    # other way round, files that were committed between the two would look like nobody's.
    stored = stored_files(folder)
    found = _sorted_out(table.name, stored, table.history(), version_files(table.name, folder), pins, rules)
    if not dry_run:
        try:
            remove(folder, [file.path for file in (*found.files, *found.orphans)])
        except OSError as error:
            raise TableError(
                f"table {table.name}: {error.filename} cannot be removed: {error.strerror}. Some of the files may be "
                "gone already; what is kept is whole. Run the same command again when it can be."
            ) from error
    return found


def _sorted_out(
    name: str,
    stored: Sequence[StoredFile],
    commits: Sequence[Commit],
    versions: Iterable[VersionFiles],
    pins: Sequence[Pin],
    rules: Rules,
) -> Vacuumed:
    """What goes. ``commits`` are read before ``versions``: what came between has no follower, and stays."""
    pinned = _pinned(name, pins)
    lost: dict[int, int | None] = dict.fromkeys(pinned)
    followed = {commit.version - 1: commit.committed_at for commit in commits}
    since = rules.now - rules.retention
    there = {file.path for file in stored}
    recent: list[int] = []
    expired: list[int] = []
    needed: set[str] = set()
    named: set[str] = set()
    for each in versions:
        named |= each.rows | each.named
        is_recent = each.version not in followed or followed[each.version] >= since
        if is_recent:
            recent.append(each.version)
        if each.version in pinned:
            lost[each.version] = len(each.rows - there)
        if is_recent or each.version in pinned:
            needed |= each.rows | each.changes
        else:
            expired.append(each.version)
    unneeded = named - needed
    strays = [file for file in stored if file.path not in named]
    orphans = tuple(file for file in strays if rules.now - file.modified > rules.safe_age)
    return Vacuumed(
        table=name,
        rules=rules,
        recent=tuple(recent),
        pinned=pinned,
        lost={version: count for version, count in lost.items() if count != 0},
        expired=tuple(expired),
        files=tuple(file for file in stored if file.path in unneeded),
        orphans=orphans,
        waiting=len(strays) - len(orphans),
    )


def _pinned(name: str, pins: Sequence[Pin]) -> dict[int, tuple[str, ...]]:
    reasons: defaultdict[int, list[str]] = defaultdict(list)
    for pin in pins:
        if pin.table == name:
            reasons[pin.version].append(pin.why)
    return {version: tuple(why) for version, why in sorted(reasons.items())}
