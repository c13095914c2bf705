"""What a plan says beside what is built."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

from feature_mart.definitions import load_project
from feature_mart.plan.intervals import Covered
from feature_mart.plan.preview import deprecated_in_use, estimated_rows, interval_count
from feature_mart.records import Interval
from feature_mart.testing import write_tiny_mart


def test_deprecated_features_are_told_of_the_services_that_use_them(tmp_path: Path) -> None:
    root = write_tiny_mart(
        tmp_path,
        {
            "metadata/feature_views/customer_orders.yml": """
                feature_view: customer_orders
                description: What a customer ordered.
                owner: growth@example.com
                features:
                  order_no: {description: The number of the order.}
                  amount:
                    description: Its value.
                    deprecated: {since: 2026-10-01, replacement: "customer_orders:order_no"}
                """,
            "metadata/feature_services.yml": """
                feature_services:
                  all_of_it: {description: All., owner: ml@example.com, features: [customer_orders]}
                  by_name: {description: One., owner: ml@example.com, features: ["customer_orders:amount"]}
                  other: {description: Another., owner: ml@example.com, features: ["customer_orders:order_no"]}
                """,
        },
    )
    assert [use.to_dict() for use in deprecated_in_use(load_project(root))] == [
        {
            "service": service,
            "owner": "ml@example.com",
            "feature": "customer_orders:amount",
            "since": "2026-10-01",
            "replacement": "customer_orders:order_no",
        }
        for service in ("all_of_it", "by_name")
    ]


def test_rows_are_estimated_by_those_of_an_interval() -> None:
    hour, begin = timedelta(hours=1), datetime(2011, 1, 3, tzinfo=timezone.utc)
    held = (Covered(Interval(begin, begin + 3 * hour), "a"), Covered(Interval(begin + 5 * hour, begin + 6 * hour), "b"))
    todo = [Interval(begin + 5 * hour, begin + 7 * hour), Interval(begin + 9 * hour, begin + 10 * hour)]
    assert interval_count(todo, hour) == 3
    assert estimated_rows(10, held, todo, hour) == 8
    assert estimated_rows(10, held, [], hour) == 0
    assert estimated_rows(10, held, None, hour) == 10
    assert estimated_rows(None, held, todo, hour) is None
    assert estimated_rows(0, (), todo, hour) is None
