"""The checks of a view, as the engine runs them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

CheckKind = Literal["unique", "row_count", "row_count_change", "null_share", "freshness", "sql"]
CheckSeverity = Literal["error", "warn", "quarantine"]


@dataclass(frozen=True)
class UniqueArguments:
    """No two rows are equal in all of ``columns``."""

    columns: tuple[str, ...]


@dataclass(frozen=True)
class RowCountArguments:
    """At least one of the bounds is given."""

    minimum: int | None
    maximum: int | None


@dataclass(frozen=True)
class RowCountChangeArguments:
    """``maximum``: share of the rows of the previous version."""

    maximum: float


@dataclass(frozen=True)
class NullShareArguments:
    """At most the share ``maximum`` of the rows has no ``feature``."""

    feature: str
    maximum: float


@dataclass(frozen=True)
class FreshnessArguments:
    """The newest event timestamp is at most ``maximum_age`` before the horizon."""

    maximum_age: timedelta


@dataclass(frozen=True)
class SqlArguments:
    """Each row meets ``expression``, or it is null for it."""

    expression: str


CheckArguments = (
    UniqueArguments
    | RowCountArguments
    | RowCountChangeArguments
    | NullShareArguments
    | FreshnessArguments
    | SqlArguments
)


@dataclass(frozen=True)
class Check:
    """A rule of the pipeline for one view. ``name`` is the rule as people read it."""

    kind: CheckKind
    arguments: CheckArguments
    severity: CheckSeverity
    name: str
    line: int
