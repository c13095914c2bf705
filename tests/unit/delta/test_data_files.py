"""Files that tasks write: where rows lie, and what the log is told of them."""

from __future__ import annotations

import json
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from feature_mart.columns.key_hash import bucket_codes
from feature_mart.delta.data_files import Target, discard_files, write_files
from feature_mart.delta.layout import Layout

INSTANT = pa.timestamp("us", tz="UTC")


def at(year: int, month: int, microsecond: int = 0) -> datetime:
    return datetime(year, month, 1, 0, 0, 0, microsecond, tzinfo=timezone.utc)


def test_rows_lie_by_month_and_bucket_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    rows = pa.table(
        {"k": [key for key in range(50) for _ in range(2)], "at": pa.array([at(2011, 1), at(2011, 2)] * 50, INSTANT)}
    )
    target = Target(str(tmp_path), ("k",), "at", Layout("month", 1), ("k", "at"), "t")
    written = write_files([rows.slice(0, 30), rows.slice(30)], target).to_pylist()
    assert {(file["period"], file["bucket"]) for file in written} == {
        (p, b) for p in ("2011-01", "2011-02") for b in (2, 3)
    }
    for file in written:
        assert file["path"].startswith(f"_period={file['period']}/_bucket={file['bucket']}/part-t-")
        found = pq.read_table(tmp_path / file["path"], partitioning=None)
        keys: list[Any] = found["k"].to_pylist()
        assert keys == sorted(keys)
        assert len(keys) == file["rows"]
        assert set(bucket_codes([found["k"].combine_chunks()], 1).tolist()) == {file["bucket"]}
        assert file["size"] == (tmp_path / file["path"]).stat().st_size
    assert sum(file["rows"] for file in written) == 100


def test_rows_that_lack_a_key_or_their_time_are_written_beside_the_others(tmp_path: Path) -> None:
    rows = pa.table({"k": [1, None, 2, None], "at": pa.array([at(2011, 1), at(2011, 1), None, None], INSTANT)})
    target = Target(str(tmp_path), ("k",), "at", Layout("month", 2), ("k",), "t")
    written = {file["period"]: file["rows"] for file in write_files([rows], target).to_pylist()}
    assert written == {"2011-01": 1, "all": 3}


def test_statistics_bound_what_is_in_a_file(tmp_path: Path) -> None:
    rows = pa.table(
        {
            "number": pa.array([3, None, -7]),
            "text": pa.array(["b", "a" * 40, None]),
            "day": pa.array([date(2011, 1, 2), None, date(1969, 1, 1)]),
            "at": pa.array([at(2011, 1, 1_001), at(1, 1, 999), None], INSTANT),
            "value": pa.array([1.0, float("nan"), None]),
        }
    )
    names = tuple(rows.column_names)
    (file,) = write_files([rows], Target(str(tmp_path), (), None, None, names, "t")).to_pylist()
    assert json.loads(file["statistics"]) == {
        "numRecords": 3,
        "minValues": {"number": -7, "text": "a" * 32, "day": "1969-01-01", "at": "0001-01-01T00:00:00.000Z"},
        "maxValues": {"number": 3, "text": "b", "day": "2011-01-02", "at": "2011-01-01T00:00:00.002Z"},
        "nullCount": {"number": 1, "text": 1, "day": 1, "at": 1, "value": 1},
    }
    assert (file["period"], file["bucket"]) == (None, None)


def test_small_pieces_become_one_row_group(tmp_path: Path) -> None:
    pieces = [pa.table({"k": [number]}) for number in range(100)]
    (file,) = write_files(pieces, Target(str(tmp_path), ("k",), None, Layout(), ("k",), "t")).to_pylist()
    metadata = pq.ParquetFile(tmp_path / file["path"]).metadata
    assert (metadata.num_rows, metadata.num_row_groups) == (100, 1)


def test_row_groups_are_small_and_only_values_that_come_again_have_a_dictionary(tmp_path: Path) -> None:
    count = 40_000
    nested = {
        "list": pa.list_(pa.int64()),
        "map": pa.map_(pa.string(), pa.float64()),
        "struct": pa.struct([("a", pa.list_(pa.string())), ("b", pa.int64())]),
    }
    value = {"list": [1, 2], "map": [("x", 1.5)], "struct": {"a": ["p"], "b": None}}
    rows = pa.table(
        {
            "own": pa.array([float(number) if number % 3 else None for number in range(count)]),
            "few": pa.array([float(number % 500) for number in range(count)]),
            "text": pa.array([str(number) for number in range(count)]),
            "null": pa.nulls(count, pa.float64()),
            **{name: pa.array([value[name]] * count, kind) for name, kind in nested.items()},
        }
    )
    (file,) = write_files([rows], Target(str(tmp_path), (), None, None, (), "t")).to_pylist()
    path = tmp_path / file["path"]
    metadata = pq.ParquetFile(path).metadata
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    assert max(group.num_rows for group in groups) < count / 2
    columns = [groups[0].column(number) for number in range(metadata.num_columns)]
    without = {column.path_in_schema for column in columns if not column.has_dictionary_page}
    assert without == {"own", "text", "null"}
    assert pq.read_table(path).equals(rows)


def test_no_rows_make_no_file(tmp_path: Path) -> None:
    empty = pa.table({"k": pa.array([], pa.int64())})
    assert write_files([empty], Target(str(tmp_path), ("k",), None, Layout(), ("k",), "t")).num_rows == 0
    assert list(tmp_path.iterdir()) == []


def test_files_of_one_build_are_discarded_and_no_others(tmp_path: Path) -> None:
    rows = pa.table({"k": [1, 2, 3]})
    for token in ("one", "other"):
        write_files([rows], Target(str(tmp_path), ("k",), None, Layout("all", 1), ("k",), token))
    discard_files(tmp_path, "one")
    left = [path.name for path in tmp_path.rglob("*.parquet")]
    assert left
    assert all(name.startswith("part-other-") for name in left)
