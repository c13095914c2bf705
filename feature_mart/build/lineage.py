"""Lineage of PySpark definitions: from the plan that Spark makes of what `transform` returns."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import DataFrame

from feature_mart.build.python import run_python
from feature_mart.build.run import Range
from feature_mart.definitions import FeatureView
from feature_mart.definitions.lineage.model import ViewLineage
from feature_mart.definitions.lineage.plan import MARK, plan_lineage
from feature_mart.definitions.lineage.relation import Relation
from feature_mart.definitions.lineage.view import complete
from feature_mart.delta.errors import SPARK_ERRORS, first_lines
from feature_mart.errors import BuildError


def marked(inputs: Mapping[str, DataFrame]) -> dict[str, DataFrame]:
    """The same frames, each with a mark in its plan that says which input begins there.

    A mark adds nothing to compute: Spark removes it when it optimises.
    """
    return {name: frame.select("*").alias(f"{MARK}{name}") for name, frame in inputs.items()}


def frame_lineage(frame: DataFrame) -> Relation:
    """The lineage of a frame that was made from `marked` inputs. Asks Spark once, and runs nothing."""
    return plan_lineage(frame._jdf.queryExecution().analyzed().toJSON())


def python_lineage(view: FeatureView, inputs: Mapping[str, DataFrame], span: Range) -> ViewLineage:
    """The lineage of a view with a Python definition.

    Args:
        view: the view.
        inputs: its inputs by name; they may be empty, as only their columns count.
        span: what the definition is run for.

    Raises:
        BuildError: the definition fails on these inputs.
    """
    try:
        frame = run_python(view.name, view.definition, marked(inputs), span.start, span.end)
        return complete(view, "python", frame_lineage(frame))
    except SPARK_ERRORS as error:
        raise BuildError(f"view {view.name}: {view.definition.path} failed: {first_lines(error, most=6)}") from error
