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
        now = time.monotonic()
        if event.kind == "started":
            self._started[event.subject] = now
            if self._is_terminal:
                self._spin(f"{event.subject}: {event.text}")
                return
        took = ""
        if event.kind == "done" and event.subject in self._started:
            took = f"  ({now - self._started[event.subject]:.1f} s)"
        self._stop()
        click.echo(f"{_MARKS[event.kind]} {event.subject:28} {event.text}{took}", err=True)

    def _spin(self, text: str) -> None:
        from rich.console import Console  # only a terminal needs it

        self._stop()
        self._status = Console(stderr=True).status(text)
        self._status.start()

    def _stop(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None
