"""What SQL and Python definitions have in common: the inputs that they name, and the parameters that builds give."""

from __future__ import annotations

from dataclasses import dataclass

PARAMETERS = ("interval_start", "interval_end")


@dataclass(frozen=True)
class TableReference:
    """A name that a definition reads from, and the line where it stands."""

    name: str
    line: int
