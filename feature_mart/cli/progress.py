"""Shows what a build does: a moving line on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.status import Status

    from feature_mart.runner.workspace import Event

_MARKS = {"done": "✓", "skipped": "·", "remark": "!", "failed": "✗", "progress": " ", "started": "…"}


class Progress:
    """Prints a build's events on standard error, so that results on standard output stay clean."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._is_terminal = sys.stderr.isatty()
        self._status: Status | None = None
        self._began = time.monotonic()
        self._started: dict[str, float] = {}

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def __call__(self, event: Event) -> None:
        """Prints one event."""
        if self._quiet:
            return
        now, took = time.monotonic(), ""
        if event.kind == "started":
            self._started[event.subject] = now
        elif event.kind not in ("remark", "progress"):
            began = self._started.pop(event.subject, None)
            took = f"  ({now - began:.1f} s)" if event.kind == "done" and began is not None else ""
        self._stop()
        if event.kind != "started" or not self._is_terminal:
            click.echo(f"{_MARKS[event.kind]} {event.subject:28} {event.text}{took}", err=True)
        if self._is_terminal and self._started:
            self._spin(", ".join(self._started))

    def _spin(self, text: str) -> None:
        from rich.console import Console  # only a terminal needs it

        self._status = Console(stderr=True).status(text)
        self._status.start()

    def _stop(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None
