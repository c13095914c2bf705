"""Which task reads which files, and what it keeps of them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_mart.columns.key_hash import bucket_codes
from feature_mart.delta.bucket_files import (
    ROWS_PER_TASK,
    BucketColumns,
    BucketTask,
    DataFile,
    bucket_tasks,
    read_bucket,
    read_rows,
    rows_between,
)

KINDS: dict[str, pa.DataType] = {"k": pa.int64(), "at": pa.timestamp("us", tz="UTC"), "v": pa.float64()}
SCHEMA = pa.schema(KINDS)


def file(bucket: int, rows: int, earliest: int = 0, latest: int = 10) -> DataFile:
    return DataFile(f"{bucket}-{rows}", bucket, rows, earliest, latest)


def test_a_small_table_is_one_task() -> None:
    tasks = bucket_tasks([file(1, 100), file(5, 200)])
    assert tasks is not None
    assert [(task.code, len(task.files)) for task in tasks] == [(1, 2)]


def test_without_files_there_is_nothing_to_read_by_buckets() -> None:
    assert bucket_tasks([]) is None
    assert bucket_tasks(None) is None


def test_a_task_gets_its_bucket_those_within_and_those_around_it() -> None:
    files = [file(4, ROWS_PER_TASK - 22), file(10, ROWS_PER_TASK), file(11, 1), file(6, 5), file(3, 7), file(1, 9)]
    tasks = bucket_tasks(files)
    assert tasks is not None
    read = {task.code: sorted(file.bucket for file in task.files) for task in tasks}
    assert read == {2: [1, 4, 10, 11], 3: [1, 3, 6]}


@pytest.mark.parametrize(
    ("files", "tasks"),
    [
        ([file(code, ROWS_PER_TASK) for code in range(8, 16)], 8),
        # Cut no finer than most files are: each row would be read twice.
        ([file(code, 2 * ROWS_PER_TASK) for code in range(8, 16)], 8),
        # A few coarse files, as nights leave them, may be read by all tasks.
        ([*(file(code, ROWS_PER_TASK) for code in range(8, 16)), file(1, ROWS_PER_TASK // 2)], 8),
        # But not many, and then all would be the work of one task.
        ([file(1, ROWS_PER_TASK) for _ in range(9)], None),
    ],
)
def test_how_many_tasks(files: list[DataFile], tasks: int | None) -> None:
    found = bucket_tasks(files)
    assert (None if found is None else len(found)) == tasks


def test_rows_are_spread_evenly_over_the_time_of_their_file() -> None:
    start = datetime(1970, 1, 1, tzinfo=timezone.utc)
    files = [DataFile("a", 1, 100, 0, 99), DataFile("b", 1, 7, 50, 50), DataFile("c", 1, 3, 500, 900)]
    assert rows_between(files, start, start + timedelta(microseconds=50)) == 50
    assert rows_between(files, start + timedelta(microseconds=50), start + timedelta(microseconds=51)) == 1 + 7
    assert rows_between(files, start, start + timedelta(days=1)) == 110


def test_a_task_keeps_the_rows_of_its_keys_and_of_its_time(tmp_path: Path) -> None:
    keys = list(range(100))
    table = pa.table(
        {"k": pa.array(keys, pa.int32()), "at": pa.array([1_000 * key for key in keys], pa.timestamp("us", tz="UTC"))}
    )
    path = str(tmp_path / "part.parquet")
    pq.write_table(table, path)
    columns = BucketColumns(("k",), "at", 20_000, 60_000, SCHEMA)
    seen: list[int] = []
    for code in range(4, 8):
        rows = read_bucket(BucketTask(code, 2, (DataFile(path, 1, 100, 0, 99_999),)), columns)
        assert rows.schema == SCHEMA
        assert rows["v"].null_count == len(rows)  # a column that the file lacks
        assert set(bucket_codes([rows["k"].combine_chunks()], 2).tolist()) <= {code}
        found: list[Any] = rows["k"].to_pylist()
        seen += found
    assert sorted(seen) == list(range(20, 60))


def test_some_rows_are_read_by_their_numbers_over_all_files(tmp_path: Path) -> None:
    files = []
    for number, keys in enumerate([range(10), range(10, 10), range(10, 25), range(25, 30)]):
        path = str(tmp_path / f"{number}.parquet")
        pq.write_table(pa.table({"k": pa.array(keys, pa.int32())}), path, row_group_size=4)
        files.append(DataFile(path, 1, len(keys), 0, 0))
    task, schema = BucketTask(1, 0, tuple(files)), SCHEMA.remove(1)
    everything = read_rows(task, schema)
    assert everything["k"].to_pylist() == list(range(30))
    for numbers in ([29, 3, -1, 12, 3, 0, 11], [-1, -1], list(range(30)), [24], []):
        found = read_rows(task, schema, np.array(numbers, dtype=np.int64))
        assert found.schema == schema
        assert found["k"].to_pylist() == [None if number < 0 else number for number in numbers]
        assert found["v"].null_count == len(numbers)


def test_without_files_no_number_finds_a_row() -> None:
    found = read_rows(BucketTask(1, 0, ()), SCHEMA, np.array([-1, -1]))
    assert found.to_pylist() == [{"k": None, "at": None, "v": None}] * 2


def test_row_groups_without_a_row_that_is_asked_for_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "part.parquet"
    pq.write_table(pa.table({"k": list(range(8))}), path, row_group_size=4, use_dictionary=False, compression="none")
    metadata = pq.ParquetFile(path).metadata
    second = metadata.row_group(1).column(0)
    with path.open("r+b") as opened:
        opened.seek(second.data_page_offset)
        opened.write(b"\xff" * second.total_compressed_size)
    task = BucketTask(1, 0, (DataFile(str(path), 1, 8, 0, 0),))
    schema = pa.schema({"k": pa.int64()})
    assert read_rows(task, schema, np.array([3, 0]))["k"].to_pylist() == [3, 0]
    with pytest.raises(OSError):
        read_rows(task, schema, np.array([3, 4]))
