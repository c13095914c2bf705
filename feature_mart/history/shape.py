"""By which columns two versions of a view are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from feature_mart.definitions import FeatureView
from feature_mart.definitions.widening import is_widening
from feature_mart.errors import UsageError


@dataclass(frozen=True)
class Shape:
    """The columns of two versions. ``types``: for each shared column the type in which it is compared.

    ``key``: join keys, event and created timestamp, as far as the view has them. ``features``: all other shared
    columns. ``retyped``: column to its type before and after.
    """

    key: tuple[str, ...]
    features: tuple[str, ...]
    types: Mapping[str, str]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    retyped: Mapping[str, tuple[str, str]]


def shape_of(view: FeatureView, before: Mapping[str, str], after: Mapping[str, str]) -> Shape:
    """The shape of two versions with the columns ``before`` and ``after`` (name to Spark type).

    Raises:
        UsageError: one of them lacks a column by which the view's rows are told apart.
    """
    needed = [*view.keys, *([view.event_timestamp] if view.event_timestamp is not None else [])]
    for name in needed:
        if name not in before or name not in after:
            raise UsageError(
                f"the versions of {view.name} cannot be compared: one of them has no column {name}, by which its rows "
                f"are told apart now. Compare them by other columns with `mart query`, once with each --version."
            )
    shared = [name for name in after if name in before]
    key = tuple(name for name in view.reserved_columns if name in shared)
    return Shape(
        key=key,
        features=tuple(name for name in shared if name not in key),
        types={name: common_type(before[name], after[name]) for name in shared},
        added=tuple(name for name in after if name not in before),
        removed=tuple(name for name in before if name not in after),
        retyped={name: (before[name], after[name]) for name in shared if before[name] != after[name]},
    )


def common_type(one: str, other: str) -> str:
    """The wider of two types, or text where neither holds every value of the other."""
    if is_widening(one, other):
        return other
    return one if is_widening(other, one) else "string"
