"""Which of several rows that time does not tell apart: a rule that depends on their values alone."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from feature_mart.columns.arrow import Array, Flags, Integers, column, known, picked, plain
from feature_mart.columns.codes import coded, exact_codes


def choose(rows: pa.Table, numbers: Integers, groups: Integers) -> Integers:
    """One row of each group, by its number in the table, groups ascending.

    It is the row with the greatest value in the first column, by name, in which rows of its group differ. Null is the
    lowest; numbers, times, booleans and texts are ordered as usual (−0.0 before 0.0, NaN last, or first if its sign is
    negative; texts by code points); lists and maps by their first elements that differ, as they are stored, and structs
    by their first fields, by name.

    Args:
        rows: all columns that the rule is to see; one at a time is taken.
        numbers: the rows among which is chosen.
        groups: the number of each one's group, ascending.
    """
    for name in sorted(rows.column_names):
        if _differs_from_before(groups).all():
            break
        values = plain(picked(rows[name], numbers))
        if values.null_count:
            is_kept = _is_greatest(groups, known(values).astype(np.int64))
            numbers, groups, values = numbers[is_kept], groups[is_kept], values.filter(column(is_kept))
        # Of each group now all values are null, or none.
        codes = np.zeros(len(numbers), dtype=np.int64)
        codes[known(values)] = _codes(values.drop_null())
        is_kept = _is_greatest(groups, codes)
        numbers, groups = numbers[is_kept], groups[is_kept]
    chosen: Integers = numbers[_differs_from_before(groups)]
    return chosen


def _ranks(values: Array) -> Integers:
    """Numbers that sort as a column's values do, equal only where values are the same bit by bit; null is 0."""
    is_known = known(values)
    found = np.zeros(len(values), dtype=np.int64)
    if is_known.any():
        _, dense = np.unique(_codes(values.drop_null()), return_inverse=True)
        found[is_known] = dense + 1
    return found


def _codes(values: Array) -> Integers:
    """Codes of values without nulls that sort as they do."""
    kind = values.type
    if pa.types.is_struct(kind):
        order = sorted(range(kind.num_fields), key=lambda place: kind.field(place).name)
        children = values.flatten()
        fields = [_ranks(children[place]) for place in order]
        return _codes_of_sequences(np.full(len(values), len(fields)), np.array(fields, dtype=np.int64).T.ravel())
    if pa.types.is_map(kind):
        return _codes(values.cast(pa.list_(pa.struct([kind.key_field, kind.item_field]))))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _codes_of_sequences(values.value_lengths().to_numpy(), _ranks(values.flatten()))
    return exact_codes(values)


def _codes_of_sequences(lengths: Integers, elements: Integers) -> Integers:
    """Codes of sequences of numbers ≥ 0 that lie one behind the other: as bytes, big end first, they sort rightly."""
    ends = np.cumsum(lengths, dtype=np.int64) * elements.itemsize
    offsets = np.concatenate([[0], ends]).astype(np.int64)
    buffers = [None, pa.py_buffer(offsets.tobytes()), pa.py_buffer(elements.astype(">i8").tobytes())]
    return coded(pa.Array.from_buffers(pa.large_binary(), len(lengths), buffers)).codes


def _is_greatest(groups: Integers, codes: Integers) -> Flags:
    """Which codes are the greatest of their groups."""
    is_first = _differs_from_before(groups)
    best = np.maximum.reduceat(codes, np.flatnonzero(is_first))
    is_greatest: Flags = codes == best[np.cumsum(is_first) - 1]
    return is_greatest


def _differs_from_before(groups: Integers) -> Flags:
    differs = np.ones(len(groups), dtype=np.bool_)
    differs[1:] = groups[1:] != groups[:-1]
    return differs
