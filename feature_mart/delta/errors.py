"""The one place where errors of Spark, Delta and delta-rs become ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from py4j.protocol import Py4JError, Py4JJavaError  # type: ignore[import-untyped]  # py4j ships no types
from pyspark.errors import PySparkException

from feature_mart.delta.damage import damaged_log, full_disk, missing_files
from feature_mart.errors import BuildError, ConcurrentBuild, MartError, TableError, TransientError, VersionNotFound

_CONFLICT = re.compile(r"DELTA_CONCURRENT_(APPEND|DELETE_READ|DELETE_DELETE|TRANSACTION|WRITE)|Concurrent\w+Exception")
_METADATA_CONFLICT = re.compile(
    r"DELTA_METADATA_CHANGED|MetadataChangedException|ProtocolChangedException|DELTA_PROTOCOL_CHANGED"
)
_VERSION = re.compile(
    r"VersionNotFound|DELTA_VERSION_NOT_FOUND|Cannot time travel|TimestampEarlierThan|DELTA_TIMESTAMP"
)
_LOST_FILE = re.compile(r"FileNotFound(Exception|Error)|FAILED_READ_FILE|DELTA_FILE_NOT_FOUND|does not exist\.")
_DAMAGED = re.compile(
    r"DELTA_LOG_FILE_NOT_FOUND|DELTA_TRUNCATED_TRANSACTION_LOG|DELTA_STATE_RECOVER|DELTA_VERSIONS_NOT_CONTIGUOUS"
    r"|CHECKPOINT|corrupted file: the footer"
)
_DISK_FULL = re.compile(r"No space left on device")
_LOST_EXECUTOR = re.compile(r"ExecutorLostFailure|Connection refused|Connection reset|SocketTimeout")

_PLAN = re.compile(r"(?<=SQLSTATE: \w{5})[^\n]*;\n")  # a query's plan comes behind this
_PLAN_OR_TRACE = ("at ", "'", "+-", ":", "== SQL", "-----", "^", "Caused by")
_MOST_CAUSES = 20
_IN_PYTHON = "Traceback (most recent call last)"
_RAISED = re.compile(r"^[A-Za-z_][\w.]*: .*$", re.MULTILINE)
SPARK_ERRORS = (PySparkException, Py4JError)


def first_lines(error: BaseException, most: int = 3) -> str:
    """The start of an error's text: what Spark says, without the plan and the Java stack behind it.

    Of an exception in one of Spark's Python workers, the line that says what was raised.
    """
    text = str(error)
    if isinstance(error, Py4JJavaError):
        text = str(error.java_exception)
    raised = _RAISED.findall(text) if _IN_PYTHON in text else []
    if raised:
        return str(raised[-1])[:600]
    text = _PLAN.split(text.split("JVM stacktrace")[0])[0]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    kept = [line for line in lines if not line.startswith(_PLAN_OR_TRACE)][:most]
    return " ".join(kept)[:600] or type(error).__name__


def is_full_disk(error: BaseException) -> bool:
    """Whether a disk without room is the cause, whichever step it stopped."""
    return _DISK_FULL.search(_whole(error)) is not None


def _whole(error: BaseException) -> str:
    """The error's text with those of its causes: a full disk stands behind a write that says only that it failed."""
    if not isinstance(error, Py4JJavaError):
        return str(error)
    texts: list[str] = []
    cause = error.java_exception
    while cause is not None and len(texts) < _MOST_CAUSES:
        texts.append(str(cause))
        cause = cause.getCause()
    return "\n".join(texts)


def mapped(error: BaseException, table: str, place: str | None = None) -> MartError:
    """Our error for what Spark or Delta raised while it worked on ``table``, which lies in ``place``."""
    text = _whole(error)
    said = first_lines(error)
    if _CONFLICT.search(text) or _METADATA_CONFLICT.search(text):
        return ConcurrentBuild(f"table {table}: another writer committed at the same time. Nothing was written: {said}")
    if _VERSION.search(text):
        return VersionNotFound(f"table {table}: that version is not in its history (any more): {said}")
    if _DISK_FULL.search(text):
        return full_disk(table, place)
    if _DAMAGED.search(text):
        return damaged_log(table, place, said)
    if _LOST_FILE.search(text):
        return missing_files(table, place, said)
    if _LOST_EXECUTOR.search(text):
        return TransientError(f"table {table}: the cluster lost a worker or a connection; try again: {said}")
    return TableError(f"table {table}: {said}")


def failed_on_data(view: str, where: str, error: BaseException) -> MartError:
    """Our error for rows that cannot be made. ``where``: the definition's file, or the input that is taken as it is."""
    if is_full_disk(error):
        return full_disk(view, None)
    return BuildError(
        f"view {view}: {where}, or one of the view's checks, failed on its data: {first_lines(error, most=6)}"
    )


@contextmanager
def delta_errors(table: str, place: str | None = None) -> Iterator[None]:
    """Raises our errors in place of Spark's and Delta's while ``table`` is worked on."""
    try:
        yield
    except SPARK_ERRORS as error:
        raise mapped(error, table, place) from error
