"""The key of a row as somebody gives it, held to the types that are declared for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from feature_mart.definitions.problems import did_you_mean
from feature_mart.definitions.project import FeatureView
from feature_mart.definitions.spark_types import BITS, INTEGRAL, base_type
from feature_mart.errors import UsageError
from feature_mart.records import as_utc, parse_instant


def key_values(view: FeatureView, given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of all join keys in their declared types; texts are read as the command line writes them.

    Raises:
        UsageError: a key is missing, unknown, or its value is not of its type.
    """
    declared = ", ".join(f"{name} ({kind})" for name, kind in view.keys.items())
    for name in given:
        if name not in view.keys:
            hint = did_you_mean(name, view.keys)
            raise UsageError(f"{name} is no key of {view.name}. Its keys: {declared}.{hint}")
    missing = [name for name in view.keys if name not in given]
    if missing:
        raise UsageError(f"the key of {view.name} lacks {', '.join(missing)}. Its keys: {declared}.")
    return {name: key_value(name, kind, given[name]) for name, kind in view.keys.items()}


def key_value(name: str, kind: str, given: Any) -> Any:
    """One key in its declared Spark type.

    Raises:
        UsageError: it is no value of that type.
    """
    base = base_type(kind)
    read = _integer if base in INTEGRAL else _READERS.get(base, str)
    try:
        value = read(given)
        if base in BITS and not -(1 << BITS[base] - 1) <= value < 1 << BITS[base] - 1:
            raise ValueError
    except (ValueError, TypeError, InvalidOperation) as error:
        raise UsageError(f"the key {name} is {kind}, and {given!r} is none.") from error
    return value


def _integer(given: Any) -> int:
    if isinstance(given, bool | float):
        raise TypeError
    return int(given)


def _boolean(given: Any) -> bool:
    text = str(given).lower()
    if text not in ("true", "false"):
        raise ValueError
    return text == "true"


def _instant(given: Any) -> datetime:
    return as_utc(given) if isinstance(given, datetime) else parse_instant(str(given))


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "float": float,
    "double": float,
    "decimal": lambda given: Decimal(str(given)),
    "boolean": _boolean,
    "binary": lambda given: given if isinstance(given, bytes) else bytes.fromhex(given),
    "date": lambda given: given if isinstance(given, date) else date.fromisoformat(given),
    "timestamp": _instant,
    "timestamp_ntz": _instant,
}
