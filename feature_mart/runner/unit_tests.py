"""Runs the YAML unit tests of feature views: given rows of each input, expected rows of the view."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from feature_mart.build.run import Range
from feature_mart.definitions import FeatureView, Source, UnitTest
from feature_mart.definitions.problems import did_you_mean
from feature_mart.delta.errors import SPARK_ERRORS, first_lines
from feature_mart.delta.tables import visible
from feature_mart.errors import MartError, UsageError
from feature_mart.plan.steps import DAY
from feature_mart.read.inputs import cut
from feature_mart.records import EPOCH, LATEST, MICROSECOND, floor_to, moved
from feature_mart.runner.definition_rows import rows_of_inputs
from feature_mart.runner.workspace import Workspace

_RELATIVE_TOLERANCE = 1e-9
_MOST_SHOWN = 10


@dataclass(frozen=True)
class TestResult:
    """The outcome of one unit test; ``difference`` is for people and empty where it passed."""

    __test__ = False  # so that pytest does not take it for a test class

    view: str
    name: str
    passed: bool
    difference: str


def run_unit_tests(workspace: Workspace, views: Sequence[str] = ()) -> Iterator[TestResult]:
    """Runs the tests of ``views`` (all where none is named), one after another.

    Raises:
        UsageError: a view is unknown, or has no tests.
    """
    project = workspace.project
    for name in views:
        if name not in project.views:
            known = sorted(project.views)
            raise UsageError(f"there is no view {name!r}. Known: {', '.join(known)}.{did_you_mean(name, known)}")
        if name not in project.unit_tests:
            raise UsageError(f"view {name} has no tests: write tests/mart/{name}.yml.")
    for name in sorted(project.unit_tests):
        if views and name not in views:
            continue
        for test in project.unit_tests[name].tests:
            yield _run(workspace, project.views[name], test)


def _run(workspace: Workspace, view: FeatureView, test: UnitTest) -> TestResult:
    try:
        inputs = {name: _given(workspace, name, test) for name in view.inputs}
        span = _span(view, inputs, workspace, test)
        seen = {n: _seen(workspace, view, n, f, span) for n, f in inputs.items()}
        frame = rows_of_inputs(workspace.session(), view, seen, span)
        if span.start is not None and view.windows is None:
            frame = cut(frame, view.event_timestamp, span.start, span.end)
        difference = _difference(workspace, view, frame, test.expect)
    except MartError as error:
        difference = error.message
    except SPARK_ERRORS as error:
        difference = f"the definition failed on the given rows: {first_lines(error, most=6)}"
    return TestResult(view.name, test.name, not difference, difference)


def _seen(workspace: Workspace, view: FeatureView, name: str, frame: DataFrame, span: Range) -> DataFrame:
    rules = view.materialize
    time = workspace.project.producer(name).event_timestamp
    if span.start is None:
        return cut(frame, time, None, span.end)
    return cut(frame, time, moved(span.start, -rules.lookback), moved(span.end, rules.lookahead))


def _given(workspace: Workspace, name: str, test: UnitTest) -> DataFrame:
    schema = schema_of(workspace, name)
    rows = test.given.get(name, ())
    known = {field.name for field in schema.fields}
    for row in rows:
        wrong = sorted(set(row) - known)
        if wrong:
            raise UsageError(f"given {name}: no column {', '.join(wrong)}. It has: {', '.join(schema.names)}.")
    return _typed(workspace, rows, schema, f"given {name}")


def _typed(workspace: Workspace, rows: Sequence[Mapping[str, Any]], schema: StructType, where: str) -> DataFrame:
    """Rows of plain values in the types of ``schema``; a value that does not fit is an error, not a null."""
    texts = [(json.dumps({key: _plain(value) for key, value in row.items()}),) for row in rows]
    frame = workspace.session().createDataFrame(texts, "row string")
    parsed = frame.select(F.from_json("row", schema, {"mode": "FAILFAST"}).alias("row")).select("row.*")
    try:
        parsed.collect()
    except SPARK_ERRORS as error:
        partly = frame.select(F.from_json("row", schema, {"mode": "PERMISSIVE"}).alias("row")).select("row.*")
        misfits = _misfits(rows, [row.asDict() for row in partly.collect()], schema)
        told = "; ".join(misfits[:_MOST_SHOWN]) or f"a value is not of its column's type: {first_lines(error)}"
        raise UsageError(f"{where}: {told}") from error
    return parsed


def _misfits(rows: Sequence[Mapping[str, Any]], parsed: Sequence[Mapping[str, Any]], schema: StructType) -> list[str]:
    """The values that were given and became null, as they are not of their column's type."""
    return [
        f"row {number}: {name} is {value!r}, which is no {schema[name].dataType.simpleString()}"
        for number, (row, typed) in enumerate(zip(rows, parsed, strict=True), start=1)
        for name, value in row.items()
        if value is not None and typed[name] is None
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
    return value


def schema_of(workspace: Workspace, name: str) -> StructType:
    """The columns of an input: a source's as declared, a view's by running its definition over no rows."""
    producer = workspace.project.producer(name)
    spark = workspace.session()
    if isinstance(producer, Source):
        if not producer.schema:
            return visible(workspace.table_of(producer).read()).schema
        return spark.createDataFrame([], ", ".join(f"`{c}` {kind}" for c, kind in producer.schema.items())).schema
    empty = {entry: spark.createDataFrame([], schema_of(workspace, entry)) for entry in producer.inputs}
    return rows_of_inputs(spark, producer, empty, Range(None, EPOCH)).schema


def _span(view: FeatureView, inputs: Mapping[str, DataFrame], workspace: Workspace, test: UnitTest) -> Range:
    """The test's interval, or the whole intervals around its given rows."""
    if test.interval is not None:
        start, end = test.interval
        return Range(start if view.materialize.mode == "interval" else None, end)
    if view.materialize.mode == "full" and "interval_end" not in view.definition.parameters:
        return Range(None, LATEST)
    times: list[int] = []
    for name, frame in inputs.items():
        time = workspace.project.producer(name).event_timestamp
        if time is not None:
            micros = F.unix_micros(F.col(f"`{time}`").cast("timestamp"))
            times += [row[0] for row in frame.select(micros).collect() if row[0] is not None]
    every = view.materialize.every if view.materialize.mode == "interval" else DAY
    moments: list[datetime] = [EPOCH + micros * MICROSECOND for micros in times] or [EPOCH]
    end = floor_to(max(moments), every) + every
    return Range(floor_to(min(moments), every) if view.materialize.mode == "interval" else None, end)


def _difference(workspace: Workspace, view: FeatureView, frame: DataFrame, expect: Sequence[Mapping[str, Any]]) -> str:
    wrong = sorted({name for row in expect for name in row} - set(frame.columns))
    if wrong:
        return f"expected columns that the view does not have: {', '.join(wrong)}. It has: {', '.join(frame.columns)}."
    expected = [
        {name: value for name, value in typed.asDict(recursive=True).items() if name in given}
        for typed, given in zip(_typed(workspace, expect, frame.schema, "expect").collect(), expect, strict=True)
    ]
    actual = [row.asDict(recursive=True) for row in frame.collect()]
    return describe_difference(expected, actual, list(view.keys))


def describe_difference(
    expected: Sequence[Mapping[str, Any]], actual: Sequence[Mapping[str, Any]], keys: Sequence[str]
) -> str:
    """What differs between two bags of rows, columns that are not expected left aside; empty where nothing does."""
    left = sorted(actual, key=_order)
    missing = []
    for row in sorted(expected, key=lambda row: (-len(row), _order(row))):
        match = next((number for number, other in enumerate(left) if _matches(row, other)), None)
        if match is None:
            missing.append(row)
        else:
            left.pop(match)
    lines = []
    for row in missing:
        same = {name: row[name] for name in keys if name in row}
        near = next((other for other in left if same and _matches(same, other)), None)
        if near is None:
            lines.append(f"missing:    {_shown(row)}")
            continue
        left.remove(near)
        changed = [name for name in row if not _equal(row[name], near[name])]
        said = "; ".join(f"{name}: expected {row[name]!s}, got {near[name]!s}" for name in changed)
        lines.append(f"different:  {_shown(same)}: {said}")
    named = {name for row in expected for name in row}
    lines += [f"unexpected: {_shown({k: v for k, v in row.items() if not named or k in named})}" for row in left]
    more = [f"and {len(lines) - _MOST_SHOWN} more"] if len(lines) > _MOST_SHOWN else []
    return "\n".join(lines[:_MOST_SHOWN] + more)


def _order(row: Mapping[str, Any]) -> str:
    return repr(sorted((name, str(value)) for name, value in row.items()))


def _shown(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!s}" for name, value in row.items())


def _matches(expected: Mapping[str, Any], actual: Mapping[str, Any]) -> bool:
    return all(_equal(value, actual[name]) for name, value in expected.items())


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return (math.isnan(one) and math.isnan(other)) or math.isclose(one, other, rel_tol=_RELATIVE_TOLERANCE)
    return bool(one == other)
