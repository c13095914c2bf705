"""What a build knows of one of its steps, as OpenLineage is told of it; free of the client, which is optional."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID, uuid5

from feature_mart.records import Run

State = Literal["START", "COMPLETE", "FAIL"]


@dataclass(frozen=True)
class DatasetFacts:
    """A table, or what an ingest reads. ``columns``: name to Spark type."""

    namespace: str
    name: str
    version: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class StepFacts:
    """The step of a run that builds a view or ingests a source; without ``name``, the whole build.

    ``inputs`` are by the names that definitions use; ``provenance`` is what the commit carries, None where nothing
    was committed.
    """

    run: Run
    state: State
    at: datetime
    name: str | None = None
    inputs: Mapping[str, DatasetFacts] = field(default_factory=dict)
    output: DatasetFacts | None = None
    provenance: Mapping[str, Any] | None = None
    rows: int | None = None
    error: str | None = None

    @property
    def job(self) -> str:
        """The job's name, the same for every run."""
        return f"build.{self.name}" if self.name else "build"

    @property
    def build(self) -> StepFacts:
        """The build that the step is part of."""
        return StepFacts(self.run, self.state, self.at)

    @property
    def run_id(self) -> str:
        """The run's UUID; that of a step follows from the build's, so that any event can be found from a commit."""
        build = UUID(self.run.run_id)
        return str(uuid5(build, self.name) if self.name else build)
