"""Runs a definition over one range of time and holds its result to what the pipeline says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pyspark.sql import Column, DataFrame, SparkSession
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
    return _shaped(view, with_derived(view, run_logic(view, inputs, span, spark)))


def with_derived(view: FeatureView, frame: DataFrame) -> DataFrame:
    """With the columns that the pipeline derives from others.

    Raises:
        BuildError: an expression cannot be evaluated.
    """
    try:
        for name, expression in view.derived.items():
            frame = frame.withColumn(name, F.expr(expression))
    except SPARK_ERRORS as error:
        raise _failed(view, error) from error
    return frame


def run_logic(view: FeatureView, inputs: Mapping[str, DataFrame], span: Range, spark: SparkSession) -> DataFrame:
    """The rows that the definition alone gives.

    Raises:
        BuildError: it fails, or gives a different result each time.
    """
    definition = view.definition
    try:
        if definition.kind == "sql":
            frame = run_sql(spark, definition, inputs, span.start, span.end)
        elif definition.kind == "python":
            frame = run_python(view.name, definition, inputs, span.start, span.end)
        else:
            frame = inputs[definition.inputs[0]]
    except SPARK_ERRORS as error:
        raise _failed(view, error) from error
    _refuse_undetermined(view, frame)
    return frame


def _failed(view: FeatureView, error: BaseException) -> BuildError:
    return BuildError(f"{_where(view)} failed: {first_lines(error, most=6)}")


def _where(view: FeatureView) -> str:
    return f"view {view.name}: {view.definition.where}"


def _refuse_undetermined(view: FeatureView, frame: DataFrame) -> None:
    """Asks Spark's own analysis whether the same inputs always give the same rows."""
    plan = frame._jdf.queryExecution().analyzed()
    if not plan.deterministic():
        raise BuildError(
            f"{_where(view)} gives another result each time it runs (a random number, a unique id, …). "
            "Remove that; for `today` use :interval_end."
        )


def _shaped(view: FeatureView, frame: DataFrame) -> DataFrame:
    columns = keys_and_times(view, frame)
    taken = {name.lower() for name in view.reserved_columns}
    features = [name for name in frame.columns if name.lower() not in taken]
    _refuse_undocumented(view, features)
    return frame.select(*columns, *[F.col(f"`{name}`") for name in features])


def keys_and_times(view: FeatureView, frame: DataFrame) -> list[Column]:
    """The join keys and timestamps of a definition's result, in their declared types.

    Raises:
        BuildError: one is missing, or of a type that does not fit; or two columns have one name.
    """
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
        actual, kind = found[name.lower()]
        if not is_widening(kind, wanted):
            raise BuildError(
                f"{_where(view)} gives {name} as {kind}, but it is declared as {wanted}. "
                f"Write `cast({actual} as {wanted}) as {name}` (or try_cast, where some values do not fit)."
            )
        columns.append(F.col(f"`{actual}`").cast(wanted).alias(name))
    return columns


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
