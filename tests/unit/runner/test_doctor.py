"""What `mart doctor` says where something is wrong (tests/spark/test_doctor.py has the case where all is well)."""

from __future__ import annotations

from pathlib import Path

import pytest

from feature_mart.errors import EnvironmentProblem
from feature_mart.runner import doctor
from feature_mart.runner.doctor import CHECKS, DoctorCheck, Patient, run_checks


def test_one_failure_does_not_end_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_java(name: str, patient: Patient) -> DoctorCheck:
        raise EnvironmentProblem("No Java was found.")

    def no_package(name: str, patient: Patient) -> DoctorCheck:
        raise ModuleNotFoundError("No module named 'pyspark'")

    def no_room(name: str, patient: Patient) -> DoctorCheck:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(
        doctor, "CHECKS", {"java": no_java, "spark": no_package, "disk": no_room, "python": CHECKS["python"]}
    )
    results = list(run_checks(None))
    assert [(result.name, result.ok) for result in results] == [
        ("java", False),
        ("spark", False),
        ("disk", False),
        ("python", True),
    ]
    assert results[0].found == "No Java was found."
    assert (results[1].found, results[1].fix) == (
        "No module named 'pyspark'",
        "install the locked versions: make setup",
    )
    assert results[2].found == "[Errno 28] No space left on device"


@pytest.fixture
def patient(tmp_path: Path) -> Patient:
    return Patient(root=None, environment=None, scratch=tmp_path)


def test_an_old_python(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "OLDEST_PYTHON", (99, 0))
    result = doctor.check_python("python", patient)
    assert (result.ok, result.fix) == (False, "install Python 3.10 or newer, remove .venv, and run: make setup")


def test_versions_that_do_not_fit(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "version", lambda package: "3.5.0")
    result = doctor.check_packages("packages", patient)
    assert not result.ok
    assert result.fix.endswith("install the locked versions: make setup")


def test_another_spark_in_the_way(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_HOME", "/opt/spark")
    result = doctor.check_packages("packages", patient)
    assert not result.ok
    assert result.fix == "unset SPARK_HOME: it makes another Spark start than the locked one"


def test_missing_jars(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feature_mart.delta.jars.installed_jars", lambda: None)
    result = doctor.check_jars("jars", patient)
    assert (result.ok, result.fix) == (False, "python -m feature_mart.delta.jars (needs the network, once)")


def test_a_full_disk(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "FREE_BYTES", 1 << 60)
    result = doctor.check_disk("disk", patient)
    assert not result.ok
    assert result.fix.startswith("make room")


def test_delta_is_not_tried_without_spark(patient: Patient) -> None:
    assert doctor.check_delta("delta", patient).found == "not tried, because Spark did not start"
    assert doctor.check_delta_rs("delta", patient).found == "not tried, because no table could be written"


def test_outside_of_a_mart_only_the_machine_is_looked_at(patient: Patient) -> None:
    assert doctor.check_mart("mart", patient).ok


def test_an_invalid_mart(patient: Patient, tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "base.yml").write_text("mart: x\nwarehous: y\n")
    patient.root = tmp_path
    result = doctor.check_mart("mart", patient)
    assert (result.ok, result.fix) == (False, "mart validate")
