"""A spine that is in memory: pandas and Arrow rows as Arrow rows of types that Spark has, no value changed."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa

from feature_mart.errors import UsageError
from feature_mart.train.spine_columns import refuse_duplicates

_INSTANT = pa.timestamp("us", tz="UTC")
# What Spark lacks, and the narrowest type that holds all of it.
_PLAIN: dict[pa.DataType, pa.DataType] = {
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.decimal128(20, 0),
    pa.float16(): pa.float32(),
    pa.large_string(): pa.string(),
    pa.string_view(): pa.string(),
    pa.large_binary(): pa.binary(),
    pa.binary_view(): pa.binary(),
    pa.date64(): pa.date32(),
}


def rows_in_memory(entity_df: pd.DataFrame | pa.Table | pa.RecordBatchReader) -> pa.Table:
    """The rows in their order. The index of a pandas frame is no column; its missing values, NaN too, are null.

    Times become instants in UTC with microseconds, those without a zone are read as UTC.

    Raises:
        UsageError: a column is there twice, holds values of several types, or times finer than microseconds.
    """
    refuse_duplicates(map(str, entity_df.columns) if isinstance(entity_df, pd.DataFrame) else entity_df.schema.names)
    if isinstance(entity_df, pa.RecordBatchReader):
        entity_df = entity_df.read_all()
    if isinstance(entity_df, pd.DataFrame):
        entity_df = _from_pandas(entity_df)
    columns = [_plain(name, entity_df.column(at)) for at, name in enumerate(entity_df.column_names)]
    return pa.table(columns, names=entity_df.column_names)


def _from_pandas(frame: pd.DataFrame) -> pa.Table:
    columns = {}
    for name, values in frame.items():
        try:
            columns[str(name)] = pa.Array.from_pandas(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
            raise UsageError(
                f"the spine's column {name} holds values that are not of one type: {error}. "
                "Give it a type of its own, with astype for example."
            ) from error
    return pa.table(columns)


def _plain(name: str, values: pa.ChunkedArray[Any]) -> pa.ChunkedArray[Any]:
    wanted = _plain_type(values.type)
    if wanted == values.type:
        return values
    try:
        return values.cast(wanted)
    except pa.ArrowInvalid as error:
        raise UsageError(
            f"the spine's column {name} holds times finer than a microsecond{_first_too_fine(values)}. The mart keeps "
            "microseconds, and no value is changed unasked: round them first, with df[…].dt.floor('us') for example."
        ) from error


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """The type of Spark's that holds all values of ``kind``."""
    if pa.types.is_dictionary(kind):
        return _plain_type(kind.value_type)
    if pa.types.is_timestamp(kind):
        return _INSTANT
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(_plain_type(kind.value_type))
    if pa.types.is_map(kind):
        return pa.map_(_plain_type(kind.key_type), _plain_type(kind.item_type))
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _plain_type(field.type)) for field in kind])
    return _PLAIN.get(kind, kind)


def _first_too_fine(values: pa.ChunkedArray[Any]) -> str:
    """The first of the times that would lose something; nothing where they lie within other values."""
    if not pa.types.is_timestamp(values.type):
        return ""
    nanoseconds = values.drop_null().cast(pa.int64()).to_numpy()
    first = int(nanoseconds[nanoseconds % 1000 != 0][0])
    return f", {pd.Timestamp(first, tz='UTC').isoformat()} for one"
