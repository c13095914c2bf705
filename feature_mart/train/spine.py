"""The spine as a Spark frame: its rows, all of them, with a number that keeps their order."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from feature_mart.delta.errors import SPARK_ERRORS, first_lines
from feature_mart.delta.tables import Table
from feature_mart.errors import UsageError
from feature_mart.read.conform import quoted_name
from feature_mart.train.request import ViewRequest
from feature_mart.train.spine_arrow import rows_in_memory
from feature_mart.train.spine_columns import check_spine
from feature_mart.train.spine_files import Opened, open_frame, open_named, read_errors

SPINE_ROW = "_spine_row"

EntityRows = pd.DataFrame | pa.Table | pa.RecordBatchReader | DataFrame | str | Path

_views = itertools.count()
_FILE, _BLOCK, _ID = "_spine_file", "_spine_block", "_spine_id"
_FIRST, _OFFSET = "_spine_first", "_spine_offset"


@dataclass(frozen=True)
class Spine:
    """``frame``: the spine's ``columns``, keys and time in the mart's types, and `SPINE_ROW`, a bigint from 0."""

    frame: DataFrame
    columns: tuple[str, ...]
    rows: int


def read_spine(
    spark: SparkSession,
    entity_df: EntityRows,
    requests: Sequence[ViewRequest],
    *,
    root: Path,
    table_of: Callable[[str], Table | None],
) -> Spine:
    """The spine's rows, numbered in their order; its columns are checked before a row is read.

    The order is that of rows in memory, of a Spark frame's partitions, or of files by their paths. Rows that are not
    in memory are evaluated once and kept by Spark (in memory, then on disk) under their numbers, so that nothing that
    is computed from them later can see them in another order; that costs one pass over them and their size once.

    Args:
        entity_df: rows in memory; a Spark frame of any session of this application; the name of a table of the mart,
            which is read at its latest version; or a path to CSV, Parquet or Delta, a relative one below ``root``. Of
            a CSV file keys and time are read in the mart's types, times in ISO 8601; other types are Spark's guess.
        table_of: the mart's table of a name, None where there is none.

    Raises:
        UsageError: there is no such file or table, it cannot be read, or its columns are not those of a spine for
            ``requests`` (see `check_spine`); in a CSV file, a key or a time that is none.
    """
    if isinstance(entity_df, (pd.DataFrame, pa.Table, pa.RecordBatchReader)):
        return _of_memory(spark, rows_in_memory(entity_df), requests)
    if not isinstance(entity_df, (DataFrame, str, Path)):
        raise UsageError(
            f"a spine cannot be a {type(entity_df).__name__}. Give a pandas, Arrow or Spark frame, a path, or the name "
            "of a table."
        )
    with read_errors("frame" if isinstance(entity_df, DataFrame) else str(entity_df)):
        if isinstance(entity_df, DataFrame):
            opened = open_frame(entity_df)
        else:
            opened = open_named(spark, entity_df, requests, root=root, table_of=table_of)
        casts = check_spine(opened.columns, requests)
        opened.refuse_bad_rows()
        return _of_opened(spark, opened, casts)


def _of_memory(spark: SparkSession, rows: pa.Table, requests: Sequence[ViewRequest]) -> Spine:
    numbers = pa.array(np.arange(rows.num_rows, dtype=np.int64))
    try:
        frame = spark.createDataFrame(rows.append_column(SPINE_ROW, numbers))
    except (*SPARK_ERRORS, TypeError, ValueError) as error:
        raise UsageError(f"the spine has a column of a type that Spark does not have: {first_lines(error)}") from error
    types = dict(frame.dtypes)
    names = tuple(rows.column_names)
    casts = check_spine([(name, types[name]) for name in names], requests)
    return Spine(frame.select(*_columns(names, casts), SPINE_ROW), names, rows.num_rows)


def _of_opened(spark: SparkSession, opened: Opened, casts: Mapping[str, str]) -> Spine:
    """Numbers rows that Spark reads: by the place that they have in their part, and the parts' lengths."""
    names = tuple(name for name, _ in opened.columns)
    kept = opened.frame.select(
        *_columns(names, {}),
        opened.file.alias(_FILE),
        opened.block.alias(_BLOCK),
        F.monotonically_increasing_id().alias(_ID),
    ).localCheckpoint()
    rows = _adopted(spark, kept)
    parts = rows.groupBy(_FILE, _BLOCK).agg(F.count("*").alias("rows"), F.min(_ID).alias(_FIRST))
    found = parts.toArrow().sort_by([(_FILE, "ascending"), (_BLOCK, "ascending")])
    ends = np.cumsum(found["rows"].to_numpy(), dtype=np.int64)
    starts = pa.array(ends - found["rows"].to_numpy(), type=pa.int64())
    places = spark.createDataFrame(found.drop_columns(["rows"]).append_column(_OFFSET, starts))
    number = F.col(_ID) - F.col(_FIRST) + F.col(_OFFSET)
    frame = rows.join(F.broadcast(places), [_FILE, _BLOCK]).select(*_columns(names, casts), number.alias(SPINE_ROW))
    return Spine(frame, names, int(ends[-1]) if len(ends) else 0)


def _adopted(spark: SparkSession, frame: DataFrame) -> DataFrame:
    """The same rows in the engine's session, whose settings hold for all that is done with them."""
    if frame.sparkSession is spark:
        return frame
    name = f"feature_mart_spine_{next(_views)}"
    frame.createGlobalTempView(name)
    try:
        return spark.table(f"global_temp.{name}")  # resolved at once: the name is not needed any longer
    finally:
        spark.catalog.dropGlobalTempView(name)


def _columns(names: Sequence[str], casts: Mapping[str, str]) -> list[Column]:
    return [quoted_name(name).cast(casts[name]).alias(name) if name in casts else quoted_name(name) for name in names]
