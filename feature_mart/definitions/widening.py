"""Which Spark types hold every value of another."""

from __future__ import annotations

import re

_RANK = {"tinyint": 3, "smallint": 5, "int": 10, "bigint": 19}
_DECIMAL = re.compile(r"decimal\((\d+),\s*(-?\d+)\)")
_ALWAYS = {
    ("float", "double"),
    ("tinyint", "float"),
    ("smallint", "float"),
    ("tinyint", "double"),
    ("smallint", "double"),
    ("int", "double"),
    ("date", "timestamp"),
    ("timestamp_ntz", "timestamp"),
    ("timestamp", "timestamp_ntz"),
}


def is_widening(found: str, wanted: str) -> bool:
    """Whether every value of Spark type ``found`` is a value of ``wanted`` too. A type widens to itself."""
    if found == wanted:
        return True
    if found in _RANK and wanted in _RANK:
        return _RANK[found] <= _RANK[wanted]
    target = _DECIMAL.fullmatch(wanted)
    if target is None:
        return (found, wanted) in _ALWAYS
    whole = int(target[1]) - int(target[2])
    if found in _RANK:
        return whole >= _RANK[found]
    source = _DECIMAL.fullmatch(found)
    return source is not None and int(source[1]) - int(source[2]) <= whole and int(source[2]) <= int(target[2])
