"""What frames hold, as their digests tell: rows in any order, columns in any order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import LongType, StructField, StructType

from feature_mart.columns.content import Content, value_words


def content_of(frame: DataFrame, columns: Sequence[str]) -> Content:
    """Looks at all rows once, in tasks."""

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        found = [Content.of(pa.Table.from_batches([batch])) for batch in batches]
        yield pa.RecordBatch.from_pydict({"content": [json.dumps(Content.whole(found).to_json())]})

    parts = frame.select(*[F.col(f"`{name}`") for name in columns]).mapInArrow(run, "content string").toArrow()
    return Content.whole(Content.from_json(json.loads(text)) for text in map(str, parts["content"].to_pylist()))


def words_of(frame: DataFrame, key: str, columns: Sequence[str]) -> DataFrame:
    """``key``, a bigint, and in place of each column's values their words, by which to tell whether they are equal."""
    schema = StructType([StructField(name, LongType()) for name in (key, *columns)])

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            table = pa.Table.from_batches([batch])
            words = [pa.array(value_words(table[name]).view(np.int64)) for name in columns]
            yield pa.RecordBatch.from_arrays([batch[key], *words], names=[key, *columns])

    return frame.select(*[F.col(f"`{name}`") for name in (key, *columns)]).mapInArrow(run, schema)


def types_of(frame: DataFrame, columns: Sequence[str]) -> dict[str, str]:
    """The Spark types of some columns."""
    kinds = dict(frame.dtypes)
    return {name: kinds[name] for name in columns}
