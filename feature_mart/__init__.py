"""Feature Mart: features from SQL and PySpark, as versioned Delta tables that explain themselves.

>>> from feature_mart import FeatureStore
>>> store = FeatureStore(".")
>>> store.build("retail_daily")
>>> store.table("customer_profile").show()
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from feature_mart.errors import (
        BuildError,
        CheckFailed,
        ConcurrentBuild,
        DefinitionError,
        EnvironmentProblem,
        FilesMissing,
        MartError,
        SchemaChangeRefused,
        SourceError,
        TableError,
        TransientError,
        UsageError,
        VersionNotFound,
    )
    from feature_mart.store import FeatureStore
    from feature_mart.train.splits import split_by_entity, split_by_time

__all__ = [
    "BuildError",
    "CheckFailed",
    "ConcurrentBuild",
    "DefinitionError",
    "EnvironmentProblem",
    "FeatureStore",
    "FilesMissing",
    "MartError",
    "SchemaChangeRefused",
    "SourceError",
    "TableError",
    "TransientError",
    "UsageError",
    "VersionNotFound",
    "split_by_entity",
    "split_by_time",
]
_MODULES = {
    "FeatureStore": "feature_mart.store",
    "split_by_entity": "feature_mart.train.splits",
    "split_by_time": "feature_mart.train.splits",
}


def __getattr__(name: str) -> object:
    # Loaded when first used: the command line must answer `--help` without loading what only a build needs.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES.get(name, "feature_mart.errors")), name)
