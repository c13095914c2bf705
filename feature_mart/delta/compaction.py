"""Which files of a table are too many or too coarse, by the rules of docs/adr/0001-table-contract.md.

A night leaves one small file that holds rows of all keys, as that is the cheapest commit. Readers pay for it later: a
task that reads one bucket reads every coarser file beside it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from feature_mart.delta import layout
from feature_mart.delta.damage import damaged_log
from feature_mart.delta.layout import BUCKET, PERIOD, Layout, Period, choose_layout
from feature_mart.delta.log import is_plain
from feature_mart.delta.tables import Table

# So many files of at most 100,000 rows a task can read beside its own bucket before it gets slow.
MOST_FILES = 16

_LENGTHS: dict[int, Period] = {len("2011"): "year", len("2011-03"): "month"}
_FINENESS: dict[Period, int] = {"all": 0, "year": 1, "month": 2}
_FORMATS: dict[Period, str] = {"year": "%Y", "month": "%Y-%m"}


@dataclass(frozen=True)
class LaidFile:
    """A file of a version and where it lies. ``bucket`` is None in tables that are not cut by keys.

    ``earliest`` and ``latest``: event timestamps between which its rows lie, None where there are none.
    """

    path: str
    size: int
    rows: int
    period: str
    bucket: int | None
    earliest: datetime | None
    latest: datetime | None


def laid_files(table: Table, version: int, time: str | None) -> list[LaidFile] | None:
    """The files of a version that lie in a period of time; None where the log does not say it of every file.

    Files of other partitions (what an ingest notes of its files, rows without a time) stay as they are.
    """
    assert table.address.log_uri is not None
    try:
        opened = DeltaTable(table.address.log_uri, version=version)
    except DeltaError as error:
        raise damaged_log(table.name, table.address.uri, str(error).splitlines()[0][:200]) from error
    if not is_plain(opened) or PERIOD not in opened.metadata().partition_columns:
        return None
    entries = pa.table(opened.get_add_actions(flatten=True)).to_pylist()
    if any(entry.get("num_records") is None for entry in entries):
        return None
    return [
        LaidFile(
            path=entry["path"],
            size=entry["size_bytes"],
            rows=entry["num_records"],
            period=entry[f"partition.{PERIOD}"],
            bucket=entry.get(f"partition.{BUCKET}"),
            earliest=entry.get(f"min.{time}"),
            latest=entry.get(f"max.{time}"),
        )
        for entry in entries
        if _fineness_of(entry[f"partition.{PERIOD}"]) is not None
    ]


def paths_in(opened: DeltaTable) -> set[str]:
    """The paths of all files of a table, as its log spells them."""
    return {str(path) for path in pa.table(opened.get_add_actions(flatten=True))["path"].to_pylist()}


def layout_of(files: Sequence[LaidFile]) -> Layout:
    """The layout that the table would have if all of it were written now."""
    earliest = [file.earliest for file in files if file.earliest is not None]
    latest = [file.latest for file in files if file.latest is not None]
    return choose_layout(sum(file.rows for file in files), min(earliest, default=None), max(latest, default=None))


def due_files(files: Sequence[LaidFile], wanted: Layout, now: datetime) -> list[LaidFile]:
    """The files of all periods that are due; all files where some lie in coarser periods than they should."""
    if any(_FINENESS[_fineness_of(file.period) or "all"] < _FINENESS[wanted.period] for file in files):
        return list(files)
    periods: defaultdict[str, list[LaidFile]] = defaultdict(list)
    for file in files:
        periods[_cut(file.period, wanted.period)].append(file)
    return [file for period, inside in periods.items() if _is_due(period, inside, wanted, now) for file in inside]


def _is_due(period: str, files: Sequence[LaidFile], wanted: Layout, now: datetime) -> bool:
    has_passed = wanted.period != "all" and period < now.strftime(_FORMATS[wanted.period])
    if files[0].bucket is None:
        # Sorted by time alone, so where they are cut does not fall on the bounds of periods.
        needed = 1 + 2 * -(-sum(file.rows for file in files) // layout.ROWS_PER_BUCKET)
        return len(files) > max(needed, MOST_FILES) or (has_passed and len(files) > needed)
    depths = [(file.bucket or 1).bit_length() - 1 for file in files]
    coarse = sum(depth < wanted.depth for depth in depths)
    fine = Counter(
        (file.bucket or 1) >> (depth - wanted.depth)
        for file, depth in zip(files, depths, strict=True)
        if depth >= wanted.depth
    )
    read = coarse + max(fine.values(), default=0)
    is_tidy = not coarse and read <= 1 and len({file.period for file in files}) == 1
    return read > MOST_FILES or (has_passed and not is_tidy)


def _fineness_of(period: str | None) -> Period | None:
    """The kind of a period; None of partitions that are none."""
    if period == "all":
        return "all"
    is_date = period is not None and period.replace("-", "").isdigit()
    return _LENGTHS.get(len(period)) if period is not None and is_date else None


def _cut(period: str, kind: Period) -> str:
    """The period of a coarser or the same kind that holds this one."""
    return "all" if kind == "all" else period[: len("2011") if kind == "year" else len("2011-03")]
