"""The local profile: only for local masters, and never out of proportion to the machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from feature_mart.delta import session
from feature_mart.delta.profile import GIBIBYTE, driver_memory, is_local, local_profile, memory_limit

JAR = Path("/jars/delta.jar")


@pytest.fixture(autouse=True)
def jars_without_fetching(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "jars", lambda: (JAR,))


@pytest.mark.parametrize("master", ["local", "local[1]", "local[*]", "local[4, 3]"])
def test_local_masters(master: str) -> None:
    assert is_local(master)


@pytest.mark.parametrize("master", ["yarn", "spark://host:7077", "k8s://https://host", "local-cluster[2,1,1024]"])
def test_a_cluster_does_not_inherit_the_local_profile(master: str) -> None:
    assert not is_local(master)
    assert session.startup_settings({"spark.executor.cores": "4"}, master) == {
        "spark.sql.extensions": session.DELTA_EXTENSION,
        "spark.sql.catalog.spark_catalog": session.DELTA_CATALOG,
        "spark.jars": str(JAR),
        "spark.executor.cores": "4",
    }


def test_the_marts_own_settings_win_and_lists_are_added_to() -> None:
    settings = session.startup_settings(
        {
            "spark.sql.shuffle.partitions": "77",
            "spark.sql.extensions": "org.example.Extension",
            "spark.driver.extraJavaOptions": "-Xss4m",
        },
        "local[*]",
    )
    assert settings["spark.sql.shuffle.partitions"] == "77"
    assert settings["spark.sql.extensions"] == f"{session.DELTA_EXTENSION},org.example.Extension"
    assert settings["spark.driver.extraJavaOptions"].endswith(" -Xss4m")
    assert settings["spark.driver.extraClassPath"] == str(JAR)


def test_extensions_that_name_delta_already_are_taken_as_they_are() -> None:
    both = f"org.example.Extension,{session.DELTA_EXTENSION}"
    assert session.startup_settings({"spark.sql.extensions": both}, "yarn")["spark.sql.extensions"] == both


@pytest.mark.parametrize(("cores", "partitions"), [(1, "4"), (2, "4"), (16, "16")])
def test_shuffles_use_all_cores(cores: int, partitions: str) -> None:
    assert local_profile([JAR], cores=cores, memory=GIBIBYTE)["spark.sql.shuffle.partitions"] == partitions


@pytest.mark.parametrize(("total", "heap"), [(2, 1), (8, 2), (16, 4), (24, 6), (512, 8)])
def test_the_heap_is_a_quarter_of_the_memory_within_bounds(total: int, heap: int) -> None:
    assert driver_memory(total * GIBIBYTE) == heap * GIBIBYTE


def test_the_limit_of_a_container_counts(tmp_path: Path) -> None:
    whole = memory_limit(tmp_path)
    (tmp_path / "memory.max").write_text("max\n")
    assert memory_limit(tmp_path) == whole
    (tmp_path / "memory.max").write_text(f"{GIBIBYTE}\n")
    assert memory_limit(tmp_path) == min(whole, GIBIBYTE)
