"""Runs a definition over one range of time and holds its result to what the pipeline says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from feature_mart.build.python import run_python
from feature_mart.build.sql import run_sql
from feature_mart.definitions import FeatureView
from feature_mart.definitions.widening import is_widening
from feature_mart.delta.errors import SPARK_ERRORS, first_lines
from feature_mart.errors import BuildError


@dataclass(frozen=True)
class Range:
    """The instants that a definition is run for. ``start`` is None where a view is built whole."""

    start: datetime | None
    end: datetime


def run_definition(spark: SparkSession, view: FeatureView, inputs: Mapping[str, DataFrame], span: Range) -> DataFrame:
    """The rows of ``view``: keys, times and features, in the declared types and in a fixed order of columns.

    Raises:
        BuildError: the definition fails, lacks a column, gives one in another type, has an undocumented feature, or
            gives a different result each time.
    """
    definition = view.definition
    try:
        if definition.kind == "sql":
            frame = run_sql(spark, definition, inputs, span.start, span.end)
        elif definition.kind == "python":
            frame = run_python(view.name, definition, inputs, span.start, span.end)
        else:
            frame = inputs[definition.inputs[0]]
        for name, expression in view.derived.items():
            frame = frame.withColumn(name, F.expr(expression))
    except SPARK_ERRORS as error:
        raise BuildError(f"{_where(view)} failed: {first_lines(error, most=6)}") from error
    _refuse_undetermined(view, frame)
    return _shaped(view, frame)


def _where(view: FeatureView) -> str:
    return f"view {view.name}: {view.definition.path or 'input ' + view.definition.inputs[0]}"


def _refuse_undetermined(view: FeatureView, frame: DataFrame) -> None:
    """Asks Spark's own analysis whether the same inputs always give the same rows."""
    plan = frame._jdf.queryExecution().analyzed()
    if not plan.deterministic():
        raise BuildError(
            f"{_where(view)} gives another result each time it runs (a random number, a unique id, …). "
            "Remove that; for `today` use :interval_end."
        )


def _shaped(view: FeatureView, frame: DataFrame) -> DataFrame:
    found = {name.lower(): (name, kind) for name, kind in frame.dtypes}
    if len(found) != len(frame.columns):
        twice = sorted({name for name in frame.columns if [c.lower() for c in frame.columns].count(name.lower()) > 1})
        raise BuildError(
            f"{_where(view)} gives columns of the same name: {', '.join(twice)}. Rename or drop one of them."
        )
    times = [name for name in (view.event_timestamp, view.created_timestamp) if name is not None]
    required = {**view.keys, **dict.fromkeys(times, "timestamp")}
    missing = [name for name in required if name.lower() not in found]
    if missing:
        raise BuildError(
            f"{_where(view)} gives no column {', '.join(missing)} (join keys and timestamps are needed). "
            f"It gives: {', '.join(frame.columns)}."
        )
    columns = []
    for name, wanted in required.items():
        actual, kind = found.pop(name.lower())
        if not is_widening(kind, wanted):
            raise BuildError(
                f"{_where(view)} gives {name} as {kind}, but it is declared as {wanted}. "
                f"Write `cast({actual} as {wanted}) as {name}` (or try_cast, where some values do not fit)."
            )
        columns.append(F.col(f"`{actual}`").cast(wanted).alias(name))
    _refuse_undocumented(view, [actual for actual, _ in found.values()])
    return frame.select(*columns, *[F.col(f"`{actual}`") for actual, _ in found.values()])


def _refuse_undocumented(view: FeatureView, features: list[str]) -> None:
    undocumented = [name for name in features if view.metadata_of(name) is None]
    if undocumented:
        raise BuildError(
            f"{_where(view)} gives features that metadata/feature_views/{view.name}.yml does not describe: "
            f"{', '.join(undocumented)}. Add a description of each under `features:`, or drop them from the definition."
        )
    absent = [name for name in view.features if name not in features]
    if absent:
        raise BuildError(
            f"{_where(view)} does not give features that metadata/feature_views/{view.name}.yml describes: "
            f"{', '.join(absent)}. It gives: {', '.join(features)}."
        )
