"""Who wrote a row, and which way two versions are compared: decided from commits alone."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from feature_mart.delta.log import Commit
from feature_mart.history.diff import FEED, WHOLE, Way, choose_way
from feature_mart.history.shape import Shape
from feature_mart.history.writer import writer_of

BASE = datetime(2011, 1, 1, tzinfo=timezone.utc)
DAY = timedelta(days=1)


def days(first: int, end: int) -> list[str]:
    return [(BASE + first * DAY).isoformat(), (BASE + end * DAY).isoformat()]


def commit(version: int, intervals: list[list[str]] | None, **said: Any) -> Commit:
    return Commit(version, BASE, "WRITE", {}, {"run_id": "r", "intervals": intervals, **said})


def foreign(version: int, operation: str) -> Commit:
    return Commit(version, BASE, operation, {}, None)


LOG = [
    commit(4, []),
    commit(3, [days(0, 3), days(5, 6)], restored_from=1, on_hold=True),
    commit(2, [days(1, 2)]),
    commit(1, [days(2, 3), days(5, 6)]),
    commit(0, [days(0, 2)]),
]


@pytest.mark.parametrize(
    ("version", "day", "expected"),
    [
        (0, 1, (0, ())),
        (1, 1, (0, ())),
        (2, 1, (2, ())),  # replaced since
        (2, 2, (1, ())),
        (3, 1, (0, (3,))),  # the restore jumps over version 2, whatever its intervals say
        (4, 5, (1, (3,))),  # a release writes nothing
        (2, 9, None),
        (0, 2, None),  # the end of an interval is not in it
    ],
)
def test_the_last_commit_that_replaced_the_interval_wrote_the_row(
    version: int, day: int, expected: tuple[int, tuple[int, ...]] | None
) -> None:
    found = writer_of(LOG, version, BASE + day * DAY)
    assert (None if found is None else (found.commit.version, found.restored_by)) == expected


def test_the_interval_that_holds_the_row_is_told() -> None:
    found = writer_of(LOG, 2, BASE + 5 * DAY)
    assert found is not None and found.interval is not None
    assert found.interval.to_json() == ["2011-01-06T00:00:00Z", "2011-01-07T00:00:00Z"]


def test_a_view_that_is_built_whole_was_written_by_its_last_build() -> None:
    log = [foreign(3, "OPTIMIZE"), commit(2, []), commit(1, None), commit(0, None)]
    found = writer_of(log, 3, None)
    assert found is not None and (found.commit.version, found.interval) == (1, None)


@pytest.mark.parametrize("log", [[foreign(1, "UPDATE"), commit(0, None)], [foreign(1, "VACUUM END")], []])
def test_behind_another_writer_or_a_cut_off_log_nothing_is_known(log: list[Commit]) -> None:
    assert writer_of(log, 1, BASE) is None


SHAPE = Shape(("id",), ("a",), {"id": "bigint", "a": "int"}, (), (), {})


@pytest.mark.parametrize(
    ("shape", "rows", "expected"),
    [
        (SHAPE, 10, Way(FEED)),
        (SHAPE, 200, Way(FEED)),
        (SHAPE, 201, Way(WHOLE, "the versions between wrote 201 rows, the two hold about 200")),
        (
            Shape(("id",), ("a",), {"id": "bigint", "a": "bigint"}, (), (), {"a": ("int", "bigint")}),
            1,
            Way(WHOLE, "types differ: a"),
        ),
    ],
)
def test_the_change_feed_is_read_where_it_is_the_shorter_way(shape: Shape, rows: int, expected: Way) -> None:
    commits = {0: commit(0, None, rows=5000, table_rows=100), 1: commit(1, None, rows=rows, table_rows=100)}
    assert choose_way(shape, 0, 1, commits) == expected


def test_without_recorded_rows_the_change_feed_is_tried() -> None:
    assert choose_way(SHAPE, 0, 2, {2: foreign(2, "UPDATE")}) == Way(FEED)
