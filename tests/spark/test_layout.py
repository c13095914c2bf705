"""Buckets and periods: where rows go."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from feature_mart.columns.key_hash import bucket_codes
from feature_mart.delta.layout import Layout
from feature_mart.delta.placement import bucket_code, lay_out
from feature_mart.delta.session import engine_session


def test_a_bucket_lies_in_its_ancestor(spark: SparkSession) -> None:
    keys = {"k": "bigint"}
    frame = spark.range(2000).select(F.col("id").alias("k"))
    rows = frame.select(*[bucket_code(keys, depth).alias(f"d{depth}") for depth in range(6)]).collect()
    for row in rows:
        for depth in range(1, 6):
            assert row[f"d{depth}"] >> 1 == row[f"d{depth - 1}"]
            assert 1 << depth <= row[f"d{depth}"] < 2 << depth
    assert {row["d3"] for row in rows} == set(range(8, 16))


@pytest.mark.parametrize(
    ("values", "types"),
    [
        (("7Y", "7S", "7", "7L"), ("tinyint", "smallint", "int", "bigint")),
        (("0.0D", "-0.0D", "0.0F", "-0.0F"), ("double", "double", "float", "float")),
        (
            ("1.50BD", "cast(1.5 as decimal(9,4))", "cast(1.5 as decimal(38,18))"),
            ("decimal(3,2)", "decimal(9,4)", "decimal(38,18)"),
        ),
        (("100BD", "cast(100 as decimal(9,4))"), ("decimal(3,0)", "decimal(9,4)")),
    ],
)
def test_equal_keys_go_to_the_same_bucket_whatever_their_width(
    spark: SparkSession, values: tuple[str, ...], types: tuple[str, ...]
) -> None:
    codes: set[int] = set()
    for value, kind in zip(values, types, strict=True):
        frame = spark.range(1).select(F.expr(value).alias("k"))
        codes.update(row[0] for row in frame.select(bucket_code({"k": kind}, 12)).collect())
    assert len(codes) == 1


def test_composite_keys_are_not_glued(spark: SparkSession) -> None:
    frame = spark.createDataFrame([("1", "23"), ("12", "3")], "a string, b string")
    codes = [row[0] for row in frame.select(bucket_code({"a": "string", "b": "string"}, 12)).collect()]
    assert codes[0] != codes[1]


def test_rows_of_a_file_are_sorted_and_keep_together(spark: SparkSession) -> None:
    own = engine_session(spark)
    frame = own.range(100).selectExpr(
        "99 - id as k", "timestamp'2011-01-01T00:00:00Z' + make_interval(0, cast(id % 3 as int)) as t"
    )
    laid_out = lay_out(frame, keys={"k": "bigint"}, time_columns=["t"], layout=Layout("month", 1))
    seen: dict[tuple[str, int], set[int]] = {}
    for number, partition in enumerate(laid_out.rdd.glom().collect()):
        places = [(row["_period"], row["_bucket"], row["k"], row["t"]) for row in partition]
        assert places == sorted(places)
        for place in places:
            seen.setdefault(place[:2], set()).add(number)
    assert set(seen) == {(f"2011-0{month}", code) for month in (1, 2, 3) for code in (2, 3)}
    assert all(len(partitions) == 1 for partitions in seen.values())


def test_buckets_are_the_same_without_spark(spark: SparkSession) -> None:
    values = {
        "bigint": ["0", "7", "-1", str(2**63 - 1), str(-(2**63))],
        "int": ["0", "7", "-1", str(2**31 - 1), str(-(2**31))],
        "double": ["0.0", "-0.0", "1.5", "NaN", "-Infinity"],
        "float": ["0.0", "-0.0", "1.5", "NaN", "-Infinity"],
        "string": ["", "a", "b|c", "日本語", "x" * 100],
        "decimal(38,18)": ["0", "1.50", "-0.000000000000000001", "1E+19", "7"],
        "decimal(5,0)": ["0", "100", "-100", "99999", "7"],
        "date": ["0001-01-01", "1969-12-31", "1970-01-01", "2038-01-19", "9999-12-31"],
        "boolean": ["true", "false"],
        "timestamp": [f"{year}-01-01T00:00:00.000001Z" for year in ("0001", "1969", "1970", "2038", "9999")],
        "binary": ["", "a", "abcd", "x" * 40],
    }
    for kind, texts in values.items():
        frame = spark.createDataFrame(list(enumerate(texts)), "b int, a string").select(F.col("a").cast(kind), "b")
        table = frame.toArrow()
        for columns in (["a"], ["a", "b"], ["b", "a"]):
            kinds = {"a": kind, "b": "int"}
            rows = frame.select(bucket_code({name: kinds[name] for name in columns}, 12)).collect()
            codes = bucket_codes([table[name].combine_chunks() for name in columns], 12)
            assert codes.tolist() == [row[0] for row in rows], (kind, columns)
