"""Shows what a build does: bars on a terminal, plain lines with the same facts in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from feature_mart.runner.workspace import Event

_MARKS = {"done": "✓", "skipped": "·", "remark": "!", "failed": "✗", "progress": " ", "started": "…"}


def what_is_left(done: int, total: int, elapsed: float) -> str:
    """How much is left of ``total`` parts, and for how long at the pace of those that are ``done``."""
    left = total - done
    if not left:
        return "none left"
    seconds = round(elapsed / done * left)
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    duration = f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
    return f"{left} left, about {duration}"


class Progress:
    """Prints a build's events on standard error, so that results on standard output stay clean.

    Args:
        console: the terminal to draw on; standard error where that is one.
        clock: seconds that only grow.
    """

    def __init__(self, *, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._bars: Bars | None = None
        self._tasks: dict[str, TaskID] = {}
        self._started: dict[str, float] = {}

    def __enter__(self) -> Progress:
        if self._console is not None or sys.stderr.isatty():
            self._bars = _bars(self._console)
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    def __call__(self, event: Event) -> None:
        """Shows one event."""
        now, text = self._clock(), event.text
        if event.kind == "started":
            self._started[event.subject] = now
        elif event.kind not in ("remark", "progress"):
            began = self._started.pop(event.subject, None)
            text += f"  ({now - began:.1f} s)" if event.kind == "done" and began is not None else ""
        left = ""
        if event.total:
            left = what_is_left(event.number, event.total, now - self._started.get(event.subject, now))
            text += f"; {left}"
        if self._bars is None:
            click.echo(_line(event, text), err=True)
        else:
            self._draw(self._bars, event, text, left)

    def _draw(self, bars: Bars, event: Event, text: str, left: str) -> None:
        """Moves the bars; what they do not show is printed above them."""
        if event.kind == "started":
            self._tasks[event.subject] = bars.add_task(event.subject, total=None, left="")
        elif event.total and event.subject in self._tasks:
            task, said = self._tasks[event.subject], f"{event.number} of {event.total} done, {left}"
            bars.update(task, completed=event.number, total=event.total, left=said, refresh=True)
        else:
            if event.kind in ("done", "skipped", "failed") and event.subject in self._tasks:
                bars.remove_task(self._tasks.pop(event.subject))
            bars.console.print(_line(event, text), markup=False, highlight=False, soft_wrap=True)


def _line(event: Event, text: str) -> str:
    return f"{_MARKS[event.kind]} {event.subject:28} {text}"


def _bars(console: Console | None) -> Bars:
    """One row for each step that runs; they go as they end."""
    from rich.console import Console  # only a terminal needs it
    from rich.progress import BarColumn, SpinnerColumn, TextColumn
    from rich.progress import Progress as Bars

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[left]}", markup=False),
    )
    return Bars(*columns, console=console or Console(stderr=True), transient=True)
