"""The reference mart on its own sample: everything in it builds, and every query answers."""

from __future__ import annotations

import gzip
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from feature_mart import FeatureStore
from feature_mart.definitions.schema import check_schemas
from feature_mart.sample import write_sample
from feature_mart.testing import FixedClock
from tests.online_oracle import assert_online_is_offline

ROOT = Path(__file__).resolve().parents[2]
BROKEN = (
    "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
    "999999,85123A,MUG,a dozen,2025-09-01 10:00:00,2.55,17850.0,United Kingdom\n"
)
QUERIES = sorted(path.name for path in (ROOT / "queries").glob("*.sql"))


@pytest.fixture(scope="module")
def built(started_spark: SparkSession, reference_mart: Callable[[], Path]) -> Iterator[FeatureStore]:
    """The mart after a build of all pipelines on a small sample."""
    mart = reference_mart()
    write_sample(mart / "data", customers=60, days=100)
    with gzip.open(mart / "data/invoice_lines/broken.csv.gz", "wt", encoding="utf-8") as stream:
        stream.write(BROKEN)
    store = FeatureStore(mart, spark=started_spark, now=FixedClock("2025-12-24T04:00:00Z"), variables={})
    store.build()
    yield store
    store.stop_online()


def test_every_view_has_rows_and_one_version(built: FeatureStore) -> None:
    for name in built.project.views:
        (entry,) = built.history(name)
        assert entry["rows"] > 0, name
        assert entry["checks"]["failed"] == 0


def test_every_view_has_unit_tests_and_all_pass(built: FeatureStore) -> None:
    assert set(built.project.unit_tests) == set(built.project.views)
    failed = {f"{result.view}: {result.name}": result.difference for result in built.test() if not result.passed}
    assert failed == {}


@pytest.mark.parametrize("name", QUERIES)
def test_every_query_answers(built: FeatureStore, name: str) -> None:
    text = (ROOT / "queries" / name).read_text(encoding="utf-8")
    assert text.startswith("--"), "the header says what the query answers"
    assert built.query(text).count() > 0


def test_what_is_online_is_what_is_offline(built: FeatureStore) -> None:
    online = {view.name for view in built.project.views.values() if view.online}
    assert {result["view"] for result in built.sync() if result["how"] == "anew"} == online
    for name in sorted(online):
        assert_online_is_offline(built, name, most=300)
        assert built.verify_online(name).is_equal, name


def test_malformed_rows_are_in_the_quarantine_with_reasons(built: FeatureStore) -> None:
    rows = built.query("select file, reason, raw from invoice_lines__quarantine").collect()
    (row,) = [row for row in rows if row.file == "broken.csv.gz"]
    assert row.reason == "Quantity: 'a dozen' is no int"
    assert "999999" in row.raw


def test_a_run_is_recorded_per_pipeline(built: FeatureStore) -> None:
    rows = built.query("select pipeline, versions from mart_runs").collect()
    assert {row.pipeline for row in rows} == set(built.project.pipelines)
    recorded = {view: version for row in rows for view, version in row.versions.items()}
    assert recorded == dict.fromkeys(built.project.views, 0)


def test_the_committed_schemas_are_current() -> None:
    assert check_schemas(ROOT / "conf" / "schemas") == []


@pytest.mark.long
def test_every_interval_view_is_additive(built: FeatureStore) -> None:
    intervals = [view.name for view in built.project.views.values() if view.materialize.mode == "interval"]
    found = {name: built.verify(name, start="2025-11-24", end="2025-12-22") for name in intervals}
    assert {name: result.splits for name, result in found.items() if not result.is_additive} == {}
    assert all(result.rows > 0 for result in found.values())


@pytest.mark.parametrize("name", ["churn", "fraud", "upsell"])
def test_a_model_is_trained_from_spine_to_metric_and_its_training_set_verifies(built: FeatureStore, name: str) -> None:
    spec = importlib.util.spec_from_file_location("models", ROOT / "examples" / "models.py")
    assert spec is not None
    assert spec.loader is not None
    models = sys.modules["models"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(models)
    found = models.train(built, name)
    assert found["judged"] > 50
    assert 0 <= found["roc_auc"] <= 1
    (kept,) = [entry for entry in built.training_sets() if entry["name"].startswith(name)]
    assert kept["rows"] == found["rows"]
