"""How fine a write cuts its rows."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from feature_mart.delta.layout import MAXIMUM_DEPTH, ROWS_PER_BUCKET, Layout, choose_layout


def at(year: int, month: int = 1) -> datetime:
    return datetime(year, month, 1, tzinfo=timezone.utc)


YEAR = (at(2025), at(2025, 12))
THREE_YEARS = (at(2023), at(2025, 12))


@pytest.mark.parametrize(
    ("rows", "span", "expected", "files"),
    [
        (0, (None, None), Layout("all", 0), 1),
        (25_000, YEAR, Layout("all", 0), 1),
        (500_000, YEAR, Layout("all", 0), 1),
        (5_000_000, YEAR, Layout("month", 3), 96),
        (15_000_000, THREE_YEARS, Layout("year", 4), 48),
        (100_000_000, THREE_YEARS, Layout("year", 7), 384),
        (1_000_000_000, YEAR, Layout("month", 10), 12_288),
        (5_000_000, (at(1), at(2025)), Layout("all", 3), 8),
        (8_000_000, (None, None), Layout("all", 3), 8),
    ],
)
def test_the_table_of_the_decision_record(
    rows: int, span: tuple[datetime | None, datetime | None], expected: Layout, files: int
) -> None:
    assert choose_layout(rows, *span) == expected
    periods = {"all": 1, "month": 12, "year": 1 if span == YEAR else 3}[expected.period]
    assert periods << expected.depth == files


def test_depth_is_bounded() -> None:
    assert choose_layout(ROWS_PER_BUCKET << 20, None, None).depth == MAXIMUM_DEPTH


@pytest.mark.parametrize(
    ("added", "depth"), [(0, 0), (14_000, 0), (99_999, 0), (100_000, 1), (420_000, 3), (9_000_000, 3)]
)
def test_a_night_makes_few_files(added: int, depth: int) -> None:
    assert choose_layout(5_000_000, *YEAR, added=added) == Layout("month", depth)
