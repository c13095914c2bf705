"""What maintenance refuses before it looks at any table, and how versions are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from feature_mart import FeatureStore, UsageError
from feature_mart.cli.maintenance import ranges
from feature_mart.testing import write_tiny_mart

SETTINGS = "mart: tiny\nonline_store: embedded\n"


@pytest.mark.parametrize(
    ("place", "said"),
    [("warehouse: s3a://bucket/mart", "s3a://bucket/mart"), ("catalog: main.mart", "the catalog main.mart")],
)
def test_tables_that_are_not_on_a_local_disk_are_refused(tmp_path: Path, place: str, said: str) -> None:
    write_tiny_mart(tmp_path, {"conf/base.yml": f"{SETTINGS}{place}\n"})
    with pytest.raises(UsageError, match=f"^the mart's tables are in {said}: `mart vacuum` works on a local disk only"):
        FeatureStore(tmp_path).vacuum()
    with pytest.raises(UsageError, match=f"^the mart's tables are in {said}: `mart optimize` works on a local disk"):
        FeatureStore(tmp_path).optimize()


def test_a_table_that_is_read_in_place_is_not_the_mart_s(tmp_path: Path) -> None:
    source = "{description: o, owner: o, format: delta, path: elsewhere, event_timestamp: ordered_at, schema: {SCHEMA}}"
    kinds = "customer_id: bigint, order_no: string, ordered_at: timestamp, amount: double"
    text = "sources:\n  orders: " + source.replace("SCHEMA", kinds) + "\n"
    write_tiny_mart(tmp_path, {"metadata/sources.yml": text})
    with pytest.raises(UsageError, match=r"^orders is read in place: its table is not the mart's"):
        FeatureStore(tmp_path).vacuum("orders")
    assert FeatureStore(tmp_path).vacuum() == []


def test_versions_in_a_row_are_written_as_ranges() -> None:
    assert ranges([]) == ""
    assert ranges([3, 0, 1, 2, 5, 7, 8, 8]) == "0-3, 5, 7-8"
