"""Feature services, unit tests and replacements: what refers to views and features by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from feature_mart.definitions.files.unit_tests import UnitTestEntry
from feature_mart.definitions.inputs import Place
from feature_mart.definitions.mart_files import MartFiles
from feature_mart.definitions.problems import Names, Problem, Problems, listed, nearest
from feature_mart.definitions.project import FeatureService, FeatureView, Source, UnitTest, ViewTests
from feature_mart.records import parse_instant


def features_of(view: FeatureView) -> list[str] | None:
    """The names of a view's features, or None where only a build can tell."""
    if view.columns is None:
        return None
    reserved = {name.lower() for name in view.reserved_columns}
    return [column for column in view.columns if column.lower() not in reserved]


def unknown_reference(reference: str, views: Mapping[str, FeatureView], known: Names) -> tuple[str, str, str] | None:
    """Why a reference leads nowhere: message, allowed names and the nearest one; None if it leads to something."""
    name, colon, feature = reference.partition(":")
    view = views.get(name)
    if view is None:
        if name in known:
            return None  # it exists, and what is wrong with it is told elsewhere
        return f"found {reference}, but {name} is no feature view", listed(views), nearest(name, views)
    if not colon:
        return None
    features = features_of(view)
    if features is None or feature in features:
        return None
    meant = nearest(feature, features)
    return (
        f"found {reference}, but {feature or 'nothing'} is no feature of {name}",
        listed(features),
        f"{name}:{meant}" if meant else "",
    )


def read_services(
    files: MartFiles, views: Mapping[str, FeatureView], known: Names, problems: Problems
) -> dict[str, FeatureService]:
    """Feature services by name."""
    services: dict[str, FeatureService] = {}
    if files.services is None:
        return services
    for name, entry in sorted(files.services.model.feature_services.items()):
        place = Place(files.services.document, ("feature_services", name), problems)
        for at, reference in enumerate(entry.features):
            wrong = unknown_reference(reference, views, known)
            if wrong is not None:
                message, allowed, meant = wrong
                fix = f"write {meant}" if meant else "write view:feature, or a view's name"
                place.tell(("features", at), message, found=reference, allowed=allowed, meant=meant, fix=fix)
            if reference in entry.features[:at]:
                place.tell(("features", at), f"found {reference} twice", found=reference, fix="remove one of the two")
        services[name] = FeatureService(
            name, entry.description, entry.owner, entry.tags, entry.features, place.file, place.line
        )
    return services


def check_deprecations(views: Mapping[str, FeatureView], known: Names, problems: Problems) -> None:
    """A replacement has to exist."""
    for view in views.values():
        for feature in (*view.features.values(), *view.patterns):
            replacement = feature.deprecated.replacement if feature.deprecated is not None else None
            wrong = unknown_reference(replacement, views, known) if replacement is not None else None
            if wrong is not None:
                message, allowed, meant = wrong
                fix = f"write {meant}" if meant else "write view:feature"
                key = f"features.{feature.name}.deprecated.replacement"
                problems.add(Problem(feature.file, feature.line, key, message, str(replacement), allowed, meant, fix))


def read_unit_tests(
    files: MartFiles,
    views: Mapping[str, FeatureView],
    sources: Mapping[str, Source],
    known: Names,
    problems: Problems,
) -> dict[str, ViewTests]:
    """Unit tests by view."""
    tests: dict[str, ViewTests] = {}
    for read in files.tests:
        place = Place(read.document, (), problems)
        name = read.model.feature_view
        if name not in known:
            meant = nearest(name, views)
            fix = f"write {meant}" if meant else "name a view of pipelines/"
            message = f"found {name}, which is no feature view"
            place.tell(("feature_view",), message, found=name, allowed=listed(views), meant=meant, fix=fix)
        if name in tests:
            message = f"found tests of {name}, which {tests[name].file} has already"
            place.tell(("feature_view",), message, found=name, fix="move them into one file")
        made: list[UnitTest] = []
        for position, entry in zip(read.positions, read.model.tests, strict=True):
            at = Place(read.document, ("tests", position), problems)
            if name in views:
                _check_test(entry, views[name], views, sources, at)
            made.append(_unit_test(entry, at.line))
        tests[name] = ViewTests(name, tuple(made), place.file, place.line)
    return tests


def _unit_test(entry: UnitTestEntry, line: int) -> UnitTest:
    interval = None
    if entry.interval is not None:
        interval = (parse_instant(entry.interval[0]), parse_instant(entry.interval[1]))
    return UnitTest(entry.name, interval, dict(entry.given), entry.expect, line)


def _check_test(
    entry: UnitTestEntry,
    view: FeatureView,
    views: Mapping[str, FeatureView],
    sources: Mapping[str, Source],
    place: Place,
) -> None:
    for name, rows in entry.given.items():
        if name not in view.inputs and place.problems.has_error_in(view.definition.path):
            continue  # once that is mended, it may be an input
        if name not in view.inputs:
            meant = nearest(name, view.inputs)
            message = f"found {name}, which is no input of {view.name}"
            fix = f"write {meant}" if meant else "remove it"
            place.tell(("given", name), message, found=name, allowed=listed(view.inputs), meant=meant, fix=fix)
            continue
        producer: Any = views.get(name) or sources.get(name)
        columns = producer.columns if producer is not None else None
        for at, row in enumerate(rows):
            _check_row(row, columns, name, place, ("given", name, at))
    for at, row in enumerate(entry.expect):
        columns = None if view.columns is None else tuple(dict.fromkeys((*view.columns, *view.reserved_columns)))
        _check_row(row, columns, view.name, place, ("expect", at))


def _check_row(
    row: Mapping[str, Any], columns: Sequence[str] | None, owner: str, place: Place, keys: tuple[str | int, ...]
) -> None:
    for column in row:
        if columns is not None and column not in columns:
            meant = nearest(column, columns)
            message = f"found {column}, which is no column of {owner}"
            fix = f"write {meant}" if meant else "remove it"
            place.tell((*keys, column), message, found=column, allowed=listed(columns), meant=meant, fix=fix)
