"""What a build would do, as plain data: for `mart plan`, and for whoever reviews a change before it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from feature_mart.definitions import FeatureView, Project
from feature_mart.plan.definition_change import DefinitionChange
from feature_mart.plan.intervals import OUTDATED, Covered
from feature_mart.records import Interval, iso

_SHOWN_FILES = 20


@dataclass(frozen=True)
class SourcePlan:
    """What a build would do with a source. ``version`` is that of its table now, None before its first ingest.

    ``files`` maps ``added``, ``changed`` and ``gone`` to file names; rows of files that are gone leave the table where
    ``drops_gone`` is true.
    """

    source: str
    owner: str
    action: Literal["ingest", "read anew", "skip"]
    reason: str
    version: int | None
    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    drops_gone: bool = False

    def to_dict(self) -> dict[str, Any]:
        """For JSON; of many files the first are named, and all are counted."""
        return {
            "source": self.source,
            "owner": self.owner,
            "action": self.action,
            "reason": self.reason,
            "version": self.version,
            "files": {
                kind: {"count": len(names), "names": list(names[:_SHOWN_FILES])} for kind, names in self.files.items()
            },
            "drops_gone": self.drops_gone,
        }


@dataclass(frozen=True)
class ViewPlan:
    """What a build would do with a view.

    It is blocked where an input is not there and not part of the plan, or another program changed the input's rows; it
    is refused where published features would go or change their types, or another program changed its own rows.

    ``intervals``: None where the view is built whole. ``known_after``: inputs that the same build brings up to date
    first; more intervals than those named may have to be built for what changes in them. ``interval_count`` and
    ``estimated_rows`` speak of the named intervals, or of the whole view; rows are None where nothing tells of them.
    """

    view: str
    pipeline: str
    owner: str
    action: Literal["build", "skip", "blocked", "refused"]
    reason: str
    intervals: tuple[Interval, ...] | None
    known_after: tuple[str, ...] = ()
    version: int | None = None
    horizon: str | None = None
    change: DefinitionChange | None = None
    stale: tuple[Interval, ...] = ()
    interval_count: int | None = None
    estimated_rows: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        change = self.change
        return {
            "view": self.view,
            "pipeline": self.pipeline,
            "owner": self.owner,
            "action": self.action,
            "reason": self.reason,
            "version": self.version,
            "horizon": self.horizon,
            "whole": self.intervals is None,
            "intervals": None if self.intervals is None else [interval.to_json() for interval in self.intervals],
            "interval_count": self.interval_count,
            "estimated_rows": self.estimated_rows,
            "known_after": list(self.known_after),
            "made_by_an_earlier_definition": [interval.to_json() for interval in self.stale],
            "definition_change": None
            if change is None
            else {
                "classes": list(change.classes),
                "features_added": list(change.added),
                "features_removed": list(change.removed),
                "diff": list(change.diff),
            },
        }


@dataclass(frozen=True)
class Affected:
    """Something downstream of what a build would change, and whose it is."""

    kind: Literal["feature_view", "feature_service"]
    name: str
    owner: str | None
    by: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"kind": self.kind, "name": self.name, "owner": self.owner, "by": list(self.by)}


@dataclass(frozen=True)
class DeprecatedUse:
    """A feature service that uses a deprecated feature."""

    service: str
    owner: str | None
    feature: str
    since: str
    replacement: str | None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "service": self.service,
            "owner": self.owner,
            "feature": self.feature,
            "since": self.since,
            "replacement": self.replacement,
        }


@dataclass(frozen=True)
class Plan:
    """All that a build would do, in its order."""

    horizon: str
    sources: tuple[SourcePlan, ...]
    views: tuple[ViewPlan, ...]
    affected: tuple[Affected, ...]
    deprecated: tuple[DeprecatedUse, ...]

    @property
    def is_empty(self) -> bool:
        """Whether a build would change nothing."""
        actions = {source.action for source in self.sources} | {view.action for view in self.views}
        return actions <= {"skip", "blocked"}

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "horizon": self.horizon,
            "changes": not self.is_empty,
            "sources": [entry.to_dict() for entry in self.sources],
            "feature_views": [entry.to_dict() for entry in self.views],
            "affected": [entry.to_dict() for entry in self.affected],
            "deprecated_in_use": [entry.to_dict() for entry in self.deprecated],
        }


def interval_count(intervals: Sequence[Interval], every: timedelta) -> int:
    """How many intervals of the length ``every`` there are in some ranges."""
    return sum((interval.end - interval.start) // every for interval in intervals)


def estimated_rows(
    rows: int | None, covered: Sequence[Covered], intervals: Sequence[Interval] | None, every: timedelta
) -> int | None:
    """About how many rows a build writes: as many for each interval as the view has for one now.

    Args:
        rows: those that the view has now; None where that is not known.
        intervals: those to build; None for all of a view that is built whole.
    """
    if rows is None or intervals is None:
        return rows
    held = interval_count([entry.interval for entry in covered], every)
    return round(rows * interval_count(intervals, every) / held) if held else None


def affected_by_views(project: Project, changing: Sequence[str]) -> tuple[Affected, ...]:
    """The views and feature services downstream of ``changing``: by which of them, and whose they are."""
    causes: dict[str, list[str]] = {}
    for name in changing:
        for reader in project.downstream(name):
            causes.setdefault(reader, []).append(name)
    views = [
        Affected("feature_view", view.name, view.owner, tuple(causes[view.name]))
        for view in project.views.values()
        if view.name in causes
    ]
    moving = set(changing) | set(causes)
    services = [
        Affected(
            "feature_service", service.name, service.owner, tuple(name for name in service.views if name in moving)
        )
        for service in sorted(project.services.values(), key=lambda service: service.name)
        if moving & set(service.views)
    ]
    return (*views, *services)


def deprecated_in_use(project: Project) -> tuple[DeprecatedUse, ...]:
    """Deprecated features that feature services use, by service and feature."""
    found: dict[tuple[str, str], DeprecatedUse] = {}
    for service in project.services.values():
        for reference in service.features:
            name, _, feature = reference.partition(":")
            for used in _features(project.views[name], feature):
                deprecated = project.views[name].features[used].deprecated
                if deprecated is not None:
                    full = f"{name}:{used}"
                    found[service.name, full] = DeprecatedUse(
                        service.name, service.owner, full, deprecated.since, deprecated.replacement
                    )
    return tuple(found[key] for key in sorted(found))


def _features(view: FeatureView, feature: str) -> list[str]:
    return [name for name in view.features if not feature or name == feature]


def stale_ranges(covered: Sequence[Any], definition_hash: str) -> tuple[Interval, ...]:
    """The ranges that a view holds as an earlier definition made them."""
    return tuple(entry.interval for entry in covered if entry.definition_hash not in (definition_hash, OUTDATED))


def moment(value: Any) -> str | None:
    """A moment as text, None as it is."""
    return None if value is None else iso(value)
