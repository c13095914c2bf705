from __future__ import annotations

import pytest

from feature_mart.definitions.problems import Invalid
from feature_mart.definitions.spark_types import base_type, canonical_type, checked_key_type


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("BIGINT", "bigint"),
        ("long", "bigint"),
        ("Integer", "int"),
        ("short", "smallint"),
        ("byte", "tinyint"),
        ("real", "float"),
        ("timestamp_ltz", "timestamp"),
        ("timestamp_ntz", "timestamp_ntz"),
        ("decimal", "decimal(10,0)"),
        ("dec(12)", "decimal(12,0)"),
        ("numeric( 12 , 2 )", "decimal(12,2)"),
        ("varchar(20)", "varchar(20)"),
        ("character(2)", "char(2)"),
        ("array<long>", "array<bigint>"),
        ("map<string, array<int>>", "map<string,array<int>>"),
        ("struct<a: int, b string>", "struct<a:int,b:string>"),
        ("struct<`a b`: int not null comment 'x y', c: struct<d: date>>", "struct<`a b`:int,c:struct<d:date>>"),
    ],
)
def test_types(text: str, canonical: str) -> None:
    assert canonical_type(text) == canonical
    assert canonical_type(canonical) == canonical


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("int64", "bigint"),
        ("text", "string"),
        ("float64", "double"),
        ("integr", "integer"),
        ("xyzzy", ""),
        ("", ""),
        ("int int", ""),
        ("array<int", ""),
        ("array", ""),
        ("array<int, int>", ""),
        ("map<int>", ""),
        ("struct<>", ""),
        ("struct<1: int>", ""),
        ("struct<a: int not>", ""),
        ("struct<a: int not b>", ""),
        ("varchar", ""),
        ("varchar(x)", ""),
        ("varchar(99999999999)", ""),
        ("decimal(1,2,3)", ""),
        ("int!", ""),
    ],
)
def test_no_types(text: str, meant: str) -> None:
    with pytest.raises(Invalid, match="is no type of Spark SQL") as raised:
        canonical_type(text)
    assert raised.value.nearest == meant


@pytest.mark.parametrize("text", ["decimal(0)", "decimal(39)", "decimal(2,3)"])
def test_no_decimals(text: str) -> None:
    with pytest.raises(Invalid, match="is no decimal type"):
        canonical_type(text)


def test_keys_are_single_values() -> None:
    assert checked_key_type("long") == "bigint"
    with pytest.raises(Invalid, match="is no type for a key"):
        checked_key_type("array<int>")


def test_base_type() -> None:
    assert [base_type(text) for text in ("int", "decimal(1,0)", "array<int>")] == ["int", "decimal", "array"]
