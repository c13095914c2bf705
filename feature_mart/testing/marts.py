"""Marts small enough to be read in a test."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

import yaml

_VIEW: Mapping[str, object] = {
    "name": "customer_orders",
    "definition": "features/orders.sql",
    "entities": ["customer"],
    "event_timestamp": "ordered_at",
    "materialize": {"mode": "interval", "every": "1d"},
}


def tiny_pipeline(*further: Mapping[str, object], **rules: object) -> str:
    """The tiny mart's pipeline file: ``rules`` laid over those of its view, ``further`` views after it.

    A rule that is None is left out.
    """
    view = {name: rule for name, rule in {**_VIEW, **rules}.items() if rule is not None}
    pipeline = {
        "pipeline": "daily",
        "description": "Orders by customer.",
        "owner": "growth@example.com",
        "schedule": "0 3 * * *",
        "feature_views": [view, *map(dict, further)],
    }
    return yaml.safe_dump(pipeline, sort_keys=False, default_flow_style=None)


TINY: Mapping[str, str] = {
    "conf/base.yml": """
        mart: tiny
        warehouse: warehouse
        online_store: embedded
        """,
    "metadata/entities.yml": """
        entities:
          customer: {description: A shopper., keys: {customer_id: bigint}}
        """,
    "metadata/sources.yml": """
        sources:
          orders:
            description: One order.
            owner: sales@example.com
            format: csv
            path: data/orders/*.csv
            options: {header: true}
            schema: {customer_id: bigint, order_no: string, ordered_at: timestamp, amount: double}
            event_timestamp: ordered_at
        """,
    "features/orders.sql": """
        select customer_id, ordered_at, order_no, amount
        from orders
        """,
    "metadata/feature_views/customer_orders.yml": """
        feature_view: customer_orders
        description: What a customer ordered.
        owner: growth@example.com
        features:
          order_no: {description: The number of the order.}
          amount: {description: Its value., unit: GBP}
        """,
    "data/orders/2011-01-01.csv": """
        customer_id,order_no,ordered_at,amount
        1,a,2011-01-01 10:00:00,5.0
        2,b,2011-01-01 11:00:00,7.5
        """,
    "data/orders/2011-01-02.csv": """
        customer_id,order_no,ordered_at,amount
        1,c,2011-01-02 09:30:00,2.5
        """,
}


def write_files(directory: Path, files: Mapping[str, str | bytes | None]) -> Path:
    """Writes files below ``directory``: texts without their indentation, bytes as they are; None removes a file."""
    for name, content in files.items():
        path = directory / name
        if content is None:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content if isinstance(content, bytes) else dedent(content).lstrip("\n").encode()
        path.write_bytes(data)
    return directory


def write_tiny_mart(directory: Path, changes: Mapping[str, str | bytes | None] | None = None, **rules: object) -> Path:
    """A mart of one source and one view in ``directory``.

    ``rules`` are laid over those of its view (see `tiny_pipeline`), ``changes`` over its files (None leaves one out).
    """
    files = {**TINY, "pipelines/daily.yml": tiny_pipeline(**rules), **(changes or {})}
    return write_files(directory, {name: content for name, content in files.items() if content is not None})
