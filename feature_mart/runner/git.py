"""Which commit of the definitions a run was made from."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

_SECONDS = 10


@dataclass(frozen=True)
class GitState:
    """The commit that is checked out, and whether the work tree differs from it; None where there is no git."""

    commit: str | None
    is_dirty: bool | None


def git_state(root: Path) -> GitState:
    """What git says of the mart's folder."""
    commit = _git(root, "rev-parse", "HEAD")
    if commit is None:
        return GitState(None, None)
    status = _git(root, "status", "--porcelain", "--", ".")
    return GitState(commit.strip(), None if status is None else bool(status.strip()))


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
