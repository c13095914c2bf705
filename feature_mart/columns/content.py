"""A digest of rows that depends neither on their order nor on that of columns, and what is known of each column.

A value is a word of 64 bits: its own bits, or the XXH64 of its bytes. A row is the mixed sum of its columns' words,
each salted with the column's name; content is the sum of the rows, twice with different salts, and their number. Equal
content has equal digests. That different content has one is as unlikely as a collision of 64 bits, for data that nobody
made so.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from feature_mart.columns.arrow import Array, decimal_words, integers, known, plain
from feature_mart.columns.key_hash import Hashes, finished
from feature_mart.records import as_utc, iso

_NULL = np.uint64(0x9AE16A3B2F90404F)
_NAN = np.uint64(0x7FF8000000000000)
_SEEDS = (1, 2)
_WRAP = 1 << 64


@dataclass(frozen=True)
class Content:
    """What some rows hold; parts of a whole add up.

    ``sums``: of the rows' hashes, modulo 2**64; ``columns``: nulls, least and greatest value of each, the latter two as
    numbers or text, and only of types that have an order.
    """

    rows: int
    sums: tuple[int, int]
    columns: Mapping[str, tuple[int, Any, Any]]

    @classmethod
    def of(cls, table: pa.Table) -> Content:
        """Of a table's rows."""
        words = {name: value_words(table[name]) for name in table.column_names}
        one, two = (_row_sum(words, seed) for seed in _SEEDS)
        known_of = {name: _known_of(plain(table[name])) for name in table.column_names}
        return cls(len(table), (one, two), known_of)

    @classmethod
    def whole(cls, parts: Iterable[Content]) -> Content:
        """Of all parts together."""
        known_parts = [part for part in parts if part.rows]
        one, two = (sum(part.sums[at] for part in known_parts) % _WRAP for at in range(2))
        names = {name: None for part in known_parts for name in part.columns}
        columns = {name: _merged([part.columns[name] for part in known_parts]) for name in names}
        return cls(sum(part.rows for part in known_parts), (one, two), columns)

    def to_json(self) -> dict[str, Any]:
        """As tasks pass it on."""
        return {"rows": self.rows, "sums": self.sums, "columns": dict(self.columns)}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Content:
        """What `to_json` gave."""
        columns = {name: (nulls, low, high) for name, (nulls, low, high) in entry["columns"].items()}
        return cls(entry["rows"], (entry["sums"][0], entry["sums"][1]), columns)

    def digest(self, types: Mapping[str, str]) -> str:
        """As hexadecimal text; ``types``: of the columns, as the digest tells those apart, too."""
        said = {"types": dict(sorted(types.items())), "rows": self.rows, "sums": self.sums}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    def statistics(self, types: Mapping[str, str]) -> dict[str, dict[str, Any]]:
        """What is known of each column, for people."""
        told = {}
        for name, kind in types.items():
            nulls, least, greatest = self.columns.get(name, (0, None, None))
            told[name] = {"type": kind, "nulls": nulls, "min": least, "max": greatest}
        return told


def value_words(values: pa.ChunkedArray[Any]) -> Hashes:
    """A word of 64 bits for each value of a column: equal values have equal ones, others as good as never."""
    return _words(plain(values))


def _row_sum(words: Mapping[str, Hashes], seed: int) -> int:
    total: Hashes | np.uint64 = np.uint64(0)
    for name, values in words.items():
        total = total + finished(values ^ np.uint64(xxhash.xxh64_intdigest(name.encode(), seed)))
    return int(np.add.reduce(finished(total + np.uint64(seed)))) if words else 0


def _words(values: Array) -> Hashes:
    """A word for each value, another for null."""
    is_known = known(values)
    if is_known.all():
        return _known_words(values)
    found = np.full(len(values), _NULL, dtype=np.uint64)
    if is_known.any():
        found[is_known] = _known_words(values.drop_null())
    return found


def _known_words(values: Array) -> Hashes:
    kind = values.type
    if pa.types.is_nested(kind):
        return _of_nested(values)
    if pa.types.is_floating(kind):
        numbers = values.cast(pa.float64()).to_numpy()
        words: Hashes = np.where(np.isnan(numbers), _NAN, numbers.view(np.uint64))
        return words
    if pa.types.is_decimal(kind):
        low, high = decimal_words(values)
        return _paired(low.view(np.uint64), high.view(np.uint64))
    if pa.types.is_boolean(kind):
        return integers(values.cast(pa.int8())).view(np.uint64)
    if pa.types.is_timestamp(kind):
        return integers(values.view(pa.int64())).view(np.uint64)
    if pa.types.is_date32(kind):
        return integers(values.view(pa.int32())).view(np.uint64)
    return integers(values).view(np.uint64) if pa.types.is_integer(kind) else _of_texts(values)


def _of_nested(values: Array) -> Hashes:
    kind = values.type
    if pa.types.is_struct(kind):
        fields = [finished(_words(child) + np.uint64(at)) for at, child in enumerate(values.flatten())]
        total: Hashes = np.add.reduce([np.zeros(len(values), dtype=np.uint64), *fields])
        return finished(total)
    if pa.types.is_map(kind):
        entries = _paired(_words(values.keys), _words(values.items))
        return _gathered(entries, np.diff(values.offsets.to_numpy()))
    lengths = np.diff(values.offsets.to_numpy())
    places = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return _gathered(_paired(_words(values.flatten()), places.astype(np.uint64)), lengths)


def _of_texts(values: Array) -> Hashes:
    encoded = values.dictionary_encode()
    different = [
        xxhash.xxh64_intdigest(value.encode() if isinstance(value, str) else value)
        for value in encoded.dictionary.to_pylist()
    ]
    found: Hashes = np.array(different, dtype=np.uint64)[encoded.indices.to_numpy()]
    return found


def _paired(one: Hashes, other: Hashes) -> Hashes:
    return finished(finished(one) + other)


def _gathered(words: Hashes, lengths: Any) -> Hashes:
    """The sum of each run of words, with its length."""
    sums = np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(words, dtype=np.uint64)])
    ends = np.cumsum(lengths)
    return _paired(sums[ends] - sums[ends - lengths], lengths.astype(np.uint64))


def _known_of(values: Array) -> tuple[int, Any, Any]:
    kind = values.type
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_null(kind):
        return values.null_count, None, None
    found: Any = pc.min_max(values)
    return values.null_count, _plain(found["min"].as_py()), _plain(found["max"].as_py())


def _merged(parts: Sequence[tuple[int, Any, Any]]) -> tuple[int, Any, Any]:
    least = [low for _, low, _ in parts if low is not None]
    greatest = [high for _, _, high in parts if high is not None]
    return sum(nulls for nulls, _, _ in parts), min(least, default=None), max(greatest, default=None)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return iso(as_utc(value))
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, (float, Decimal)):
        # JSON has no word for infinity and NaN.
        return float(value) if math.isfinite(value) else None
    return value
