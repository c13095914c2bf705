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
]


def __getattr__(name: str) -> object:
    # Loaded when first used: the command line must answer `--help` without loading what only a build needs.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("feature_mart.store" if name == "FeatureStore" else "feature_mart.errors"), name)
