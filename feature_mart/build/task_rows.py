"""Rows that Spark's tasks make column by column, each task all rows of some keys: as a frame, or written to files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import StructType

from feature_mart.delta.data_files import FACTS, Target, WrittenFile, write_files

# What a task makes of its part of a frame: rows by entity and time.
Work = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.Table]]

_BATCH = 65_536


@dataclass(frozen=True)
class TaskRows:
    """Rows to be made by ``work`` from each part of ``gathered``.

    ``expected``: about how many they will be, None where nothing tells; ``tasks``: how many parts there are, likewise.
    """

    gathered: DataFrame
    work: Work
    schema: StructType
    expected: int | None = None
    tasks: int | None = None

    def frame(self) -> DataFrame:
        """The rows in Spark."""
        work = self.work

        def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for table in work(batches):
                yield from table.combine_chunks().to_batches(max_chunksize=_BATCH)

        return self.gathered.mapInArrow(run, self.schema)

    def write(self, target: Target) -> list[WrittenFile]:
        """The rows in files that no log names yet. They are made and written in one go, here and now."""
        work = self.work

        def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            yield write_files(work(batches), target)

        written = self.gathered.mapInArrow(run, from_arrow_schema(FACTS)).toArrow()
        return [WrittenFile(**row) for row in written.sort_by("path").to_pylist()]


def whole_task(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """All rows of a task as one table; nothing where there are none."""
    found = list(batches)
    if found:
        yield pa.Table.from_batches(found)
