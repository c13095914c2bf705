"""Tells OpenLineage of the steps of a build, where it is configured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import datetime
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from feature_mart.definitions import FeatureView, Source
from feature_mart.definitions.secrets import CONTAINER_FIRST
from feature_mart.delta.address import TableAddress
from feature_mart.openlineage.emitter import Emitter, open_emitter
from feature_mart.openlineage.facts import DatasetFacts, StepFacts
from feature_mart.records import Run
from feature_mart.runner.workspace import Event, Workspace

# Where the commit of a step is looked for: others may have committed since.
_RECENT = 20


class Told(AbstractContextManager["Told"]):
    """Sends START on entering, and COMPLETE or FAIL on leaving. ``name``: a view or a source; None for the build."""

    def __init__(self, emitter: Emitter | None, workspace: Workspace, run: Run, name: str | None = None) -> None:
        self._emitter = emitter
        self._workspace = workspace
        self._base = StepFacts(run, "START", run.started_at, name)

    def __enter__(self) -> Told:
        if self._emitter is not None:
            at = self._workspace.now()
            self._emitter.send(lambda: self._started(at))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._emitter is None:
            return
        at = self._workspace.now()
        if kind is None:
            self._emitter.send(lambda: self._completed(at))
        else:
            text = f"{kind.__name__}: {error}"
            self._emitter.send(lambda: replace(self._started(at), state="FAIL", error=text))

    def _started(self, at: datetime) -> StepFacts:
        facts = replace(self._base, at=at)
        if facts.name is None:
            return facts
        producer = self._workspace.project.producer(facts.name)
        return replace(facts, inputs=self._inputs(producer), output=self._dataset(producer))

    def _completed(self, at: datetime) -> StepFacts:
        facts = replace(self._started(at), state="COMPLETE")
        if facts.name is None or facts.output is None:
            return facts
        table = self._workspace.tables.table(facts.name)
        own = facts.run.run_id
        commits = [entry for entry in table.history(_RECENT) if (entry.provenance or {}).get("run_id") == own]
        if not commits:  # it was up to date
            current = table.current()
            output = replace(facts.output, version=None if current is None else str(current.version))
            return replace(facts, output=output, rows=0)
        newest = commits[0]
        said: dict[str, Any] = dict(newest.provenance or {})
        read = said.get("inputs") or {}
        inputs = {
            name: replace(given, version=str(read[name]["version"]) if "version" in read.get(name, {}) else None)
            for name, given in facts.inputs.items()
        }
        output = replace(facts.output, version=str(newest.version), columns=table.columns(newest.version))
        rows = sum(int((entry.provenance or {}).get("rows", 0)) for entry in commits)
        return replace(facts, inputs=inputs, output=output, provenance=said, rows=rows)

    def _inputs(self, producer: Source | FeatureView) -> dict[str, DatasetFacts]:
        if isinstance(producer, Source):
            return {producer.name: _outside(producer)}
        return {name: self._dataset(self._workspace.project.producer(name)) for name in producer.inputs}

    def _dataset(self, producer: Source | FeatureView) -> DatasetFacts:
        columns = dict(producer.schema) if isinstance(producer, Source) else {}
        return replace(_table(self._workspace.table_of(producer).address), columns=columns)


@contextmanager
def telling(workspace: Workspace) -> Iterator[Emitter | None]:
    """The emitter of one build, None where OpenLineage is not configured; its events are sent by the end."""
    emitter = open_emitter(workspace.project, lambda text: workspace.tell(Event("remark", "openlineage", text)))
    try:
        yield emitter
    finally:
        if emitter is not None:
            emitter.close()


def is_read_in_place(workspace: Workspace, name: str) -> bool:
    """Whether there is nothing to do but to look: a source whose table somebody else keeps."""
    source = workspace.project.sources.get(name)
    return source is not None and source.format in ("delta", "table")


def _table(address: TableAddress) -> DatasetFacts:
    """A Delta table, named by OpenLineage's naming: the storage is the namespace, the path the name."""
    if address.uri is None:
        return DatasetFacts("catalog", str(address.identifier))
    return _located(address.uri)


def _outside(source: Source) -> DatasetFacts:
    """What an ingest reads. A database's URL and query stay out: they may hold a password."""
    return DatasetFacts("jdbc", source.name) if source.shown_path is None else _located(source.shown_path)


def _located(uri: str) -> DatasetFacts:
    if "://" not in uri:
        return DatasetFacts("file", uri)
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return DatasetFacts("file", parts.path)
    scheme = "s3" if parts.scheme in ("s3a", "s3n") else parts.scheme
    # Neither user, password nor query: they may open what they name. Azure has the container before the @.
    host = parts.netloc if scheme in CONTAINER_FIRST and parts.password is None else parts.netloc.rpartition("@")[2]
    return DatasetFacts(f"{scheme}://{host}", parts.path)
