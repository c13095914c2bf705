"""Parquet files. Types are in the files; they must be the declared ones, or narrower."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from feature_mart.definitions import Source
from feature_mart.definitions.widening import is_widening
from feature_mart.delta.errors import SPARK_ERRORS, first_lines
from feature_mart.errors import SourceError
from feature_mart.read.conform import FILE, RAW, REASON, file_name, quoted_name
from feature_mart.read.files import SourceFile, refuse_vanished, spark_path
from feature_mart.read.formats.loaded import Loaded, extra_columns_remark, union_of


def load(spark: SparkSession, source: Source, base: str, files: Sequence[SourceFile]) -> Loaded:
    """The rows of Parquet files.

    Raises:
        SourceError: a file lacks a declared column, or has it in a type that does not widen to the declared one.
    """
    by_schema: dict[str, list[SourceFile]] = defaultdict(list)
    remarks = []
    for file in files:
        found = _schema(spark, source, file)
        if found.json() not in by_schema:
            _refuse_misfit(source, file, found)
            remark = extra_columns_remark(source, file.name, found.names)
            remarks.extend([remark] if remark else [])
        by_schema[found.json()].append(file)
    frames = [_rows(spark, source, base, group) for group in by_schema.values()]
    return Loaded(union_of(spark, source, frames), tuple(remarks))


def _schema(spark: SparkSession, source: Source, file: SourceFile) -> StructType:
    try:
        return spark.read.parquet(spark_path(file)).schema
    except SPARK_ERRORS as error:
        refuse_vanished(source.name, [file])
        raise SourceError(
            f"source {source.name}: {file.name} is no readable Parquet file: {first_lines(error)}"
        ) from error


def _refuse_misfit(source: Source, file: SourceFile, found: StructType) -> None:
    kinds = {field.name: field.dataType.simpleString() for field in found.fields}
    for name, declared in source.schema.items():
        if name not in kinds:
            raise SourceError(
                f"source {source.name}: {file.name} has no column {name}. It has: {', '.join(list(kinds)[:12])}. "
                "Mend the file, or `schema` in metadata/sources.yml. Nothing of this run was ingested."
            )
        if not is_widening(kinds[name], declared):
            raise SourceError(
                f"source {source.name}: {file.name} has {name} as {kinds[name]}, which does not fit {declared} without "
                "loss. Declare the type that the file has. Nothing of this run was ingested."
            )


def _rows(spark: SparkSession, source: Source, base: str, files: Sequence[SourceFile]) -> DataFrame:
    none = F.lit(None).cast("string")
    return spark.read.parquet(*[spark_path(file) for file in files]).select(
        *[quoted_name(name).cast(kind).alias(name) for name, kind in source.schema.items()],
        file_name(base).alias(FILE),
        none.alias(REASON),
        none.alias(RAW),
    )
