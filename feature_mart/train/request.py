"""Which features are asked for: references become views to join, each once, with the columns that they give."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from feature_mart.definitions import FeatureView, Project
from feature_mart.definitions.names import checked_table_name
from feature_mart.definitions.problems import Invalid, did_you_mean, listed
from feature_mart.errors import UsageError

ColumnsOf = Callable[[FeatureView], Sequence[str]]
Wanted = str | Sequence[str]


@dataclass(frozen=True)
class ViewRequest:
    """One view to join once.

    ``alias``: what tells a view from itself where it is joined twice; None without. ``features``: name in the view's
    table to its columns in the result, in the order asked for. ``join_keys``: the view's key to the spine's column.
    """

    view: FeatureView
    alias: str | None
    features: Mapping[str, Sequence[str]]
    join_keys: Mapping[str, str]

    @property
    def name(self) -> str:
        """What the request calls the view: its alias, else its own name."""
        return self.alias or self.view.name

    @property
    def columns(self) -> tuple[str, ...]:
        """What the view gives to the result."""
        return tuple(column for columns in self.features.values() for column in columns)


@dataclass(frozen=True)
class _Asked:
    """A view under one alias, and the features of it that were asked for so far."""

    view: FeatureView
    alias: str | None
    features: dict[str, None] = field(default_factory=dict)


def resolve(
    project: Project,
    features: Wanted,
    *,
    columns_of: ColumnsOf,
    join_keys: Mapping[str, Mapping[str, str]] | None = None,
    full_feature_names: bool = False,
) -> tuple[ViewRequest, ...]:
    """What has to be joined for ``features``, in the order of first mention.

    Args:
        features: ``view:feature``, ``view`` for all of a view's, a feature service's name; ``view@alias`` in place of
            ``view`` joins the same view once more. A plain text is one of these.
        columns_of: the feature columns of a view's table, in its order.
        join_keys: by alias, or by view where it has none: the view's key to the column of the spine that holds it;
            keys that are not named are columns of their own name.
        full_feature_names: columns are called ``view__feature``; those of a view with an alias are ``alias__feature``
            in either case.

    Raises:
        UsageError: a name is unknown, or two features would become one column.
    """
    asked: dict[str, _Asked] = {}
    for reference in _references(project, references(features)):
        _add(asked, project, reference, columns_of)
    if not asked:
        raise UsageError("no features are asked for. Write view:feature, a view's name, or a feature service's name.")
    keys = _join_keys(asked, join_keys or {})
    requests = tuple(_request(one, keys[name], full_feature_names) for name, one in asked.items())
    _refuse_collisions(requests)
    return requests


def references(features: Wanted) -> list[str]:
    """What is asked for, as a list; a plain text is one reference."""
    return [features] if isinstance(features, str) else list(features)


def _references(project: Project, items: Iterable[str]) -> Iterable[str]:
    """The items, each feature service replaced by what it lists."""
    for item in items:
        if not isinstance(item, str):
            raise UsageError(
                f"found {item!r} among features, which is no text. Write view:feature, a view or a service."
            )
        service = project.services.get(item)
        if service is None:
            yield item
        else:
            yield from service.features


def _add(asked: dict[str, _Asked], project: Project, reference: str, columns_of: ColumnsOf) -> None:
    """Notes a reference to a view or to one of its features."""
    full_name, colon, feature = reference.partition(":")
    view_name, at, alias = full_name.partition("@")
    view = project.views.get(view_name)
    if view is None:
        raise _unknown(project, reference, view_name, is_service_meant=not colon and not at)
    if at:
        _check_alias(project, reference, alias)
    one = asked.setdefault(alias or view_name, _Asked(view, alias or None))
    if one.view is not view:
        raise UsageError(
            f"the alias {alias} stands for {one.view.name} and for {view_name}. Give each of them an alias of its own."
        )
    columns = columns_of(view)
    if not colon:
        if not columns:
            raise UsageError(f"found {reference}, but the feature view {view_name} has no features.")
        one.features.update(dict.fromkeys(columns))
    elif feature in columns:
        one.features[feature] = None
    else:
        raise UsageError(
            f"found {reference}, but {feature or 'nothing'} is no feature of {view_name}. "
            f"Its features: {listed(columns)}.{did_you_mean(feature, columns)}"
        )


def _unknown(project: Project, reference: str, name: str, *, is_service_meant: bool) -> UsageError:
    """The error for a reference to no view."""
    views = f"Feature views: {listed(project.views)}."
    if name in project.tiles:
        shown = project.tiles[name].tiles_of
        assert shown is not None
        return UsageError(f"found {reference}, but {name} is a table of the engine's own. Ask for {shown.name}.")
    if name in project.sources:
        return UsageError(f"found {reference}, but {name} is a source. Features come from feature views. {views}")
    if not is_service_meant:
        hint = did_you_mean(name, sorted(project.views))
        return UsageError(f"found {reference}, but {name or 'nothing'} is no feature view. {views}{hint}")
    hint = did_you_mean(name, sorted({*project.views, *project.services}))
    return UsageError(
        f"found {name or 'an empty text'}, which is no feature view and no feature service. {views} "
        f"Feature services: {listed(project.services)}.{hint}"
    )


def _check_alias(project: Project, reference: str, alias: str) -> None:
    """Aliases become parts of column names, and stand where names of views stand."""
    try:
        checked_table_name(alias)
    except Invalid as wrong:
        raise UsageError(
            f"found {reference}, but {alias or 'nothing'} {wrong.message}. Allowed for an alias: {wrong.allowed}."
        ) from wrong
    if alias in project.views:
        raise UsageError(f"found {reference}, but {alias} is a feature view itself. Choose another alias.")


def _join_keys(asked: Mapping[str, _Asked], mapped: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """By name of request: each key of the view, in its order, and the spine's column."""
    for name, columns in mapped.items():
        if name not in asked:
            raise UsageError(
                f"join_keys names {name}, which is not asked for. Asked for: {listed(asked)}."
                + did_you_mean(name, sorted(asked))
            )
        keys = asked[name].view.keys
        for key in columns:
            if key not in keys:
                raise UsageError(
                    f"join_keys names {key} for {name}, but that is no key of {asked[name].view.name}. "
                    f"Its keys: {listed(keys)}.{did_you_mean(key, sorted(keys))}"
                )
    return {name: {key: mapped.get(name, {}).get(key, key) for key in one.view.keys} for name, one in asked.items()}


def _request(one: _Asked, join_keys: Mapping[str, str], full_feature_names: bool) -> ViewRequest:
    prefix = f"{one.alias or one.view.name}__" if one.alias or full_feature_names else ""
    features = {feature: (prefix + feature,) for feature in one.features}
    return ViewRequest(one.view, one.alias, features, join_keys)


def _refuse_collisions(requests: Sequence[ViewRequest]) -> None:
    """No column may come twice; SQL and most readers of files see no difference between ``Amount`` and ``amount``."""
    taken: dict[str, str] = {}
    for request in requests:
        for feature, output in ((feature, column) for feature, [column] in request.features.items()):
            reference = f"{request.name}:{feature}"
            other = taken.setdefault(output.lower(), reference)
            if other != reference:
                raise UsageError(
                    f"{other} and {reference} would both be the column {output}. Ask with full_feature_names=True, "
                    "which calls columns view__feature, or leave one of the two out."
                )
