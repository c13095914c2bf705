"""Cells as readers see them: the value that counts at an epoch. `scripts/cells.lua` has the format, and writes it."""

from __future__ import annotations

import struct

_HEAD = struct.Struct("<I")
_OLDER = struct.Struct("<II")
_ONE = 1 << 30


def payload_at(cell: bytes, epoch: int) -> tuple[bytes, int] | None:
    """Bytes and where in them the payload begins that counts at an epoch; None where the key has no value then."""
    (head,) = _HEAD.unpack_from(cell)
    if head < _ONE:
        return (cell, 4) if head <= epoch and len(cell) > 4 else None
    older, newest = head >> 30, head & (_ONE - 1)
    entries = [_OLDER.unpack_from(cell, 4 + 8 * number) for number in range(older)]
    at = 4 + 8 * older
    lengths = [len(cell) - at - sum(length for _, length in entries), *(length for _, length in entries)]
    for tag, length in zip([newest, *(tag for tag, _ in entries)], lengths, strict=True):
        if tag <= epoch:
            return (cell[at : at + length], 0) if length else None
        at += length
    return None
