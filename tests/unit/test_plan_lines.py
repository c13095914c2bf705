"""What `mart plan` prints."""

from __future__ import annotations

from feature_mart.cli.plan import plan_lines
from feature_mart.plan.preview import DeprecatedUse, Plan, ViewPlan


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
