"""Which files of a table are due to be laid out anew."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from feature_mart.delta.compaction import LaidFile, due_files, layout_of
from feature_mart.delta.layout import Layout

NOW = datetime(2011, 3, 15, tzinfo=timezone.utc)
MONTHS = Layout("month", 1)
WHOLE = Layout("all", 0)


def files(period: str, *buckets: int | None, rows: int = 60_000) -> list[LaidFile]:
    return [LaidFile(f"{period}-{number}", 1, rows, period, code, None, None) for number, code in enumerate(buckets)]


TIDY = files("2011-01", 2, 3)


@pytest.mark.parametrize(
    ("lying", "wanted", "due"),
    [
        pytest.param([*TIDY, *files("2011-02", 2, 3)], MONTHS, set(), id="one file a bucket"),
        pytest.param([*TIDY, *files("2011-02", 2, 3, 1)], MONTHS, {"2011-02"}, id="a night's file in a past month"),
        pytest.param([*TIDY, *files("2011-02", 2, 3, 7)], MONTHS, {"2011-02"}, id="two of a bucket in a past month"),
        pytest.param(
            [*TIDY, *files("2011-03", 2, 3, *[1] * 15)], MONTHS, set(), id="16 that a task of this month reads"
        ),
        pytest.param([*TIDY, *files("2011-03", 2, 3, *[1] * 16)], MONTHS, {"2011-03"}, id="17"),
        pytest.param(files("all", *[1] * 16), WHOLE, set(), id="16 nights of a small table"),
        pytest.param(files("all", *[1] * 17), WHOLE, {"all"}, id="17 nights"),
        pytest.param([*TIDY, *files("all", 2)], MONTHS, {"2011-01", "all"}, id="a coarser period"),
        pytest.param([*TIDY, *files("2011-02", 2, 3)], Layout("year", 1), set(), id="finer periods of this year"),
        pytest.param(
            files("2010-01", 2) + files("2010-02", 2), Layout("year", 1), {"2010-01", "2010-02"}, id="of last"
        ),
        pytest.param(files("2011-01", *[None] * 3), MONTHS, set(), id="a source's, cut by time"),
        pytest.param(files("2011-01", *[None] * 4), MONTHS, {"2011-01"}, id="four of a source's past month"),
        pytest.param(files("2011-03", *[None] * 16), MONTHS, set(), id="of this month"),
        pytest.param(files("2011-03", *[None] * 17), MONTHS, {"2011-03"}, id="17 of this month"),
    ],
)
def test_periods_are_due_whose_files_are_too_many_or_too_coarse(
    lying: list[LaidFile], wanted: Layout, due: set[str]
) -> None:
    found = due_files(lying, wanted, NOW)
    assert {file.period for file in found} == due
    assert found == [file for file in lying if file.period in due]


def test_the_layout_is_the_one_that_all_rows_would_be_written_in() -> None:
    assert layout_of([]) == layout_of(files("all", 1)) == WHOLE
    dated = [
        LaidFile("p", 1, 1_500_000, "all", 1, datetime(2011, month, 1, tzinfo=timezone.utc), NOW) for month in (1, 2)
    ]
    assert layout_of(dated) == Layout("month", 2)
