"""A training set that was saved, beside the definitions of today."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from feature_mart.definitions import FeatureView
from feature_mart.definitions.durations import format_duration
from feature_mart.records import MICROSECOND
from feature_mart.runner.workspace import Workspace
from feature_mart.train.joined_view import JoinedView
from feature_mart.train.manifests import manifest_of
from feature_mart.train.request import ViewRequest
from feature_mart.train.training_set import TrainingSet

_SHORT = 10
_RULES = ("keys", "event_timestamp", "created_timestamp", "available_after", "ttl")
_DURATIONS = ("available_after", "ttl")


def training_set(workspace: Workspace, name: str) -> TrainingSet:
    """A training set by its name. See `FeatureStore.training_set`."""
    manifest = manifest_of(name, workspace.tables)
    views = workspace.project.views
    changes = [text for entry in manifest["views"] for text in _changes(views.get(entry["view"]), entry)]
    return TrainingSet(manifest, tuple(dict.fromkeys(changes)), workspace.tables)


def _changes(view: FeatureView | None, entry: Mapping[str, Any]) -> Iterator[str]:
    """What today's definition of a view says otherwise than when a training set was made."""
    if view is None:
        yield f"view {entry['view']} is not defined any more"
        return
    was, now = entry["definition_hash"], view.definition_hash
    if was is not None and was != now:
        yield f"view {view.name}: the definition was {was[:_SHORT]} and is {(now or 'unknown')[:_SHORT]}"
    today = JoinedView.of(ViewRequest(view, entry["alias"], entry["features"], entry["join_keys"])).to_json()
    for rule in _RULES:
        if entry[rule] != today[rule]:
            yield f"view {view.name}: {rule} was {_rule(rule, entry)} and is {_rule(rule, today)}"
    for feature in entry["features"]:
        before, default = entry["defaults"].get(feature), today["defaults"].get(feature)
        if before != default:
            yield f"{view.name}:{feature}: default was {_spoken(before)} and is {_spoken(default)}"


def _rule(rule: str, entry: Mapping[str, Any]) -> str:
    """A rule of a manifest for people: durations stand there in microseconds."""
    value = entry[rule]
    if rule in _DURATIONS and isinstance(value, int):
        return format_duration(value * MICROSECOND)
    return _spoken(value)


def _spoken(value: Any) -> str:
    return "none" if value is None else str(value)
