"""Splits of a training set into rows to learn from and rows to judge by, such that nothing of the latter leaks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa

from feature_mart.columns.key_hash import bucket_codes
from feature_mart.errors import UsageError
from feature_mart.records import as_utc
from feature_mart.train.spine_columns import EVENT_TIMESTAMP

_DEPTH = 20  # bits of an entity's hash, which decides its side


def split_by_time(
    frame: pd.DataFrame, test_from: datetime, *, gap: timedelta = timedelta(0), time: str = EVENT_TIMESTAMP
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows before a moment to learn from, and rows from it on to judge by.

    Args:
        test_from: the first moment to judge by; without a zone it is UTC.
        gap: rows of so long before it are in neither part: as long as a label takes to come true, so that no label to
            learn from looks into the time to judge by.
        time: the column to go by.

    Raises:
        UsageError: there is no such column of instants, or the gap is negative.
    """
    if time not in frame.columns or not isinstance(frame[time].dtype, pd.DatetimeTZDtype):
        raise UsageError(
            f"the frame has no column {time} of instants to split by. It has: {', '.join(map(str, frame.columns))}."
        )
    if gap < timedelta(0):
        raise UsageError("the gap is negative: rows to learn from would lie in the time to judge by.")
    moment = pd.Timestamp(as_utc(test_from))
    return frame[frame[time] < moment - gap], frame[frame[time] >= moment]


def split_by_entity(
    frame: pd.DataFrame, keys: Sequence[str], *, test_share: float = 0.2
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All rows of an entity on one side; on which, its keys decide, so that it is the same in every training set.

    Args:
        keys: the columns that make an entity; rows with a null among them are to learn from.
        test_share: about which share of the entities is to judge by.

    Raises:
        UsageError: a column is not there, or the share is not between 0 and 1.
    """
    missing = [name for name in keys if name not in frame.columns]
    if missing or not keys:
        known = ", ".join(map(str, frame.columns))
        raise UsageError(f"the frame has no column {', '.join(missing) or '(none named)'}; it has: {known}.")
    if not 0 < test_share < 1:
        raise UsageError(f"test_share is {test_share}; it is a share, between 0 and 1.")
    whole = frame[list(keys)].notna().all(axis=1).to_numpy()
    table = pa.Table.from_pandas(frame.loc[whole, list(keys)], preserve_index=False).combine_chunks()
    codes = bucket_codes([table[name].combine_chunks() for name in keys], _DEPTH) - (1 << _DEPTH)
    is_test = np.zeros(len(frame), dtype=np.bool_)
    is_test[whole] = codes < test_share * (1 << _DEPTH)
    return frame[~is_test], frame[is_test]
