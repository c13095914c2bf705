"""What a build shows while it runs: on a terminal and in a log."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO

import pytest
from rich.console import Console

from feature_mart.cli.progress import Progress, what_is_left
from feature_mart.runner.workspace import Event

EVENTS = (
    Event("started", "orders", "new"),
    Event("progress", "orders", "chunk 1 of 3: January, 5 rows", 1, 3),
    Event("remark", "orders", "[ties] in 2 keys"),
    Event("progress", "orders", "chunk 2 of 3: February, 7 rows", 2, 3),
    Event("progress", "orders", "chunk 3 of 3: March, 0 rows", 3, 3),
    Event("done", "orders", "version 2, 12 rows"),
)
SECONDS = (0.0, 60.0, 61.0, 100.0, 150.0, 150.0)


def shown(progress: Progress, events: Sequence[Event] = EVENTS) -> None:
    with progress:
        for event in events:
            progress(event)


@pytest.mark.parametrize(
    ("done", "total", "elapsed", "expected"),
    [
        (1, 3, 10.0, "2 left, about 20 s"),
        (2, 3, 130.0, "1 left, about 1 min 5 s"),
        (1, 100, 60.0, "99 left, about 1 h 39 min"),
        (3, 3, 10.0, "none left"),
    ],
)
def test_what_is_left_goes_by_the_pace_so_far(done: int, total: int, elapsed: float, expected: str) -> None:
    assert what_is_left(done, total, elapsed) == expected


def test_a_log_gets_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    shown(Progress(clock=iter(SECONDS).__next__))
    out, err = capsys.readouterr()
    assert out == ""
    assert [" ".join(line.split()) for line in err.splitlines()] == [
        "… orders new",
        "orders chunk 1 of 3: January, 5 rows; 2 left, about 2 min 0 s",
        "! orders [ties] in 2 keys",
        "orders chunk 2 of 3: February, 7 rows; 1 left, about 50 s",
        "orders chunk 3 of 3: March, 0 rows; none left",
        "✓ orders version 2, 12 rows (150.0 s)",
    ]


def test_a_terminal_gets_a_bar_that_goes_and_lines_that_stay() -> None:
    drawn = StringIO()
    console = Console(file=drawn, force_terminal=True, width=100, color_system=None)
    shown(Progress(console=console, clock=iter(SECONDS).__next__))
    text = drawn.getvalue()
    assert "1 of 3 done, 2 left, about 2 min 0 s" in text
    assert "3 of 3 done, none left" in text
    assert "! orders                       [ties] in 2 keys" in text
    assert "✓ orders                       version 2, 12 rows  (150.0 s)" in text
    assert "chunk 1 of 3" not in text


def test_a_step_that_fails_leaves_no_bar_running() -> None:
    drawn = StringIO()
    progress = Progress(console=Console(file=drawn, force_terminal=True, width=100, color_system=None))
    with pytest.raises(ValueError, match="failed"), progress:
        progress(EVENTS[0])
        raise ValueError("failed")
    assert drawn.getvalue().endswith("\x1b[?25h\r\x1b[1A\x1b[2K")
