"""What `mart plan` prints."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

from feature_mart.cli.plan import plan_lines
from feature_mart.plan.preview import DeprecatedUse, Plan, ViewPlan
from feature_mart.records import Interval

DAY = datetime(2011, 1, 3, tzinfo=timezone.utc)


def test_a_refusal_and_deprecated_features_in_use_are_printed() -> None:
    view = ViewPlan(
        "totals", "daily", "a@example.com", "refused", "view totals: refused.\n  a would go\nDo this:", None
    )
    uses = (
        DeprecatedUse("churn", "ml@example.com", "totals:a", "2026-10-01", "totals:b"),
        DeprecatedUse("fraud", None, "totals:c", "2026-11-01", None),
    )
    assert plan_lines(Plan("2026-11-20T00:00:00Z", (), (view,), (), uses)) == [
        "refused    totals                       view totals: refused.",
        "               a would go",
        "             Do this:",
        "0 of 1 views stay as they are.",
        "",
        "Deprecated features in use:",
        "  totals:a (since 2026-10-01; use totals:b) by service churn, ml@example.com",
        "  totals:c (since 2026-11-01) by service fraud, no owner",
    ]


def test_what_is_built_is_counted_and_estimated() -> None:
    days = (Interval(DAY, DAY + timedelta(days=2)), Interval(DAY + timedelta(days=4), DAY + timedelta(days=5)))
    named = "[2011-01-03T00:00:00Z, 2011-01-05T00:00:00Z), [2011-01-07T00:00:00Z, 2011-01-08T00:00:00Z)"

    def line(intervals: tuple[Interval, ...] | None, count: int | None, rows: int | None, *after: str) -> str:
        plan = ViewPlan("totals", "daily", "a@example.com", "build", "new", intervals, after)
        plan = replace(plan, interval_count=count, estimated_rows=rows)
        return plan_lines(Plan("2011-01-09T00:00:00Z", (), (plan,), (), ()))[0].removeprefix(
            f"build      {'totals':28} "
        )

    assert line(days, 3, 12345) == f"new; 3 intervals, about 12,000 rows: {named}"
    assert line(days[:1], 2, None) == "new; 2 intervals, rows unknown: [2011-01-03T00:00:00Z, 2011-01-05T00:00:00Z)"
    assert line(None, None, 1) == "new; about 1 row"
    assert line((), 0, 0, "orders") == "new; what changes in orders is known once it is read"
    assert line(days[:0], 0, 0) == "new"
