"""Commits of a table on a local disk, read straight from the files of its log.

delta-rs replays a table's whole state before it says anything, which costs tens of milliseconds a table. Who last
committed, and what the commit says of itself, stands in one small JSON file. Where a log looks in any way unusual
(files missing, nothing but checkpoints, text that is no JSON) the functions here give None, and delta-rs decides.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

_DIGITS = 20
_SUFFIX = ".json"
_MOST_COMMITS = 50

# In a commit's user metadata: the id of the table that it changed.
TABLE_ID = "table_id"


def log_folder(uri: str) -> Path | None:
    """The folder of a local table's log; None for any other place."""
    parsed = urlparse(uri)
    if parsed.scheme not in ("", "file"):
        return None
    return Path(unquote(parsed.path) if parsed.scheme else uri) / "_delta_log"


def commit_versions(folder: Path) -> range | None:
    """The versions whose commits are there, newest first."""
    names = _commit_names(folder)
    if not names:
        return None
    # Plans ask this of every table: all numbers have the same width, so the order of the names is theirs.
    newest, oldest = _version(max(names)), _version(min(names))
    without_gaps = newest - oldest == len(names) - 1
    return range(newest, oldest - 1, -1) if without_gaps else None


def damage(folder: Path) -> str | None:
    """What can be seen to be wrong with a log from its commits alone; None where that is nothing."""
    names = sorted(_commit_names(folder))
    for before, after in pairwise(map(_version, names)):
        if after != before + 1:
            return f"{commit_file(folder, before + 1).name} is missing between others"
    return next((f"{name} is {said}" for name in reversed(names) if (said := _unreadable(folder / name))), None)


def is_emptied(folder: Path, version: int) -> bool:
    """Whether a commit's file is empty, as no writer leaves it; readers take it for a commit that does nothing."""
    try:
        return not commit_file(folder, version).read_bytes().strip(b"\0 \n")
    except OSError:
        return False


def _unreadable(path: Path) -> str | None:
    """What is wrong with one commit's file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        for line in lines:
            json.loads(line)
    except ValueError:
        return "cut off, or no JSON"
    except OSError as error:
        return f"not readable ({error.strerror})"
    return None if lines else "empty"


def commit_info(folder: Path, version: int) -> dict[str, Any] | None:
    """What a commit says of itself: its ``commitInfo`` action."""
    return _action(folder, version, "commitInfo")


def has_changed_rows(folder: Path, version: int) -> bool:
    """Whether a commit added or removed files as a change of data; true where it cannot be read."""
    try:
        actions = [json.loads(line) for line in _lines(commit_file(folder, version))]
    except (OSError, ValueError):
        return True
    files = [action[kind] for action in actions for kind in ("add", "remove") if kind in action]
    return any(file.get("dataChange", True) for file in files)


def table_id(folder: Path, versions: Sequence[int]) -> str | None:
    """The table's id: that of the newest commit which has one, as ``REPLACE TABLE`` gives another.

    The engine's commits name the id of the table that they changed. Where many others would have to be read for it,
    None: replaying the log costs no more then.
    """
    for version in versions[:_MOST_COMMITS]:
        found = _action(folder, version, "metaData")
        if found is not None:
            return str(found["id"])
        known = own_metadata((commit_info(folder, version) or {}).get("userMetadata"))
        if known is not None and TABLE_ID in known:
            return str(known[TABLE_ID])
    return None


def own_metadata(text: object) -> Mapping[str, Any] | None:
    """The engine's own user metadata; None for a foreign commit's, whatever it is."""
    if not isinstance(text, str):
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "run_id" in found and "feature_view" in found else None


def _action(folder: Path, version: int, kind: str) -> dict[str, Any] | None:
    try:
        for line in _lines(commit_file(folder, version)):
            if f'"{kind}"' in line[:40]:
                action = json.loads(line)
                if kind in action:
                    found: dict[str, Any] = action[kind]
                    return found
    except (OSError, ValueError):
        return None
    return None


def _commit_names(folder: Path) -> list[str]:
    """The names of all commits' files, in no order; none where the folder cannot be read."""
    length = _DIGITS + len(_SUFFIX)
    try:
        names = [entry.name for entry in os.scandir(folder)]
    except OSError:
        return []
    return [name for name in names if len(name) == length and name.endswith(_SUFFIX) and name[:_DIGITS].isdecimal()]


def _version(name: str) -> int:
    return int(name[:_DIGITS])


def commit_file(folder: Path, version: int) -> Path:
    """Where a log's folder holds a commit."""
    return folder / f"{version:0{_DIGITS}}{_SUFFIX}"


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as lines:
        yield from lines
