"""What `mart doctor` looks at: small checks in the order in which one needs the other, each with what mends it."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from feature_mart.definitions.problems import counted
from feature_mart.errors import MartError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from feature_mart.definitions import Validation

OLDEST_PYTHON = (3, 10)
FREE_BYTES = 2 << 30


@dataclass(frozen=True)
class DoctorCheck:
    """What one check found. ``fix`` says what to do; it is empty where all is well."""

    name: str
    ok: bool
    found: str
    fix: str = ""


@dataclass
class Patient:
    """What the checks share: the mart, if there is one, and the Spark that one of them starts for the others."""

    root: Path | None
    environment: str | None
    scratch: Path
    spark: SparkSession | None = None
    is_own_spark: bool = False
    _validation: Validation | None = field(default=None, init=False)

    def validation(self) -> Validation | None:
        """The mart's validation, made once; None outside of a mart."""
        if self.root is not None and self._validation is None:
            from feature_mart.definitions import validate_project

            self._validation = validate_project(self.root, self.environment)
        return self._validation


def run_checks(root: Path | None, environment: str | None = None) -> Iterator[DoctorCheck]:
    """Run all checks, one after the other; one that fails does not end the others.

    Args:
        root: The mart's folder; None where there is none, then only the machine is looked at.
        environment: Name of the mart's environment, whose Spark settings are used.
    """
    with tempfile.TemporaryDirectory(prefix="mart-doctor-") as scratch:
        patient = Patient(root, environment, Path(scratch))
        try:
            for name, check in CHECKS.items():
                yield _run(name, check, patient)
        finally:
            if patient.spark is not None and patient.is_own_spark:
                patient.spark.stop()


def _run(name: str, check: Callable[[str, Patient], DoctorCheck], patient: Patient) -> DoctorCheck:
    try:
        return check(name, patient)
    except MartError as problem:
        return DoctorCheck(name, False, str(problem), "as the message says; where it does not: make setup")
    except ImportError as error:
        return DoctorCheck(name, False, str(error), "install the locked versions: make setup")
    except OSError as error:
        return DoctorCheck(name, False, str(error), "see whether the folder exists and may be written, and is not full")


def check_python(name: str, patient: Patient) -> DoctorCheck:
    """Python is new enough."""
    found = f"{sys.version.split()[0]} ({sys.executable})"
    if sys.version_info[:2] >= OLDEST_PYTHON:
        return DoctorCheck(name, True, found)
    return DoctorCheck(name, False, found, "install Python 3.10 or newer, remove .venv, and run: make setup")


def check_packages(name: str, patient: Patient) -> DoctorCheck:
    """Spark and Delta are of versions that fit each other."""
    from feature_mart.delta.jars import DELTA_VERSION

    found: dict[str, str] = {}
    for package in ("pyspark", "delta-spark", "deltalake", "pyarrow"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "missing"
    text = " · ".join(f"{package} {number}" for package, number in found.items())
    fits = found["pyspark"].startswith("4.1.") and found["delta-spark"] == DELTA_VERSION
    if not fits or "missing" in found.values():
        wanted = f"pyspark 4.1, delta-spark {DELTA_VERSION}, deltalake and pyarrow belong together"
        return DoctorCheck(name, False, text, f"{wanted}; install the locked versions: make setup")
    home = os.environ.get("SPARK_HOME")
    if home:
        return DoctorCheck(
            name,
            False,
            f"{text}; SPARK_HOME={home}",
            "unset SPARK_HOME: it makes another Spark start than the locked one",
        )
    return DoctorCheck(name, True, text)


def check_java(name: str, patient: Patient) -> DoctorCheck:
    """A Java that Spark runs on is there."""
    from feature_mart.delta.java import find_java

    java = find_java()
    return DoctorCheck(name, True, f"{java.vendor_text} ({java.executable})")


def check_jars(name: str, patient: Patient) -> DoctorCheck:
    """Delta's jars have been fetched."""
    from feature_mart.delta.jars import installed_jars, jar_folders

    present = installed_jars()
    if present is None:
        looked = " or ".join(str(folder) for folder in jar_folders())
        return DoctorCheck(
            name, False, f"not in {looked}", "python -m feature_mart.delta.jars (needs the network, once)"
        )
    return DoctorCheck(name, True, f"{len(present)} in {present[0].parent}")


def check_disk(name: str, patient: Patient) -> DoctorCheck:
    """There is room for Spark's temporary files and for tables, and the warehouse can be written."""
    folders = {Path(tempfile.gettempdir())}
    warehouse = _local_warehouse(patient)
    if warehouse is not None:
        existing = next(folder for folder in (warehouse, *warehouse.parents) if folder.exists())
        if not os.access(existing, os.W_OK):
            return DoctorCheck(
                name, False, f"{existing} cannot be written", "change its owner, or `warehouse:` in conf/"
            )
        folders.add(existing)
    free = {folder: shutil.disk_usage(folder).free for folder in sorted(folders)}
    text = " · ".join(f"{space / (1 << 30):.1f} GB free in {folder}" for folder, space in free.items())
    if min(free.values()) < FREE_BYTES:
        return DoctorCheck(
            name, False, text, "make room: at least 2 GB; TMPDIR moves Spark's temporary files elsewhere"
        )
    return DoctorCheck(name, True, text)


def check_spark(name: str, patient: Patient) -> DoctorCheck:
    """Spark starts, as the mart's environment says."""
    from feature_mart.delta.session import engine_session, running_session, start_session

    started = time.perf_counter()
    session = running_session()
    if session is None:
        validation = patient.validation()
        project = validation.project if validation is not None else None
        if project is None:
            session = start_session({})
        else:
            session = start_session(project.settings.spark.conf, project.settings.spark.master)
        patient.is_own_spark = True
    patient.spark = engine_session(session)
    seconds = time.perf_counter() - started
    return DoctorCheck(name, True, f"Spark {session.version} on {session.sparkContext.master}, {seconds:.1f} s")


def check_delta(name: str, patient: Patient) -> DoctorCheck:
    """Spark writes a Delta table and reads it back."""
    from feature_mart.delta.probe import read_probe, write_probe

    if patient.spark is None:
        return DoctorCheck(name, False, "not tried, because Spark did not start", "mend that first")
    table = str(patient.scratch / "probe")
    started = time.perf_counter()
    write_probe(patient.spark, table)
    written = time.perf_counter()
    if not read_probe(patient.spark, table):
        return DoctorCheck(
            name, False, "other rows came back than were written", "install the locked versions: make setup"
        )
    read = time.perf_counter()
    return DoctorCheck(name, True, f"three rows written in {written - started:.1f} s, read in {read - written:.1f} s")


def check_delta_rs(name: str, patient: Patient) -> DoctorCheck:
    """Without Spark, the same table is read."""
    from feature_mart.delta.probe import read_probe_without_spark

    table = patient.scratch / "probe"
    if not table.exists():
        return DoctorCheck(name, False, "not tried, because no table could be written", "mend that first")
    if not read_probe_without_spark(str(table)):
        return DoctorCheck(
            name, False, "other rows came back than were written", "install the locked versions: make setup"
        )
    return DoctorCheck(name, True, "the same three rows")


def check_mart(name: str, patient: Patient) -> DoctorCheck:
    """The mart's files are valid."""
    validation = patient.validation()
    if validation is None:
        return DoctorCheck(name, True, "not in a mart's folder: only the machine was looked at")
    if validation.errors or validation.project is None:
        return DoctorCheck(name, False, f"{len(validation.errors)} problems in {patient.root}", "mart validate")
    project = validation.project
    views, sources = counted(len(project.views), "feature view"), counted(len(project.sources), "source")
    return DoctorCheck(name, True, f"{project.settings.mart}: {views}, {sources}")


def check_online_store(name: str, patient: Patient) -> DoctorCheck:
    """The online store is there, and set up as it should be."""
    from feature_mart.online.address import address_of
    from feature_mart.online.embedded import EmbeddedServer, executable
    from feature_mart.online.redis_store import RedisStore
    from feature_mart.online.server import described, problems

    validation = patient.validation()
    project = validation.project if validation is not None else None
    if project is None or project.settings.online_store.kind == "embedded":
        is_running = project is not None and EmbeddedServer(project.root, project.environment).is_running()
        state = "it runs" if is_running else "`mart sync` starts it"
        return DoctorCheck(name, True, f"embedded, {executable()}; {state}")
    store = RedisStore(address_of(project.settings.mart, project.settings.online_store), retries=1)
    try:
        text, found = described(store), list(problems(store))
    finally:
        store.close()
    return DoctorCheck(name, not found, text, "; ".join(found))


def _local_warehouse(patient: Patient) -> Path | None:
    validation = patient.validation()
    uri = validation.project.settings.warehouse_uri if validation is not None and validation.project else None
    return None if uri is None or "://" in uri else Path(uri.removeprefix("file:"))


CHECKS: dict[str, Callable[[str, Patient], DoctorCheck]] = {
    "python": check_python,
    "packages": check_packages,
    "java": check_java,
    "jars": check_jars,
    "disk": check_disk,
    "spark": check_spark,
    "delta": check_delta,
    "delta without spark": check_delta_rs,
    "mart": check_mart,
    "online store": check_online_store,
}
