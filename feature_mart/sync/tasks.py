"""Values on their way into the store by tasks of Spark, each of which has a bucket of keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from feature_mart.columns.arrow import integers
from feature_mart.delta.bucket_files import BucketTask, DataFile, files_of_bucket, fitting_depth, read_bucket
from feature_mart.delta.layout import MAXIMUM_DEPTH
from feature_mart.delta.placement import bucket_code
from feature_mart.delta.tables import Table, visible
from feature_mart.online.cell_writer import CellWriter
from feature_mart.sync.snapshot import ReadRows, SnapshotRows
from feature_mart.sync.write import Pushed, push_keys

# Rows in one task, where it reads files, and where Spark gathers them.
_ROWS_PER_TASK = 100_000
_ROWS_TOGETHER = 500_000
_PART = "_part"

PUSHED = pa.schema([(each.name, pa.int64()) for each in fields(Pushed)])


@dataclass(frozen=True)
class VersionRows:
    """The rows of one version of a view: ``files`` that tasks can open, or None where only Spark reaches them."""

    table: Table
    version: int
    files: Sequence[DataFile] | None


def push_all(
    spark: SparkSession, target: VersionRows, base: VersionRows | None, how: SnapshotRows, writer: CellWriter
) -> Pushed:
    """Writes all values of a version, in tasks; keys that only ``base`` has lose theirs."""

    def work(read: ReadRows, before: pa.Table | None) -> dict[str, Any]:
        texts = [] if before is None else how.texts(how.findable(before))
        return vars(push_keys(list(dict.fromkeys(texts)), how.latest(read), how, writer))

    found = in_buckets(spark, BucketWork(target, how, work, PUSHED), base)
    return sum((Pushed(**row) for row in found), Pushed())


@dataclass(frozen=True)
class BucketWork:
    """What is done for each bucket of keys of a version.

    ``work``: given how to read the bucket's rows, and the rows of a base by which keys are found (None without one);
    it gives one row with the columns of ``schema``.
    """

    target: VersionRows
    how: SnapshotRows
    work: Callable[[ReadRows, pa.Table | None], dict[str, Any]]
    schema: pa.Schema

    @property
    def row(self) -> Callable[[ReadRows, pa.Table | None], pa.RecordBatch]:
        """The work as tasks are given it: they can do nothing with the table itself."""
        work, schema = self.work, self.schema
        return lambda read, before: pa.RecordBatch.from_pylist([work(read, before)], schema=schema)


def in_buckets(spark: SparkSession, job: BucketWork, base: VersionRows | None = None) -> list[dict[str, Any]]:
    """Does the work for all buckets, in tasks, and gives a row for each."""
    files = job.target.files
    if files is not None and (base is None or base.files is not None):
        frame = _from_files(spark, job, files, None if base is None else base.files)
    else:
        frame = _from_spark(spark, job, base)
    found: list[dict[str, Any]] = frame.toArrow().to_pylist()
    return found


def _from_files(
    spark: SparkSession, job: BucketWork, files: Sequence[DataFile], base: Sequence[DataFile] | None
) -> DataFrame:
    how, row, depth = job.how, job.row, _depth(files)
    codes = range(1 << depth, 2 << depth)
    tasks = [(files_of_bucket(files, code), None if base is None else files_of_bucket(base, code)) for code in codes]

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in integers(batch.column(0)):
                own, other = tasks[number]
                before = None if other is None else read_bucket(other, how.read_columns(how.found_by))
                yield row(partial(_read, own, how), before)

    return spark.range(len(tasks), numPartitions=len(tasks)).mapInArrow(run, from_arrow_schema(job.schema))


def _read(task: BucketTask, how: SnapshotRows, schema: pa.Schema) -> pa.Table:
    return read_bucket(task, how.read_columns(schema))


def _depth(files: Sequence[DataFile]) -> int:
    """Tasks are smaller than for other work, so that all cores have some: a file that two of them read costs little."""
    depth = fitting_depth(files) or 0
    finest, rows = min(depth + 2, MAXIMUM_DEPTH), sum(file.rows for file in files)
    while depth < finest and rows >> depth > _ROWS_PER_TASK:
        depth += 1
    return depth


def _from_spark(spark: SparkSession, job: BucketWork, base: VersionRows | None) -> DataFrame:
    target, how, row = job.target, job.how, job.row
    rows, depth = target.table.row_count(target.version), 0
    while rows >> depth > _ROWS_TOGETHER and depth < MAXIMUM_DEPTH:
        depth += 1
    own = _bucketed(spark, target, how, how.everything, depth).groupBy(_PART)
    schema = from_arrow_schema(job.schema)
    if base is None:
        return own.applyInArrow(lambda table: pa.Table.from_batches([row(_chosen(table), None)]), schema)
    other = _bucketed(spark, base, how, how.found_by, depth).groupBy(_PART)

    def run(table: pa.Table, before: pa.Table) -> pa.Table:
        return pa.Table.from_batches([row(_chosen(table), before.select(how.found_by.names))])

    return own.cogroup(other).applyInArrow(run, schema)


def _bucketed(spark: SparkSession, rows: VersionRows, how: SnapshotRows, schema: pa.Schema, depth: int) -> DataFrame:
    frame = visible(rows.table.read(rows.version, spark=spark)).select(*[F.col(f"`{name}`") for name in schema.names])
    keys = dict(zip(how.columns.keys, how.kinds, strict=True))
    return frame.withColumn(_PART, bucket_code(keys, depth))


def _chosen(table: pa.Table) -> ReadRows:
    return lambda schema: table.select(schema.names).cast(schema)
