"""Each kind of check: what it measures in one pass over the rows, and how it judges what was measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F

from feature_mart.definitions.check_rules import (
    Check,
    FreshnessArguments,
    NullShareArguments,
    RowCountArguments,
    RowCountChangeArguments,
    SqlArguments,
    UniqueArguments,
)
from feature_mart.definitions.durations import spoken_duration
from feature_mart.definitions.problems import counted
from feature_mart.definitions.project import FeatureMetadata, FeatureView
from feature_mart.delta.canonical import instant
from feature_mart.records import EPOCH, MICROSECOND, CheckResult, Interval, Severity, iso
from feature_mart.windows.tiles import LOST, NANS


@dataclass(frozen=True)
class Context:
    """What a rule may compare with beside the rows themselves.

    ``rows_before`` is the view's row count before this build and ``replaced`` how many of those this build replaces;
    both None where nobody asked or nothing was there. ``latest_kept`` is no earlier than the last event timestamp of
    the rows that stay; None where none do.
    """

    horizon: datetime
    rows_before: int | None = None
    replaced: int | None = None
    latest_kept: datetime | None = None

    def rows_after(self, rows: int) -> int:
        """How many rows the view has once ``rows`` are published."""
        return (self.rows_before or 0) - (self.replaced or 0) + rows


Judge = Callable[[Sequence[Any], int, Context], tuple[bool, int, str]]


@dataclass(frozen=True)
class Rule:
    """One check, ready to run.

    ``fails`` marks failing rows (null counts as passing), each of which stands for as many events as its column
    ``stands_for`` says, where there is one; ``measures`` are aggregates for rules about all rows
    together, each a function of the condition that a row is kept; ``judge`` turns the measures, the row count and the
    context into (passed, failed, message).
    """

    name: str
    severity: Severity
    fails: Column | None = None
    measures: tuple[Callable[[Column], Column], ...] = ()
    judge: Judge | None = None
    duplicates_of: tuple[str, ...] = ()
    stands_for: str | None = None


def row_rule(name: str, severity: Severity, fails: Column) -> Rule:
    """A rule that each row passes or fails by itself."""
    return Rule(name, severity, fails=F.coalesce(fails, F.lit(False)))


def _unique(view: FeatureView, check: Check) -> Rule:
    assert isinstance(check.arguments, UniqueArguments)
    return unique_rule(check.name, check.severity, check.arguments.columns)


def unique_rule(name: str, severity: Severity, columns: Sequence[str]) -> Rule:
    """No two rows agree in all of ``columns``; nulls agree with nulls."""

    def distinct(kept: Column) -> Column:
        # A struct of nulls is not null itself, so kept rows with nulls are counted like all others.
        return F.count_distinct(F.when(kept, F.struct(*[F.col(f"`{column}`") for column in columns])))

    def judge(measured: Sequence[Any], rows: int, context: Context) -> tuple[bool, int, str]:
        surplus = rows - measured[0]
        repeated = "1 row repeats" if surplus == 1 else f"{surplus} rows repeat"
        return surplus == 0, surplus, f"{repeated} the ({', '.join(columns)}) of another row"

    return Rule(name, severity, measures=(distinct,), judge=judge, duplicates_of=tuple(columns))


def _row_count(view: FeatureView, check: Check) -> Rule:
    assert isinstance(check.arguments, RowCountArguments)
    least, most = check.arguments.minimum, check.arguments.maximum

    def judge(measured: Sequence[Any], rows: int, context: Context) -> tuple[bool, int, str]:
        bounds = [f"at least {least}" if least is not None else "", f"at most {most}" if most is not None else ""]
        after = context.rows_after(rows)
        passed = (least is None or after >= least) and (most is None or after <= most)
        return passed, int(not passed), f"{after} rows; allowed: {' and '.join(filter(None, bounds))}"

    return Rule(check.name, check.severity, judge=judge)


def _row_count_change(view: FeatureView, check: Check) -> Rule:
    assert isinstance(check.arguments, RowCountChangeArguments)
    most = check.arguments.maximum

    def judge(measured: Sequence[Any], rows: int, context: Context) -> tuple[bool, int, str]:
        if not context.rows_before:
            return True, 0, "no version to compare with"
        after = context.rows_after(rows)
        change = abs(after - context.rows_before) / context.rows_before
        passed = change <= most
        text = f"{context.rows_before} rows before, {after} after: a change of {change:.1%}; allowed: {most:.1%}"
        return passed, int(not passed), text

    return Rule(check.name, check.severity, judge=judge)


def _null_share(view: FeatureView, check: Check) -> Rule:
    assert isinstance(check.arguments, NullShareArguments)
    feature, most = check.arguments.feature, check.arguments.maximum

    def judge(measured: Sequence[Any], rows: int, context: Context) -> tuple[bool, int, str]:
        share = measured[0] / rows if rows else 0.0
        return (
            share <= most,
            measured[0],
            f"{feature} is null in {measured[0]} of {rows} rows ({share:.1%}); allowed: {most:.1%}",
        )

    def nulls(kept: Column) -> Column:
        return F.count_if(kept & F.col(f"`{feature}`").isNull())

    return Rule(check.name, check.severity, measures=(nulls,), judge=judge)


def _freshness(view: FeatureView, check: Check) -> Rule:
    assert isinstance(check.arguments, FreshnessArguments)
    most = check.arguments.maximum_age

    def judge(measured: Sequence[Any], rows: int, context: Context) -> tuple[bool, int, str]:
        built = None if measured[0] is None else EPOCH + measured[0] * MICROSECOND
        latest = max(filter(None, [built, context.latest_kept]), default=None)
        if latest is None:
            return False, 1, "there are no rows"
        passed = context.horizon - latest <= most
        text = (
            f"the latest row is of {iso(latest)}, {spoken_duration(context.horizon - latest)} "
            f"before the horizon; allowed: {spoken_duration(most)}"
        )
        return passed, int(not passed), text

    def latest_time(kept: Column) -> Column:
        return F.max(F.when(kept, F.unix_micros(f"`{view.event_timestamp}`")))

    return Rule(check.name, check.severity, measures=(latest_time,), judge=judge)


def _sql(view: FeatureView, check: Check) -> Rule:
    # As a CHECK constraint in SQL: a condition that is null is not violated.
    assert isinstance(check.arguments, SqlArguments)
    return row_rule(check.name, check.severity, ~F.expr(check.arguments.expression))


CHECKS: dict[str, Callable[[FeatureView, Check], Rule]] = {
    "unique": _unique,
    "row_count": _row_count,
    "row_count_change": _row_count_change,
    "null_share": _null_share,
    "freshness": _freshness,
    "sql": _sql,
}


def feature_rules(feature: FeatureMetadata, name: str, data_type: str) -> list[Rule]:
    """The rules that a feature's metadata states: nullable, minimum, maximum, allowed values."""
    column = F.col(f"`{name}`")
    # NaN lies in no range; Spark would take it for the largest number.
    nan = F.isnan(column) if data_type in ("float", "double") else F.lit(False)
    rules = []
    if not feature.nullable:
        rules.append((f"{name} is not null", column.isNull()))
    if feature.minimum is not None:
        rules.append((f"{name} >= {feature.minimum}", (column < F.lit(feature.minimum)) | nan))
    if feature.maximum is not None:
        rules.append((f"{name} <= {feature.maximum}", (column > F.lit(feature.maximum)) | nan))
    if feature.allowed_values:
        shown = ", ".join(str(value) for value in feature.allowed_values[:6])
        rules.append((f"{name} in ({shown})", ~column.isin(*feature.allowed_values)))
    return [row_rule(text, feature.severity, fails) for text, fails in rules]


def engine_rules(view: FeatureView) -> list[Rule]:
    """What the engine itself asks of every view's rows; of those that it makes itself, nothing."""
    if view.windows is not None:
        return []
    required = [*view.keys, *([view.event_timestamp] if view.event_timestamp else [])]
    rules = [row_rule(f"{name} is there", "quarantine", F.col(f"`{name}`").isNull()) for name in required]
    if view.tiles_of is not None:
        rules = [replace(rule, stands_for=LOST) for rule in rules]
        return [*rules, row_rule("no NaN, which windows count as null", "warn", F.col(NANS) > 0)]
    if view.static:
        rules.append(unique_rule("one row per key of a static view", "error", list(view.keys)))
    elif view.event_timestamp is not None:
        # Where several rows agree in all of this, a lookup takes one by a fixed rule; somebody should know of it.
        times = [view.event_timestamp, *([view.created_timestamp] if view.created_timestamp else [])]
        rules.append(unique_rule("no ties: one row per key and time", "warn", [*view.keys, *times]))
    return rules


def inside_rule(view: FeatureView, intervals: Sequence[Interval]) -> Rule:
    """Every row lies in the intervals that were built; a definition without lookback or lookahead makes no others."""
    time = F.col(f"`{view.event_timestamp}`")
    inside = F.lit(False)
    for interval in intervals:
        start, end = (F.expr(instant(moment)) for moment in (interval.start, interval.end))
        inside = inside | ((time >= start) & (time < end))
    return row_rule("event timestamps lie in the interval that was built", "error", ~inside)


def judged(
    rule: Rule, measured: Sequence[Any], rows: int, context: Context, examples: Mapping[str, tuple[str, ...]]
) -> CheckResult:
    """The result of one rule from what was measured."""
    if rule.fails is not None:
        failed = measured[0]
        passed, message = failed == 0, f"{failed} of {rows} rows fail"
        if rule.stands_for is not None:
            message = f"{counted(failed, 'event')} without it, in no window"
    else:
        assert rule.judge is not None
        passed, failed, message = rule.judge(measured, rows, context)
    return CheckResult(rule.name, rule.severity, passed, failed, message, examples.get(rule.name, ()))
