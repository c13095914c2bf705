"""Spark sessions: how one is started, and what the engine pins in the one that it works in.

Two things are kept apart. `start_session` decides how fast things go and may differ from machine to machine. The
settings in `SESSION_SETTINGS` decide what comes out; they hold in every session that the engine works in, also in one
that is handed in, whose own settings are neither used nor changed.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from feature_mart.delta.jars import jars
from feature_mart.delta.java import find_java
from feature_mart.delta.profile import is_local, local_profile
from feature_mart.errors import EnvironmentProblem

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DELTA_EXTENSION = "io.delta.sql.DeltaSparkSessionExtension"
DELTA_CATALOG = "org.apache.spark.sql.delta.catalog.DeltaCatalog"

# Settings that decide results, with the value that the engine works with.
SESSION_SETTINGS: Mapping[str, str] = {
    # Time: all instants are UTC, `timestamp` means an instant, and dates before 1582 are what they say.
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timestampType": "TIMESTAMP_LTZ",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",  # INT96 is nanoseconds to every other reader
    "spark.sql.parquet.inferTimestampNTZ.enabled": "true",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.int96RebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.int96RebaseModeInWrite": "CORRECTED",
    # Values: an overflow, a bad cast or a division by zero is an error, never a silent null or a wrapped number.
    "spark.sql.ansi.enabled": "true",
    "spark.sql.storeAssignmentPolicy": "ANSI",
    "spark.sql.mapKeyDedupPolicy": "EXCEPTION",
    "spark.sql.decimalOperations.allowPrecisionLoss": "true",
    "spark.sql.charAsVarchar": "false",
    "spark.sql.readSideCharPadding": "true",
    "spark.sql.icu.caseMappings.enabled": "true",
    "spark.sql.chunkBase64String.enabled": "true",
    "spark.sql.jsonGenerator.ignoreNullFields": "true",
    "spark.sql.function.concatBinaryAsString": "false",
    "spark.sql.function.eltOutputAsString": "false",
    # Names: columns are found without regard to case, as metadata and SQL engines do; positions and aliases may be
    # grouped and ordered by.
    "spark.sql.caseSensitive": "false",
    "spark.sql.groupByOrdinal": "true",
    "spark.sql.orderByOrdinal": "true",
    "spark.sql.groupByAliases": "true",
    # Words: `"x"` is text and `x'…'` bytes, as the definitions were checked to be when they were parsed without Spark.
    "spark.sql.ansi.doubleQuotedIdentifiers": "false",
    "spark.sql.ansi.enforceReservedKeywords": "false",
    "spark.sql.parser.quotedRegexColumnNames": "false",
    "spark.sql.parser.escapedStringLiterals": "false",
    "spark.sql.variable.substitute": "false",  # `${…}` in a definition is text; the engine fills in parameters only
    # Files: one that is damaged or gone while it is read is an error, never fewer rows.
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
    "spark.sql.files.ignoreInvalidPartitionPaths": "false",
    "spark.sql.parquet.binaryAsString": "false",
    "spark.sql.parquet.mergeSchema": "false",
    "spark.sql.columnNameOfCorruptRecord": "_corrupt_record",
    # Types of a source are declared; none is guessed from folder names.
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
    # A write replaces what it says, not what happens to be in its rows.
    "spark.sql.sources.partitionOverwriteMode": "STATIC",
    # A table's schema changes only by a write that asks for it.
    "spark.databricks.delta.schema.autoMerge.enabled": "false",
    # Rows leave Spark as Arrow: exact instants in UTC instead of local times of the machine.
    "spark.sql.execution.arrow.pyspark.enabled": "true",
}

# Settings that a session may carry from its start and that would change tables or results without being seen: they are
# taken back to their defaults.
RESET_PREFIXES = ("spark.sql.legacy.", "spark.databricks.delta.properties.defaults.")
RESET_SETTINGS = ("spark.databricks.delta.commitInfo.userMetadata",)

# The JVM prints this whenever Spark is started on Java 17 or later, before any logging is set up.
_BANNER = ("Using incubator modules: jdk.incubator.vector",)


def running_session() -> SparkSession | None:
    """The Spark that runs in this process already, if any: a notebook's, an application's, or one of our own."""
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    # Not SparkSession.getActiveSession: that one knows the sessions of the calling thread only.
    return SparkSession.builder.getOrCreate() if SparkContext._active_spark_context is not None else None


def start_session(conf: Mapping[str, str], master: str = "local[*]", app_name: str = "feature-mart") -> SparkSession:
    """Start Spark with Delta in it. There is one Spark per process, so `running_session` must have been asked before.

    Args:
        conf: The mart's own settings; they win over the profile's.
        master: Spark master. Only a local one gets the local profile; on any other, the cluster's settings stand.
        app_name: Name of the application in Spark's eyes.

    Raises:
        EnvironmentProblem: Java or the jars are missing, or Spark does not start.
    """
    from pyspark import SparkConf, SparkContext
    from pyspark.java_gateway import launch_gateway
    from pyspark.logger import PySparkLogger
    from pyspark.sql import SparkSession

    from feature_mart.delta.errors import SPARK_ERRORS, first_lines

    find_java()
    if is_local(master):
        # Else Python workers are whatever `python3` is first on the path.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    settings = SparkConf(loadDefaults=False)
    settings.setMaster(master).setAppName(app_name).setAll(list(startup_settings(conf, master).items()))
    try:
        # The JVM of a Spark that was stopped in this process lives on, and is used again.
        gateway = SparkContext._gateway
        if gateway is None:
            with _relayed_stderr() as stderr:
                gateway = launch_gateway(settings, {"stderr": stderr})  # type: ignore[no-untyped-call]
        SparkContext(conf=settings, gateway=gateway)
    except SPARK_ERRORS as error:
        raise EnvironmentProblem(
            f"Spark did not start on {master}: {first_lines(error)} Look at `spark:` in the mart's conf/, and run "
            "`mart doctor` to see what is missing."
        ) from error
    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        # PySpark prints each failed query as a page of JSON, and raises it as well.
        PySparkLogger.getLogger(name).disabled = True
    return SparkSession.builder.getOrCreate()


def startup_settings(conf: Mapping[str, str], master: str) -> dict[str, str]:
    """All settings that a session is started with: Delta's, the profile's where the master is local, the mart's own."""
    delta_jars = jars()
    settings = {"spark.sql.extensions": DELTA_EXTENSION, "spark.sql.catalog.spark_catalog": DELTA_CATALOG}
    if is_local(master):
        settings |= local_profile(delta_jars)
    else:
        settings["spark.jars"] = ",".join(map(str, delta_jars))  # executors elsewhere must get them
    for name, value in conf.items():
        separator = _LISTS.get(name)
        own = settings.get(name)
        # A list is added to, not replaced: without Delta's part nothing would work. Of JVM options the later ones win.
        settings[name] = f"{own}{separator}{value}" if separator and own and own not in value else value
    return settings


_LISTS = {
    "spark.sql.extensions": ",",
    "spark.jars": ",",
    "spark.driver.extraClassPath": os.pathsep,
    "spark.driver.extraJavaOptions": " ",
}


def engine_session(spark: SparkSession) -> SparkSession:
    """A session of the engine's own beside ``spark``, in the same application, with the settings that decide results.

    The settings, temporary views and current schema of ``spark`` stay as they are, and none of them is seen here.

    Raises:
        EnvironmentProblem: ``spark`` has no Delta in it, or is a Spark Connect session.
    """
    from pyspark.errors import AnalysisException

    require_delta(spark)
    own = spark.newSession()
    for name in own.conf.getAll:
        if name.startswith(RESET_PREFIXES) or name in RESET_SETTINGS:
            try:
                own.conf.unset(name)
            except AnalysisException:  # one that is fixed when Spark starts; isModifiable() does not know Delta's names
                continue
    for name, value in SESSION_SETTINGS.items():
        own.conf.set(name, value)
    return own


def require_delta(spark: SparkSession) -> None:
    """Refuse a session that cannot read and write Delta tables.

    Raises:
        EnvironmentProblem: saying which settings are missing.
    """
    # By name: the class itself cannot be imported where gRPC is not installed.
    if type(spark).__module__.startswith("pyspark.sql.connect"):
        raise EnvironmentProblem(
            "The session that was handed in is a Spark Connect session, which cannot give the engine a session of its "
            "own beside it. Hand in a classic session, or none."
        )
    if "DATABRICKS_RUNTIME_VERSION" in os.environ:
        return  # Delta is built in there, and these settings are not shown
    missing = [
        f"{name}={wanted}  (found: {found or 'nothing'})"
        for name, wanted in (
            ("spark.sql.extensions", DELTA_EXTENSION),
            ("spark.sql.catalog.spark_catalog", DELTA_CATALOG),
        )
        if wanted not in (found := spark.conf.get(name, "") or "").split(",")
    ]
    if missing:
        raise EnvironmentProblem(
            "The Spark session that was handed in does not know Delta. Start it with\n  "
            + "\n  ".join(missing)
            + "\nand Delta's jars (io.delta:delta-spark_4.1_2.13:4.4.0), or hand in none: the engine then starts its "
            "own."
        )


@contextmanager
def _relayed_stderr() -> Iterator[int]:
    """A file descriptor for the JVM's error stream; what is written to it comes out at ours, less the banner.

    A pipe of our own, and read from the first moment: of a JVM that dies at once, PySpark would keep the last words.
    """
    reader, writer = os.pipe()
    # A daemon: it ends with the JVM, which ends with this process.
    threading.Thread(target=_relay, args=(reader,), daemon=True, name="spark-stderr").start()
    try:
        yield writer
    finally:
        os.close(writer)


def _relay(reader: int) -> None:
    with os.fdopen(reader, "r", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if not any(banner in line for banner in _BANNER):
                sys.stderr.write(line)
                sys.stderr.flush()
