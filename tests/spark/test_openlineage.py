"""Builds tell OpenLineage what they do, by the client's own file transport."""

from __future__ import annotations

import json
import socket
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run
from openlineage.client.facet_v2 import (
    column_lineage_dataset,
    dataset_version_dataset,
    error_message_run,
    job_type_job,
    nominal_time_run,
    output_statistics_output_dataset,
    parent_run,
    schema_dataset,
    tags_run,
)
from pyspark.sql import SparkSession

from feature_mart import BuildError, FeatureStore
from feature_mart.openlineage.emitter import open_emitter
from feature_mart.runner import openlineage
from feature_mart.runner.workspace import Event
from feature_mart.testing import FixedClock, write_files, write_tiny_mart

# The client's classes are generated from the published schema: they take its keys and no others.
FACETS = {
    "columnLineage": column_lineage_dataset.ColumnLineageDatasetFacet,
    "errorMessage": error_message_run.ErrorMessageRunFacet,
    "jobType": job_type_job.JobTypeJobFacet,
    "nominalTime": nominal_time_run.NominalTimeRunFacet,
    "outputStatistics": output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet,
    "parent": parent_run.ParentRunFacet,
    "schema": schema_dataset.SchemaDatasetFacet,
    "tags": tags_run.TagsRunFacet,  # the client adds its version
    "version": dataset_version_dataset.DatasetVersionDatasetFacet,
}


def open_store(root: Path, spark: SparkSession, told: list[Event] | None = None) -> FeatureStore:
    tell = (lambda event: None) if told is None else told.append
    return FeatureStore(root, spark=spark, now=FixedClock("2011-01-03T12:00:00Z"), on_event=tell)


@pytest.fixture
def events_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "events.jsonl"
    transport = {"type": "file", "log_file_path": str(file), "append": True}
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT", json.dumps(transport))
    return file


def events(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def known_keys(event: dict[str, Any]) -> None:
    """Takes an event apart with the classes that are made from the schema."""
    UUID(event["run"]["runId"])
    Run(**event["run"])
    Job(**event["job"])
    [InputDataset(**given) for given in event["inputs"]]
    [OutputDataset(**given) for given in event["outputs"]]
    holders = [event["run"], event["job"], *event["inputs"], *event["outputs"]]
    for holder in holders:
        for part in ("facets", "inputFacets", "outputFacets"):
            for name, facet in (holder.get(part) or {}).items():
                assert name == "tags" or facet["_producer"].startswith("urn:feature-mart:")
                assert facet["_schemaURL"].startswith("https://openlineage.io/spec/")
                if not name.startswith("featureMart_"):
                    FACETS[name](**{key: value for key, value in facet.items() if not key.startswith("_")})


def test_a_build_tells_what_it_read_and_wrote(tmp_path: Path, spark: SparkSession, events_file: Path) -> None:
    write_tiny_mart(tmp_path / "mart")
    store = open_store(tmp_path / "mart", spark)
    result = store.build()
    told = events(events_file)
    for event in told:
        known_keys(event)
    assert [(event["eventType"], event["job"]["name"]) for event in told] == [
        ("START", "build"),
        ("START", "build.orders"),
        ("COMPLETE", "build.orders"),
        ("START", "build.customer_orders"),
        ("COMPLETE", "build.customer_orders"),
        ("COMPLETE", "build"),
    ]
    done = told[4]
    (given,), (made,) = done["inputs"], done["outputs"]
    facets = done["run"]["facets"]
    assert UUID(facets["parent"]["run"]["runId"]).hex == result.run_id
    assert facets["nominalTime"]["nominalStartTime"] == "2011-01-03T12:00:00Z"
    (commit,) = store.history("customer_orders")
    said = facets["featureMart_provenance"]["provenance"]
    assert said["definition_hash"] == commit["definition_hash"]
    assert said["inputs"] == commit["inputs"]
    assert given["name"] == str(tmp_path / "mart" / "warehouse" / "orders")
    assert given["facets"]["version"]["datasetVersion"] == str(commit["inputs"]["orders"]["version"])
    assert made["facets"]["version"]["datasetVersion"] == str(commit["version"])
    assert made["outputFacets"]["outputStatistics"]["rowCount"] == 3
    assert {f["name"]: f["type"] for f in made["facets"]["schema"]["fields"]}["amount"] == "double"
    (used,) = made["facets"]["columnLineage"]["fields"]["amount"]["inputFields"]
    assert (used["name"], used["field"]) == (given["name"], "amount")
    assert [(t["type"], t["subtype"]) for t in used["transformations"]] == [("DIRECT", "IDENTITY")]


def test_a_failure_is_told_with_its_message_and_without_passwords(
    tmp_path: Path, spark: SparkSession, events_file: Path
) -> None:
    write_tiny_mart(tmp_path)
    fails = "raise_error('broken on purpose: user=me&password=sesame-42')"
    broken = f"select customer_id, ordered_at, order_no, amount / {fails} as amount from orders"
    write_files(tmp_path, {"features/orders.sql": broken})
    with pytest.raises(BuildError):
        open_store(tmp_path, spark).build()
    failed = [event for event in events(events_file) if event["eventType"] == "FAIL"]
    assert [event["job"]["name"] for event in failed] == ["build.customer_orders", "build"]
    for event in failed:
        known_keys(event)
        assert "broken on purpose: user=me&password=***" in event["run"]["facets"]["errorMessage"]["message"]
    assert "sesame" not in events_file.read_text()


def test_a_transport_that_fails_costs_a_remark(
    tmp_path: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny_mart(tmp_path)
    nowhere = {"type": "file", "log_file_path": str(tmp_path / "no" / "folder" / "events"), "append": True}
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT", json.dumps(nowhere))
    told: list[Event] = []
    assert open_store(tmp_path, spark, told).build().committed
    (remark,) = [event.text for event in told if event.subject == "openlineage"]
    assert remark.startswith("an event could not be sent (")


def test_a_transport_that_hangs_costs_a_remark(
    tmp_path: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny_mart(tmp_path)
    monkeypatch.setattr(openlineage, "open_emitter", partial(open_emitter, patience=0.2))
    told: list[Event] = []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("OPENLINEAGE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert open_store(tmp_path, spark, told).build().committed
    (remark,) = [event.text for event in told if event.subject == "openlineage"]
    assert remark.startswith("6 events were not sent within 0.2 seconds")
