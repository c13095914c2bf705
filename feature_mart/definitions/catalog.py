"""The catalog: what a mart has, found by words and described by name. Computed from the files, without Spark."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from feature_mart.definitions.durations import format_duration
from feature_mart.definitions.problems import did_you_mean
from feature_mart.definitions.project import (
    Entity,
    FeatureMetadata,
    FeatureService,
    FeatureView,
    Pipeline,
    Project,
    Source,
)
from feature_mart.errors import UsageError

_KINDS = ("feature_view", "feature", "source", "feature_service", "entity", "pipeline")
_EXACT, _BEGINS, _IN_NAME, _TAG, _DESCRIPTION, _OWNER = 100, 60, 40, 20, 10, 5


def search(project: Project, text: str = "") -> list[dict[str, Any]]:
    """What matches all words of ``text``, best first: names count most, then tags, descriptions and owners.

    Without a word everything is listed, features under their views.
    """
    words = text.casefold().split()
    hits = []
    for entry in _entries(project):
        scores = [_score(entry, word) for word in words]
        if all(scores) and (words or entry["kind"] != "feature"):
            hits.append({**entry, "score": sum(scores)})
    return sorted(hits, key=lambda hit: (-hit["score"], _KINDS.index(hit["kind"]), hit["name"]))


def describe(project: Project, name: str) -> dict[str, Any]:
    """All that is known of a view, a feature (``view:feature``), a source, service, entity or pipeline.

    Raises:
        UsageError: there is nothing of that name.
    """
    view, colon, feature = name.partition(":")
    if colon and view in project.views:
        return _feature(project, project.views[view], feature)
    if name in project.views:
        return _view(project, project.views[name])
    if name in project.sources:
        return _source(project, project.sources[name])
    if name in project.services:
        return _service(project, project.services[name])
    if name in project.entities:
        return _entity(project, project.entities[name])
    if name in project.pipelines:
        return _pipeline(project.pipelines[name])
    known = [entry["name"] for entry in _entries(project)]
    raise UsageError(_unknown(name, known))


def _unknown(name: str, known: list[str]) -> str:
    hint = did_you_mean(name, known) or did_you_mean(name, [entry.rpartition(":")[2] for entry in known])
    return (
        f"There is no view, feature, source, service, entity or pipeline {name!r}.{hint}\nSee what there is: mart list"
    )


def _entries(project: Project) -> Iterator[dict[str, Any]]:
    for view in project.views.values():
        features = list(_features(view))
        yield _hit("feature_view", view.name, view, tags=view.tags, features=[feature.name for feature in features])
        for feature in features:
            reference = f"{view.name}:{feature.name}"
            yield _hit("feature", reference, feature, tags=(*feature.tags, *view.tags), owner=view.owner)
    for source in project.sources.values():
        yield _hit("source", source.name, source, tags=source.tags)
    for service in project.services.values():
        yield _hit("feature_service", service.name, service, tags=service.tags, features=list(service.features))
    for entity in project.entities.values():
        yield _hit("entity", entity.name, entity, tags=entity.tags)
    for pipeline in project.pipelines.values():
        yield _hit("pipeline", pipeline.name, pipeline, tags=pipeline.tags)


def _hit(kind: str, name: str, thing: Any, *, tags: tuple[str, ...], **rest: Any) -> dict[str, Any]:
    return {
        "kind": kind,
        "name": name,
        "description": thing.description,
        "owner": rest.pop("owner", None) or getattr(thing, "owner", None) or "",
        "tags": list(tags),
        **rest,
        "file": thing.file,
        "line": thing.line,
    }


def _score(entry: dict[str, Any], word: str) -> int:
    """How well a word fits; 0 if it does not."""
    name = entry["name"].casefold()
    own = name.rpartition(":")[2]
    tags = [tag.casefold() for tag in entry["tags"]]
    rules: list[tuple[int, Callable[[], bool]]] = [
        (_EXACT, lambda: word in (name, own)),
        (_BEGINS, lambda: own.startswith(word)),
        (_IN_NAME, lambda: word in name),
        (_TAG, lambda: any(word in tag for tag in tags)),
        (_DESCRIPTION, lambda: word in entry["description"].casefold()),
        (_OWNER, lambda: word in entry["owner"].casefold()),
    ]
    return next((score for score, fits in rules if fits()), 0)


def _features(view: FeatureView) -> tuple[FeatureMetadata, ...]:
    """Documented features; where names are not known yet, the patterns that stand for them."""
    return (*view.features.values(), *(view.patterns if view.columns is None else ()))


def _view(project: Project, view: FeatureView) -> dict[str, Any]:
    return {
        "kind": "feature_view",
        "name": view.name,
        "description": view.description,
        "owner": view.owner,
        "tags": list(view.tags),
        "pipeline": view.pipeline,
        "schedule": project.pipelines[view.pipeline].schedule,
        "entities": list(view.entities),
        "keys": dict(view.keys),
        "event_timestamp": view.event_timestamp,
        "created_timestamp": view.created_timestamp,
        "static": view.static,
        "ttl": _spoken(view.ttl),
        "available_after": _spoken(view.available_after),
        "materialize": _materialize(view),
        "freshness": _spoken(view.freshness),
        "retention": _spoken(view.retention),
        "online": view.online if isinstance(view.online, bool) else list(view.online),
        "definition": view.definition.path or f"input: {view.definition.inputs[0]}",
        "definition_hash": view.definition_hash,
        "inputs": list(view.inputs),
        "upstream": list(project.upstream(view.name)),
        "downstream": list(project.downstream(view.name)),
        "feature_services": [service.name for service in project.services.values() if view.name in service.views],
        "checks": [{"check": check.name, "severity": check.severity, "line": check.line} for check in view.checks],
        "features": [_documented(view, feature) for feature in _features(view)],
        "file": view.file,
        "line": view.line,
    }


def _feature(project: Project, view: FeatureView, name: str) -> dict[str, Any]:
    documented = {feature.name: feature for feature in _features(view)}
    feature = documented.get(name) or view.metadata_of(name)
    if feature is None or (view.columns is not None and name not in documented):
        raise UsageError(_unknown(f"{view.name}:{name}", [f"{view.name}:{other}" for other in documented]))
    return {
        "kind": "feature",
        **_documented(view, feature),
        "name": f"{view.name}:{name}",
        "owner": view.owner,
        "entities": list(view.entities),
        "keys": dict(view.keys),
        "event_timestamp": view.event_timestamp,
        "feature_services": [
            service.name
            for service in project.services.values()
            if view.name in service.features or f"{view.name}:{name}" in service.features
        ],
        "file": feature.file,
        "line": feature.line,
    }


def _documented(view: FeatureView, feature: FeatureMetadata) -> dict[str, Any]:
    deprecated = feature.deprecated
    return {
        "name": feature.name,
        "description": feature.description,
        "unit": feature.unit,
        "type": feature.type,
        "nullable": feature.nullable,
        "minimum": feature.minimum,
        "maximum": feature.maximum,
        "allowed_values": None if feature.allowed_values is None else list(feature.allowed_values),
        "severity": feature.severity,
        "default": feature.default,
        "deprecated": None
        if deprecated is None
        else {"since": deprecated.since, "replacement": deprecated.replacement},
        "derived": view.derived.get(feature.name),
        "tags": list(feature.tags),
    }


def _source(project: Project, source: Source) -> dict[str, Any]:
    share = source.quarantine_maximum_share
    return {
        "kind": "source",
        "name": source.name,
        "description": source.description,
        "owner": source.owner,
        "tags": list(source.tags),
        "format": source.format,
        "path": source.shown_path,
        "table": source.table,
        "options": sorted(source.options),  # their values may be credentials
        "schema": dict(source.schema),
        "event_timestamp": source.event_timestamp,
        "created_timestamp": source.created_timestamp,
        "freshness": _spoken(source.freshness),
        "clock_skew": _spoken(source.clock_skew),
        "quarantine": None if share is None else {"maximum_share": share},
        "deleted_files": source.deleted_files if source.is_ingested else None,
        "downstream": list(project.downstream(source.name)),
        "file": source.file,
        "line": source.line,
    }


def _service(project: Project, service: FeatureService) -> dict[str, Any]:
    entities = [entity for view in service.views for entity in project.views[view].entities]
    return {
        "kind": "feature_service",
        "name": service.name,
        "description": service.description,
        "owner": service.owner,
        "tags": list(service.tags),
        "features": list(service.features),
        "feature_views": list(service.views),
        "entities": list(dict.fromkeys(entities)),
        "file": service.file,
        "line": service.line,
    }


def _entity(project: Project, entity: Entity) -> dict[str, Any]:
    return {
        "kind": "entity",
        "name": entity.name,
        "description": entity.description,
        "owner": entity.owner,
        "tags": list(entity.tags),
        "keys": dict(entity.keys),
        "feature_views": [view.name for view in project.views.values() if entity.name in view.entities],
        "file": entity.file,
        "line": entity.line,
    }


def _pipeline(pipeline: Pipeline) -> dict[str, Any]:
    return {
        "kind": "pipeline",
        "name": pipeline.name,
        "description": pipeline.description,
        "owner": pipeline.owner,
        "tags": list(pipeline.tags),
        "schedule": pipeline.schedule,
        "feature_views": list(pipeline.views),
        "file": pipeline.file,
        "line": pipeline.line,
    }


def _materialize(view: FeatureView) -> dict[str, str]:
    given = view.materialize
    if given.mode == "full":
        return {"mode": "full"}
    if view.windows is not None:
        reach = view.windows.reach
        return {
            "mode": "windows",
            "every": format_duration(view.windows.every),
            "reach": "lifetime" if reach is None else format_duration(reach),
        }
    durations = {key: format_duration(getattr(given, key)) for key in ("every", "lookback", "lookahead")}
    return {"mode": "interval", **durations}


def _spoken(value: timedelta | str | None) -> str | None:
    return format_duration(value) if isinstance(value, timedelta) else value
