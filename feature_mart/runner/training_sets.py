"""Training sets: made in one call, and those that were saved beside the definitions of today."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feature_mart.definitions import FeatureView
from feature_mart.definitions.durations import format_duration
from feature_mart.definitions.problems import counted, listed
from feature_mart.records import MICROSECOND
from feature_mart.runner.workspace import Event, EventKind, Workspace
from feature_mart.train.joined_view import JoinedView
from feature_mart.train.manifests import manifest_of, new_table_of_set
from feature_mart.train.request import ViewRequest, Wanted
from feature_mart.train.training_set import TrainingSet

# What reads rows is imported when rows are read: `mart training-set show` needs none.
if TYPE_CHECKING:
    from feature_mart.train.spine import EntityRows
    from feature_mart.train.verify import Verified

_SHORT = 10
_RULES = ("keys", "event_timestamp", "created_timestamp", "available_after", "ttl")
_DURATIONS = ("available_after", "ttl")


def create_training_set(
    workspace: Workspace,
    name: str,
    entity_df: EntityRows,
    features: Wanted | Mapping[str, Wanted],
    **how: Any,
) -> dict[str, Any]:
    """Joins and keeps a training set; gives its manifest. See `FeatureStore.create_training_set`.

    Args:
        how: the rest of a request, as `historical_features` takes it.
    """
    from feature_mart.runner.historical_features import historical_features

    new_table_of_set(name, workspace.tables)  # a name that cannot be had is known before a row is read
    tell = partial(_tell, workspace, name)
    source = entity_df if isinstance(entity_df, (str, Path)) else type(entity_df).__name__
    tell("started", f"reading the spine: {source}")
    job = historical_features(workspace, entity_df, features, **how)
    versions = listed([f"{view} v{version}" for view, version in job.versions.items()])
    tell(
        "progress", f"joining {counted(job.spine.rows, 'row')} with {counted(len(job.features), 'feature')}: {versions}"
    )
    manifest = job.save(name)
    tell("done", f"saved {counted(manifest['rows'], 'row')}")
    return manifest


def verify_training_set(workspace: Workspace, name: str) -> Verified:
    """Makes a training set again, and tells the steps. See `FeatureStore.verify_training_set`."""
    found = training_set(workspace, name)
    tell = partial(_tell, workspace, name)
    versions = listed(dict.fromkeys(f"{view['view']} v{view['version']}" for view in found.manifest["views"]))
    tell("started", f"making {counted(found.manifest['rows'], 'row')} again: {versions}")
    verified = found.verify(partial(tell, "progress"))
    tell(
        "done" if verified.is_equal else "failed", "equal to the last bit" if verified.is_equal else "not proven equal"
    )
    return verified


def _tell(workspace: Workspace, name: str, kind: EventKind, text: str) -> None:
    workspace.tell(Event(kind, name, text))


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
