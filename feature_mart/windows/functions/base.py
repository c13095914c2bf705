"""What a function of windows is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from feature_mart.columns.arrow import Array
    from feature_mart.windows.lookup import Lookup

INTEGRAL = ("tinyint", "smallint", "int", "bigint")
FLOATING = ("float", "double")
NUMERIC = (*INTEGRAL, *FLOATING, "decimal")
ATOMIC = (*NUMERIC, "boolean", "string", "char", "varchar", "binary", "date", "timestamp", "timestamp_ntz")


@dataclass(frozen=True)
class Function:
    """A function of the values that a series has in a window. Null is no value, and NaN counts as null.

    Args:
        name: as the files write it.
        partials: the partial aggregates that tiles must keep for it (`feature_mart.windows.partials`).
        takes: the Spark types that it can be given, without their arguments; None for all.
        result: the Spark type of the result, from that of the input.
        compute: the results for many windows, from what their tiles hold; null where it has no value.
        of_nothing: the result for a window without values.
    """

    name: str
    partials: tuple[str, ...]
    takes: tuple[str, ...] | None
    result: Callable[[str], str]
    compute: Callable[[Lookup], Array]
    of_nothing: int | None = None


def always(kind: str) -> Callable[[str], str]:
    """A result that has one type, whatever the input's."""
    return lambda _: kind


def same(kind: str) -> str:
    """A result of the input's type."""
    return kind
