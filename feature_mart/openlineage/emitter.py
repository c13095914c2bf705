"""The way of events to OpenLineage's transport: beside the build, which they neither slow down nor fail."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.util import find_spec
from multiprocessing.pool import ApplyResult, ThreadPool
from pathlib import Path
from typing import TYPE_CHECKING

from feature_mart.definitions.lineage.mart import MartLineage
from feature_mart.definitions.lineage.model import InputColumn, Lineage, ViewLineage, direct
from feature_mart.definitions.project import Project
from feature_mart.definitions.secrets import masked_text, secrets_of
from feature_mart.openlineage.facts import StepFacts

if TYPE_CHECKING:
    from openlineage.client import OpenLineageClient

PATIENCE_SECONDS = 10.0
_FILE = "openlineage.yml"


def is_configured(variables: Mapping[str, str], folder: Path, home: Path) -> bool:
    """Whether OpenLineage's own configuration names a transport: its variables, or one of its files."""
    if variables.get("OPENLINEAGE_DISABLED", "").strip().lower() == "true":
        return False
    if any(variables.get(name) for name in ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG")):
        return True
    if any(name.startswith("OPENLINEAGE__TRANSPORT") for name in variables):
        return True
    return any(file.is_file() for file in (folder / _FILE, home / ".openlineage" / _FILE))


class Emitter:
    """Sends the events of one build, in their order. A remark is made of the first that fails, and of no other.

    ``patience``: for how many seconds the end of the build waits for events that are still on their way.
    """

    def __init__(self, project: Project, remark: Callable[[str], None], *, patience: float = PATIENCE_SECONDS) -> None:
        self._project = project
        self._remark = remark
        self._patience = patience
        settings = project.settings.spark.conf, *(source.options for source in project.sources.values())
        self._secrets = [value for options in settings for value in secrets_of(options)]
        self._lineage = MartLineage(project)
        self._sent: list[ApplyResult[None]] = []
        self._client: OpenLineageClient | None = None
        self._has_failed = False
        # Of daemon threads, one: a transport that hangs does not keep the process alive, and the order stays.
        self._pool = ThreadPool(1)

    def send(self, facts: Callable[[], StepFacts]) -> None:
        """Puts an event on its way. ``facts`` is asked beside the build, as it reads logs."""
        self._sent.append(self._pool.apply_async(self._emit, (facts,), error_callback=self._failed))

    def close(self) -> None:
        """Waits for what is on its way, as long as its patience lasts."""
        until = time.monotonic() + self._patience
        for result in self._sent:
            result.wait(max(0.0, until - time.monotonic()))
        late = sum(not result.ready() for result in self._sent)
        if late:
            events = "1 event was" if late == 1 else f"{late} events were"
            self._tell_once(f"{events} not sent within {self._patience:g} seconds")
        self._pool.close()

    def _emit(self, facts: Callable[[], StepFacts]) -> None:
        from openlineage.client import OpenLineageClient

        from feature_mart.openlineage.events import event_of

        if self._client is None:
            self._client = OpenLineageClient()
        given = facts()
        if given.error is not None:
            given = replace(given, error=masked_text(given.error, self._secrets))
        self._client.emit(event_of(given, self._lineage_of(given.name)))

    def _lineage_of(self, name: str | None) -> ViewLineage | None:
        """That of a view; an ingested source has the columns of its files. None where nothing is declared."""
        if name is None:
            return None
        if name in self._project.views:
            return self._lineage.of(name)
        columns = {column: direct(InputColumn(name, column)) for column in self._project.sources[name].schema}
        return ViewLineage(name, "", "input", columns, Lineage()) if columns else None

    def _failed(self, error: BaseException) -> None:
        # Not its text: a transport's errors may name addresses with what opens them.
        self._tell_once(
            f"an event could not be sent ({type(error).__name__}); OPENLINEAGE_CLIENT_LOGGING=DEBUG says more"
        )

    def _tell_once(self, text: str) -> None:
        if not self._has_failed:
            self._has_failed = True
            self._remark(f"{text}. The build goes on; docs/how-to/openlineage.md")


def open_emitter(
    project: Project, remark: Callable[[str], None], *, patience: float = PATIENCE_SECONDS
) -> Emitter | None:
    """An emitter where OpenLineage is configured, else None; a remark where its client is not installed."""
    if not is_configured(os.environ, Path.cwd(), Path.home()):
        return None
    if find_spec("openlineage") is None:
        remark("it is configured, but its client is not installed: pip install 'feature-mart[openlineage]'")
        return None
    return Emitter(project, remark, patience=patience)
