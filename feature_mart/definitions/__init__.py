"""Everything that the files of a mart say, read, checked and made into one frozen `Project`. Never starts Spark.

The names below are loaded on first use, so that importing this package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from feature_mart.definitions.check_rules import Check
    from feature_mart.definitions.load import load_project, validate_project
    from feature_mart.definitions.mart_files import find_root
    from feature_mart.definitions.problems import Problem
    from feature_mart.definitions.project import (
        Definition,
        Entity,
        FeatureMetadata,
        FeatureService,
        FeatureView,
        Materialize,
        Pipeline,
        Project,
        Settings,
        Source,
        UnitTest,
        Validation,
        ViewTests,
    )

_HOMES = {
    "load_project": "load",
    "validate_project": "load",
    "find_root": "mart_files",
    "Problem": "problems",
    "Check": "check_rules",
    **dict.fromkeys(
        (
            "Definition",
            "Entity",
            "FeatureMetadata",
            "FeatureService",
            "FeatureView",
            "Materialize",
            "Pipeline",
            "Project",
            "Settings",
            "Source",
            "UnitTest",
            "Validation",
            "ViewTests",
        ),
        "project",
    ),
}

__all__ = [
    "Check",
    "Definition",
    "Entity",
    "FeatureMetadata",
    "FeatureService",
    "FeatureView",
    "Materialize",
    "Pipeline",
    "Problem",
    "Project",
    "Settings",
    "Source",
    "UnitTest",
    "Validation",
    "ViewTests",
    "find_root",
    "load_project",
    "validate_project",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
