"""Which versions of the mart's tables something still needs, however old they are.

Whatever comes to need versions adds a function to `_KINDS`, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from feature_mart.definitions import FeatureView
from feature_mart.delta.address import RUNS_TABLE, TRAINING_SET_MANIFEST, TRAINING_SET_PREFIX
from feature_mart.delta.foreign import same_rows
from feature_mart.delta.tables import Tables
from feature_mart.errors import TableError
from feature_mart.records import iso

_SHORT = 10


@dataclass(frozen=True)
class Pin:
    """A version of a table (of a view, as a rule) that is kept, and what keeps it, in words."""

    table: str
    version: int
    why: str


@dataclass(frozen=True)
class Needs:
    """What is looked at for pins.

    ``views``: all of them, and tiles; ``retention`` of a table by its name; ``online``: by view, the table's id and the
    version of each snapshot that is live, or that a rollback would make live.
    """

    tables: Tables
    views: Sequence[FeatureView]
    retention: Callable[[str], timedelta]
    now: datetime
    online: Mapping[str, Sequence[tuple[str, int]]]


def pins(needs: Needs) -> list[Pin]:
    """All versions that something needs.

    Raises:
        TableError: a training set does not say which versions it is made from.
    """
    return [pin for kind in _KINDS for pin in kind(needs)]


def _training_sets(needs: Needs) -> Iterator[Pin]:
    """A training set needs the versions that it was made from for as long as it exists itself."""
    for table in map(needs.tables.table, needs.tables.names()):
        commits = table.history() if table.name.startswith(TRAINING_SET_PREFIX) else []
        manifests = [(commit.provenance or {}).get(TRAINING_SET_MANIFEST) for commit in commits]
        manifest = next((entry for entry in manifests if entry is not None), None)
        if manifest is not None:
            for entry in manifest["views"]:
                why = f"training set {table.name.removeprefix(TRAINING_SET_PREFIX)}"
                yield Pin(entry["view"], int(entry["version"]), why)
        elif commits:
            raise TableError(
                f"{table.name} does not say which versions it was made from, so nobody knows what must be kept for it. "
                f"Nothing was removed. Remove the table ({table.folder}) if it is not needed, or save the set again."
            )


def _completed_runs(needs: Needs) -> Iterator[Pin]:
    """What a pipeline's last completed run left (training sets and syncs take it), and runs within the retention."""
    last: set[str] = set()
    for commit in needs.tables.table(RUNS_TABLE).history():
        said = commit.provenance
        if said is None:
            continue
        pipeline = str(said["pipeline"])
        is_last = pipeline not in last
        last.add(pipeline)
        why = f"{'last run' if is_last else 'run'} {said['run_id'][:_SHORT]} of {pipeline}, {iso(commit.committed_at)}"
        for name, version in _versions(said):
            if is_last or commit.committed_at >= needs.now - needs.retention(name):
                yield Pin(name, version, why)


def _next_builds(needs: Needs) -> Iterator[Pin]:
    """The next build of a view reads what has changed in its inputs since the versions that its last one read."""
    for view in needs.views:
        built = needs.tables.table(view.name).last_build()
        for name, version in _versions({} if built is None or built.provenance is None else built.provenance):
            table = needs.tables.table(name)
            current = table.current()
            if current is None or current.version <= version or same_rows(table.log, version, current.version):
                continue
            for number in range(version, current.version):
                yield Pin(name, number, f"the next build of {view.name}")


def _online(needs: Needs) -> Iterator[Pin]:
    """What is live online is compared with the next version, and with a proof; a rollback goes to the one before."""
    for view, snapshots in needs.online.items():
        current = needs.tables.table(view).current()
        for table_id, version in snapshots:
            if current is not None and current.table_id == table_id:
                yield Pin(view, version, "the online store")


def _versions(said: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """The versions that a commit names as its inputs; files have none."""
    for name, entry in (said.get("inputs") or {}).items():
        if "version" in entry:
            yield name, int(entry["version"])


_KINDS = (_training_sets, _completed_runs, _next_builds, _online)
