"""What a plan says beside what is built."""

from __future__ import annotations

from pathlib import Path

from feature_mart.definitions import load_project
from feature_mart.plan.preview import deprecated_in_use
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
