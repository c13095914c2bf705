"""When OpenLineage is on, what an event never says, and how long one that hangs is waited for."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest

from feature_mart.definitions import Project, load_project
from feature_mart.openlineage.emitter import Emitter, is_configured
from feature_mart.openlineage.facts import StepFacts
from feature_mart.records import Run
from feature_mart.testing import write_tiny_mart

NOW = datetime(2011, 1, 3, tzinfo=timezone.utc)
RUN = Run("0" * 32, "tiny", NOW, NOW, None, False, "test")
DATABASE = """
    sources:
      orders:
        description: One order.
        owner: sales@example.com
        format: jdbc
        options: {url: "jdbc:derby:/db", dbtable: ORDERS, password: sesame-42}
        schema: {customer_id: bigint, order_no: string, ordered_at: timestamp, amount: double}
        event_timestamp: ordered_at
    """
CONF = """
    mart: tiny
    warehouse: warehouse
    spark: {conf: {spark.hadoop.fs.s3a.secret.key: sesame-43}}
    """


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, False),
        ({"OPENLINEAGE_URL": "http://localhost:5000"}, True),
        ({"OPENLINEAGE_CONFIG": "openlineage.yml"}, True),
        ({"OPENLINEAGE__TRANSPORT__TYPE": "console"}, True),
        ({"OPENLINEAGE_URL": "http://localhost:5000", "OPENLINEAGE_DISABLED": "True"}, False),
        ({"OPENLINEAGE_NAMESPACE": "x"}, False),
    ],
)
def test_it_is_off_until_a_transport_is_named(tmp_path: Path, variables: dict[str, str], expected: bool) -> None:
    assert is_configured(variables, tmp_path, tmp_path) is expected


def test_its_own_files_turn_it_on(tmp_path: Path) -> None:
    folder, home = tmp_path / "mart", tmp_path / "home"
    folder.mkdir()
    (home / ".openlineage").mkdir(parents=True)
    (home / ".openlineage" / "openlineage.yml").touch()
    assert is_configured({}, folder, home)
    (folder / "openlineage.yml").touch()
    assert is_configured({}, folder, tmp_path)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    root = write_tiny_mart(tmp_path / "tiny", {"metadata/sources.yml": DATABASE, "conf/base.yml": CONF})
    return load_project(root, None, {})


def failure(text: str) -> StepFacts:
    return StepFacts(RUN, "FAIL", NOW, error=text)


def test_no_error_is_sent_with_a_password(tmp_path: Path, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "events.jsonl"
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT", json.dumps({"type": "file", "log_file_path": str(file)}))
    remarks: list[str] = []
    emitter = Emitter(project, remarks.append)
    emitter.send(
        lambda: failure(
            "no login at jdbc:postgresql://me:sesame-1@db/shop?password=sesame-2 by sesame-42, nor by sesame-43"
        )
    )
    emitter.close()
    (written,) = tmp_path.glob("events*")
    sent = json.loads(written.read_text())["run"]["facets"]["errorMessage"]["message"]
    assert sent == "no login at jdbc:postgresql://***@db/shop?password=*** by ***, nor by ***"
    assert remarks == []


@pytest.fixture
def silence(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A server that takes every connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("OPENLINEAGE_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        yield


@pytest.mark.parametrize(
    ("events", "said"),
    [(1, "1 event was not sent within 0.2 seconds"), (3, "3 events were not sent within 0.2 seconds")],
)
def test_a_transport_that_hangs_is_not_waited_for(project: Project, silence: None, events: int, said: str) -> None:
    remarks: list[str] = []
    emitter = Emitter(project, remarks.append, patience=0.2)
    for _ in range(events):
        emitter.send(lambda: failure("x"))
    emitter.close()
    assert remarks == [f"{said}. The build goes on; docs/how-to/openlineage.md"]
