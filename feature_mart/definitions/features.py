"""What metadata says of a view's features, held against the columns that the view has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from feature_mart.definitions.default_values import allowed_values, fits
from feature_mart.definitions.files.feature_views import FeatureEntry, FeatureViewFile
from feature_mart.definitions.inputs import Place
from feature_mart.definitions.mart_files import ReadFile
from feature_mart.definitions.names import COLUMN_RULE, checked_column
from feature_mart.definitions.problems import Invalid, Problems, listed, nearest
from feature_mart.definitions.project import Deprecation, FeatureMetadata
from feature_mart.definitions.spark_types import NUMERIC, base_type


@dataclass(frozen=True)
class Documented:
    """The features of a view by name, and the patterns that are left for a build to resolve."""

    features: dict[str, FeatureMetadata]
    patterns: tuple[FeatureMetadata, ...]


def document_features(
    read: ReadFile[FeatureViewFile],
    view: str,
    columns: Sequence[str] | None,
    reserved: Sequence[str],
    is_whole: bool,
    problems: Problems,
) -> Documented:
    """Resolve names and patterns, telling of features that lack an entry and of entries that lack a feature.

    Args:
        read: the view's metadata file.
        view: its name.
        columns: all columns of the view, or None where only a build can tell.
        reserved: those that are no features: keys and timestamps.
        is_whole: whether every entry of the file could be read.
        problems: takes what is wrong.
    """
    lines = read.document.lines(("features",))
    entries = {name: _entry(read, name, entry, lines[name], problems) for name, entry in read.model.features.items()}
    patterns = tuple(entry for name, entry in entries.items() if "*" in name)
    named = {name: entry for name, entry in entries.items() if "*" not in name and _is_column(name)}
    taken = {name.lower(): name for name in reserved}
    for name in named:
        if name.lower() in taken:
            place = Place(read.document, ("features", name), problems)
            message = f"found {name}, which is a key or timestamp of {view} and no feature"
            place.tell((), message, found=name, fix="remove it: keys are described in metadata/entities.yml")
    if columns is None:
        return Documented(named, patterns)
    features = [column for column in columns if column.lower() not in taken]
    _check_entries(read, view, named, patterns, features, taken, problems)
    resolved: dict[str, FeatureMetadata] = {}
    for feature in features:
        entry = named.get(feature) or next((entry for entry in patterns if fnmatchcase(feature, entry.name)), None)
        if entry is not None:
            resolved[feature] = entry if entry.name == feature else replace(entry, name=feature)
        elif is_whole:
            place = Place(read.document, ("features",) if read.document.has(("features",)) else (), problems)
            message = f"the feature {feature} of {view} is not documented"
            fix = f"add {feature}: {{description: …}} below features"
            place.tell((), message, found=feature, meant=nearest(feature, set(named) - set(features)), fix=fix)
    return Documented(resolved, patterns)


def _check_entries(
    read: ReadFile[FeatureViewFile],
    view: str,
    named: Mapping[str, FeatureMetadata],
    patterns: Sequence[FeatureMetadata],
    features: Sequence[str],
    taken: Mapping[str, str],
    problems: Problems,
) -> None:
    for name in named:
        if name not in features and name.lower() not in taken:
            place = Place(read.document, ("features", name), problems)
            meant = nearest(name, features)
            message = f"found {name}, which is no feature of {view}"
            place.tell(
                (),
                message,
                found=name,
                allowed=listed(features),
                meant=meant,
                fix=f"write {meant}" if meant else "remove it",
            )
    for entry in patterns:
        if not any(fnmatchcase(feature, entry.name) for feature in features):
            place = Place(read.document, ("features", entry.name), problems)
            message = f"the pattern {entry.name} matches no feature of {view}"
            place.tell((), message, found=entry.name, allowed=listed(features), fix="correct the pattern, or remove it")


def _is_column(name: str) -> bool:
    """Whether a feature may have the name, or match it as a pattern."""
    try:
        checked_column(name.replace("*", "x"))
    except Invalid:
        return False
    return True


def _entry(
    read: ReadFile[FeatureViewFile], name: str, entry: FeatureEntry, line: int, problems: Problems
) -> FeatureMetadata:
    place = Place(read.document, ("features", name), problems)
    if not _is_column(name):
        fix = "write the feature's name, or a pattern with *"
        place.tell((), f"found {name!r}, which no feature can be called", found=name, allowed=COLUMN_RULE, fix=fix)
    _check_rules(entry, place)
    deprecated = None if entry.deprecated is None else Deprecation(entry.deprecated.since, entry.deprecated.replacement)
    return FeatureMetadata(
        name=name,
        description=entry.description,
        unit=entry.unit,
        type=entry.type,
        nullable=entry.nullable,
        minimum=entry.minimum,
        maximum=entry.maximum,
        allowed_values=entry.allowed_values,
        severity=entry.severity,
        default=entry.default,
        deprecated=deprecated,
        tags=entry.tags,
        file=read.document.file,
        line=line,
    )


def _check_rules(entry: FeatureEntry, place: Place) -> None:
    """Bounds, allowed values and default have to suit the type, and the default has to keep the rules."""
    kind = base_type(entry.type) if entry.type is not None else None
    for key in ("minimum", "maximum"):
        if getattr(entry, key) is not None and kind is not None and kind not in NUMERIC:
            place.tell(
                (key,), f"a {entry.type} has no {key}", allowed=listed(NUMERIC), fix="remove it, or correct the type"
            )
    for at, value in enumerate(entry.allowed_values or ()):
        if entry.type is not None and not fits(value, entry.type):
            found = place.written("allowed_values", at)
            place.tell(
                ("allowed_values", at),
                f"found {found}, which is no {entry.type}",
                found=found,
                allowed=allowed_values(entry.type),
                fix=f"write values of the type {entry.type}",
            )
    if entry.default is not None and entry.type is not None and not fits(entry.default, entry.type):
        refuse_default(place, entry.type)
    elif entry.default is not None:
        found = place.written("default")
        broken = _broken_by_default(entry)
        if broken:
            place.tell(
                ("default",),
                f"found {found}, which {broken}",
                found=found,
                fix="choose a default that keeps the feature's rules",
            )


def refuse_default(place: Place, kind: str) -> None:
    """Tell that the default of the feature at ``place`` is no value of its type."""
    found = place.written("default")
    message = f"found {found}, which is no {kind}"
    fix = "choose a default of the feature's type, or remove it"
    place.tell(("default",), message, found=found, allowed=allowed_values(kind), fix=fix)


def _broken_by_default(entry: FeatureEntry) -> str:
    default = entry.default
    is_bounded = entry.minimum is not None or entry.maximum is not None
    is_number = isinstance(default, (int, float)) and not isinstance(default, bool)
    if is_bounded and not is_number:
        return "is no number, though the feature has bounds"
    if entry.minimum is not None and is_number and default < entry.minimum:  # type: ignore[operator]
        return f"is below the minimum {entry.minimum}"
    if entry.maximum is not None and is_number and default > entry.maximum:  # type: ignore[operator]
        return f"is above the maximum {entry.maximum}"
    if entry.allowed_values is not None and default not in entry.allowed_values:
        return f"is none of the allowed values {listed(map(str, entry.allowed_values))}"
    return ""
