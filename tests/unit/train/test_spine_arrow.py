"""Rows in memory keep their values; what cannot be kept is named."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from feature_mart import UsageError
from feature_mart.train.spine_arrow import rows_in_memory

INSTANT = pa.timestamp("us", tz="UTC")
ROUND = (
    "The mart keeps microseconds, and no value is changed unasked: round them first, with df[…].dt.floor('us') for "
    "example."
)


def test_pandas_columns_keep_their_values_and_nulls() -> None:
    far = np.array(["0001-01-01T00:00:00.000001", "9999-12-31T23:59:59.999999"], dtype="datetime64[us]")
    frame = pd.DataFrame(
        {
            "whole": pd.array([2**53 + 1, None], dtype="Int64"),
            "float": [1.5, float("nan")],
            "object": ["é", None],
            "money": [Decimal("1.500"), None],
            "day": [date(2011, 1, 1), None],
            "kind": pd.Categorical(["b", None]),
            "naive": far,
            "zoned": pd.Series([pd.Timestamp("2011-03-27T02:30:00", tz="Asia/Kolkata"), pd.NaT]).array,
            "list": [[1, None], None],
            7: [True, False],
        },
        index=[5, 5],
    )
    rows = rows_in_memory(frame)
    assert rows.schema.field("kind").type == pa.string()
    assert rows.schema.field("naive").type == rows.schema.field("zoned").type == INSTANT
    assert rows.to_pylist() == [
        {
            "whole": 2**53 + 1,
            "float": 1.5,
            "object": "é",
            "money": Decimal("1.500"),
            "day": date(2011, 1, 1),
            "kind": "b",
            "naive": datetime(1, 1, 1, microsecond=1, tzinfo=timezone.utc),
            "zoned": datetime(2011, 3, 26, 21, tzinfo=timezone.utc),
            "list": [1, None],
            "7": True,
        },
        {
            "whole": None,
            "float": None,
            "object": None,
            "money": None,
            "day": None,
            "kind": None,
            "naive": datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=timezone.utc),
            "zoned": None,
            "list": None,
            "7": False,
        },
    ]


def test_arrow_types_that_spark_lacks_become_wider_ones() -> None:
    nested = pa.struct([("at", pa.timestamp("ms")), ("tags", pa.map_(pa.large_string(), pa.large_list(pa.uint8())))])
    rows = pa.table(
        {
            "long": pa.array([2**64 - 1, None], pa.uint64()),
            "view": pa.array(["x", None], pa.string_view()),
            "nested": pa.array([{"at": np.datetime64("2011-01-01", "ms"), "tags": [("a", [255, None])]}, None], nested),
            "nan": pa.array([float("nan"), None]),
        }
    )
    reader = pa.RecordBatchReader.from_batches(rows.schema, rows.to_batches())
    found = rows_in_memory(reader)
    wanted: dict[str, pa.DataType] = {
        "long": pa.decimal128(20, 0),
        "view": pa.string(),
        "nested": pa.struct([("at", INSTANT), ("tags", pa.map_(pa.string(), pa.list_(pa.int16())))]),
        "nan": pa.float64(),
    }
    assert found.schema == pa.schema(wanted)
    moment = datetime(2011, 1, 1, tzinfo=timezone.utc)
    assert found.drop_columns(["nan"]).to_pylist() == [
        {"long": Decimal(2**64 - 1), "view": "x", "nested": {"at": moment, "tags": [("a", [255, None])]}},
        {"long": None, "view": None, "nested": None},
    ]
    assert found["nan"].null_count == 1  # a NaN that Arrow holds is a value


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            pd.DataFrame({"event_timestamp": [pd.NaT, pd.Timestamp(-1, tz="UTC")]}),
            "the spine's column event_timestamp holds times finer than a microsecond, "
            "1969-12-31T23:59:59.999999999+00:00 for one. " + ROUND,
        ),
        (
            pa.table({"seen": pa.array([[pd.Timedelta(1) + pd.Timestamp(0)]], pa.list_(pa.timestamp("ns")))}),
            "the spine's column seen holds times finer than a microsecond. " + ROUND,
        ),
        (
            pd.DataFrame([[1, 2]], columns=["label", "label"]),
            "the spine has the column label twice. Rename or drop one of them.",
        ),
    ],
)
def test_what_cannot_be_kept_is_named(rows: pd.DataFrame | pa.Table, said: str) -> None:
    with pytest.raises(UsageError) as told:
        rows_in_memory(rows)
    assert told.value.message == said


def test_a_column_of_several_types_is_named() -> None:
    frame = pd.DataFrame({"customer_id": [1, "2", timedelta(1)]})
    with pytest.raises(UsageError, match=r"^the spine's column customer_id holds values that are not of one type: "):
        rows_in_memory(frame)
