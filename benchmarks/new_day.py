"""One new day's file on top of a growing history: what a nightly build of the retail pipeline costs on the real files.

The history is the first so many files (one a day of trade) of the Online Retail set. All builds run in one warm
session; the first build of each history is timed too, so that the night can be given as a share of it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from benchmarks.retail_pipeline import copy_of_mart, timed
from feature_mart import FeatureStore
from feature_mart.delta.session import start_session

HISTORIES = (90, 180, 300)
NIGHTS = 3


def measure(root: Path, retail: Path, histories: Sequence[int] = HISTORIES) -> dict[str, Any]:
    """Per history in days: seconds of its first build and of some nights after it, and their median as a share."""
    spark = start_session({}, "local[*]")
    with tempfile.TemporaryDirectory() as folder:
        _history(root, retail, spark, Path(folder), 20)  # warms the session up
    found: dict[str, Any] = {}
    for days in histories:
        with tempfile.TemporaryDirectory() as folder:
            first, nights = _history(root, retail, spark, Path(folder), days)
        median = sorted(nights)[len(nights) // 2]
        found[f"{days} days"] = {"first build": first, "nights": nights, "median night / first build": median / first}
    return found


def _history(root: Path, retail: Path, spark: SparkSession, folder: Path, days: int) -> tuple[float, list[float]]:
    files = sorted(retail.glob("*.csv.gz"))[: days + NIGHTS]
    arrived = folder / "arrived"
    arrived.mkdir()
    for file in files[:-NIGHTS]:
        shutil.copy2(file, arrived)
    mart = copy_of_mart(root, folder / "mart")
    store = FeatureStore(mart, spark=spark, variables={"RETAIL_DATA": str(arrived)})
    first = timed(lambda: store.build("retail_daily", end=_after(files[-NIGHTS - 1])))
    nights = []
    for file in files[-NIGHTS:]:
        shutil.copy2(file, arrived)
        end = _after(file)
        nights.append(timed(lambda end=end: store.build("retail_daily", end=end)))  # type: ignore[misc]
    return first, nights


def _after(file: Path) -> datetime:
    """The end of the day that a file is of."""
    day = date.fromisoformat(file.name.removesuffix(".csv.gz"))
    return datetime(day.year, day.month, day.day, tzinfo=timezone.utc) + timedelta(days=1)
