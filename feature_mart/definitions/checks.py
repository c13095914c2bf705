"""The checks of a view: from the pipeline's file to what the engine runs."""

from __future__ import annotations

from collections.abc import Sequence

from feature_mart.definitions.check_rules import (
    Check,
    CheckArguments,
    FreshnessArguments,
    NullShareArguments,
    RowCountArguments,
    RowCountChangeArguments,
    SqlArguments,
    UniqueArguments,
)
from feature_mart.definitions.durations import format_duration
from feature_mart.definitions.files.checks import CheckEntry
from feature_mart.definitions.files.pipelines import FeatureViewEntry
from feature_mart.definitions.inputs import Place
from feature_mart.definitions.problems import Invalid, listed, nearest
from feature_mart.definitions.sql_definition import columns_used
from feature_mart.definitions.sql_memo import SqlMemo


def read_checks(
    entry: FeatureViewEntry, columns: Sequence[str] | None, place: Place, memo: SqlMemo
) -> tuple[Check, ...]:
    """The checks of a view; ``columns`` are those that it has, or None where only a build can tell."""
    checks: list[Check] = []
    for at, check in enumerate(entry.checks):
        arguments, name = _arguments(check)
        used, keys = _used_columns(check, at, place, memo)
        for column in used:
            report_unknown(column, columns, entry.name, place, keys)
        if isinstance(arguments, FreshnessArguments) and entry.event_timestamp is None:
            message = f"checks the freshness of {entry.name}, which has no event timestamp"
            place.tell(("checks", at, "freshness"), message, fix="remove the check, or name the event_timestamp")
        line = place.line_of("checks", at)
        checks.append(Check(check.kind, arguments, check.severity, name, line))  # type: ignore[arg-type]
    return tuple(checks)


def report_unknown(
    column: str, columns: Sequence[str] | None, view: str, place: Place, keys: tuple[str | int, ...]
) -> bool:
    """Tell of a column that the view does not have; whether it was told."""
    if columns is None or column.lower() in {known.lower() for known in columns}:
        return False
    meant = nearest(column, columns)
    message = f"found {column}, which is no column of {view}"
    fix = f"write {meant}" if meant else "name a column that the definition gives, or add it there"
    place.tell(keys, message, found=column, allowed=listed(columns), meant=meant, fix=fix)
    return True


def _used_columns(
    check: CheckEntry, at: int, place: Place, memo: SqlMemo
) -> tuple[Sequence[str], tuple[str | int, ...]]:
    if check.unique is not None:
        return check.unique, ("checks", at, "unique")
    if check.null_share is not None:
        return (check.null_share.feature,), ("checks", at, "null_share", "feature")
    if check.sql is not None:
        return used_by_expression(check.sql, place, ("checks", at, "sql"), memo), ("checks", at, "sql")
    return (), ()


def used_by_expression(text: str, place: Place, keys: tuple[str | int, ...], memo: SqlMemo) -> tuple[str, ...]:
    """The columns that a SQL expression names; none, and a problem told, where it cannot be read."""
    try:
        return columns_used(text, memo)
    except Invalid as wrong:
        found = place.written(*keys)
        place.tell(keys, f"found {found}, which {wrong.message}", found=found, allowed=wrong.allowed, fix=wrong.fix)
        return ()


def _arguments(check: CheckEntry) -> tuple[CheckArguments, str]:
    if check.unique is not None:
        return UniqueArguments(check.unique), f"unique({', '.join(check.unique)})"
    if check.row_count is not None:
        minimum, maximum = check.row_count.minimum, check.row_count.maximum
        bounds = [f">= {minimum}"] * (minimum is not None) + [f"<= {maximum}"] * (maximum is not None)
        return RowCountArguments(minimum, maximum), f"row_count {' and '.join(bounds)}"
    if check.row_count_change is not None:
        change = check.row_count_change.maximum
        return RowCountChangeArguments(change), f"row_count_change <= {change:g}"
    if check.null_share is not None:
        share = check.null_share
        return NullShareArguments(share.feature, share.maximum), f"null_share({share.feature}) <= {share.maximum:g}"
    if check.freshness is not None:
        return FreshnessArguments(check.freshness), f"freshness <= {format_duration(check.freshness)}"
    return SqlArguments(str(check.sql)), f"sql: {check.sql}"
