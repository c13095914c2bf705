"""The hash of join keys that places rows in buckets, as Spark's `xxhash64` gives it over canonical keys.

It is XXH64 with the seed 42, chained over the columns: each column's hash is the seed of the next one's
(https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md; Spark's `XXH64` hashes numbers as their 4 or 8 bytes).
The canonical form is that of `feature_mart.delta.placement.canonical_key`.
"""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from feature_mart.columns.arrow import Array, Integers, doubles, flags, integers

Hashes = NDArray[np.uint64]

_SEED = 42
_P1, _P2, _P3, _P4, _P5 = (
    np.uint64(prime)
    for prime in (
        0x9E3779B185EBCA87,
        0xC2B2AE3D27D4EB4F,
        0x165667B19E3779F9,
        0x85EBCA77C2B2AE63,
        0x27D4EB2F165667C5,
    )
)


def bucket_codes(keys: list[Array], depth: int) -> Integers:
    """The bucket of each combination of keys: a 1 followed by the first ``depth`` bits of its hash.

    Args:
        keys: columns of one length without nulls.
    """
    count = len(keys[0])
    if depth == 0:
        return np.ones(count, dtype=np.int64)
    hashes = np.full(count, _SEED, dtype=np.uint64)
    for key in keys:
        hashes = _hashed(key, hashes)
    codes: Integers = (hashes >> np.uint64(64 - depth)).astype(np.int64) + np.int64(1 << depth)
    return codes


def _hashed(key: Array, seeds: Hashes) -> Hashes:
    kind = key.type
    if pa.types.is_integer(kind):
        return _of_words(integers(key).view(np.uint64), seeds)
    if pa.types.is_timestamp(kind):
        return _of_words(key.cast(pa.timestamp("us", kind.tz)).view(pa.int64()).to_numpy().view(np.uint64), seeds)
    if pa.types.is_floating(kind):
        numbers = doubles(key)
        return _of_words(np.where(np.isnan(numbers), np.nan, numbers).view(np.uint64), seeds)
    if pa.types.is_date32(kind):
        return _of_half_words(key.view(pa.int32()).to_numpy(), seeds)
    if pa.types.is_boolean(kind):
        return _of_half_words(flags(key).astype(np.int32), seeds)
    if (seeds == seeds[:1]).all():
        encoded = key.dictionary_encode()
        different = _of_bytes([_bytes_of(value) for value in encoded.dictionary.to_pylist()], seeds)
        hashes: Hashes = different[encoded.indices.to_numpy()]
        return hashes
    return _of_bytes([_bytes_of(value) for value in key.to_pylist()], seeds)


def _bytes_of(value: str | bytes | Decimal) -> bytes:
    if isinstance(value, Decimal):
        text = format(value, "f")
        value = text.rstrip("0").rstrip(".") if "." in text else text
    return value.encode() if isinstance(value, str) else value


def _of_words(words: NDArray[np.uint64], seeds: Hashes) -> Hashes:
    mixed = seeds + _P5 + np.uint64(8)
    mixed ^= _turned(words * _P2, 31) * _P1
    return finished(_turned(mixed, 27) * _P1 + _P4)


def _of_half_words(halves: NDArray[np.int32], seeds: Hashes) -> Hashes:
    mixed = seeds + _P5 + np.uint64(4)
    mixed ^= halves.view(np.uint32).astype(np.uint64) * _P1
    return finished(_turned(mixed, 23) * _P2 + _P3)


def _of_bytes(values: list[bytes], seeds: Hashes) -> Hashes:
    pairs = zip(values, seeds[: len(values)].tolist(), strict=True)
    return np.array([xxhash.xxh64_intdigest(value, seed) for value, seed in pairs], dtype=np.uint64)


def _turned(values: Hashes, bits: int) -> Hashes:
    turned: Hashes = (values << np.uint64(bits)) | (values >> np.uint64(64 - bits))
    return turned


def finished(mixed: Hashes) -> Hashes:
    """Spreads each bit of a word over all of it."""
    mixed = (mixed ^ (mixed >> np.uint64(33))) * _P2
    mixed = (mixed ^ (mixed >> np.uint64(29))) * _P3
    finished: Hashes = mixed ^ (mixed >> np.uint64(32))
    return finished
