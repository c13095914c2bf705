"""What a table's log says: its versions and what each commit says about itself. Needs no Spark where there is a URI."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard
from urllib.parse import unquote

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, DeltaProtocolError, TableNotFoundError

from feature_mart.delta.address import TableAddress
from feature_mart.delta.commit_files import (
    commit_info,
    commit_versions,
    damage,
    has_changed_rows,
    is_emptied,
    log_folder,
    own_metadata,
    table_id,
)
from feature_mart.delta.damage import damaged_log, missing_files
from feature_mart.delta.layout import BUCKET
from feature_mart.errors import TableError, VersionNotFound
from feature_mart.records import EPOCH, MICROSECOND, TableVersion, as_utc, iso

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

    from feature_mart.delta.bucket_files import DataFile

SessionSource = Callable[[], "SparkSession"]

# Of tables with other reader features (deletion vectors above all) delta-rs is not asked for rows of change, nor are
# rows counted by their files. None of the engine's own tables has others; somebody else's may.
_PLAIN_FEATURES = {"timestampNtz"}

# Delta's statistics are cut to milliseconds: the greatest instant may be so many microseconds later.
_CUT = 999

# Maintenance and foreign writers may commit between two builds; the last commit of ours is rarely far back.
LOOK_BACK = (1, 20, None)


@dataclass(frozen=True)
class Commit:
    """One version of a table. ``provenance`` is None for commits that the engine did not make."""

    version: int
    committed_at: datetime
    operation: str
    metrics: Mapping[str, Any]
    provenance: Mapping[str, Any] | None


@dataclass(frozen=True)
class InstantsInFiles:
    """A column of instants as the log's statistics have it.

    ``earliest`` is less than a millisecond before the first instant (Delta cuts minima), None without one.
    """

    earliest: datetime | None
    nulls: int


class TableLog(Protocol):
    """Reads one table's log."""

    address: TableAddress

    def current(self) -> TableVersion | None:
        """The latest version, or None where there is no table."""

    def commits(self, limit: int | None = None) -> list[Commit]:
        """The newest ``limit`` commits (all by default), newest first; empty where there is no table."""

    def has_changed_rows(self, version: int) -> bool:
        """Whether a commit changed rows; true where the log's reader cannot tell."""

    def columns(self, version: int | None = None) -> dict[str, str]:
        """Column names and Spark type texts at a version, engine columns included."""

    def row_count(self, version: int) -> int | None:
        """How many rows a version has; None where the log does not say it of every file."""

    def instants(self, version: int, column: str) -> InstantsInFiles | None:
        """What the log says of a column of instants; None where it does not say it of every file."""

    def data_files(self, version: int, time: str | None) -> list[DataFile] | None:
        """The files that hold rows (with a ``time``, where one is named); None where tasks cannot open them."""


def _is_instant(value: object) -> TypeGuard[datetime]:
    return isinstance(value, datetime) and value.tzinfo is not None


def _micros(moment: datetime) -> int:
    return (moment - EPOCH) // MICROSECOND


def is_plain(table: DeltaTable) -> bool:
    """Whether a file's rows are the table's, all of them and under the same names."""
    protocol = table.protocol()
    # Reader version 2 has no list of features: it is column mapping.
    return protocol.min_reader_version != 2 and set(protocol.reader_features or ()) <= _PLAIN_FEATURES


def _files(table: DeltaTable) -> list[dict[str, Any]]:
    """The files of a version with their statistics."""
    import pyarrow as pa  # most readers of a log need no Arrow

    files: list[dict[str, Any]] = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    return files


class RustLog:
    """A log read by delta-rs: milliseconds, no JVM."""

    def __init__(self, address: TableAddress) -> None:
        assert address.log_uri is not None
        self.address = address
        self._uri = address.log_uri
        self._folder = log_folder(address.log_uri)

    def _open(self, version: int | None = None) -> DeltaTable | None:
        try:
            return DeltaTable(self._uri, version=version)
        except TableNotFoundError as error:
            if version is not None and self._versions():  # the log no longer reaches back to it
                raise self._no_such_version(version) from error
            return None
        except (DeltaProtocolError, DeltaError) as error:
            if version is not None and version not in self._versions():
                raise self._no_such_version(version) from error
            raise self._damaged(str(error)) from error

    def _versions(self) -> list[int]:
        return [commit.version for commit in self.commits()]

    def _damaged(self, said: str) -> TableError:
        """What is wrong in words of ours where the files show it, else the first line of what delta-rs says."""
        seen = None if self._folder is None else damage(self._folder)
        return damaged_log(self.address.name, self.address.uri, seen or said.splitlines()[0][:200])

    def _no_such_version(self, version: int) -> VersionNotFound:
        known = self._versions()
        have = f"versions {min(known)} to {max(known)}" if known else "no versions"
        return VersionNotFound(f"table {self.address.name} has no version {version}; it has {have}.")

    def current(self) -> TableVersion | None:
        """See `TableLog.current`."""
        versions = None if self._folder is None else commit_versions(self._folder)
        if self._folder is not None and versions and (known_id := table_id(self._folder, versions)) is not None:
            return TableVersion(known_id, versions[0])
        table = self._open()
        return None if table is None else TableVersion(str(table.metadata().id), table.version())

    def commits(self, limit: int | None = None) -> list[Commit]:
        """See `TableLog.commits`."""
        entries = None if self._folder is None else _entries_of_files(self._folder, limit)
        if entries is None:
            self._refuse_emptied()
            table = self._open()
            entries = [] if table is None else table.history(limit)
        return [
            Commit(
                version=entry["version"],
                committed_at=datetime.fromtimestamp(entry["timestamp"] / 1000, tz=timezone.utc),
                operation=str(entry.get("operation", "")),
                metrics=entry.get("operationMetrics") or {},
                provenance=own_metadata(entry.get("userMetadata")),
            )
            for entry in entries
        ]

    def has_changed_rows(self, version: int) -> bool:
        """See `TableLog.has_changed_rows`: files tell it, which are read only on a local disk."""
        return self._folder is None or has_changed_rows(self._folder, version)

    def _refuse_emptied(self) -> None:
        """A commit with nothing in it is one that was lost: neither delta-rs nor Spark would say a word."""
        versions: Sequence[int] = (None if self._folder is None else commit_versions(self._folder)) or []
        for version in versions:
            if self._folder is not None and is_emptied(self._folder, version):
                raise self._damaged("a commit is empty")

    def columns(self, version: int | None = None) -> dict[str, str]:
        """See `TableLog.columns`."""
        table = self._open(version)
        return (
            {}
            if table is None
            else {field.name: _spark_type(json.loads(field.type.to_json())) for field in table.schema().fields}
        )

    def arrow_schema(self, version: int) -> pa.Schema:
        """All columns at a version, in Arrow's types."""
        import pyarrow as pa

        table = self._open(version)
        assert table is not None
        exported: Any = table.schema().to_arrow()  # another library's, which Arrow's stubs do not know
        return pa.schema(exported)

    def instants(self, version: int, column: str) -> InstantsInFiles | None:
        """See `TableLog.instants`."""
        table = self._open(version)
        assert table is not None
        minima: list[datetime] = []
        nulls = 0
        for file in _files(table):
            rows, missing, least = (file.get(key) for key in ("num_records", f"null_count.{column}", f"min.{column}"))
            if rows is None or missing is None or (missing < rows and not _is_instant(least)):
                return None
            nulls += missing
            if _is_instant(least):
                minima.append(least)
        return InstantsInFiles(min(minima, default=None), nulls)

    def data_files(self, version: int, time: str | None) -> list[DataFile] | None:
        """See `TableLog.data_files`. A file without a bucket holds rows of any keys."""
        from feature_mart.delta.bucket_files import DataFile  # most readers of a log need no Parquet

        table = self._open(version)
        if self._folder is None or table is None or not is_plain(table):
            return None
        found: list[DataFile] = []
        for file in _files(table):
            rows, nulls = file.get("num_records"), 0 if time is None else file.get(f"null_count.{time}")
            least, greatest = (EPOCH, EPOCH) if time is None else (file.get(f"min.{time}"), file.get(f"max.{time}"))
            if rows is None or nulls is None:
                return None
            if _is_instant(least) and _is_instant(greatest):
                path = self._folder.parent / unquote(file["path"])
                bucket = file.get(f"partition.{BUCKET}") or 1
                found.append(DataFile(str(path), bucket, rows, _micros(least), _micros(greatest) + _CUT))
            elif nulls < rows:
                return None
        return found

    def row_count(self, version: int) -> int | None:
        """See `TableLog.row_count`."""
        table = self._open(version)
        assert table is not None
        counts = [file.get("num_records") for file in _files(table)]
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) and is_plain(table) else None

    def change_feed(self, first: int, last: int, most_rows: int) -> pa.Table | None:
        """The change rows of versions ``first`` to ``last``; None where they are more, or cannot be read any more."""
        import pyarrow as pa

        table = self._open(last)
        assert table is not None
        if not is_plain(table):
            return None
        batches: list[pa.RecordBatch] = []
        try:
            reader = pa.RecordBatchReader.from_stream(table.load_cdf(starting_version=first, ending_version=last))
            for batch in reader:
                batches.append(batch)
                most_rows -= batch.num_rows
                if most_rows < 0:
                    return None
        except (DeltaError, OSError, pa.ArrowInvalid):  # the last where a file is missed while rows are read
            return None
        feed = pa.Table.from_batches(batches, reader.schema)
        # Few of Arrow's functions know the views of texts that delta-rs gives.
        plain: dict[pa.DataType, pa.DataType] = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}
        return feed.cast(pa.schema([(field.name, plain.get(field.type, field.type)) for field in feed.schema]))

    def lost_files(self, version: int | None = None) -> list[str]:
        """The files that the log names for a version and that are not there; one listing of the table's folder."""
        table = self._open(version)
        found: list[str] = [] if table is None else table.repair(dry_run=True)["files_removed"]
        return sorted(found)

    def rows(self, version: int, partitions: Sequence[tuple[str, str, Any]], columns: Sequence[str]) -> pa.Table:
        """Some columns of the rows in some partitions, as Arrow; for the engine's own small bookkeeping rows."""
        table = self._open(version)
        assert table is not None
        try:
            return table.to_pyarrow_table(filters=list(partitions), columns=list(columns))
        except FileNotFoundError as error:
            raise missing_files(self.address.name, self.address.uri, str(error).splitlines()[0]) from error


def _entries_of_files(folder: Path, limit: int | None) -> list[dict[str, Any]] | None:
    """The newest commits from the log's own files; None where that cannot be done."""
    versions = commit_versions(folder)
    if versions is None:
        return None
    entries: list[dict[str, Any]] = []
    for version in versions[:limit]:
        info = commit_info(folder, version)
        if info is None or "timestamp" not in info:
            return None
        entries.append({**info, "version": version})
    return entries


def _spark_type(schema: Any) -> str:
    """Spark SQL's text for a type in Delta's JSON schema."""
    names = {"long": "bigint", "integer": "int", "short": "smallint", "byte": "tinyint"}
    if isinstance(schema, str):
        return names.get(schema, schema)
    if schema["type"] == "array":
        return f"array<{_spark_type(schema['elementType'])}>"
    if schema["type"] == "map":
        return f"map<{_spark_type(schema['keyType'])},{_spark_type(schema['valueType'])}>"
    return "struct<" + ",".join(f"{field['name']}:{_spark_type(field['type'])}" for field in schema["fields"]) + ">"


class SparkLog:
    """A log read through Spark, for tables that only a catalog's name or Spark's file systems reach."""

    def __init__(self, address: TableAddress, session: SessionSource) -> None:
        self.address = address
        self._session = session

    def _exists(self) -> bool:
        spark = self._session()
        if self.address.identifier is not None:
            return bool(spark.catalog.tableExists(self.address.identifier))
        from delta.tables import DeltaTable as SparkDeltaTable  # the Spark half is loaded only where it is needed

        return SparkDeltaTable.isDeltaTable(spark, str(self.address.uri))

    def current(self) -> TableVersion | None:
        """See `TableLog.current`."""
        if not self._exists():
            return None
        spark = self._session()
        table_id = spark.sql(f"DESCRIBE DETAIL {self.address.sql}").select("id").first()
        version = spark.sql(f"DESCRIBE HISTORY {self.address.sql} LIMIT 1").select("version").first()
        assert table_id is not None and version is not None
        return TableVersion(table_id["id"], version["version"])

    def commits(self, limit: int | None = None) -> list[Commit]:
        """See `TableLog.commits`."""
        if not self._exists():
            return []
        bound = "" if limit is None else f" LIMIT {limit}"
        history = self._session().sql(f"DESCRIBE HISTORY {self.address.sql}{bound}")
        rows = history.selectExpr(
            "version", "unix_micros(timestamp) AS micros", "operation", "operationMetrics", "userMetadata"
        )
        return [
            Commit(
                version=row["version"],
                committed_at=EPOCH + row["micros"] * MICROSECOND,
                operation=row["operation"],
                metrics=row["operationMetrics"] or {},
                provenance=own_metadata(row["userMetadata"]),
            )
            for row in rows.collect()
        ]

    def has_changed_rows(self, version: int) -> bool:
        """See `TableLog.has_changed_rows`: a catalog shows no commit's files."""
        return True

    def columns(self, version: int | None = None) -> dict[str, str]:
        """See `TableLog.columns`."""
        if not self._exists():
            return {}
        at = "" if version is None else f" VERSION AS OF {version}"
        frame = self._session().sql(f"SELECT * FROM {self.address.sql}{at}")
        return dict(frame.dtypes)

    def row_count(self, version: int) -> int | None:
        """See `TableLog.row_count`: through a catalog, statistics are not reachable."""
        return None

    def instants(self, version: int, column: str) -> InstantsInFiles | None:
        """See `TableLog.instants`: through a catalog, statistics are not reachable."""
        return None

    def data_files(self, version: int, time: str | None) -> list[DataFile] | None:
        """See `TableLog.data_files`: what Spark alone reaches, tasks cannot open."""
        return None


def open_log(address: TableAddress, session: SessionSource) -> TableLog:
    """The cheapest reader that can reach the table."""
    return RustLog(address) if address.log_uri is not None else SparkLog(address, session)


def last_own_commit(log: TableLog) -> Commit | None:
    """The newest commit that the engine made, or None."""
    for limit in LOOK_BACK:
        commits = log.commits(limit)
        for commit in commits:
            if commit.provenance is not None:
                return commit
        if limit is not None and len(commits) < limit:
            return None
    return None


def version_as_of(log: TableLog, moment: datetime) -> int:
    """The version that was current at ``moment``.

    Raises:
        VersionNotFound: the table did not exist then.
    """
    commits = log.commits()
    for commit in commits:
        if commit.committed_at <= as_utc(moment):
            return commit.version
    since = f"its first version is of {iso(commits[-1].committed_at)}" if commits else "it has not been built yet"
    raise VersionNotFound(f"table {log.address.name} did not exist at {iso(moment)}: {since}.")
