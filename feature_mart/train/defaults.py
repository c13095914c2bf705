"""Defaults of features against the types that a version has them in, before anything is joined."""

from __future__ import annotations

from collections.abc import Mapping

from feature_mart.definitions import FeatureView
from feature_mart.definitions.default_values import allowed_values, fits
from feature_mart.errors import UsageError


def require_fitting(view: FeatureView, features: Mapping[str, str], version: int) -> None:
    """Refuses defaults that are no values of the types in which a version has their features.

    Args:
        features: those that are asked for, and their Spark types at that version.

    Raises:
        UsageError: the first one, where it is written, and what is allowed.
    """
    for name, kind in features.items():
        entry = view.metadata_of(name)
        if entry is not None and entry.default is not None and not fits(entry.default, kind):
            raise UsageError(
                f"the default of {view.name}:{name} is {entry.default!r} ({entry.file}:{entry.line}), but the feature "
                f"is {kind} at version {version}, in which that is no value. Allowed: {allowed_values(kind)}. Correct "
                "the default, or remove it."
            )
