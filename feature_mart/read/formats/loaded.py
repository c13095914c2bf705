"""What every format gives: rows with their declared types, and remarks about the files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import DataFrame, SparkSession

from feature_mart.definitions import Source
from feature_mart.read.conform import FILE, RAW, REASON


@dataclass(frozen=True)
class Loaded:
    """``frame`` has the declared columns, `_file`, `_reason` and `_raw`; ``remarks`` are for the build's report."""

    frame: DataFrame
    remarks: tuple[str, ...] = ()


def union_of(spark: SparkSession, source: Source, frames: Sequence[DataFrame]) -> DataFrame:
    """All frames as one; an empty one of the right columns where there are none."""
    if frames:
        return reduce(DataFrame.unionByName, frames)
    columns = [f"`{name}` {kind}" for name, kind in source.schema.items()]
    return spark.createDataFrame([], ", ".join([*columns, f"{FILE} string, {REASON} string, {RAW} string"]))


def extra_columns_remark(source: Source, file: str, found: Sequence[str]) -> str | None:
    """A remark about columns that a file has and the source does not declare; they are not read."""
    extra = [name for name in found if name not in source.schema]
    if not extra:
        return None
    more = f" and {len(extra) - 10} more" if len(extra) > 10 else ""
    return f"source {source.name}: {file} has columns that are not declared and not read: {', '.join(extra[:10])}{more}"
