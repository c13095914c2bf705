"""Data files that tasks write themselves, from columns, to be named in a table's log by one commit.

Spark writes Parquet row by row: for wide rows of numbers that takes several times as long as to compute them. The
layout of the files is the same (docs/adr/0001-table-contract.md), and so are their statistics.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feature_mart.columns.arrow import Array, Integers, column, instants, lacking, picked, plain
from feature_mart.columns.content import Content
from feature_mart.columns.key_hash import bucket_codes
from feature_mart.delta.layout import PARTITIONS, Layout
from feature_mart.records import moved

# The period and the bucket of a file.
Place = tuple[str | None, int | None]

_PENDING = 32 << 20  # bytes in memory
# Rows in a row group: whoever looks for a few rows of a file reads their groups alone. Smaller ones make reading whole
# files slower.
_ROW_GROUP = 16_384
# Arrow reads it three times as fast as snappy, at the same size. Parquet calls it LZ4_RAW.
_COMPRESSION: Literal["lz4"] = "lz4"
# Values by which to tell whether a column has a value twice: a dictionary of different ones is work for nothing.
_SAMPLE = 1_024
_MOST_DIFFERENT = 0.99
_TEXT_LENGTH = 32  # statistics of longer texts only cost room


@dataclass(frozen=True)
class Target:
    """Where files are written, and how rows are spread over them.

    ``layout``: by the hash of ``keys`` (by periods alone without any) and by ``time``; None for tables that are not
    partitioned. ``statistics_on``:
    the columns whose extremes and nulls the log will tell; ``token`` is in the name of each file of one build;
    ``contents_of``: sets of columns of which the content of each file is to be told.
    """

    folder: str
    keys: tuple[str, ...]
    time: str | None
    layout: Layout | None
    statistics_on: tuple[str, ...]
    token: str
    contents_of: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class WrittenFile:
    """A file that a task has written. ``path`` within the table's folder; ``statistics`` as Delta's JSON.

    ``period`` and ``bucket`` are None in tables that are not partitioned by them. ``contents``: as JSON, see
    `contents_in`.
    """

    path: str
    size: int
    period: str | None
    bucket: int | None
    rows: int
    statistics: str
    contents: str = "[]"


_FACTS: dict[str, pa.DataType] = {
    "path": pa.string(),
    "size": pa.int64(),
    "period": pa.string(),
    "bucket": pa.int32(),
    "rows": pa.int64(),
    "statistics": pa.string(),
    "contents": pa.string(),
}
FACTS = pa.schema(_FACTS)


def write_files(tables: Iterable[pa.Table], target: Target) -> pa.RecordBatch:
    """Writes rows, which come by entity and time, and gives a row for each file that was written."""
    open_files: dict[Place, _OpenFile] = {}
    try:
        for table in tables:
            for place, rows in _spread(table, target):
                if place not in open_files:
                    open_files[place] = _OpenFile.create(target, place, rows)
                open_files[place].add(rows, target)
        for entry in open_files.values():
            entry.flush(target)
    finally:
        for entry in open_files.values():
            entry.writer.close()
    written = [entry.written(target.folder) for entry in open_files.values()]
    return pa.RecordBatch.from_pylist([vars(file) for file in written], schema=FACTS)


def contents_in(files: Iterable[WrittenFile], sets: int) -> list[Content]:
    """The content of all files together, for each set of columns that was asked for."""
    found = [[Content.from_json(entry) for entry in json.loads(file.contents)] for file in files]
    return [Content.whole([of_file[at] for of_file in found]) for at in range(sets)]


def discard_files(folder: Path, token: str) -> None:
    """Removes what tasks of one build wrote and no commit names."""
    for path in folder.glob(f"**/part-{token}-*.parquet"):
        path.unlink(missing_ok=True)


def _spread(table: pa.Table, target: Target) -> Iterator[tuple[Place, pa.Table]]:
    """The rows of each period and bucket, in the order in which they came."""
    if not len(table):
        return
    if target.layout is None:
        yield (None, None), table
        return
    lacks = lacking(table, [*target.keys, *([target.time] if target.time is not None else [])])
    if lacks.any():
        # They are set aside before anything is committed, and lie anywhere until then.
        yield ("all", 1 if target.keys else None), table.filter(column(lacks))
        table = table.filter(column(~lacks))
        if not len(table):
            return
    periods, numbers = _periods(table, target.time, target.layout)
    if not target.keys:
        for number in np.unique(numbers):
            yield (periods[number], None), table.filter(column(numbers == number))
        return
    codes = bucket_codes([plain(table[name]) for name in target.keys], target.layout.depth)
    base = 1 << target.layout.depth
    places = numbers * base + (codes - base)
    for place in np.unique(places):
        number, code = divmod(int(place), base)
        rows = table if (places == place).all() else table.filter(column(places == place))
        yield (periods[number], code + base), rows


def _periods(table: pa.Table, time: str | None, layout: Layout) -> tuple[list[str], Integers]:
    """The periods that there are, and each row's by its number."""
    if time is None or layout.period == "all":
        return ["all"], np.zeros(len(table), dtype=np.int64)
    micros = instants(table[time])
    unit = "M" if layout.period == "month" else "Y"
    starts, numbers = np.unique(micros.astype("datetime64[us]").astype(f"datetime64[{unit}]"), return_inverse=True)
    return [str(start) for start in starts], numbers.astype(np.int64)


@dataclass
class _OpenFile:
    path: str
    writer: pq.ParquetWriter
    place: Place
    statistics: Mapping[str, _Statistics]
    contents: list[list[Content]]
    rows: int = 0
    pending: list[pa.Table] = field(default_factory=list)

    @classmethod
    def create(cls, target: Target, place: Place, first: pa.Table) -> _OpenFile:
        """``first``: rows such as will be added."""
        name = f"part-{target.token}-{uuid.uuid4()}.lz4raw.parquet"
        folders = [f"{kind}={value}/" for kind, value in zip(PARTITIONS, place, strict=True) if value is not None]
        path = "".join([*folders, name])
        whole = Path(target.folder, path)
        whole.parent.mkdir(parents=True, exist_ok=True)
        # Arrow's own copy of the schema would only say once more what Parquet's says.
        # Arrow's stubs know only that all columns have a dictionary, or none.
        encoded: Any = [
            leaf for each in first.schema if _repeats(first[each.name]) for leaf in _leaves(each.name, each)
        ]
        writer = pq.ParquetWriter(
            whole, first.schema, store_schema=False, use_dictionary=encoded, compression=_COMPRESSION
        )
        statistics = {name: _Statistics() for name in target.statistics_on}
        return cls(path, writer, place, statistics, [[] for _ in target.contents_of])

    def add(self, rows: pa.Table, target: Target) -> None:
        """Takes rows to be written; what comes in small pieces is gathered into row groups of some size."""
        self.pending.append(rows)
        if sum(piece.nbytes for piece in self.pending) >= _PENDING:
            self.flush(target)

    def flush(self, target: Target) -> None:
        if not self.pending:
            return
        rows = pa.concat_tables(self.pending)
        self.pending = []
        self.writer.write_table(rows, row_group_size=_ROW_GROUP)
        self.rows += len(rows)
        for name, statistics in self.statistics.items():
            statistics.add(plain(rows[name]))
        for found, columns in zip(self.contents, target.contents_of, strict=True):
            found.append(Content.of(rows.select(columns)))

    def written(self, folder: str) -> WrittenFile:
        found = self.statistics.items()
        told = {
            "numRecords": self.rows,
            "minValues": {name: said for name, each in found if (said := _least_text(each.least)) is not None},
            "maxValues": {name: said for name, each in found if (said := _greatest_text(each.greatest)) is not None},
            "nullCount": {name: each.nulls for name, each in found},
        }
        size = Path(folder, self.path).stat().st_size
        text = json.dumps(told, separators=(",", ":"))
        contents = json.dumps([Content.whole(parts).to_json() for parts in self.contents])
        return WrittenFile(self.path, size, *self.place, self.rows, text, contents)


def _repeats(values: pa.ChunkedArray[Any]) -> bool:
    """Whether values come again, as far as a sample tells."""
    if len(values) < _SAMPLE or pa.types.is_nested(values.type):
        return True
    sample = picked(values, np.linspace(0, len(values) - 1, _SAMPLE, dtype=np.int64)).drop_null()
    return len(sample.unique()) < _MOST_DIFFERENT * len(sample)


def _leaves(path: str, field: pa.Field[Any]) -> list[str]:
    """The columns of Parquet that a column becomes."""
    kind = field.type
    if pa.types.is_struct(kind):
        return [leaf for child in kind for leaf in _leaves(f"{path}.{child.name}", child)]
    if pa.types.is_map(kind):
        key = _leaves(f"{path}.key_value.key", kind.key_field)
        return key + _leaves(f"{path}.key_value.value", kind.item_field)
    return _leaves(f"{path}.list.element", kind.value_field) if pa.types.is_list(kind) else [path]


@dataclass
class _Statistics:
    """A column's nulls and extremes in one file; no extremes of types that have none in a log."""

    nulls: int = 0
    least: Any = None
    greatest: Any = None

    def add(self, values: Array) -> None:
        self.nulls += values.null_count
        if not _has_extremes(values.type):
            return
        found: Any = pc.min_max(values)
        least, greatest = found["min"].as_py(), found["max"].as_py()
        self.least = min((value for value in (self.least, least) if value is not None), default=None)
        self.greatest = max((value for value in (self.greatest, greatest) if value is not None), default=None)


def _has_extremes(kind: pa.DataType) -> bool:
    # Of floats, NaN would have to be the greatest, and is not for all readers; of decimals, JSON keeps no digits.
    return bool(pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_temporal(kind))


def _least_text(value: Any) -> Any:
    if isinstance(value, datetime):
        return _milliseconds(value)
    return value.isoformat() if isinstance(value, date) else value[:_TEXT_LENGTH] if isinstance(value, str) else value


def _greatest_text(value: Any) -> Any:
    if isinstance(value, datetime):
        # What was cut off must not be beyond the greatest.
        return _milliseconds(moved(value, timedelta(microseconds=-value.microsecond % 1000)))
    if isinstance(value, str):
        return value if len(value) <= _TEXT_LENGTH else None
    return value.isoformat() if isinstance(value, date) else value


def _milliseconds(moment: datetime) -> str:
    text = moment.astimezone(timezone.utc).replace(tzinfo=None).isoformat(timespec="milliseconds")
    return f"{text}Z"
