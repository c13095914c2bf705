"""What is said of tables that somebody or something damaged, whoever noticed: delta-rs, Spark, or the log's files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from urllib.parse import unquote, urlparse

from feature_mart.errors import FilesMissing, TableError


def damaged_log(table: str, place: str | None, said: str) -> TableError:
    """The error for a log that cannot be read."""
    return TableError(
        f"table {table}: its log is damaged: {said}. This run left the table as it is. "
        f"Put the files of {_log_of(place)} back from a backup. Or, where everything that it was made from is still "
        f"there, move {place or 'the table'} away and run `mart build`, which makes it anew."
    )


def missing_files(table: str, place: str | None, said: str) -> FilesMissing:
    """The error for files of rows that the log names and that are not there."""
    return FilesMissing(
        f"table {table}: a file that its log names is missing: {said}. Put the file back, "
        f"restore a version that has all its files (`mart history {table}`), or move {place or 'the table'} away and "
        "run `mart build`, which makes it anew."
    )


def full_disk(table: str, place: str | None) -> TableError:
    """The error for a write that found no room."""
    return TableError(
        f"table {table}: the disk is full{_room(place)}. Nothing was published, and the version before is as it was; "
        "free some space there (or where Spark keeps what it works on, `spark.local.dir`) and run the same command "
        "again."
    )


def _room(place: str | None) -> str:
    """Which disk a local place is on, and how much room it has."""
    if place is None or urlparse(place).scheme not in ("", "file"):
        return "" if place is None else f" ({place})"
    folder = Path(unquote(urlparse(place).path) if place.startswith("file:") else place)
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    disk = next(parent for parent in (there, *there.parents) if os.path.ismount(parent))
    usage = shutil.disk_usage(there)
    return f" ({folder}, on the disk mounted at {disk}: {usage.free >> 20} of {usage.total >> 20} MiB free)"


def _log_of(place: str | None) -> str:
    return "the log" if place is None else f"{place}/_delta_log"
