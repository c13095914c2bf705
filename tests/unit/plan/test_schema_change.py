"""What a build would break of what is published, and what is said of it."""

from __future__ import annotations

from pathlib import Path

from feature_mart.definitions import load_project
from feature_mart.plan.schema_change import SchemaChange, refusal, schema_change
from feature_mart.testing import write_tiny_mart

PUBLISHED = {"customer_id": "bigint", "amount": "double", "order_no": "string"}
SERVICES = {
    "metadata/feature_services.yml": """
        feature_services:
          all_of_it: {description: All., owner: ml@example.com, features: [customer_orders]}
          by_name: {description: One., features: ["customer_orders:amount"]}
          other: {description: Another., owner: ml@example.com, features: ["customer_orders:order_no"]}
        """
}


def test_columns_that_go_and_types_that_do_not_fit() -> None:
    assert schema_change(PUBLISHED, PUBLISHED, PUBLISHED) is None
    assert schema_change(PUBLISHED, [*PUBLISHED, "more"], {"amount": "float", "more": "int"}) is None
    assert schema_change(PUBLISHED, None, {}) is None
    assert schema_change(PUBLISHED, None, {"amount": "string"}) == SchemaChange({}, {"amount": ("double", "string")})
    found = schema_change(PUBLISHED, ["customer_id", "order_no", "total"], {"order_no": "bigint"})
    assert found == SchemaChange({"amount": "double"}, {"order_no": ("string", "bigint")}, ("total",))
    assert found.broken == ("amount", "order_no")


def test_a_refusal_names_the_services_that_would_break_and_their_owners(tmp_path: Path) -> None:
    project = load_project(write_tiny_mart(tmp_path, SERVICES))
    view, services = project.views["customer_orders"], project.services.values()
    assert refusal(view, SchemaChange({"amount": "double"}, {}, ("total",)), services) == (
        "view customer_orders: this build would change what is published, so it is refused; nothing was written.\n"
        "  amount (double) would be removed\n"
        "New are: total. A renamed feature is a removed one and a new one.\n"
        "Feature services in use would break:\n"
        "  all_of_it (ml@example.com) uses amount\n"
        "  by_name (no owner) uses amount\n"
        "So would training sets that take these. To do it on purpose, rebuilding the whole view:\n"
        "  mart build daily --select customer_orders --full-refresh"
    )
    assert refusal(view, SchemaChange({}, {"order_no": ("string", "int")}), []) == (
        "view customer_orders: this build would change what is published, so it is refused; nothing was written.\n"
        "  order_no would change from string to int\n"
        "No feature service uses these; training sets that take them would break. "
        "To do it on purpose, rebuilding the whole view:\n"
        "  mart build daily --select customer_orders --full-refresh"
    )
