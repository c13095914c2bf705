"""SQL definitions: one SELECT over plain table names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from pyspark.sql import DataFrame, SparkSession

from feature_mart.definitions import Definition
from feature_mart.delta.canonical import instant
from feature_mart.delta.names import named
from feature_mart.records import EARLIEST

_PARAMETER = re.compile(
    r"""
    '(?:[^'\\]|\\.)*' | "(?:[^"\\]|\\.)*" | `[^`]*`    # texts and quoted names
    | --[^\n]* | /\*.*?\*/                               # comments
    | (?<![:\w\])]):(?P<name>[A-Za-z_]\w*)               # a parameter; not a cast (::) and not a path into a column
    """,
    re.VERBOSE | re.DOTALL,
)


def run_sql(
    spark: SparkSession,
    definition: Definition,
    inputs: Mapping[str, DataFrame],
    start: datetime | None,
    end: datetime,
) -> DataFrame:
    """The result of the SELECT, its inputs being temporary views of their names.

    ``:interval_start`` and ``:interval_end`` are instants; for a view that is built whole the first is the year 1.
    """
    moments = {"interval_start": start or EARLIEST, "interval_end": end}
    text = with_parameters(definition.text, {name: instant(moments[name]) for name in definition.parameters})
    with named(inputs):
        return spark.sql(text)


def with_parameters(text: str, values: Mapping[str, str]) -> str:
    """The SQL with its named parameters replaced; what looks like one in a text or a comment stays.

    Spark's own way (``spark.sql(text, args=…)``) is closed: with Delta's parser in the session (4.4.0 on Spark 4.1)
    every parameter is reported as unbound.
    """

    def replaced(match: re.Match[str]) -> str:
        name = match["name"]
        return match[0] if name is None else values.get(name.lower(), match[0])

    return _PARAMETER.sub(replaced, text)
