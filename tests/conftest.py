"""What all tests share: markers from folders, one Spark session, and the real data set where it is at hand."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("unit", "contract", "spark", "e2e")

# What one run found in SQL texts must not answer for the code that the next one tests.
os.environ["FEATURE_MART_CACHE"] = "off"
# MLflow would tell its makers of its use, and reads this when it is imported.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

# How long an example takes depends on what else the machine does, and says nothing of the code.
settings.register_profile("feature_mart", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("feature_mart")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test's marker is its folder: tests/spark/… is marked ``spark``. Fast folders run first."""
    for item in items:
        folder = item.path.relative_to(ROOT / "tests").parts[0]
        if folder in FOLDERS:
            item.add_marker(folder)
    items.sort(key=lambda item: next((place for place, name in enumerate(FOLDERS) if item.get_closest_marker(name)), 0))


@pytest.fixture(scope="session")
def started_spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The one Spark of the test run, as `mart` would start it. Spark takes seconds to start, so tests share it."""
    from feature_mart.delta.session import start_session

    session = start_session(
        {
            # Thousands of tiny queries: compiling each to the last degree costs more than it gains.
            # The code cache is then 48 MB by default, which the suite fills: code would be thrown away and made again.
            "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m",
            "spark.sql.shuffle.partitions": "2",
            "spark.driver.memory": "2g",
            "spark.local.dir": str(tmp_path_factory.mktemp("spark")),
        },
        master="local[2]",
        app_name="feature-mart-tests",
    )
    yield session
    session.stop()


@pytest.fixture
def spark(started_spark: SparkSession) -> SparkSession:
    """An engine's session of the test's own: temporary views and settings of one test are not seen by the next."""
    from feature_mart.delta.session import engine_session

    return engine_session(started_spark)


@pytest.fixture(scope="session")
def retail_files() -> Path:
    """The folder of the real Online Retail files (README: where to get them)."""
    named = os.environ.get("FEATURE_MART_RETAIL_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data" / "online-retail"
    if not any(folder.glob("*.csv.gz")):
        reason = f"the Online Retail files are not in {folder}; name their folder in FEATURE_MART_RETAIL_DATA"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)  # what must hold must not be skipped unseen
        pytest.skip(reason)
    return folder
