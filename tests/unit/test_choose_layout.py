"""How fine a write cuts its rows."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from feature_mart.delta.layout import MAXIMUM_DEPTH, ROWS_PER_BUCKET, ROWS_PER_PERIOD, Layout, choose_layout


def at(year: int, month: int = 1) -> datetime:
    return datetime(year, month, 1, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("rows", "earliest", "latest", "expected"),
    [
        (0, None, None, Layout("all", 0)),
        (1000, at(2011), at(2011, 12), Layout("all", 0)),
        (ROWS_PER_PERIOD * 12, at(2011), at(2011, 12), Layout("month", 2)),
        (ROWS_PER_PERIOD * 3, at(2010), at(2012, 12), Layout("year", 0)),
        (ROWS_PER_PERIOD * 3, at(1), at(2012, 12), Layout("all", 0)),
        (ROWS_PER_BUCKET * 8, None, None, Layout("all", 3)),
        (ROWS_PER_BUCKET << 20, None, None, Layout("all", MAXIMUM_DEPTH)),
    ],
)
def test_layout_follows_size_and_span(
    rows: int, earliest: datetime | None, latest: datetime | None, expected: Layout
) -> None:
    assert choose_layout(rows, earliest, latest) == expected
