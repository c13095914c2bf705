"""Which commit wrote a row: found in what the commits say of themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from feature_mart.delta.foreign import OPTIMIZED, may_change_rows
from feature_mart.delta.log import Commit
from feature_mart.records import Interval


@dataclass(frozen=True)
class Writer:
    """The commit that wrote a row, the interval of it that holds the row, and the commits that brought it back since.

    ``interval`` is None where the view was built whole.
    """

    commit: Commit
    interval: Interval | None
    restored_by: tuple[int, ...]


def writer_of(commits: Sequence[Commit], version: int, moment: datetime | None) -> Writer | None:
    """Who wrote the row at ``moment`` (None in a view without time) that stands in ``version``.

    None where that cannot be told: another writer may have changed rows since, or the log is cut off.
    """
    by_version: Mapping[int, Commit] = {commit.version: commit for commit in commits}
    restored: list[int] = []
    while version in by_version:
        commit = by_version[version]
        said = commit.provenance
        if said is None and may_change_rows(commit):
            return None
        if said is not None and said.get(OPTIMIZED):
            version -= 1
            continue
        if said is not None and said.get("restored_from") is not None:
            restored.append(version)
            version = int(said["restored_from"])
            continue
        if said is not None:
            intervals = said.get("intervals")
            if intervals is None:
                return Writer(commit, None, tuple(restored))
            for interval in map(Interval.from_json, intervals):
                if moment is not None and interval.start <= moment < interval.end:
                    return Writer(commit, interval, tuple(restored))
        version -= 1
    return None
