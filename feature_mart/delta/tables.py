"""A mart's tables: the only way in which other layers reach Delta."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feature_mart.delta.address import Location, TableAddress
from feature_mart.delta.commit_files import log_folder
from feature_mart.delta.damage import missing_files
from feature_mart.delta.foreign import Recent, recent_commits
from feature_mart.delta.log import (
    Commit,
    InstantsInFiles,
    RustLog,
    SessionSource,
    TableLog,
    last_own_commit,
    open_log,
    version_as_of,
)
from feature_mart.errors import TableError, VersionNotFound
from feature_mart.records import EPOCH, MICROSECOND, TableVersion

# pyspark takes longer to import than `mart history` to answer, so only what reads rows imports it.
if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

    from feature_mart.delta.bucket_files import DataFile

ENGINE_PREFIX = "_"


def visible(frame: DataFrame) -> DataFrame:
    """``frame`` without the engine's own columns."""
    from pyspark.sql import functions as F

    return frame.select(*[F.col(f"`{name}`") for name in frame.columns if not name.startswith(ENGINE_PREFIX)])


class Table:
    """One Delta table of the mart. Spark starts only when rows are read, or where nothing else reaches the log."""

    def __init__(self, address: TableAddress, session: SessionSource) -> None:
        self.name = address.name
        self.address = address
        self.session = session
        self.log: TableLog = open_log(address, session)

    @property
    def folder(self) -> Path | None:
        """The table's folder where it is on a local disk."""
        log = None if self.address.log_uri is None else log_folder(self.address.log_uri)
        return None if log is None else log.parent

    def current(self) -> TableVersion | None:
        """The latest version, or None where the table does not exist."""
        return self.log.current()

    def pinned(self, version: int | None = None, as_of: datetime | None = None) -> TableVersion:
        """The asked version as a number: ``version``, or the one current at ``as_of``, or the latest.

        Raises:
            TableError: the table does not exist.
            VersionNotFound: it has no such version.
        """
        current = self.current()
        if current is None:
            raise TableError(f"table {self.name} does not exist yet: run `mart build`.")
        if as_of is not None:
            return TableVersion(current.table_id, version_as_of(self.log, as_of))
        if version is None:
            return current
        if not 0 <= version <= current.version:
            raise VersionNotFound(
                f"table {self.name} has no version {version}; it has versions 0 to {current.version}. "
                f"`mart history {self.name}` lists them."
            )
        return TableVersion(current.table_id, version)

    def readable(self, version: int | None = None, as_of: datetime | None = None) -> TableVersion:
        """The asked version as `pinned` gives it, whose rows are still there; not told through a catalog.

        Raises:
            TableError: the table does not exist.
            VersionNotFound: it has no such version, or files of it were removed.
        """
        found = self.pinned(version, as_of)
        asked = version is not None or as_of is not None
        lost = self.lost_files(found.version) if asked else []
        if lost:
            raise VersionNotFound(
                f"version {found.version} of {self.name} is in its history, but its rows are gone: {len(lost)} of its "
                "files were removed, by `mart vacuum` after the table's retention or by something else. "
                f"`mart history {self.name}` lists the versions; a training set keeps the versions that it needs."
            )
        return found

    def last_build(self) -> Commit | None:
        """The newest commit that the engine made, or None."""
        return last_own_commit(self.log)

    def recent(self) -> Recent | None:
        """The end of the log; None where the table does not exist."""
        return recent_commits(self.log)

    def history(self, limit: int | None = None) -> list[Commit]:
        """The newest commits, newest first."""
        return self.log.commits(limit)

    def columns(self, version: int | None = None) -> dict[str, str]:
        """The visible columns and their Spark types."""
        found = self.log.columns(version)
        return {name: kind for name, kind in found.items() if not name.startswith(ENGINE_PREFIX)}

    def arrow_schema(self, version: int) -> pa.Schema:
        """The visible columns in Arrow's types, in the table's order."""
        if isinstance(self.log, RustLog):
            schema = self.log.arrow_schema(version)
        else:
            from pyspark.sql.pandas.types import to_arrow_schema

            schema = to_arrow_schema(self.read(version).schema)
        import pyarrow as pa

        return pa.schema([field for field in schema if not field.name.startswith(ENGINE_PREFIX)])

    def change_feed(self, first: int, last: int, most_rows: int) -> pa.Table | None:
        """The change rows of versions ``first`` to ``last``, with `_change_type`, without Spark.

        None where they are more than ``most_rows``, cannot be read any more, or are reached by Spark alone.
        """
        return self.log.change_feed(first, last, most_rows) if isinstance(self.log, RustLog) else None

    def require_same_types(self, after: int, until: int) -> None:
        """Rows of two versions can be compared only where columns that both have are of the same types.

        Raises:
            TableError: a column changed its type between the two, or one of them is gone.
        """
        before, now = self.columns(after), self.columns(until)
        for name, kind in before.items():
            if now.get(name, kind) != kind:
                raise TableError(
                    f"table {self.name}: {name} was {kind} at version {after} and is {now[name]} at version {until}, "
                    "so all of its rows count as changed."
                )

    def read(self, version: int | None = None, *, spark: SparkSession | None = None) -> DataFrame:
        """All columns of the rows of one version (the latest by default), as a Spark frame."""
        from feature_mart.delta.errors import delta_errors

        session = spark if spark is not None else self.session()
        with delta_errors(self.name, self.address.uri):
            if self.address.identifier is not None:
                at = "" if version is None else f" VERSION AS OF {version}"
                return session.sql(f"SELECT * FROM {self.address.identifier}{at}")
            reader = session.read.format("delta")
            if version is not None:
                reader = reader.option("versionAsOf", version)
            return reader.load(self.address.uri)

    def row_count(self, version: int) -> int:
        """How many rows a version has: from the log, else by counting them."""
        known = self.log.row_count(version)
        if known is not None:
            return known
        from feature_mart.delta.errors import delta_errors

        with delta_errors(self.name, self.address.uri):
            return self.read(version).count()

    def instants(self, column: str, version: int) -> InstantsInFiles:
        """The first instant in a column, and how many rows have none: from the log, else by looking at the rows."""
        known = self.log.instants(version, column)
        if known is not None:
            return known
        from pyspark.sql import functions as F

        from feature_mart.delta.errors import delta_errors

        with delta_errors(self.name, self.address.uri):
            time = F.unix_micros(F.col(f"`{column}`").cast("timestamp"))
            row = self.read(version).agg(F.min(time), F.count_if(time.isNull())).first()
        assert row is not None
        return InstantsInFiles(None if row[0] is None else EPOCH + row[0] * MICROSECOND, row[1])

    def data_files(self, version: int, time: str | None) -> list[DataFile] | None:
        """The files of a version, with the stretch of ``time`` in each, if any; None where tasks cannot open them.

        Raises:
            FilesMissing: one of them is gone.
        """
        files = self.log.data_files(version, time)
        for file in files or ():
            if not Path(file.path).exists():
                raise missing_files(self.name, self.address.uri, file.path)
        return files

    def require_files(self) -> None:
        """Refuses a table of which files are gone, which an append would not notice; not told through a catalog.

        Raises:
            FilesMissing: the first of them, and what to do.
        """
        lost = self.lost_files()
        if lost:
            more = f" (and {len(lost) - 1} more)" if len(lost) > 1 else ""
            raise missing_files(self.name, self.address.uri, lost[0] + more)

    def lost_files(self, version: int | None = None) -> list[str]:
        """The files of a version (the latest by default) that are not there; none are known through a catalog.

        Raises:
            VersionNotFound: the log does not reach back to that version any more.
        """
        return self.log.lost_files(version) if isinstance(self.log, RustLog) else []

    def bookkeeping_rows(
        self, version: int, partition: tuple[str, str], columns: Sequence[str]
    ) -> list[dict[str, Any]]:
        """The engine's own rows in one partition, as dicts; without Spark where the log is reachable without it."""
        if isinstance(self.log, RustLog):
            name, value = partition
            rows: list[dict[str, Any]] = self.log.rows(version, [(name, "=", value)], columns).to_pylist()
            return rows
        from pyspark.sql import functions as F

        from feature_mart.delta.errors import delta_errors

        frame = self.read(version).where(F.col(partition[0]) == partition[1]).select(*columns)
        with delta_errors(self.name, self.address.uri):
            return [row.asDict() for row in frame.collect()]


class Tables:
    """All tables of one mart, by name."""

    def __init__(self, location: Location, session: SessionSource) -> None:
        self.location = location
        self.session = session

    def names(self) -> list[str]:
        """The names of all tables that are there, sorted; of a catalog, and of a warehouse that is no local folder, by
        Spark.
        """
        root = None if self.location.warehouse is None else log_folder(self.location.warehouse)
        if root is not None:
            folder = root.parent
            # A dot begins what a drop that was stopped left.
            return sorted(path.parent.name for path in folder.glob("[!.]*/_delta_log")) if folder.exists() else []
        return _names_by_spark(self.location, self.session())

    def table(self, name: str) -> Table:
        """The table of that name, whether it exists or not."""
        return Table(self.location.table(name), self.session)


def _names_by_spark(location: Location, spark: SparkSession) -> list[str]:
    if location.catalog is not None:
        return sorted(row["tableName"] for row in spark.sql(f"SHOW TABLES IN {location.catalog}").collect())
    jvm, settings = spark._jvm, spark._jsc.hadoopConfiguration()
    assert jvm is not None and location.warehouse is not None
    folder = jvm.org.apache.hadoop.fs.Path(location.warehouse)
    files = folder.getFileSystem(settings)
    found = files.listStatus(folder) if files.exists(folder) else []
    return sorted(entry.getPath().getName() for entry in found if entry.isDirectory())
