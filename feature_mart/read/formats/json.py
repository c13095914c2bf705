"""JSON, one object a line (or one document a file with ``multiLine: true``). A field that an object lacks is null."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from feature_mart.definitions import Source
from feature_mart.read.conform import FILE, RAW, conformed, file_name, quoted_name
from feature_mart.read.files import SourceFile, spark_path
from feature_mart.read.formats.loaded import Loaded, union_of

_OURS = ("timestampFormat", "dateFormat")
_NESTED = ("array", "map", "struct")


def load(spark: SparkSession, source: Source, base: str, files: Sequence[SourceFile]) -> Loaded:
    """The rows of JSON files. Simple fields are read as text and then typed, so that a reason names its field."""
    nested = [name for name, kind in source.schema.items() if kind.startswith(_NESTED)]
    kinds = {name: kind if name in nested else "string" for name, kind in source.schema.items()}
    schema = ", ".join([*(f"`{name}` {kind}" for name, kind in kinds.items()), f"{RAW} string"])
    remarks = tuple(f"source {source.name}: {file.name} is empty" for file in files if file.size == 0)
    uris = [spark_path(file) for file in files if file.size > 0]
    if not uris:
        return Loaded(union_of(spark, source, []), remarks)
    texts = (
        spark.read.schema(schema)
        .options(**{key: value for key, value in source.options.items() if key not in _OURS})
        .option("mode", "PERMISSIVE")
        .option("columnNameOfCorruptRecord", RAW)
        .json(uris)
        .select("*", file_name(base).alias(FILE))
    )
    broken = F.when(F.col(RAW).isNotNull(), F.lit("no JSON object, or a nested field of another type"))
    raw = F.coalesce(F.col(RAW), F.to_json(F.struct(*[quoted_name(name) for name in source.schema])))
    return Loaded(
        conformed(texts, source.schema, formats=source.options, raw=raw, broken=broken, typed_already=nested), remarks
    )
