"""Which version was current at a moment, from the times of the commits."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from feature_mart.delta.address import TableAddress
from feature_mart.delta.log import RustLog, version_as_of
from feature_mart.errors import VersionNotFound

BASE = datetime(2011, 1, 1, tzinfo=timezone.utc)


def log_of(folder: Path, minutes: list[int]) -> RustLog:
    """A log whose commits were made at these minutes."""
    (folder / "_delta_log").mkdir()
    for version, minute in enumerate(minutes):
        timestamp = int((BASE + timedelta(minutes=minute)).timestamp() * 1000)
        entry = {"commitInfo": {"timestamp": timestamp, "operation": "WRITE"}}
        (folder / "_delta_log" / f"{version:020}.json").write_text(json.dumps(entry))
    return RustLog(TableAddress("orders", uri=str(folder)))


@pytest.mark.parametrize(("minute", "version"), [(10, 0), (14, 0), (15, 2), (20, 2), (29, 2), (30, 3), (99, 3)])
def test_where_a_clock_went_back_the_newest_version_until_then_counts(
    tmp_path: Path, minute: int, version: int
) -> None:
    log = log_of(tmp_path, [10, 20, 15, 30])
    assert version_as_of(log, BASE + timedelta(minutes=minute)) == version


def test_before_the_first_version_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(VersionNotFound, match="did not exist at 2011-01-01T00:09:00Z"):
        version_as_of(log_of(tmp_path, [10, 20, 15]), BASE + timedelta(minutes=9))
