"""PySpark definitions: a function `transform` whose parameters are its inputs."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from pyspark.sql import DataFrame

from feature_mart.definitions import Definition
from feature_mart.delta.errors import SPARK_ERRORS
from feature_mart.errors import BuildError
from feature_mart.records import EARLIEST


def load_transform(view: str, definition: Definition) -> Callable[..., DataFrame]:
    """The function of a definition's file. The text that was validated is what runs, not the file as it is by now.

    Raises:
        BuildError: the file fails when it is run.
    """
    assert definition.path is not None
    names: dict[str, Any] = {"__name__": f"feature_mart_definition_{view}", "__file__": definition.path}
    try:
        exec(compile(definition.text, definition.path, "exec"), names)  # noqa: S102 - running definitions is the job
    except Exception as error:
        raise BuildError(
            f"view {view}: {definition.path} failed while it was loaded: {_told(definition, error)}"
        ) from error
    transform: Callable[..., DataFrame] = names["transform"]
    return transform


def run_python(
    view: str,
    definition: Definition,
    inputs: Mapping[str, DataFrame],
    start: datetime | None,
    end: datetime,
) -> DataFrame:
    """What `transform` returns for these inputs.

    ``interval_start`` and ``interval_end`` (UTC datetimes) are passed where the function takes them.

    Raises:
        BuildError: the function raises, or returns something other than a frame.
    """
    transform = load_transform(view, definition)
    moments = {"interval_start": start or EARLIEST, "interval_end": end}
    arguments: dict[str, Any] = {**inputs, **{name: moments[name] for name in definition.parameters}}
    try:
        result: object = transform(**arguments)
    except SPARK_ERRORS:
        raise
    except Exception as error:
        raise BuildError(f"view {view}: {definition.path} failed: {_told(definition, error)}") from error
    if not isinstance(result, DataFrame):
        raise BuildError(
            f"view {view}: `transform` in {definition.path} returned {type(result).__name__}; "
            "it must return a DataFrame."
        )
    return result


def _told(definition: Definition, error: Exception) -> str:
    """The error with the line of the definition that it came from."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == definition.path]
    at = f" (line {lines[-1]})" if lines else ""
    return f"{type(error).__name__}: {error}{at}"
