"""Which commits of other programs count as changes of rows that nothing explains."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from feature_mart.delta.address import TableAddress
from feature_mart.delta.foreign import foreign_change, recent_commits
from feature_mart.delta.log import RustLog
from feature_mart.records import ForeignChange

SECOND = datetime(1970, 1, 1, 0, 0, 1, tzinfo=timezone.utc)
CHANGE = {"add": {"path": "f", "dataChange": True}}
SAME = {"add": {"path": "f", "dataChange": False}}
GONE = {"remove": {"path": "f", "dataChange": True}}


class Counted(RustLog):
    """Remembers how many commits it was asked for."""

    def __init__(self, address: TableAddress) -> None:
        super().__init__(address)
        self.asked: list[int | None] = []

    def commits(self, limit: int | None = None) -> list[Any]:
        self.asked.append(limit)
        return super().commits(limit)


def own(planned_on: int | None = None) -> list[dict[str, Any]]:
    said = {"run_id": "r", "feature_view": "v"} | ({} if planned_on is None else {"planned_on": planned_on})
    return [{"commitInfo": {"timestamp": 0, "operation": "WRITE", "userMetadata": json.dumps(said)}}, CHANGE]


def other(operation: str, *actions: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"commitInfo": {"timestamp": 1000, "operation": operation}}, *actions]


def log_of(root: Path, commits: list[list[dict[str, Any]]]) -> Counted:
    folder = root / "_delta_log"
    folder.mkdir()
    for version, actions in enumerate(commits):
        (folder / f"{version:020}.json").write_text("\n".join(map(json.dumps, actions)))
    return Counted(TableAddress("v", uri=str(root)))


@pytest.mark.parametrize(
    ("commits", "expected"),
    [
        ([own(-1), own(0)], None),
        ([own(), own()], None),  # of a version that did not record it
        ([own(-1), other("WRITE", CHANGE)], (1, "WRITE", 0)),
        ([own(-1), other("DELETE", GONE), other("OPTIMIZE", SAME)], (1, "DELETE", 0)),
        ([own(-1), other("WRITE", CHANGE), other("MERGE", CHANGE)], (2, "MERGE", 0)),
        ([own(-1), other("WRITE", CHANGE), own(1)], None),  # it was planned on that version, so it was meant
        ([own(-1), other("WRITE", CHANGE), own(0)], (1, "WRITE", 0)),  # it came while the build ran
        ([other("CREATE TABLE AS SELECT", CHANGE), own(-1)], (0, "CREATE TABLE AS SELECT", None)),
        ([own(-1), other("OPTIMIZE", CHANGE), other("VACUUM START"), other("VACUUM END")], None),
        ([own(-1), other("SET TBLPROPERTIES"), other("WRITE"), other("WRITE", SAME)], None),
        ([own(-1), other("WRITE", {"remove": {"path": "f"}})], (1, "WRITE", 0)),
    ],
)
def test_changes_of_rows_by_others_are_found(
    tmp_path: Path, commits: list[list[dict[str, Any]]], expected: tuple[int, str, int | None] | None
) -> None:
    log = log_of(tmp_path, commits)
    recent = recent_commits(log)
    assert recent is not None
    found = foreign_change(log, recent)
    assert found == (None if expected is None else ForeignChange(expected[0], SECOND, *expected[1:]))


def test_the_last_commit_is_enough_where_nobody_else_committed(tmp_path: Path) -> None:
    log = log_of(tmp_path, [own(version - 1) for version in range(30)])
    recent = recent_commits(log)
    assert recent is not None
    assert foreign_change(log, recent) is None
    assert log.asked == [1]


def test_many_commits_of_others_are_looked_through(tmp_path: Path) -> None:
    log = log_of(tmp_path, [own(-1), other("WRITE", CHANGE), *[other("OPTIMIZE")] * 30])
    recent = recent_commits(log)
    assert recent is not None
    assert foreign_change(log, recent) == ForeignChange(1, SECOND, "WRITE", 0)


def test_where_there_is_no_table_there_is_nothing(tmp_path: Path) -> None:
    assert recent_commits(RustLog(TableAddress("v", uri=str(tmp_path)))) is None
