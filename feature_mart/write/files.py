"""Rows as files in a table's folder, which a commit then names: quicker than Spark's own writing, on a local disk."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import StructType

from feature_mart.delta.data_files import FACTS, Target, WrittenFile, discard_files, write_files
from feature_mart.delta.file_commits import commit_files
from feature_mart.delta.layout import PARTITIONS, Layout
from feature_mart.delta.tables import Table
from feature_mart.delta.writes import EVERYTHING, NOTHING, Expected, Replaces, commit
from feature_mart.errors import CheckFailed, ConcurrentBuild, SchemaChangeRefused
from feature_mart.records import Provenance, WriteResult

# Types that Arrow and Delta's readers outside of Spark do not all write alike.
_SPARK_ONLY = ("timestamp_ntz", "interval", "variant", "void", "char")
# Errors of a commit that was not made. Of any other nobody knows; files that no log names are removed by a vacuum.
NOT_COMMITTED = (CheckFailed, ConcurrentBuild, SchemaChangeRefused)


@dataclass(frozen=True)
class Files:
    """Rows in files that no log names yet, and their columns as Delta's JSON."""

    files: Sequence[WrittenFile]
    schema: str
    target: Target

    def frame(self, spark: SparkSession) -> DataFrame:
        """The rows in Spark."""
        schema = StructType.fromJson(json.loads(self.schema))
        paths = [str(Path(self.target.folder, file.path)) for file in self.files]
        return spark.read.schema(schema).parquet(*paths) if paths else spark.createDataFrame([], schema)

    def discard(self) -> None:
        """Removes the files."""
        discard_files(Path(self.target.folder), self.target.token)


def target_for(
    table: Table,
    kinds: Mapping[str, str],
    *,
    keys: Sequence[str] = (),
    time: str | None = None,
    layout: Layout | None,
    statistics_on: Sequence[str],
    replaces: Replaces,
    contents_of: tuple[tuple[str, ...], ...] = (),
) -> Target | None:
    """Where rows are written that a commit can name as they are; None where Spark has to write them.

    That is where the table is not on a local disk, where the rows of some range make room, and where columns change.

    Args:
        kinds: the columns of the rows and their Spark types.
        contents_of: sets of columns of which each file's content is to be told.
    """
    folder = table.folder
    if folder is None or replaces not in (EVERYTHING, NOTHING):
        return None
    if any(kind in text for text in kinds.values() for kind in _SPARK_ONLY):
        return None
    stored = {name: kind for name, kind in table.log.columns().items() if name not in PARTITIONS}
    if stored and dict(kinds) != stored:
        return None
    return Target(str(folder), tuple(keys), time, layout, tuple(statistics_on), uuid.uuid4().hex, contents_of)


def write_frame(frame: DataFrame, target: Target) -> Files:
    """Writes a frame whose parts are gathered and sorted as files should be; its own columns only."""

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield write_files((pa.Table.from_batches([batch]) for batch in batches), target)

    with discarded_on((BaseException,), target):
        written = frame.mapInArrow(run, from_arrow_schema(FACTS)).toArrow().sort_by("path").to_pylist()
    return Files([WrittenFile(**row) for row in written], frame.schema.json(), target)


def append_rows(
    rows: pa.Table,
    table: Table,
    *,
    provenance: Provenance,
    expected: Expected,
    properties: Mapping[str, str],
    statistics_on: Sequence[str],
) -> WriteResult:
    """Commits some rows to a table that is not partitioned; without Spark on a local disk.

    Raises:
        ConcurrentBuild: another writer committed since ``expected`` was read. Nothing was written.
    """
    folder = table.folder
    if folder is None:
        frame = table.session().createDataFrame(rows).coalesce(1)
        return commit(
            frame,
            table,
            provenance=provenance,
            expected=expected,
            partition_by=(),
            properties=properties,
            replaces=NOTHING,
        )
    target = Target(str(folder), (), None, None, tuple(statistics_on), uuid.uuid4().hex)
    with discarded_on((ConcurrentBuild,), target):
        written = write_files([rows], target).to_pylist()
        return commit_files(
            [WrittenFile(**row) for row in written],
            table,
            schema=rows.schema,
            provenance=provenance,
            expected=expected,
            partition_by=(),
            properties=properties,
            replaces=NOTHING,
        )


@contextmanager
def discarded_on(errors: tuple[type[BaseException], ...], target: Target | None) -> Iterator[None]:
    """Removes what was written where one of these errors shows that no log names it, nor ever will."""
    try:
        yield
    except errors:
        if target is not None:
            discard_files(Path(target.folder), target.token)
        raise
