"""File sources, ingested incrementally: which files to read, and the rows that they give.

A source's table holds its rows, each knowing its file, and one marker row per file (in a partition of its own) with the
file's size, time, digest and counts. Rows and markers are committed together, so what the table says about files is
true of its rows at every version.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from pathlib import Path

from pyspark import StorageLevel
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from feature_mart.definitions import Source
from feature_mart.definitions.durations import format_duration
from feature_mart.delta.canonical import instant, row_text
from feature_mart.delta.damage import full_disk
from feature_mart.delta.errors import SPARK_ERRORS, first_lines, is_full_disk
from feature_mart.delta.layout import PERIOD
from feature_mart.delta.log import Commit
from feature_mart.delta.tables import Table
from feature_mart.errors import MartError, SourceError
from feature_mart.read.conform import FILE, RAW, REASON, in_calendar, quoted_name
from feature_mart.read.files import (
    FileChanges,
    KnownFile,
    SourceFile,
    base_and_pattern,
    compare_files,
    files_digest,
    list_files,
    refuse_vanished,
)
from feature_mart.read.formats import FILE_FORMATS
from feature_mart.records import EPOCH, MICROSECOND, as_utc, iso

FILES_PARTITION = "files"
MARKER_SCHEMA = (
    f"{FILE} string, _file_size bigint, _file_modified_at timestamp, _file_digest string, _file_rows bigint, "
    "_file_quarantined bigint"
)
# Of a source with a clock skew only: when the first row of a file that was set aside as too late may come in.
DUE = "_file_due"
MARKER_COLUMNS = tuple(column.split()[0] for column in MARKER_SCHEMA.split(", "))
_EXAMPLES = 3


def declaration_hash(source: Source, root: Path) -> str:
    """What the rows of a source's table depend on beside its files; another one means reading all files anew."""
    base, pattern = base_and_pattern(source.path or "", root)
    facts = [source.format, list(source.schema.items()), source.options, source.event_timestamp, base, pattern]
    if source.clock_skew is not None:
        facts.append(format_duration(source.clock_skew))
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class IngestPlan:
    """What an ingest will do: read some files, forget others, or nothing. Made without Spark where files are local."""

    source: Source
    base: str
    declaration: str
    changes: FileChanges
    known: Mapping[str, KnownFile]
    is_new_declaration: bool
    now: datetime

    @property
    def dropped(self) -> tuple[str, ...]:
        """Files whose rows leave the table."""
        return self.changes.gone if self.source.deleted_files == "drop" else ()

    @property
    def is_needed(self) -> bool:
        """Whether the table has to change."""
        return bool(self.changes.to_read or self.dropped or self.is_new_declaration)


def known_files(table: Table, version: int, *, with_due: bool = False) -> dict[str, KnownFile]:
    """The files that a version of a source's table was made from; of a source with a clock skew, `DUE` too."""
    columns = (*MARKER_COLUMNS, DUE) if with_due else MARKER_COLUMNS
    rows = table.bookkeeping_rows(version, (PERIOD, FILES_PARTITION), columns)
    return {
        row[FILE]: KnownFile(
            row[FILE],
            row["_file_size"],
            as_utc(row["_file_modified_at"]),
            row["_file_digest"],
            row["_file_rows"],
            row["_file_quarantined"],
            as_utc(row[DUE]) if with_due and row[DUE] is not None else None,
        )
        for row in rows
    }


def plan_ingest(
    source: Source, root: Path, table: Table, last: Commit | None, *, now: datetime, anew: bool
) -> IngestPlan:
    """Compares the files that are there with those that the table was made from.

    Args:
        last: the last commit of ours to the table, or None where it does not exist.
        now: the run's clock, beyond which, by the source's clock skew, event timestamps are not believed.
        anew: read everything again, whatever is known.
    """
    assert source.path is not None
    base, _ = base_and_pattern(source.path, root)
    declaration = declaration_hash(source, root)
    files = list_files(source.name, source.path, root, table.session)
    provenance = {} if last is None or last.provenance is None else last.provenance
    is_new = last is None or anew or provenance.get("definition_hash") != declaration
    current = None if last is None else table.current()
    with_due = source.clock_skew is not None and not is_new
    known = {} if current is None else known_files(table, current.version, with_due=with_due)
    if is_new:
        changes = compare_files(source.name, files, {})
        # Files of the same folder that are gone keep their rows; those of another folder are another data set.
        same_place = provenance.get("base") == base
        gone = tuple(sorted(set(known) - {file.name for file in files})) if same_place else ()
        changes = FileChanges(changes.added, (), gone, 0)
    else:
        changes = compare_files(source.name, files, known, source.latest_at(now))
    return IngestPlan(source, base, declaration, changes, known, is_new, now)


@dataclass(frozen=True)
class Ingested:
    """Rows ready to be committed. ``rows`` and ``markers`` are disjoint parts of the source's table."""

    plan: IngestPlan
    rows: DataFrame
    markers: DataFrame
    quarantined: DataFrame
    row_count: int
    quarantined_count: int
    earliest: datetime | None
    latest: datetime | None
    files: Mapping[str, str]
    remarks: tuple[str, ...]
    release: Callable[[], None] = field(compare=False)

    @property
    def inputs(self) -> Mapping[str, object]:
        """What the provenance says of the files that the table now holds."""
        return {"files": len(self.files), "digest": files_digest(self.files)}


def read_files(spark: SparkSession, plan: IngestPlan, previous: DataFrame | None) -> Ingested:
    """Reads the planned files, sorts out the rows that do not fit, and counts per file.

    Args:
        previous: the source's table as it is, where there is one: rows of files that are gone are kept from it when
            the declaration changed.

    Raises:
        SourceError: a file cannot be read as declared, or too many of its rows do not fit.
    """
    source = plan.source
    with _file_errors(source, plan.changes.to_read):
        loaded = FILE_FORMATS[source.format](spark, source, plan.base, plan.changes.to_read)
    frame = _with_time_reason(loaded.frame, source)
    frame = _with_due(frame, source, plan.now).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        with _file_errors(source, plan.changes.to_read):
            counts = _counts(frame, source)
    except MartError:
        frame.unpersist()
        raise
    good, bad = sum(row["good"] for row in counts), sum(row["bad"] for row in counts)
    try:
        _refuse_emptied(plan, {row[FILE] for row in counts})
        _refuse_too_many(source, frame, good, bad, [row[FILE] for row in counts if row["bad"]])
    except SourceError:
        frame.unpersist()
        raise
    kept = plan.changes.gone if plan.is_new_declaration and source.deleted_files == "keep" else ()
    rows = frame.where(F.col(REASON).isNull()).drop(REASON, RAW, DUE)
    if kept and previous is not None:
        rows = rows.unionByName(_kept_rows(previous, source, kept))
    return Ingested(
        plan=plan,
        rows=rows,
        markers=_markers(spark, plan, counts, kept),
        quarantined=frame.where(F.col(REASON).isNotNull()).select(FILE, REASON, RAW),
        row_count=good,
        quarantined_count=bad,
        earliest=_instant(min((row["earliest"] for row in counts if row["earliest"] is not None), default=None)),
        latest=_instant(max((row["latest"] for row in counts if row["latest"] is not None), default=None)),
        files=_files_after(plan, kept),
        remarks=loaded.remarks + _absent_fields(source, counts),
        release=lambda: (frame.unpersist(), None)[1],
    )


@contextmanager
def _file_errors(source: Source, files: Sequence[SourceFile]) -> Iterator[None]:
    """Raises our errors in place of Spark's while ``files`` are read."""
    try:
        yield
    except SPARK_ERRORS as error:
        if is_full_disk(error):
            raise full_disk(source.name, None) from error
        refuse_vanished(source.name, files)
        raise SourceError(
            f"source {source.name}: its files cannot be read: {first_lines(error)} "
            "Nothing of this run was ingested; mend or remove the file and run the same command again."
        ) from error


def _with_time_reason(frame: DataFrame, source: Source) -> DataFrame:
    """A row without an event timestamp that a calendar has belongs to no interval: it is set aside, and not lost."""
    if source.event_timestamp is None:
        return frame
    name, time = source.event_timestamp, quoted_name(source.event_timestamp)
    said = F.when(time.isNull(), F.lit(f"{name}: empty, and it is the event timestamp")).otherwise(
        F.lit(f"{name}: not in the years 0001 to 9999")
    )
    lacks = F.col(REASON).isNull() & (time.isNull() | ~in_calendar(time))
    raw = row_text(list(source.schema))
    return frame.withColumns(
        {REASON: F.when(lacks, said).otherwise(F.col(REASON)), RAW: F.when(lacks, raw).otherwise(F.col(RAW))}
    )


def _with_due(frame: DataFrame, source: Source, now: datetime) -> DataFrame:
    """With `DUE`: the time of a row that lies later than the clock allows, which is set aside until then."""
    latest = source.latest_at(now)
    if latest is None:
        return frame.withColumn(DUE, F.lit(None).cast("timestamp"))
    assert source.event_timestamp is not None and source.clock_skew is not None
    time = quoted_name(source.event_timestamp).cast("timestamp")
    frame = frame.withColumn(DUE, F.when(F.col(REASON).isNull() & (time > F.expr(instant(latest))), time))
    is_due, raw = F.col(DUE).isNotNull(), row_text(list(source.schema))
    skew = format_duration(source.clock_skew)
    reason = F.lit(f"{source.event_timestamp}: more than the clock_skew of {skew} after the run, {iso(now)}")
    return frame.withColumns(
        {REASON: F.when(is_due, reason).otherwise(F.col(REASON)), RAW: F.when(is_due, raw).otherwise(F.col(RAW))}
    )


def _counts(frame: DataFrame, source: Source) -> list[Row]:
    fits = F.col(REASON).isNull()
    time = F.lit(None) if source.event_timestamp is None else quoted_name(source.event_timestamp)
    when = time.cast("timestamp")
    return (
        frame.groupBy(FILE)
        .agg(
            F.count_if(fits).alias("good"),
            F.count_if(~fits).alias("bad"),
            F.min(F.when(fits, F.unix_micros(when))).alias("earliest"),
            F.max(F.when(fits, F.unix_micros(when))).alias("latest"),
            F.min(F.unix_micros(DUE)).alias("due"),
            *[F.max(quoted_name(name).isNotNull()).alias(f"has_{name}") for name in _may_be_absent(source)],
        )
        .orderBy(FILE)
        .collect()
    )


def _may_be_absent(source: Source) -> list[str]:
    """The columns that rows may lack without a word: objects of JSON have the fields that they have."""
    return list(source.schema) if source.format == "json" else []


def _absent_fields(source: Source, counts: list[Row]) -> tuple[str, ...]:
    if not any(row["good"] for row in counts):
        return ()
    absent = [name for name in _may_be_absent(source) if not any(row[f"has_{name}"] for row in counts)]
    return tuple(f"source {source.name}: no object that was read has a value in {name}" for name in absent)


def _instant(micros: int | None) -> datetime | None:
    return None if micros is None else EPOCH + micros * MICROSECOND


def _refuse_emptied(plan: IngestPlan, with_rows: set[str]) -> None:
    """A file that had rows and has none now is more often an export that failed than the truth."""
    replaced = [file.name for file in plan.changes.replaced if file.name not in with_rows]
    emptied = [name for name in replaced if plan.known[name].rows]
    if not emptied:
        return
    lost = sum(plan.known[name].rows for name in emptied)
    named = ", ".join(emptied[:5]) + (f" and {len(emptied) - 5} more" if len(emptied) > 5 else "")
    raise SourceError(
        f"source {plan.source.name}: {named}: there were {lost} rows, and now there are none. Nothing of this run "
        "was ingested. Put the content back; or, where those rows are to go, remove the file, with "
        "`deleted_files: drop` in metadata/sources.yml."
    )


def _refuse_too_many(source: Source, frame: DataFrame, good: int, bad: int, files: list[str]) -> None:
    limit = source.quarantine_maximum_share
    if limit is None or bad == 0 or bad <= limit * (good + bad):
        return
    examples = frame.where(F.col(REASON).isNotNull()).orderBy(FILE, REASON, RAW).limit(_EXAMPLES).collect()
    shown = "\n".join(f"  {row[FILE]}: {row[REASON]}\n    {row[RAW]}" for row in examples)
    named = ", ".join(files[:5]) + (f" and {len(files) - 5} more" if len(files) > 5 else "")
    raise SourceError(
        f"source {source.name}: {bad} of {good + bad} new rows ({bad / (good + bad):.2%}) do not fit the "
        f"declared schema; `quarantine: maximum_share` allows {limit:.2%}. In {named}. "
        "Nothing of this run was ingested. For example:\n"
        f"{shown}\nMend the files or `schema`, or raise `maximum_share` in metadata/sources.yml."
    )


def _kept_rows(previous: DataFrame, source: Source, kept: tuple[str, ...]) -> DataFrame:
    """The rows of files that are gone, from the table as it is, in the columns that are declared now."""
    there = set(previous.columns)
    return previous.where(F.col(FILE).isin(*kept) & (F.col(PERIOD) != FILES_PARTITION)).select(
        *[
            (quoted_name(name).try_cast(kind) if name in there else F.lit(None).cast(kind)).alias(name)
            for name, kind in source.schema.items()
        ],
        F.col(FILE),
    )


def _markers(spark: SparkSession, plan: IngestPlan, counts: list[Row], kept: tuple[str, ...]) -> DataFrame:
    found = {row[FILE]: row for row in counts}

    def marker(file: SourceFile) -> tuple[object, ...]:
        row = found.get(file.name)
        good, bad, due = (0, 0, None) if row is None else (row["good"], row["bad"], _instant(row["due"]))
        when = None if due is None else iso(due)
        return (file.name, file.size, iso(file.modified_at), file.digest, good, bad, when)

    rows = [marker(file) for file in plan.changes.to_read]
    for name in kept:
        known = plan.known[name]
        rows.append((name, known.size, iso(known.modified_at), known.digest, known.rows, known.quarantined, None))
    # Times go in as text: Python's own conversion of a datetime loses years outside 1900 to 2100 to calendar rules.
    texts = spark.createDataFrame(rows, f"{MARKER_SCHEMA}, {DUE} timestamp".replace("timestamp", "string"))
    times = {name: F.col(name).cast("timestamp") for name in ("_file_modified_at", DUE)}
    markers = texts.withColumns(times)
    return markers if plan.source.clock_skew is not None else markers.drop(DUE)


def _files_after(plan: IngestPlan, kept: tuple[str, ...]) -> dict[str, str]:
    names = kept if plan.is_new_declaration else tuple(set(plan.known) - set(plan.dropped))
    before = {name: plan.known[name].digest for name in names}
    return {**before, **{file.name: str(file.digest) for file in plan.changes.to_read}}


def all_frames(ingested: Ingested) -> DataFrame:
    """Rows and markers as one frame, for the one commit that holds both."""
    return reduce(
        lambda left, right: left.unionByName(right, allowMissingColumns=True), [ingested.rows, ingested.markers]
    )
