"""The data files in a local table's folder, and which of them the versions in its log need.

The log alone says it: its commits are replayed one after the other, so each version's files are known without opening
any of them. Where the oldest commits are gone (another program's clean-up), delta-rs gives the files to start from.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from feature_mart.delta.commit_files import commit_file, commit_versions, damage
from feature_mart.delta.damage import damaged_log
from feature_mart.errors import TableError

_CHANGES = "_change_data"
_SUFFIX = ".parquet"


@dataclass(frozen=True)
class StoredFile:
    """A data or change file that is there. ``path`` within the table's folder, ``size`` in bytes."""

    path: str
    size: int
    modified: datetime


@dataclass(frozen=True)
class VersionFiles:
    """What one version needs: the files of its rows, and those that its commit wrote for the change feed alone.

    ``named``: all files that its commit speaks of, the ones that it took away among them.
    """

    version: int
    rows: frozenset[str]
    changes: frozenset[str]
    named: frozenset[str]


def stored_files(folder: Path) -> list[StoredFile]:
    """All data and change files in a table's folder, in the order of their paths; nothing of the log."""
    found = []
    for place, folders, names in os.walk(folder):
        # Partition columns of ours begin with an underscore, as do folders that hold no data.
        folders[:] = [name for name in folders if "=" in name or name == _CHANGES or name[0] not in "._"]
        for name in names:
            if name.endswith(_SUFFIX) and name[0] not in "._":
                path = Path(place, name)
                try:
                    stat = path.stat()
                except FileNotFoundError:
                    continue  # somebody else removed it since the folder was read
                modified = datetime.fromtimestamp(stat.st_mtime, tz=timezone.utc)
                found.append(StoredFile(path.relative_to(folder).as_posix(), stat.st_size, modified))
    return sorted(found, key=lambda file: file.path)


def version_files(name: str, folder: Path) -> Iterator[VersionFiles]:
    """The files of each version in the log of table ``name``, oldest version first.

    Raises:
        TableError: a commit is missing between others, or cannot be read.
    """
    log = folder / "_delta_log"
    versions = commit_versions(log)
    if versions is None:
        raise damaged_log(name, str(folder), damage(log) or "no commits can be read")
    oldest = versions[-1]
    rows: set[str] = set()
    for version in reversed(versions):
        actions = _actions(name, folder, version)
        removed, added, changes = (_paths(actions, kind) for kind in ("remove", "add", "cdc"))
        has_predecessors = version == oldest and oldest > 0
        rows = _replayed(name, folder, version) if has_predecessors else (rows - removed) | added
        yield VersionFiles(version, frozenset(rows), changes, removed | added | changes)


def remove(folder: Path, paths: Iterable[str]) -> None:
    """Removes files, with the checksums that Hadoop keeps beside them.

    Folders stay, empty or not: a build may be about to write into them.
    """
    for path in paths:
        file = folder / path
        file.unlink(missing_ok=True)
        (file.parent / f".{file.name}.crc").unlink(missing_ok=True)


def remove_table(name: str, folder: Path) -> None:
    """Removes a table with all of its versions. It is a table or gone, whenever this is stopped.

    Raises:
        TableError: files cannot be removed.
    """
    remove_dropped(name, folder)
    try:
        # In one step, so that a new table of the name shares no folder with what is being removed.
        folder.rename(_dropped(folder))
    except OSError as error:
        raise TableError(f"table {name} cannot be removed: {error}. It is as it was; free {folder} first.") from error
    remove_dropped(name, folder)


def remove_dropped(name: str, folder: Path) -> None:
    """Removes what a `remove_table` that was stopped left of a table, if anything.

    Raises:
        TableError: files cannot be removed.
    """
    dropped = _dropped(folder)
    shutil.rmtree(dropped, ignore_errors=True)  # another process may remove the same files
    if dropped.exists():
        raise TableError(f"what was dropped of table {name} cannot be removed: remove {dropped} by hand.")


def _dropped(folder: Path) -> Path:
    return folder.with_name(f".dropped-{folder.name}")


def _actions(name: str, folder: Path, version: int) -> list[dict[str, Any]]:
    try:
        text = commit_file(folder / "_delta_log", version).read_text(encoding="utf-8")
        actions = [json.loads(line) for line in text.splitlines()]
    except (OSError, ValueError) as error:
        raise damaged_log(name, str(folder), f"commit {version} cannot be read") from error
    if not actions:
        raise damaged_log(name, str(folder), f"commit {version} is empty")
    return actions


def _paths(actions: Iterable[dict[str, Any]], kind: str) -> frozenset[str]:
    return frozenset(unquote(action[kind]["path"]) for action in actions if kind in action)


def _replayed(name: str, folder: Path, version: int) -> set[str]:
    try:
        files = pa.table(DeltaTable(str(folder), version=version).get_add_actions(flatten=True))
    except DeltaError as error:
        raise TableError(
            f"table {name}: its oldest commits are gone, and version {version} cannot be read without them: "
            f"{str(error).splitlines()[0][:200]}"
        ) from error
    return {unquote(str(path)) for path in files["path"].to_pylist()}
