"""Entities as keys in Redis: readable, and different for different entities."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from feature_mart.columns.arrow import Array
from feature_mart.definitions.spark_types import INTEGRAL, base_type

# Between the parts of a key. In a text it stands as %3A, so that no value can end a part.
SEPARATOR = ":"
_PLUS = "+"
_ESCAPED = {ord(sign): f"%{ord(sign):02X}" for sign in ("%", SEPARATOR, *map(chr, range(0x20)), "\x7f")}
_PATTERN = "[" + "".join(f"\\x{sign:02x}" for sign in _ESCAPED) + "]"

Texts = Callable[[Any], str]


def entity_of(entities: Sequence[str]) -> str:
    """What stands before the values of the keys of one or several entities."""
    return _PLUS.join(entities)


def key_text(kinds: Sequence[str], values: Sequence[Any]) -> str:
    """The values of an entity's keys as one text; different for different values of these types.

    −0.0 is 0.0 and all NaN are one, as in joins; decimals are the same at every scale.

    Args:
        kinds: Spark types of the keys.
        values: none of them null; Python's own types, times in UTC.
    """
    return SEPARATOR.join([writer_of(kind)(value) for kind, value in zip(kinds, values, strict=True)])


def key_texts(kinds: Sequence[str], columns: Sequence[Array]) -> list[str]:
    """`key_text` of each row of some columns without nulls."""
    parts = [_column_texts(kind, values) for kind, values in zip(kinds, columns, strict=True)]
    return parts[0] if len(parts) == 1 else list(map(SEPARATOR.join, zip(*parts, strict=True)))


def _column_texts(kind: str, values: Array) -> list[str]:
    base = base_type(kind)
    if base in INTEGRAL:
        texts: list[str] = values.cast(pa.string()).to_pylist()
        return texts
    found = values.to_pylist()
    if base == "string" and not pc.any(pc.match_substring_regex(values, _PATTERN)).as_py():
        return list(found)
    return list(map(writer_of(kind), found))


@lru_cache(maxsize=1024)
def writer_of(kind: str) -> Texts:
    """What turns a value of a type into its part of a key."""
    base = base_type(kind)
    return _integer if base in INTEGRAL else _WRITERS.get(base, _text)


def _integer(value: Any) -> str:
    return str(int(value))


def _text(value: Any) -> str:
    return str(value).translate(_ESCAPED)


def _float(value: Any) -> str:
    return repr(float(value) + 0.0)


def _single(value: Any) -> str:
    return repr(float(np.float32(value)) + 0.0)


def _decimal(value: Any) -> str:
    text = format(Decimal(value), "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def _date(value: date) -> str:
    return value.isoformat()


def _moment(value: datetime) -> str:
    return f"{value.year:04}{value:%m%dT%H%M%S.%f}"


_WRITERS: Mapping[str, Texts] = {
    "string": _text,
    "float": _single,
    "double": _float,
    "decimal": _decimal,
    "date": _date,
    "boolean": lambda value: "true" if value else "false",
    "binary": lambda value: bytes(value).hex(),
    "timestamp": lambda value: f"{_moment(value)}Z",
    "timestamp_ntz": _moment,
}


def lane_of(text: str, lanes: int) -> int:
    """The lane of a key: which of the hash tags that spread keys over a cluster it has. One server has one lane."""
    return xxhash.xxh32_intdigest(text.encode()) % lanes if lanes > 1 else 0


def by_lane(texts: Sequence[str], lanes: int) -> Mapping[int, Sequence[int]]:
    """The numbers of the texts in each lane."""
    if lanes == 1:
        return {0: range(len(texts))}
    found: dict[int, list[int]] = {}
    for number, text in enumerate(texts):
        found.setdefault(lane_of(text, lanes), []).append(number)
    return found
