"""Where the rows of a spine that Spark reads come from, and what orders them there."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from feature_mart.definitions.names import NAME
from feature_mart.delta.errors import SPARK_ERRORS, first_lines
from feature_mart.delta.tables import Table
from feature_mart.errors import UsageError
from feature_mart.read.conform import FILE, RAW, REASON, conformed, file_name, quoted_name
from feature_mart.read.files import literally
from feature_mart.read.inputs import without_file_entries
from feature_mart.train.request import ViewRequest
from feature_mart.train.spine_columns import EVENT_TIMESTAMP, refuse_duplicates, wanted_types

_REMOTE = re.compile(r"[a-z][a-z0-9+.-]+:", re.IGNORECASE)
_CSV = re.compile(r"\.csv(\.\w+)?$", re.IGNORECASE)
_PARQUET = re.compile(r"\.(parquet|pq)$", re.IGNORECASE)
# As programs write it: a quote within quotes is doubled, and a field may hold line ends.
_CSV_OPTIONS = {"header": "true", "escape": '"', "multiLine": "true", "encoding": "UTF-8"}
_TOO_FINE = r"\.\d{6}\d*[1-9]"


@dataclass(frozen=True)
class Opened:
    """Rows that nothing has read yet. ``columns``: the spine's, with their Spark types.

    Rows of one ``file`` and ``block`` come one after the other, in their order; files and blocks are ordered by these
    two values. ``frame`` has `REASON` where rows may be no rows of a spine.
    """

    name: str
    frame: DataFrame
    columns: tuple[tuple[str, str], ...]
    file: Column
    block: Column

    def refuse_bad_rows(self) -> None:
        """Looks for rows with texts that are not what their columns have to hold.

        Raises:
            UsageError: the first of them.
        """
        if REASON not in self.frame.columns:
            return
        bad = self.frame.where(F.col(REASON).isNotNull()).select(REASON, RAW).first()
        if bad is not None:
            raise UsageError(
                f"the spine {self.name} has a row that cannot be read: {bad[0]}. The row: {bad[1]!r}. Mend it: keys "
                "are written as the mart's types, times in ISO 8601, as in 2011-12-01T06:00:00Z."
            )


@contextmanager
def read_errors(name: str) -> Iterator[None]:
    """Raises a `UsageError` in place of what Spark says of a spine."""
    try:
        yield
    except SPARK_ERRORS as error:
        raise UsageError(f"the spine {name} cannot be read: {first_lines(error)}") from error


def open_frame(frame: DataFrame) -> Opened:
    """A Spark frame: its order is that of its partitions, and of the rows within each.

    Raises:
        UsageError: it is no frame of a classic session.
    """
    # By name: the class itself cannot be imported where gRPC is not installed.
    if type(frame).__module__.startswith("pyspark.sql.connect"):
        raise UsageError("the spine is a frame of Spark Connect. Give a classic session's, or a path to its rows.")
    return Opened("frame", frame, tuple(frame.dtypes), F.lit(""), F.spark_partition_id().cast("bigint"))


def open_named(
    spark: SparkSession,
    name: str | Path,
    requests: Sequence[ViewRequest],
    *,
    root: Path,
    table_of: Callable[[str], Table | None],
) -> Opened:
    """A table of the mart, or files; a path is relative to ``root``. The order is that of files by their paths.

    Raises:
        UsageError: there is neither a table nor a file of that name, or files of no kind that can be read.
    """
    table = table_of(name) if isinstance(name, str) and NAME.fullmatch(name) else None
    if table is not None:
        return _open_table(table)
    path = str(name) if _REMOTE.match(str(name)) else os.path.normpath(root / name)
    kind = _kind(str(name), path)
    if kind == "csv":
        return _open_csv(spark, str(name), literally(path), wanted_types(requests))
    if kind == "parquet":
        return _in_files(str(name), spark.read.parquet(literally(path)))
    return _in_files(str(name), spark.read.format("delta").load(path))


def _open_table(table: Table) -> Opened:
    frame = without_file_entries(table.read(table.pinned().version))
    names = [(name, kind) for name, kind in frame.dtypes if not name.startswith("_")]
    if table.address.uri is None:
        # By a catalog's name a table is a query, which does not show its files.
        return Opened(table.name, frame, tuple(names), F.lit(""), F.spark_partition_id().cast("bigint"))
    return Opened(table.name, frame, tuple(names), *_place())


def _in_files(name: str, frame: DataFrame) -> Opened:
    return Opened(name, frame, tuple(frame.dtypes), *_place())


def _place() -> tuple[Column, Column]:
    return F.col("_metadata.file_path"), F.col("_metadata.file_block_start")


def _kind(name: str, path: str) -> str:
    """``csv``, ``parquet`` or ``delta``: by the ending, else by what a folder holds."""
    is_remote = _REMOTE.match(path) is not None
    if not is_remote and not Path(path).exists():
        raise UsageError(
            f"there is no spine {name}: neither a table of the mart is called so, nor is there a file or folder {path}."
        )
    if is_remote or Path(path).is_file():
        inside = [path]
    else:
        inside = [path, *sorted(str(file) for file in Path(path).rglob("*") if file.is_file())]
    if not is_remote and (Path(path) / "_delta_log").is_dir():
        return "delta"
    for kind, ending in (("parquet", _PARQUET), ("csv", _CSV)):
        if any(ending.search(file) for file in inside):
            return kind
    if is_remote:
        return "delta"
    raise UsageError(
        f"the spine {path} is no file that can be read. Allowed: .csv (and .csv.gz), .parquet, a folder of these, or a "
        "Delta table's folder."
    )


def _open_csv(spark: SparkSession, name: str, path: str, wanted: Mapping[str, str]) -> Opened:
    """CSV: what is joined by is read as text and then as what it has to be, the rest as the types that Spark sees."""
    guessed = spark.read.options(**_CSV_OPTIONS, inferSchema="true").csv(path).schema
    refuse_duplicates(guessed.names)
    kinds = {field.name: field.dataType.simpleString() for field in guessed.fields}
    schema = {name: wanted.get(name, kind) for name, kind in kinds.items()}
    read_as = ", ".join(f"`{name}` {'string' if name in wanted else kind}" for name, kind in kinds.items())
    texts = (
        spark.read.schema(f"{read_as}, {RAW} string")
        .options(**_CSV_OPTIONS, mode="PERMISSIVE", columnNameOfCorruptRecord=RAW, columnPruning="false")
        .option("enforceSchema", "false")
        .csv(path)
        .select("*", file_name("").alias(FILE))
    )
    broken = F.when(F.col(RAW).isNotNull(), F.lit(f"not {len(kinds)} fields, as the header has"))
    if EVENT_TIMESTAMP in wanted and EVENT_TIMESTAMP in kinds:
        too_fine = quoted_name(EVENT_TIMESTAMP).rlike(_TOO_FINE)
        broken = broken.when(too_fine, F.lit(f"{EVENT_TIMESTAMP}: finer than a microsecond"))
    raw = F.coalesce(F.col(RAW), F.to_csv(F.struct(*[quoted_name(name) for name in kinds])))
    typed = [name for name in kinds if name not in wanted]
    frame = conformed(texts, schema, formats={}, raw=raw, broken=broken, typed_already=typed)
    return Opened(name, frame, tuple(schema.items()), F.col(FILE), F.lit(0).cast("bigint"))
