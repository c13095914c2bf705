"""What every command works with: the definitions, the tables, a clock, and somebody who is told what happens."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from feature_mart.definitions import FeatureView, Project, Source
from feature_mart.delta.address import Location, TableAddress
from feature_mart.delta.lazy import LazySession
from feature_mart.delta.tables import Table, Tables
from feature_mart.read.files import base_and_pattern
from feature_mart.records import Run
from feature_mart.runner.git import git_state
from feature_mart.version import ENGINE

EventKind = Literal["started", "done", "progress", "skipped", "failed", "remark"]


@dataclass(frozen=True)
class Event:
    """Something that happened in a run. ``subject`` is a source, a view or a pipeline.

    ``number`` of ``total`` parts are done, where a subject has several.
    """

    kind: EventKind
    subject: str
    text: str
    number: int = 0
    total: int = 0


def ignore(event: Event) -> None:
    """For callers who want no events."""


def _one_at_a_time(tell: Callable[[Event], None]) -> Callable[[Event], None]:
    """Steps run side by side; whoever is told of them need not know."""
    telling = threading.Lock()

    def told(event: Event) -> None:
        with telling:
            tell(event)

    return told


def utc_now() -> datetime:
    """The machine's clock. The only place where the engine asks for the time."""
    return datetime.now(timezone.utc)


@dataclass(frozen=True)
class Workspace:
    """A project with its tables, ready for work."""

    project: Project
    session: LazySession
    now: Callable[[], datetime] = utc_now
    tell: Callable[[Event], None] = ignore
    tables: Tables = field(init=False)

    def __post_init__(self) -> None:
        settings = self.project.settings
        location = (
            Location(catalog=settings.catalog) if settings.catalog else Location(warehouse=settings.warehouse_uri)
        )
        object.__setattr__(self, "tables", Tables(location, self.session))
        object.__setattr__(self, "tell", _one_at_a_time(self.tell))

    def table_of(self, producer: Source | FeatureView) -> Table:
        """The table that holds a view, an ingested source, or a source that is read in place."""
        if isinstance(producer, Source) and producer.format == "delta":
            base, _ = base_and_pattern(producer.path or "", self.project.root)
            return Table(TableAddress(producer.name, uri=base), self.session)
        if isinstance(producer, Source) and producer.format == "table":
            return Table(TableAddress(producer.name, identifier=producer.table), self.session)
        return self.tables.table(producer.name)

    def new_run(self, end: datetime | None) -> Run:
        """The facts that all commits of one call share."""
        started = self.now()
        state = git_state(Path(self.project.root))
        return Run(
            run_id=uuid.uuid4().hex,
            mart=self.project.settings.mart,
            started_at=started,
            horizon=end or started,
            git_commit=state.commit,
            git_dirty=state.is_dirty,
            engine=ENGINE,
        )
