"""Defaults of features whose types metadata does not declare, held against the types that definitions give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase

from feature_mart.definitions.default_values import fits
from feature_mart.definitions.features import refuse_default
from feature_mart.definitions.files.feature_views import FeatureViewFile
from feature_mart.definitions.inputs import Place
from feature_mart.definitions.mart_files import ReadFile
from feature_mart.definitions.problems import Invalid, Problems
from feature_mart.definitions.project import FeatureView
from feature_mart.definitions.sql_memo import SqlMemo

Lookup = Callable[[str], Mapping[str, str]]


def check_defaults(
    view: FeatureView, read: ReadFile[FeatureViewFile], lookup: Lookup, memo: SqlMemo, problems: Problems
) -> None:
    """Tell of defaults that are no values of their features' types.

    Args:
        read: the view's metadata file.
        lookup: gives the types of an input's columns, as far as they are known.
    """
    undeclared = [entry for entry in view.features.values() if entry.default is not None and entry.type is None]
    if not undeclared:
        return
    types = types_in_files(view, lookup, memo)
    for entry in undeclared:
        kind = types.get(entry.name)
        if kind is not None and not fits(entry.default, kind):
            refuse_default(Place(read.document, ("features", _written(entry.name, read)), problems), kind)


def types_in_files(view: FeatureView, lookup: Lookup, memo: SqlMemo) -> Mapping[str, str]:
    """As `known_types`; the SQL parser is loaded only for what no run before has found."""
    inputs = {name: dict(lookup(name)) for name in view.inputs}
    outputs = [] if view.windows is None else view.windows.aggregations
    question = (
        "types",
        [view.definition.kind, view.definition.text, view.columns, inputs],
        [sorted(view.derived.items()), sorted(view.keys.items())],
        [[output.name, output.function, output.series.input] for output in outputs],
        sorted((entry.name, entry.type) for entry in view.features.values() if entry.type is not None),
    )
    answer = memo.recall(question)
    if answer is None:
        from feature_mart.definitions.column_types import known_types

        try:
            answer = memo.keep(question, {"types": known_types(view, lambda name: inputs.get(name, {}))})
        except Invalid:  # a derived feature is no expression, which is told where it is read
            return {}
    types: dict[str, str] = answer["types"]
    return types


def _written(feature: str, read: ReadFile[FeatureViewFile]) -> str:
    """The feature's own entry in the file, or the pattern that stands for it."""
    entries = read.model.features
    return feature if feature in entries else next(name for name in entries if fnmatchcase(feature, name))
