"""What a build says of rows of its inputs that it leaves out for their times."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pyspark.sql import functions as F

from feature_mart.definitions import FeatureView
from feature_mart.definitions.durations import format_duration
from feature_mart.delta.canonical import instant
from feature_mart.delta.errors import delta_errors
from feature_mart.records import iso
from feature_mart.runner.ingest import Input
from feature_mart.runner.workspace import Event, Workspace


def remark_on_inputs(
    workspace: Workspace, view: FeatureView, inputs: Mapping[str, Input], *, in_intervals: bool
) -> None:
    """Tells how many rows of each input have no time, or one that is still to come."""
    for entry in inputs.values():
        found = [
            _without_time(workspace, entry) if in_intervals else None,
            _to_come(workspace, entry) if view.tiles_of is not None else None,
            _beyond_clock_skew(workspace, entry),
        ]
        for text in filter(None, found):
            workspace.tell(Event("remark", view.name, text))


def _without_time(workspace: Workspace, entry: Input) -> str | None:
    """Rows that can be in no interval. Of ingested files none can: they were set aside as they came in."""
    source = workspace.project.sources.get(entry.name)
    if source is None or entry.event_timestamp is None or source.is_ingested:
        return None
    nulls = entry.table.instants(entry.event_timestamp, entry.version.version).nulls
    return f"rows of {entry.name} without {entry.event_timestamp}, which are in no interval: {nulls}" if nulls else None


def _to_come(workspace: Workspace, entry: Input) -> str | None:
    """Events that are said to be later than now: they are in no window before their time has come."""
    now = workspace.now()
    if entry.latest is None or entry.latest <= now:
        return None
    count = _later_rows(entry, now)
    return f"rows of {entry.name} with a time to come, up to {iso(entry.latest)}, which are in no window yet: {count}"


def _beyond_clock_skew(workspace: Workspace, entry: Input) -> str | None:
    """Rows that are later than a source read as it is may have them; those of files are set aside."""
    source = workspace.project.sources.get(entry.name)
    if source is None or source.is_ingested or source.clock_skew is None:
        return None
    latest = source.latest_at(workspace.now())
    if latest is None or (entry.latest is not None and entry.latest <= latest):
        return None
    count = _later_rows(entry, latest)
    said = f"more than the clock_skew of {format_duration(source.clock_skew)} after now, which are not built yet"
    return f"rows of {entry.name} with {source.event_timestamp} {said}: {count}" if count else None


def _later_rows(entry: Input, moment: datetime) -> int:
    if entry.event_timestamp is None:
        return 0
    later = F.col(f"`{entry.event_timestamp}`") > F.expr(instant(moment))
    with delta_errors(entry.name):
        return entry.table.read(entry.version.version).where(later).count()
