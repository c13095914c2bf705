"""Arrow tables as pandas frames whose values stay what they are."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa

_NULLABLE: dict[pa.DataType, Any] = {
    pa.int8(): pd.Int8Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.bool_(): pd.BooleanDtype(),
}


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """A pandas frame. Integers and booleans with nulls get a nullable type; as NumPy has them, they would change."""
    frame: pd.DataFrame = pd.DataFrame({name: _series(table[name]) for name in table.column_names})
    return frame


def _series(values: pa.ChunkedArray[Any]) -> pd.Series[Any]:
    if values.null_count and values.type in _NULLABLE:
        series: pd.Series[Any] = values.to_pandas(types_mapper=_NULLABLE.get)
        return series
    plain: pd.Series[Any] = values.to_pandas()
    return plain
