"""Puts a feature view together from its pipeline's entry, its definition and its metadata, and checks all three."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from feature_mart.definitions.checks import read_checks, report_unknown, used_by_expression
from feature_mart.definitions.defaults import check_defaults, types_in_files
from feature_mart.definitions.features import Documented, document_features
from feature_mart.definitions.files.feature_views import FeatureViewFile
from feature_mart.definitions.files.pipelines import AVAILABLE_AT_CREATION, FeatureViewEntry, PipelineFile
from feature_mart.definitions.inputs import TIME_TYPES, Place, report_duplicates
from feature_mart.definitions.logic import Logic
from feature_mart.definitions.mart_files import ReadFile
from feature_mart.definitions.names import checked_column, suggested_column
from feature_mart.definitions.problems import Invalid, Names, Problem, Problems, listed, nearest
from feature_mart.definitions.project import Entity, FeatureView, Materialize, Source
from feature_mart.definitions.sql_memo import SqlMemo
from feature_mart.definitions.windows import check_windows, read_windows
from feature_mart.windows.spec import Windows

# The lookback of a window without an end: longer than the calendar.
EVERMORE = timedelta(days=4_000_000)


@dataclass(frozen=True)
class DeclaredView:
    """An entry of a pipeline, where it stands, and its logic as far as it could be read."""

    entry: FeatureViewEntry
    pipeline: PipelineFile
    place: Place
    logic: Logic | None


@dataclass
class Surroundings:
    """What a view is checked against. ``views`` grows while views are put together, inputs first."""

    entities: Mapping[str, Entity]
    known_entities: Names
    sources: Mapping[str, Source]
    views: dict[str, FeatureView]
    metadata: Mapping[str, ReadFile[FeatureViewFile]]
    broken_metadata: set[str]
    problems: Problems
    memo: SqlMemo

    def columns(self, name: str) -> Sequence[str] | None:
        """The columns of a source or view, if they are known."""
        producer = self.views.get(name) or self.sources.get(name)
        return None if producer is None else producer.columns

    def types(self, name: str) -> Mapping[str, str]:
        """The types of the columns of a source or view, as far as the files tell them."""
        source, view = self.sources.get(name), self.views.get(name)
        if source is not None:
            return source.schema if source.is_ingested else {}
        return {} if view is None else types_in_files(view, self.types, self.memo)

    def created(self, name: str | None) -> str | None:
        """The created timestamp of a source or view that is taken as it is."""
        producer = self.views.get(name or "") or self.sources.get(name or "")
        return None if producer is None else producer.created_timestamp


def assemble_view(declared: DeclaredView, around: Surroundings) -> FeatureView | None:
    """The view, or None where too much is wrong to go on; all that is wrong is told."""
    entry, place = declared.entry, declared.place
    keys = _keys(entry, place, around)
    _check_time(entry, place)
    metadata = _metadata(declared, around)
    if declared.logic is None:
        return None
    columns = _columns(declared, declared.logic, around)
    has_all = set(entry.entities) <= set(around.entities) and (entry.static or entry.event_timestamp is not None)
    if columns is not None and entry.windows is None:
        has_all = _check_required(entry, declared.logic, list(keys), columns, place) and has_all
    _check_time_types(entry, place, around)
    times = [name for name in (entry.event_timestamp, entry.created_timestamp) if name is not None]
    reserved = [*keys, *times]
    checks = read_checks(entry, columns, place, around.memo)
    _check_online(entry, columns, reserved, place)
    documented = Documented({}, ())
    if metadata is not None:
        is_whole = has_all and entry.name not in around.broken_metadata
        documented = document_features(metadata, entry.name, columns, reserved, is_whole, around.problems)
    windows = read_windows(entry, around.created(entry.input))
    definition = declared.logic.definition
    view = FeatureView(
        name=entry.name,
        pipeline=declared.pipeline.pipeline,
        description=metadata.model.description if metadata is not None else "",
        owner=(metadata.model.owner if metadata is not None else None) or declared.pipeline.owner or "",
        tags=metadata.model.tags if metadata is not None else (),
        entities=entry.entities,
        keys=keys,
        event_timestamp=entry.event_timestamp,
        created_timestamp=entry.created_timestamp,
        static=entry.static,
        ttl=entry.ttl,
        available_after=_available_after(declared, around),
        materialize=_materialize(entry, windows),
        freshness=entry.freshness,
        retention=entry.retention,
        checks=checks,
        online=entry.online,
        derived=dict(entry.derived),
        definition=definition,
        features=documented.features,
        patterns=documented.patterns,
        columns=None if columns is None else tuple(columns),
        file=place.file,
        line=place.line,
        windows=windows,
    )
    if metadata is not None:
        check_defaults(view, metadata, around.types, around.memo, around.problems)
    return view


def _materialize(entry: FeatureViewEntry, windows: Windows | None) -> Materialize:
    if windows is None:
        return Materialize(**entry.materialize.model_dump())
    # A row at T tells of the slices before it: those of a window, as far back as the longest one reaches.
    return Materialize("interval", windows.every, windows.reach or EVERMORE, timedelta(0))


def _available_after(declared: DeclaredView, around: Surroundings) -> timedelta | Literal["created_timestamp"] | None:
    """What an entry says; rows of windows are known no earlier than the events that they are made of."""
    entry = declared.entry
    if entry.windows is None or declared.logic is None or isinstance(entry.available_after, str):
        return entry.available_after
    inherited = {
        name: around.views[name].available_after for name in declared.logic.definition.inputs if name in around.views
    }
    late = sorted(name for name, known in inherited.items() if isinstance(known, str))
    if late and entry.available_after is None:
        message = (
            f"aggregates {late[0]}, whose rows are known from their created timestamp on: at a boundary nobody knows"
        )
        fix = "say how long after a boundary all of its events are known, as in available_after: 2d"
        declared.place.tell(("name",), f"{entry.name} {message} which of its events have come", fix=fix)
    known = [value for value in (entry.available_after, *inherited.values()) if isinstance(value, timedelta)]
    return max(known, default=None)


def _keys(entry: FeatureViewEntry, place: Place, around: Surroundings) -> dict[str, str]:
    keys: dict[str, str] = {}
    for at, name in enumerate(entry.entities):
        if name in around.entities:
            keys.update(around.entities[name].keys)
        elif name not in around.known_entities:
            meant = nearest(name, around.entities)
            fix = f"write {meant}" if meant else "declare it in metadata/entities.yml"
            message = f"found {name}, which is no entity"
            place.tell(("entities", at), message, found=name, allowed=listed(around.entities), meant=meant, fix=fix)
        if name in entry.entities[:at]:
            place.tell(("entities", at), f"found {name} twice", found=name, fix="remove one of the two")
    return keys


def _check_time(entry: FeatureViewEntry, place: Place) -> None:
    """A view has an event timestamp or is static, and what speaks of time needs time."""
    if entry.static:
        for key in ("event_timestamp", "created_timestamp", "ttl", "available_after"):
            if getattr(entry, key) is not None:
                message = f"{entry.name} is static, so it has no {key}: its values hold at all times"
                place.tell((key,), message, fix=f"remove {key}, or static: true")
    elif entry.event_timestamp is None:
        place.tell(
            ("name",),
            f"{entry.name} has neither event_timestamp nor static: true",
            allowed="event_timestamp: the column that says when a row's facts were true; or static: true for "
            "attributes that never change",
            fix="add event_timestamp: …, or static: true",
        )
    if entry.materialize.mode == "interval" and (entry.static or entry.event_timestamp is None):
        message = f"{entry.name} is made by intervals, which needs an event timestamp"
        place.tell(("materialize", "mode"), message, fix="add event_timestamp: …, or write mode: full")
    if entry.available_after == AVAILABLE_AT_CREATION and entry.created_timestamp is None:
        message = "found created_timestamp, but the view names no column for it"
        fix = "add created_timestamp: with the column that says when a row became known"
        place.tell(("available_after",), message, found="created_timestamp", fix=fix)
    times = (entry.event_timestamp, entry.created_timestamp)
    if entry.event_timestamp is not None and times[0] == times[1]:
        message = f"found {entry.created_timestamp} as event and as created timestamp"
        place.tell(("created_timestamp",), message, found=str(entry.created_timestamp), fix="remove created_timestamp")


def _metadata(declared: DeclaredView, around: Surroundings) -> ReadFile[FeatureViewFile] | None:
    name = declared.entry.name
    metadata = around.metadata.get(name)
    if metadata is None:
        if name not in around.broken_metadata:
            message = f"the view {name} has no metadata"
            fix = f"write metadata/feature_views/{name}.yml with feature_view, description, owner and features"
            declared.place.tell(("name",), message, found=name, fix=fix)
        return None
    if metadata.model.owner is None and declared.pipeline.owner is None:
        message = f"the view {name} has no owner"
        place = Place(metadata.document, (), around.problems)
        place.tell((), message, fix=f"add owner: to this file, or to the pipeline {declared.pipeline.pipeline}")
    return metadata


def _columns(declared: DeclaredView, logic: Logic, around: Surroundings) -> list[str] | None:
    """All columns of the view: those that its logic gives, then derived ones; None where they cannot be told."""
    given = logic.columns(around.columns)
    entry, place = declared.entry, declared.place
    known = None if given is None else _named(entry, logic, given, place)
    windows = read_windows(entry, around.created(entry.input))
    if windows is not None:
        if known is not None or given is None:
            check_windows(entry, known, _input_types(entry, around), place, around.memo)
        keys = [key for name in entry.entities if name in around.entities for key in around.entities[name].keys]
        if known is not None:
            _check_required(entry, logic, keys, known, place)
        times = [entry.event_timestamp] if entry.event_timestamp else []
        known = list(dict.fromkeys([*keys, *times, *(output.name for output in windows.aggregations)]))
    for name, expression in entry.derived.items():
        for column in used_by_expression(expression, place, ("derived", name), around.memo):
            report_unknown(column, known, entry.name, place, ("derived", name))
            if entry.windows is not None and column == entry.event_timestamp:
                message = f"uses {column}, the moment at which a row of windows begins to hold"
                fix = "leave it out: the row holds until a value changes, and the moment of a lookup is not known here"
                place.tell(("derived", name), message, found=column, fix=fix)
        if known is not None:
            is_taken = name.lower() in {column.lower() for column in known}
            if is_taken:
                message = f"found {name}, which the definition gives already"
                fix = "name it otherwise, or remove one of the two"
                place.tell(("derived", name), message, found=name, fix=fix)
            known = known if is_taken else [*known, name]
    if known is None:
        report_duplicates(entry.derived, place, ("derived",))
    return known


def _input_types(entry: FeatureViewEntry, around: Surroundings) -> dict[str, str]:
    """The types of an input's columns, as far as its declaration or its metadata says them."""
    name = entry.input or ""
    if name in around.sources:
        return dict(around.sources[name].schema)
    view = around.views.get(name)
    if view is None:
        return {}
    documented = {feature.name: feature.type for feature in view.features.values()}
    return {**view.keys, **{name: kind for name, kind in documented.items() if kind is not None}}


def _named(entry: FeatureViewEntry, logic: Logic, given: Sequence[str | None], place: Place) -> list[str] | None:
    """The columns, if each has a name of its own that a feature may have."""
    names = [name for name in given if name is not None]
    folded = [name.lower() for name in names]
    is_right = True
    for at, name in enumerate(given):
        wrong = _wrong_name(name, folded)
        if wrong is None:
            continue
        is_right = False
        path = logic.definition.path
        if path is None:
            fix = "write a definition that renames it"
            message = f"takes {entry.input}, where the column {name!r} {wrong.message}"
            place.tell(("input",), message, found=str(name), allowed=wrong.allowed, fix=fix)
        else:
            message = f"output column {at + 1} {wrong.message}"
            line = logic.line_of_output(at, len(given))
            place.problems.add(Problem(path, line, "", message, name or "", wrong.allowed, fix=wrong.fix))
    return names if is_right else None


def _wrong_name(name: str | None, folded: Sequence[str]) -> Invalid | None:
    if name is None:
        return Invalid("has no name", allowed="every column of the result has a name", fix="add as <name>")
    try:
        checked_column(name)
    except Invalid as wrong:
        fix = f"add as {suggested_column(name)}"
        return Invalid(f"is called {name!r}, which {wrong.message}", allowed=wrong.allowed, fix=fix)
    if folded.count(name.lower()) > 1:
        return Invalid(f"is called {name}, as another one is", fix="name one of the two otherwise, or leave it out")
    return None


def _check_required(
    entry: FeatureViewEntry, logic: Logic, keys: Sequence[str], columns: Sequence[str], place: Place
) -> bool:
    """Whether keys and timestamps are among the columns, spelt alike."""
    required = [(key, "entities", f"the key {key}") for key in keys]
    for field in ("event_timestamp", "created_timestamp"):
        column = getattr(entry, field)
        if column is not None:
            required.append((column, field, f"the {field.replace('_', ' ')} {column}"))
    giver = logic.definition.path or str(entry.input)
    missing = [part for part in required if part[0] not in columns]
    for column, field, spoken in missing:
        meant = nearest(column, columns)
        fix = f"add {column} to the columns that {giver} gives"
        if meant:
            fix = f"write {meant}, or add {column} to {giver}"
        if meant and field == "entities":
            fix = (
                f"write {meant} as {column} in {giver}"
                if logic.definition.path
                else f"write a definition: {meant} as {column}"
            )
        message = f"{giver} does not give {spoken}"
        place.tell((field,), message, found=column, allowed=listed(columns), meant=meant, fix=fix)
    return not missing


def _check_time_types(entry: FeatureViewEntry, place: Place, around: Surroundings) -> None:
    """Where a source is taken as it is, its schema says whether the timestamps are times."""
    source = around.sources.get(entry.input or "")
    schema = source.schema if source is not None else {}
    for field in ("event_timestamp", "created_timestamp"):
        column = getattr(entry, field)
        kind = schema.get(column, TIME_TYPES[0])
        if kind not in TIME_TYPES:
            message = f"found {column}, which is {kind} and no time"
            fix = f"write a definition: cast({column} as timestamp) as {column}"
            place.tell((field,), message, found=column, allowed=", ".join(TIME_TYPES), fix=fix)


def _check_online(
    entry: FeatureViewEntry, columns: Sequence[str] | None, reserved: Sequence[str], place: Place
) -> None:
    if isinstance(entry.online, bool):
        return
    features = None if columns is None else [column for column in columns if column not in reserved]
    for at, feature in enumerate(entry.online):
        if features is not None and feature not in features:
            meant = nearest(feature, features)
            message = f"found {feature}, which is no feature of {entry.name}"
            fix = f"write {meant}" if meant else "name a feature of the view"
            place.tell(
                ("online", "features", at), message, found=feature, allowed=listed(features), meant=meant, fix=fix
            )
