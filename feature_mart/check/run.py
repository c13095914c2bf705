"""Runs all checks of a view over the rows of one build, in one pass, before anything is published."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from feature_mart.check.rules import CHECKS, Context, Rule, engine_rules, feature_rules, judged
from feature_mart.definitions import FeatureView
from feature_mart.delta.canonical import row_text
from feature_mart.delta.errors import SPARK_ERRORS, failed_on_data, first_lines
from feature_mart.errors import BuildError
from feature_mart.records import EPOCH, MICROSECOND, CheckReport, CheckResult

REASON = "_reason"
RAW = "_raw"
_EXAMPLES = 3


@dataclass(frozen=True)
class Checked:
    """Rows that may be published if the report says so, and those that were set aside with their reasons.

    The rows are held by Spark (memory, then disk) until `release` is called, so that the definition runs once.
    """

    rows: DataFrame
    quarantined: DataFrame
    report: CheckReport
    earliest: datetime | None
    latest: datetime | None
    release: Callable[[], None] = field(compare=False)


def rules_for(view: FeatureView, frame: DataFrame) -> list[Rule]:
    """Every rule that holds for the view: the engine's, those of its metadata, and those of the pipeline."""
    kinds = dict(frame.dtypes)
    rules = engine_rules(view)
    for name, kind in kinds.items():
        documented = view.metadata_of(name)
        if documented is not None:
            rules.extend(feature_rules(documented, name, kind))
    return [*rules, *(CHECKS[check.kind](view, check) for check in view.checks)]


def check_rows(
    view: FeatureView, frame: DataFrame, context: Context, more_rules: Sequence[Rule] = (), *, are_kept: bool = False
) -> Checked:
    """Checks the rows of one build.

    Args:
        more_rules: rules of this build, beside those of the view.
        are_kept: the rows are in files already, so that to read them again is cheap.

    Raises:
        BuildError: the definition fails while its rows are computed, or a feature is of another type than declared.
    """
    _refuse_other_types(view, frame)
    rules = [*rules_for(view, frame), *more_rules]
    _refuse_unusable(view, frame, rules)
    flagged = _flagged(frame, rules)
    try:
        # Spark computes constant expressions as it plans, which may fail as rows do.
        if not are_kept:
            flagged.persist(StorageLevel.MEMORY_AND_DISK)
        measured = _measure(view, flagged, rules)
        report = _report(view, flagged, rules, measured, context)
    except SPARK_ERRORS as error:
        flagged.unpersist()
        raise failed_on_data(view.name, view.definition.where, error) from error
    kept = flagged.where(F.col(REASON).isNull()).drop(REASON)
    aside = flagged.where(F.col(REASON).isNotNull()).withColumn(RAW, row_text(frame.columns))
    return Checked(
        rows=kept,
        quarantined=aside,
        report=report,
        earliest=None if measured["_earliest"] is None else EPOCH + measured["_earliest"] * MICROSECOND,
        latest=None if measured["_latest"] is None else EPOCH + measured["_latest"] * MICROSECOND,
        release=lambda: (flagged.unpersist(), None)[1],
    )


def _refuse_other_types(view: FeatureView, frame: DataFrame) -> None:
    for name, kind in frame.dtypes:
        documented = view.metadata_of(name)
        if documented is not None and documented.type is not None and documented.type != kind:
            raise BuildError(
                f"view {view.name}: feature {name} is {kind}, but its metadata says {documented.type}. "
                f"Write `cast(… as {documented.type}) as {name}`, or mend `type` in "
                f"metadata/feature_views/{view.name}.yml."
            )


def _refuse_unusable(view: FeatureView, frame: DataFrame, rules: Sequence[Rule]) -> None:
    """Analyses all rules at once and, only if that fails, each by itself, so that the one to blame is named."""
    if _analysis_error(frame, rules) is None:
        return
    for rule in rules:
        error = _analysis_error(frame, [rule])
        if error is not None:
            raise BuildError(
                f"view {view.name}: its check `{rule.name}` cannot be evaluated: {first_lines(error)} "
                f"Mend it in pipelines/{view.pipeline}.yml or metadata/feature_views/{view.name}.yml."
            ) from error


def _analysis_error(frame: DataFrame, rules: Sequence[Rule]) -> Exception | None:
    fails = [rule.fails for rule in rules if rule.fails is not None]
    try:
        if fails:
            frame.where(reduce(or_, fails))
    except SPARK_ERRORS as error:
        return error
    return None


def _flagged(frame: DataFrame, rules: Sequence[Rule]) -> DataFrame:
    """``frame`` with `_reason`: why a row is set aside, null for rows that are kept."""
    reasons = [
        F.when(rule.fails, F.lit(rule.name))
        for rule in rules
        if rule.severity == "quarantine" and rule.fails is not None
    ]
    columns = frame.columns
    text = F.concat_ws("; ", *reasons) if reasons else F.lit("")
    frame = frame.withColumn(REASON, F.when(text != "", text))
    for rule in rules:
        if rule.severity == "quarantine" and rule.duplicates_of:
            # Which of several is kept is decided by the rows' own content, so it is the same one on every run. Rows
            # that are set aside for something else are no reason to set another aside.
            alike = Window.partitionBy(F.col(REASON).isNull(), *[f"`{name}`" for name in rule.duplicates_of])
            repeats = F.col(REASON).isNull() & (F.row_number().over(alike.orderBy(row_text(columns))) > 1)
            frame = frame.withColumn(REASON, F.when(repeats, F.lit(rule.name)).otherwise(F.col(REASON)))
    return frame


def _measure(view: FeatureView, flagged: DataFrame, rules: Sequence[Rule]) -> dict[str, Any]:
    """All rules' figures from a single aggregation. Rows that are set aside count for their own rule only."""
    kept = F.col(REASON).isNull()
    time = F.lit(None).cast("bigint") if view.event_timestamp is None else F.unix_micros(f"`{view.event_timestamp}`")
    wanted = [
        F.count_if(kept).alias("_rows"),
        F.count_if(~kept).alias("_aside"),
        F.min(F.when(kept, time)).alias("_earliest"),
        F.max(F.when(kept, time)).alias("_latest"),
    ]
    for number, rule in enumerate(rules):
        if rule.fails is not None:
            counted = rule.fails if rule.severity == "quarantine" else rule.fails & kept
            one = F.lit(1) if rule.stands_for is None else F.col(rule.stands_for)
            found = F.coalesce(F.sum(F.when(counted, one)), F.lit(0))
            wanted.append(found.alias(f"_{number}_0"))
        elif rule.severity == "quarantine":
            # A row that repeats another is set aside for nothing else.
            wanted.append(F.count_if(F.col(REASON) == F.lit(rule.name)).alias(f"_{number}_0"))
        else:
            wanted.extend(measure(kept).alias(f"_{number}_{place}") for place, measure in enumerate(rule.measures))
    row = flagged.agg(*wanted).first()
    assert row is not None
    return row.asDict()


def _report(
    view: FeatureView, flagged: DataFrame, rules: Sequence[Rule], measured: dict[str, Any], context: Context
) -> CheckReport:
    rows = measured["_rows"]
    results: list[CheckResult] = []
    for number, rule in enumerate(rules):
        figures = [
            measured[f"_{number}_{place}"]
            for place in range(len(rule.measures) or 1)
            if f"_{number}_{place}" in measured
        ]
        if rule.duplicates_of and rule.severity == "quarantine":
            failed = figures[0]
            results.append(CheckResult(rule.name, rule.severity, failed == 0, failed, f"{failed} rows repeat another"))
            continue
        result = judged(rule, figures, rows, context, {})
        if not result.passed:
            result = judged(rule, figures, rows, context, {rule.name: _examples(view, flagged, rule)})
        results.append(result)
    return CheckReport(rows, tuple(results), measured["_aside"])


def _examples(view: FeatureView, flagged: DataFrame, rule: Rule) -> tuple[str, ...]:
    """A few failing rows as text, always the same ones."""
    failing = flagged
    if rule.fails is not None:
        failing = flagged.where(rule.fails)
    elif rule.duplicates_of:
        columns = [F.col(f"`{name}`") for name in rule.duplicates_of]
        repeated = flagged.where(F.col(REASON).isNull()).groupBy(*columns).agg(F.count("*").alias("_rows"))
        failing = repeated.where("_rows > 1")
    else:
        return ()
    text = row_text([name for name in failing.columns if name != REASON])
    return tuple(row[0] for row in failing.select(text.alias("row")).orderBy("row").limit(_EXAMPLES).collect())
