"""Writes the lineage files of a mart: Python definitions are run over empty inputs, so no data has to be there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from feature_mart.definitions.lineage.mart import write_lineage
from feature_mart.definitions.lineage.model import ViewLineage
from feature_mart.records import EPOCH
from feature_mart.runner.workspace import Workspace

if TYPE_CHECKING:
    from pyspark.sql.types import StructType


def capture_lineage(workspace: Workspace) -> dict[str, ViewLineage]:
    """The lineage of all views with Python definitions, from Spark's plans. Without such views Spark does not start.

    Raises:
        BuildError: a definition fails over empty inputs.
    """
    views = [view for view in workspace.project.views.values() if view.definition.kind == "python"]
    if not views:
        return {}
    # These import Spark, which a mart of SQL alone does not need here.
    from feature_mart.build.lineage import python_lineage
    from feature_mart.build.run import Range
    from feature_mart.runner.unit_tests import schema_of

    spark = workspace.session()
    schemas: dict[str, StructType] = {}
    captured: dict[str, ViewLineage] = {}
    for view in views:
        for name in view.inputs:
            if name not in schemas:
                schemas[name] = schema_of(workspace, name)
        empty = {name: spark.createDataFrame([], schemas[name]) for name in view.inputs}
        captured[view.name] = python_lineage(view, empty, Range(None, EPOCH))
    return captured


def write_all(workspace: Workspace) -> list[str]:
    """Bring all files of metadata/lineage up to date; those that changed.

    Raises:
        BuildError: a Python definition fails over empty inputs.
    """
    return write_lineage(workspace.project, capture_lineage(workspace))
