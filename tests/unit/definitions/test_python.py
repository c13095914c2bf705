"""Python definitions: what they read and give, without being run."""

from __future__ import annotations

import pytest

from feature_mart.definitions.problems import Problems
from feature_mart.definitions.python_columns import output_columns
from feature_mart.definitions.python_leaks import check_joins
from feature_mart.definitions.python_text import PythonTransform, read_transform

COLUMNS = {"a": ("k", "x", "ts"), "v": ("k", "value", "seen_at")}


def transform_of(body: str, head: str = "def transform(a, v):") -> PythonTransform:
    problems = Problems()
    indented = "\n".join(f"    {line}" for line in body.split("\n"))
    transform = read_transform("f.py", f"{head}\n{indented}\n", problems)
    assert problems.errors() == ()
    assert transform is not None
    return transform


@pytest.mark.parametrize(
    ("body", "columns"),
    [
        ("return a", ["k", "x", "ts"]),
        ("return unknown", None),
        ("return a.filter('x > 1').where(a.x > 2).distinct().orderBy('k')", ["k", "x", "ts"]),
        (
            "return a.select('k', a.x, a['ts'], F.col('a.y'), F.max('x').alias('m'), col('z'))",
            ["k", "x", "ts", "y", "m", "z"],
        ),
        ("return a.select(['k', 'x'])", ["k", "x"]),
        ("return a.select('*')", None),
        ("return a.select(*names)", None),
        ("return a.select(F.col(name))", None),
        ("return a.select(F.sum('x'))", None),
        ("return a.select(F.lit(1).alias(name))", None),
        ("return a.withColumn('n', F.lit(1)).withColumn('X', F.lit(1))", ["k", "x", "ts", "n"]),
        ("return a.withColumn(name, F.lit(1))", None),
        ("return a.withColumns({'n': F.lit(1), 'm': F.lit(2)})", ["k", "x", "ts", "n", "m"]),
        ("return a.withColumns(more)", None),
        ("return a.withColumnRenamed('x', 'y').drop('ts')", ["k", "y"]),
        ("return a.withColumnRenamed('x', new)", None),
        ("return a.drop(a.x)", None),
        ("return a.drop(*names)", None),
        ("return a.join(v, 'k')", None),
        ("return a.join(v, 'k').select('k')", ["k"]),
        ("return helper(a)", None),
        ("return a.groupBy('k').agg(F.sum('x'))", None),
        ("rows = a.filter('x > 1')\nreturn rows.select('k')", ["k"]),
        ("rows = a.filter('x > 1')\nreturn rows", ["k", "x", "ts"]),
        ("rows: DataFrame = a\nreturn rows", ["k", "x", "ts"]),
        ("rows: DataFrame\nreturn rows", None),
        ("rows = a\nrows = rows.drop('k')\nreturn rows", None),
        ("rows, more = a, v\nreturn rows", None),
        ("for rows in (a, v):\n    pass\nreturn rows", None),
        ("a = a.drop('x')\nreturn a", None),
        ("if v:\n    return a\nreturn v", None),
        ("if v:\n    return a", None),
        ("return", None),
        ("def inner(x):\n    return x\nreturn a", ["k", "x", "ts"]),
        ("rows = rows\nreturn rows", None),
    ],
)
def test_columns(body: str, columns: list[str] | None) -> None:
    assert output_columns(transform_of(body), COLUMNS.get) == columns


def test_inputs_and_parameters() -> None:
    transform = transform_of("return a", "def transform(a, interval_end, *, v, interval_start):")
    assert [table.name for table in transform.tables] == ["a", "v"]
    assert transform.parameters == {"interval_start", "interval_end"}


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        ("return a.join(v, 'k')", [2]),
        ("return a.join(v.select('k', 'value'), 'k')", [2]),
        ("w = v.drop('x')\nreturn a.join(w, 'k')", [3]),
        ("return a.crossJoin(v)", [2]),
        ("return a.join(v, (a.k == v.k) & (v.seen_at <= a.ts))", []),
        ("return a.join(v, (a.k == v.k) & (F.col('v.seen_at') <= a.ts))", []),
        ("w = v.filter(F.col('seen_at') < interval_end)\nreturn a.join(w, 'k')", []),
        ("return a.join(v, on=['k']).where('seen_at <= ts')", []),
        ("return v.join(a, 'k')", []),
        ("return ','.join(names)", []),
        ("return a.join()", []),
    ],
)
def test_joins_that_may_leak(body: str, lines: list[int]) -> None:
    problems = Problems()
    check_joins(transform_of(body), {"v": "seen_at"}, problems)
    assert [problem.line for problem in problems.warnings()] == lines
    for problem in problems.warnings():
        assert (
            problem.message
            == "joins the feature view v without a condition on its event timestamp seen_at: it may leak"
        )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("def transform(a:", "1: is no valid Python: '(' was never closed"),
        (f"x = {'-' * 100_000}1", "1: is no valid Python: it holds null bytes, or nests too deep"),
        ("x = 1", "1: has no function transform"),
        ("def transform(a, /): pass", "1: found parameters by position alone in transform: inputs are given by name"),
        (
            "def transform(**a): pass",
            "1: found *a in transform: its parameters are its inputs, so each has to be named",
        ),
        ("import os.path\ndef transform(a): pass", "1: found import os.path, which reaches outside the definition"),
        (
            "from time import time\ndef transform(a): pass",
            "1: found from time import …, which reaches outside the definition",
        ),
        ("from .x import y\ndef transform(a): pass", "1: found from .x import …, which reaches outside the definition"),
        ("def transform(a):\n  open('x')", "2: found open(), which reaches outside the definition"),
        ("def transform(a):\n  a.write.save()", "2: found .write, which reaches outside the definition"),
        ("def transform(a):\n  spark.table('x')", "2: found spark.table, which reaches outside the definition"),
        (
            "def transform(a):\n  a.sparkSession.read",
            "2: found sparkSession.read, which reaches outside the definition",
        ),
        (
            "def transform(a):\n  a.randomSplit([1])",
            "2: found .randomSplit(), whose result is not determined by the inputs",
        ),
        (
            "def transform(a):\n  a.limit(3)",
            "2: found .limit() without orderBy, whose result is not determined by the inputs",
        ),
        (
            "import datetime as d\ndef transform(a):\n  d.date.today()",
            "3: found d.date.today(), whose result is not determined by the inputs",
        ),
        (
            "import numpy as np\ndef transform(a):\n  np.random.rand()",
            "3: found np.random.rand(), whose result is not determined by the inputs",
        ),
        (
            "from pyspark.sql.functions import uuid as u\ndef transform(a):\n  u()",
            "3: found u(), whose result is not determined by the inputs",
        ),
    ],
)
def test_python_that_is_refused(text: str, told: str) -> None:
    problems = Problems()
    read_transform("f.py", text, problems)
    assert [f"{problem.line}: {problem.message}" for problem in problems.errors()] == [told]


def test_one_of_several_rows() -> None:
    problems = Problems()
    read_transform("f.py", "def transform(a):\n  return a.dropDuplicates(['k'])", problems)
    assert [problem.message for problem in problems.warnings()] == [
        "dropDuplicates keeps one of several rows by chance, so another run may differ"
    ]


def test_null_bytes() -> None:
    problems = Problems()
    assert read_transform("f.py", "x = 1\0", problems) is None
    (problem,) = problems.errors()
    assert problem.message.startswith("is no valid Python: ")


def test_python_that_is_right() -> None:
    text = """
from datetime import datetime, timedelta
from pyspark.sql import DataFrame, Window, functions as F

def transform(a: DataFrame, interval_end: datetime) -> DataFrame:
    w = Window.partitionBy("k").orderBy("ts")
    rows = a.withColumn("f", F.first("x").over(w)).withColumn("u", F.unix_timestamp("ts"))
    lists = F.sort_array(F.collect_list("x"))
    few = a.orderBy("k").filter("k > 1").limit(3).dropDuplicates()
    made = datetime(2020, 1, 1) + timedelta(days=1)
    table = {"read": 1}["read"]
    return rows.filter(F.col("ts") < F.lit(interval_end)).select("k")
"""
    problems = Problems()
    assert read_transform("f.py", text, problems) is not None
    assert (problems.errors(), problems.warnings()) == ((), ())


def test_aggregates_that_depend_on_order() -> None:
    problems = Problems()
    text = "from pyspark.sql import functions as F\ndef transform(a):\n  return F.first('x').alias('f')"
    read_transform("f.py", text, problems)
    assert [problem.message for problem in problems.warnings()] == [
        "first gives what comes first or last by chance, so another run may differ"
    ]
