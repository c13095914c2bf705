"""What is wrong in a mart's files, said so that a reader can mend it without asking: where, what, allowed, fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

LONGEST_TEXT = 400
MOST_NAMES = 12


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong, or that looks wrong (``severity="warning"``).

    ``key`` is the dotted path within a YAML file, empty for other files. ``message`` is a whole sentence; ``found`` is
    what stands in the file, as it is written there, so that a value from the environment never shows.
    """

    file: str
    line: int
    key: str
    message: str
    found: str = ""
    allowed: str = ""
    nearest: str = ""
    fix: str = ""
    severity: Literal["error", "warning"] = "error"

    def text(self) -> str:
        """The problem as a few lines for people."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        head = f"{place}  {self.key}" if self.key else place
        lines = [f"{head}  (warning)" if self.severity == "warning" else head, f"  {shortened(self.message)}"]
        if self.found and self.found not in self.message:
            lines.append(f"  found: {shortened(self.found)}")
        if self.allowed:
            lines.append(f"  allowed: {shortened(self.allowed)}")
        if self.nearest:
            lines.append(f"  did you mean: {self.nearest}")
        if self.fix:
            lines.append(f"  fix: {shortened(self.fix)}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """A plain dict for ``--json``."""
        return asdict(self)


class Problems:
    """Collects problems while files are read and compared, so that all are told at once."""

    def __init__(self) -> None:
        self._found: set[Problem] = set()

    def add(self, problem: Problem) -> None:
        """Keep a problem; the same one twice is told once."""
        self._found.add(problem)

    def has_error_in(self, file: str | None) -> bool:
        """Whether something must be mended in a file."""
        return any(problem.file == file and problem.severity == "error" for problem in self._found)

    def errors(self) -> tuple[Problem, ...]:
        """What must be mended, in the order of files and lines."""
        return tuple(sorted(problem for problem in self._found if problem.severity == "error"))

    def warnings(self) -> tuple[Problem, ...]:
        """What may be right, in the order of files and lines."""
        return tuple(sorted(problem for problem in self._found if problem.severity == "warning"))


class Names:
    """Names that exist. Where a file that gives names could not be read, every name may exist."""

    def __init__(self, names: Iterable[str], is_complete: bool) -> None:
        self._names = frozenset(names)
        self.is_complete = is_complete

    def __contains__(self, name: object) -> bool:
        return not self.is_complete or name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)


class Invalid(ValueError):
    """A single value is wrong; whoever knows its file and line makes a `Problem` of it."""

    def __init__(self, message: str, *, allowed: str = "", nearest: str = "", fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.allowed = allowed
        self.nearest = nearest
        self.fix = fix


def shortened(text: str, longest: int = LONGEST_TEXT) -> str:
    """The text, cut where it would fill a screen."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def nearest(name: object, known: Iterable[str]) -> str:
    """The known name that looks most like ``name``; empty if none does."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    matches = difflib.get_close_matches(str(name).casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[matches[0]] if matches else ""


def counted(count: int, noun: str) -> str:
    """``1 view``, ``2 views``: a number and what it counts, for nouns whose plural ends in s."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """A question for the end of a message about an unknown name, a space before it; empty if none is like it."""
    meant = nearest(name, known)
    return f" Did you mean {meant}?" if meant else ""


def listed(names: Iterable[str], none: str = "(none)") -> str:
    """Names for a sentence: sorted, and cut after a dozen."""
    ordered = sorted(names)
    if not ordered:
        return none
    rest = len(ordered) - MOST_NAMES
    return ", ".join(ordered[:MOST_NAMES]) + (f" and {rest} more" if rest > 0 else "")
