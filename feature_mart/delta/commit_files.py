"""Commits of a table on a local disk, read straight from the files of its log.

delta-rs replays a table's whole state before it says anything, which costs tens of milliseconds a table. Who last
committed, and what the commit says of itself, stands in one small JSON file. Where a log looks in any way unusual
(files missing, nothing but checkpoints, text that is no JSON) the functions here give None, and delta-rs decides.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

_DIGITS = 20


def log_folder(uri: str) -> Path | None:
    """The folder of a local table's log; None for any other place."""
    parsed = urlparse(uri)
    if parsed.scheme not in ("", "file"):
        return None
    return Path(unquote(parsed.path) if parsed.scheme else uri) / "_delta_log"


def commit_versions(folder: Path) -> list[int] | None:
    """The versions whose commits are there, newest first."""
    try:
        names = [entry.name for entry in os.scandir(folder)]
    except OSError:
        return None
    numbers = [name[:_DIGITS] for name in names if len(name) == _DIGITS + 5 and name.endswith(".json")]
    found = sorted((int(number) for number in numbers if number.isdecimal()), reverse=True)
    without_gaps = bool(found) and found[0] - found[-1] == len(found) - 1
    return found if without_gaps else None


def commit_info(folder: Path, version: int) -> dict[str, Any] | None:
    """What a commit says of itself: its ``commitInfo`` action."""
    return _action(folder, version, "commitInfo")


def table_id(folder: Path) -> str | None:
    """The table's id, which its first commit gave it and no later one changes."""
    found = _action(folder, 0, "metaData")
    return None if found is None else str(found["id"])


def _action(folder: Path, version: int, kind: str) -> dict[str, Any] | None:
    try:
        for line in _lines(folder / f"{version:0{_DIGITS}}.json"):
            if f'"{kind}"' in line[:40]:
                action = json.loads(line)
                if kind in action:
                    found: dict[str, Any] = action[kind]
                    return found
    except (OSError, ValueError):
        return None
    return None


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as lines:
        yield from lines
