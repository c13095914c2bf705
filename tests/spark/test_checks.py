"""Checks, on frames small enough to be read: what passes, what is told, what is set aside."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Literal

import pytest
from pyspark.sql import DataFrame, SparkSession

from feature_mart.check.rules import Context, unique_rule
from feature_mart.check.run import check_rows
from feature_mart.definitions import FeatureView, load_project
from feature_mart.definitions.check_rules import (
    Check,
    FreshnessArguments,
    NullShareArguments,
    RowCountArguments,
    RowCountChangeArguments,
    SqlArguments,
    UniqueArguments,
)
from feature_mart.errors import BuildError
from feature_mart.records import CheckReport, CheckResult
from feature_mart.testing import write_tiny_mart

Severity = Literal["error", "warn", "quarantine"]
COLUMNS = "customer_id bigint, ordered_at timestamp, order_no string, amount double"
NAN, INFINITE = float("nan"), float("inf")
HORIZON = datetime(2011, 1, 3, tzinfo=timezone.utc)
TIES = "no ties: one row per key and time"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> FeatureView:
    return load_project(write_tiny_mart(tmp_path_factory.mktemp("mart"))).views["customer_orders"]


Place = tuple[int | None, str | None, str | None, float | None]


def frame(spark: SparkSession, rows: Sequence[Place], columns: str = COLUMNS) -> DataFrame:
    """Rows of (customer, time, order, amount)."""
    texts = spark.createDataFrame(list(rows), columns.replace("timestamp", "string"))
    return texts.selectExpr("customer_id", "cast(ordered_at as timestamp) as ordered_at", "order_no", "amount")


def with_check(view: FeatureView, *checks: tuple[str, Any, Severity]) -> FeatureView:
    return replace(
        view,
        checks=tuple(Check(_kind(a), a, severity, name, 1) for name, a, severity in checks),  # type: ignore[arg-type]
    )


def _kind(arguments: Any) -> str:
    kinds = {
        UniqueArguments: "unique",
        RowCountArguments: "row_count",
        RowCountChangeArguments: "row_count_change",
        NullShareArguments: "null_share",
        FreshnessArguments: "freshness",
        SqlArguments: "sql",
    }
    return kinds[type(arguments)]


def with_amount(view: FeatureView, **facts: Any) -> FeatureView:
    return replace(view, features={**view.features, "amount": replace(view.features["amount"], **facts)})


def run(
    view: FeatureView, rows: DataFrame, context: Context | None = None
) -> tuple[list[tuple[Any, ...]], list[tuple[str, str]], CheckReport]:
    """Published rows as (customer, order, amount), set-aside ones as (reason, raw), and the report."""
    checked = check_rows(view, rows, context or Context(HORIZON))
    try:
        kept = sorted(
            (tuple(row) for row in checked.rows.select("customer_id", "order_no", "amount").collect()), key=repr
        )
        return (
            kept,
            sorted(tuple(row) for row in checked.quarantined.select("_reason", "_raw").collect()),
            checked.report,
        )
    finally:
        checked.release()


def result_of(report: CheckReport, name: str) -> CheckResult:
    (found,) = [result for result in report.results if result.name == name]
    return found


SAMPLE: list[Place] = [
    (1, "2011-01-01", "low", -1.0),
    (2, "2011-01-01", "fits", 0.0),
    (3, "2011-01-01", "null", None),
    (4, "2011-01-01", "nan", NAN),
    (5, "2011-01-01", "top", 10.0),
    (6, "2011-01-01", "high", INFINITE),
]


@pytest.mark.parametrize(
    ("facts", "name", "failing"),
    [
        ({"minimum": 0}, "amount >= 0", {"low", "nan"}),
        ({"maximum": 10}, "amount <= 10", {"nan", "high"}),
        ({"nullable": False}, "amount is not null", {"null"}),
        ({"allowed_values": (0.0, 10.0)}, "amount in (0.0, 10.0)", {"low", "nan", "high"}),
    ],
)
def test_rules_of_the_metadata(
    spark: SparkSession, plain: FeatureView, facts: dict[str, Any], name: str, failing: set[str]
) -> None:
    rows = frame(spark, SAMPLE)
    _, aside, report = run(with_amount(plain, severity="error", **facts), rows)
    assert not report.is_publishable
    found = result_of(report, name)
    assert (found.failed, found.message) == (len(failing), f"{len(failing)} of 6 rows fail")
    assert {word for word in failing if any(word in example for example in found.examples)} == failing
    assert aside == []

    kept, _, report = run(with_amount(plain, severity="warn", **facts), rows)
    assert report.is_publishable
    assert len(kept) == 6
    assert report.counts()["warned"] == 1

    kept, aside, report = run(with_amount(plain, severity="quarantine", **facts), rows)
    assert report.is_publishable
    assert {row[1] for row in kept} == {row[2] for row in SAMPLE} - failing
    assert {reason for reason, _ in aside} == {name}
    assert (report.rows, report.quarantined) == (6 - len(failing), len(failing))


def test_a_row_that_fails_several_rules_gives_all_reasons(spark: SparkSession, plain: FeatureView) -> None:
    view = with_amount(plain, severity="quarantine", minimum=0, allowed_values=(5.0,))
    _, aside, report = run(view, frame(spark, SAMPLE[:1]))
    assert [reason for reason, _ in aside] == ["amount >= 0; amount in (5.0)"]
    assert (report.rows, report.quarantined) == (0, 1)


def test_another_type_than_documented_is_refused(spark: SparkSession, plain: FeatureView) -> None:
    with pytest.raises(
        BuildError, match=r"feature amount is double, but its metadata says decimal\(9,2\)\. Write `cast"
    ):
        run(with_amount(plain, type="decimal(9,2)"), frame(spark, SAMPLE))
    assert len(run(with_amount(plain, type="double"), frame(spark, SAMPLE))[0]) == 6


def test_allowed_texts(spark: SparkSession, plain: FeatureView) -> None:
    number = replace(plain.features["order_no"], allowed_values=("a", "it's", "null"), severity="error")
    view = replace(plain, features={**plain.features, "order_no": number})
    rows: list[Place] = [(1, "2011-01-01", "a", 1.0), (2, "2011-01-01", "it's", 1.0), (3, "2011-01-01", None, 1.0)]
    assert run(view, frame(spark, rows))[2].is_publishable
    assert not run(view, frame(spark, [*rows, (4, "2011-01-01", "A", 1.0)]))[2].is_publishable


@pytest.mark.parametrize(
    ("arguments", "rows_before", "passes", "message"),
    [
        (RowCountArguments(6, 6), None, True, "6 rows; allowed: at least 6 and at most 6"),
        (RowCountArguments(7, None), None, False, "6 rows; allowed: at least 7"),
        (RowCountArguments(None, 5), None, False, "6 rows; allowed: at most 5"),
        (RowCountChangeArguments(0.5), None, True, "no version to compare with"),
        (RowCountChangeArguments(0.5), (4, 4), True, "4 rows before, 6 after: a change of 50.0%; allowed: 50.0%"),
        (RowCountChangeArguments(0.4), (4, 4), False, "4 rows before, 6 after: a change of 50.0%; allowed: 40.0%"),
        (RowCountChangeArguments(0.1), (100, 0), True, "100 rows before, 106 after: a change of 6.0%; allowed: 10.0%"),
        (
            RowCountChangeArguments(0.1),
            (100, 50),
            False,
            "100 rows before, 56 after: a change of 44.0%; allowed: 10.0%",
        ),
        (NullShareArguments("amount", 0.2), None, True, "amount is null in 1 of 6 rows (16.7%); allowed: 20.0%"),
        (NullShareArguments("amount", 0.1), None, False, "amount is null in 1 of 6 rows (16.7%); allowed: 10.0%"),
        (
            FreshnessArguments(timedelta(days=2)),
            None,
            True,
            "the latest row is of 2011-01-01T00:00:00Z, 2d before the horizon; allowed: 2d",
        ),
        (
            FreshnessArguments(timedelta(days=1)),
            None,
            False,
            "the latest row is of 2011-01-01T00:00:00Z, 2d before the horizon; allowed: 1d",
        ),
    ],
)
def test_rules_about_all_rows(
    spark: SparkSession,
    plain: FeatureView,
    arguments: Any,
    rows_before: tuple[int, int] | None,
    passes: bool,
    message: str,
) -> None:
    context = Context(HORIZON, *(rows_before or (None, None)))
    report = run(with_check(plain, ("it", arguments, "error")), frame(spark, SAMPLE), context)[2]
    found = result_of(report, "it")
    assert (found.passed, found.message) == (passes, message)
    assert report.is_publishable is passes


def test_no_rows_at_all(spark: SparkSession, plain: FeatureView) -> None:
    view = with_check(
        plain,
        ("count", RowCountArguments(1, None), "error"),
        ("nulls", NullShareArguments("amount", 0.0), "error"),
        ("fresh", FreshnessArguments(timedelta(days=1)), "error"),
        ("unique", UniqueArguments(("customer_id",)), "error"),
        ("change", RowCountChangeArguments(0.5), "error"),
    )
    report = run(view, frame(spark, []), Context(HORIZON, 10, 10))[2]
    assert {result.name for result in report.results if not result.passed} == {"count", "fresh", "change"}
    assert result_of(report, "fresh").message == "there are no rows"


def test_rules_about_the_whole_view_count_the_rows_that_stay(spark: SparkSession, plain: FeatureView) -> None:
    view = with_check(
        plain,
        ("count", RowCountArguments(8, 9), "error"),
        ("fresh", FreshnessArguments(timedelta(days=1)), "error"),
    )
    report = run(view, frame(spark, []), Context(HORIZON, 10, 2, HORIZON - timedelta(hours=3)))[2]
    assert report.is_publishable
    assert result_of(report, "count").message == "8 rows; allowed: at least 8 and at most 9"
    assert result_of(report, "fresh").message.endswith("3h before the horizon; allowed: 1d")


def test_a_sql_rule_that_is_null_is_not_violated(spark: SparkSession, plain: FeatureView) -> None:
    view = with_check(plain, ("sql: amount < 5", SqlArguments("amount < 5"), "error"))
    found = result_of(run(view, frame(spark, SAMPLE))[2], "sql: amount < 5")
    # Spark takes NaN for the largest number.
    assert found.failed == 3
    assert result_of(run(view, frame(spark, SAMPLE[:3]))[2], "sql: amount < 5").passed


@pytest.mark.parametrize("severity", ["error", "warn", "quarantine"])
@pytest.mark.parametrize("text", ["amout < 5", "amount + 1", "1 / (customer_id - 1) > 0", "sum(amount) > 1"])
def test_a_sql_rule_that_cannot_be_evaluated_is_a_build_error(
    spark: SparkSession, plain: FeatureView, severity: Severity, text: str
) -> None:
    view = with_check(plain, (f"sql: {text}", SqlArguments(text), severity))
    with pytest.raises(BuildError, match=r"^view customer_orders: .*check"):
        run(view, frame(spark, SAMPLE))


# unique


def test_one_row_repeats_and_two_repeat() -> None:
    rule = unique_rule("it", "error", ("order_no",))
    assert rule.judge is not None
    assert rule.judge([2], 3, Context(HORIZON)) == (False, 1, "1 row repeats the (order_no) of another row")
    assert rule.judge([2], 4, Context(HORIZON)) == (False, 2, "2 rows repeat the (order_no) of another row")


def test_nulls_agree_with_nulls_and_values_that_are_equal_agree(spark: SparkSession, plain: FeatureView) -> None:
    rows: list[Place] = [
        (1, "2011-01-01", None, NAN),
        (2, "2011-01-01", None, -NAN),
        (3, "2011-01-01", "x", 0.0),
        (4, "2011-01-01", "x", -0.0),
        (5, "2011-01-01", None, None),
        (6, "2011-01-01", None, None),
        (7, "2011-01-01", None, None),
        (8, "2011-01-01", "y", None),
    ]
    columns = UniqueArguments(("order_no", "amount"))
    report = run(with_check(plain, ("it", columns, "error")), frame(spark, rows))[2]
    found = result_of(report, "it")
    assert (found.failed, found.message) == (4, "4 rows repeat the (order_no, amount) of another row")
    assert len(found.examples) == 3
    kept, aside, report = run(with_check(plain, ("it", columns, "quarantine")), frame(spark, rows))
    assert len(kept) == 4
    assert [reason for reason, _ in aside] == ["it"] * 4
    assert result_of(report, "it").failed == 4


def test_which_duplicate_is_kept_does_not_depend_on_order(spark: SparkSession, plain: FeatureView) -> None:
    view = with_check(plain, ("one", UniqueArguments(("customer_id",)), "quarantine"))
    rows: list[Place] = [
        (customer, f"2011-01-01 00:00:00.00000{place}", f"n{place}", None if place % 2 else float(place))
        for customer in range(5)
        for place in range(6)
    ]
    seen = set()
    for seed in range(3):
        shuffled = random.Random(seed).sample(rows, len(rows))
        kept, aside, _ = run(view, frame(spark, shuffled).repartition(1 + seed * 3))
        assert (len(kept), len(aside)) == (5, 25)
        seen.add(repr((kept, aside)))
    assert len(seen) == 1


def test_a_row_that_is_set_aside_takes_no_other_with_it(spark: SparkSession, plain: FeatureView) -> None:
    # By its content the bad row of customer 1 comes first; the good one is then no repetition of anything published.
    view = with_check(
        with_amount(plain, severity="quarantine", minimum=0),
        ("unique(customer_id)", UniqueArguments(("customer_id",)), "quarantine"),
        ("unique(customer_id, order_no)", UniqueArguments(("customer_id", "order_no")), "quarantine"),
    )
    rows: list[Place] = [
        (1, "2011-01-01", "a", -1.0),
        (1, "2011-01-02", "b", 1.0),
        (2, "2011-01-01", "c", 1.0),
        (2, "2011-01-02", "c", 2.0),
    ]
    kept, aside, report = run(view, frame(spark, rows))
    assert kept == [(1, "b", 1.0), (2, "c", 1.0)]
    assert [reason for reason, _ in aside] == ["amount >= 0", "unique(customer_id)"]
    assert result_of(report, "unique(customer_id)").failed == 1
    assert result_of(report, "unique(customer_id, order_no)").passed


def test_a_rule_does_not_count_what_another_of_a_similar_name_found(spark: SparkSession, plain: FeatureView) -> None:
    view = with_check(
        plain,
        ("sql: unique(order_no)", SqlArguments("customer_id <> 1"), "quarantine"),
        ("unique(order_no)", UniqueArguments(("order_no",)), "quarantine"),
    )
    report = run(view, frame(spark, SAMPLE))[2]
    assert result_of(report, "unique(order_no)").passed
    assert result_of(report, "sql: unique(order_no)").failed == 1


# what the engine itself asks of every view


def test_rows_without_key_or_time_are_set_aside(spark: SparkSession, plain: FeatureView) -> None:
    rows: list[Place] = [(1, "2011-01-01", "a", 1.0), (None, "2011-01-01", "b", 1.0), (None, None, "c", 1.0)]
    kept, aside, report = run(plain, frame(spark, rows))
    assert kept == [(1, "a", 1.0)]
    assert [reason for reason, _ in aside] == ["customer_id is there", "customer_id is there; ordered_at is there"]
    assert '"order_no":"b"' in aside[0][1]
    assert '"ordered_at":"2011-01-01T00:00:00.000000Z"' in aside[0][1]
    assert report.is_publishable


def test_ties_are_told(spark: SparkSession, plain: FeatureView) -> None:
    rows: list[Place] = [(1, "2011-01-01", "a", 1.0), (1, "2011-01-01", "b", 1.0), (2, "2011-01-01", "c", 1.0)]
    report = run(plain, frame(spark, rows))[2]
    assert report.is_publishable
    found = result_of(report, TIES)
    assert (found.passed, found.failed) == (False, 1)
    assert len(found.examples) == 1
    assert '"customer_id":1' in found.examples[0]
    # The greatest created timestamp wins among them, so rows that differ there are no tie.
    by_amount = replace(plain, created_timestamp="order_no")
    assert result_of(run(by_amount, frame(spark, rows))[2], TIES).passed


def test_a_static_view_has_one_row_per_key(spark: SparkSession, plain: FeatureView) -> None:
    view = replace(plain, static=True, event_timestamp=None)
    rows: list[Place] = [(1, "2011-01-01", "a", 1.0), (1, "2011-01-01", "a", 1.0), (None, None, "b", 1.0)]
    report = run(view, frame(spark, rows))[2]
    assert not report.is_publishable
    assert result_of(report, "one row per key of a static view").failed == 1
    assert run(view, frame(spark, rows[1:]))[2].is_publishable


def test_examples_are_few_and_always_the_same(spark: SparkSession, plain: FeatureView) -> None:
    view = with_check(
        plain,
        ("it", SqlArguments("false"), "error"),
        ("one", UniqueArguments(("customer_id",)), "error"),
    )
    rows: list[Place] = [(number % 7, "2011-01-01", f"n{number:02}", 1.0) for number in range(28)]
    seen: set[Mapping[str, tuple[str, ...]] | str] = set()
    for parts in (1, 4):
        report = run(view, frame(spark, random.Random(parts).sample(rows, len(rows))).repartition(parts))[2]
        examples = {result.name: result.examples for result in report.results}
        assert len(examples["it"]) == len(examples["one"]) == 3
        seen.add(repr(examples))
    assert len(seen) == 1


def test_columns_named_like_words_of_the_engine(spark: SparkSession, plain: FeatureView, tmp_path: Path) -> None:
    rows = frame(spark, [(1, "2011-01-01", "a", 1.0), (2, "2011-01-01", "a", 1.0)]).withColumnRenamed(
        "order_no", "count"
    )
    view = with_check(
        replace(plain, features={"amount": plain.features["amount"], "count": plain.features["order_no"]}),
        ("it", UniqueArguments(("count",)), "error"),
    )
    checked = check_rows(view, rows, Context(HORIZON))
    checked.release()
    assert result_of(checked.report, "it").failed == 1
