"""Arms of an experiment: several choices of features over one spine, of which all that they share is joined once."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from typing import Any

from feature_mart.definitions import Project
from feature_mart.definitions.names import NAME
from feature_mart.errors import UsageError
from feature_mart.train.request import ColumnsOf, ViewRequest, Wanted, references, resolve


@dataclass(frozen=True)
class Arm:
    """What one arm asks for, as it was written, and its columns in the result."""

    asked: tuple[str, ...]
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Asked:
    """A request that was understood.

    ``references``: as they were written; ``views``: what is joined, each once; ``columns``: what these give, in the
    order of the result; ``arms``: by name, none where the request was for one choice of features.
    """

    references: tuple[str, ...]
    views: tuple[ViewRequest, ...]
    columns: tuple[str, ...]
    arms: Mapping[str, Arm]

    def to_json(self, services: Container[str]) -> dict[str, Any]:
        """As it stands in a manifest; ``services``: which names are those of feature services."""
        return {
            **_said(self.references, services),
            "arms": {
                name: {**_said(arm.asked, services), "columns": list(arm.columns)} for name, arm in self.arms.items()
            },
        }


def understood(
    project: Project,
    features: Wanted | Mapping[str, Wanted],
    *,
    columns_of: ColumnsOf,
    join_keys: Mapping[str, Mapping[str, str]] | None = None,
    full_feature_names: bool = False,
) -> Asked:
    """What has to be joined for a request. See `resolve`; with arms, columns are called ``arm__column``.

    Args:
        features: what `resolve` takes, or that by arm. An alias stands for one view in all arms.

    Raises:
        UsageError: as of `resolve`, with the arm; or an arm has no name that it can have.
    """
    if not isinstance(features, Mapping):
        views = resolve(
            project, features, columns_of=columns_of, join_keys=join_keys, full_feature_names=full_feature_names
        )
        return Asked(tuple(references(features)), views, tuple(column for one in views for column in one.columns), {})
    if not features:
        raise UsageError("features names no arm. Write what each arm is to have, as in {'control': 'churn_v1'}.")
    arms: dict[str, Arm] = {}
    columns: dict[tuple[str, str], list[str]] = {}
    for name, wanted in features.items():
        found = _columns(project, name, wanted, columns_of, full_feature_names)
        arms[name] = Arm(tuple(references(wanted)), tuple(found.values()))
        for feature, column in found.items():
            columns.setdefault(feature, []).append(column)
    everything = tuple(dict.fromkeys(reference for arm in arms.values() for reference in arm.asked))
    shared = resolve(project, everything, columns_of=columns_of, join_keys=join_keys, full_feature_names=True)
    views = tuple(
        replace(one, features={feature: tuple(columns[one.name, feature]) for feature in one.features})
        for one in shared
    )
    return Asked(everything, views, tuple(column for arm in arms.values() for column in arm.columns), arms)


def _columns(
    project: Project, arm: str, wanted: Wanted, columns_of: ColumnsOf, full_feature_names: bool
) -> dict[tuple[str, str], str]:
    """By view (or alias) and feature, the columns of one arm."""
    # Without __ in it, and with no feature that begins with _, no two arms can come to the same column.
    if not NAME.fullmatch(str(arm)) or "__" in arm:
        raise UsageError(
            f"{arm!r} is no name of an arm: write small letters, digits and _, beginning with a letter, and no __."
        )
    try:
        views = resolve(project, wanted, columns_of=columns_of, full_feature_names=full_feature_names)
    except UsageError as error:
        raise UsageError(f"arm {arm}: {error.message}") from error
    return {
        (one.name, feature): f"{arm}__{column}"
        for one in views
        for feature, outputs in one.features.items()
        for column in outputs
    }


def _said(asked: tuple[str, ...], services: Container[str]) -> dict[str, list[str]]:
    return {"asked": list(asked), "services": [name for name in asked if name in services]}
