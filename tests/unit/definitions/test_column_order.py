"""Where the order of a SELECT's columns means nothing, and where it does."""

from __future__ import annotations

import pytest

from feature_mart.definitions.fingerprint import normalised_sql


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("select a, b from t", "select b, a from t"),
        ("select f(a, b) as x, [1, 2] as y", "select [1, 2] as y, f(a, b) as x"),
        ("select distinct a, b from t", "select distinct b, a from t"),
        ("with x as (select a, b from t) select a, b from x", "with x as (select a, b from t) select b, a from x"),
        ("select a, b from t group by a, b", "select b, a from t group by a, b"),
        ("select a, b from (select 1 as a union select 2)", "select b, a from (select 1 as a union select 2)"),
        ("select extract(year from t) as y, z from t", "select z, extract(year from t) as y from t"),
    ],
)
def test_order_without_meaning(one: str, other: str) -> None:
    assert normalised_sql(one) == normalised_sql(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("select a, b from t", "select a, c from t"),
        ("select a as b, b as a from t", "select a, b from t"),
        ("select a, b from t union all select c, d from t", "select b, a from t union all select c, d from t"),
        ("select a, b from t minus select a, b from u", "select b, a from t minus select a, b from u"),
        ("select a, b from t group by 1, 2", "select b, a from t group by 1, 2"),
        ("select a, b from t order by c, 1", "select b, a from t order by c, 1"),
        ("with x as (select a, b from t) select a from x", "with x as (select b, a from t) select a from x"),
        ("select struct(a, b) as s from t", "select struct(b, a) as s from t"),
        ("select x::map<string, int> as m, a from t", "select a, x::map<string, int> as m from t"),
    ],
)
def test_order_with_meaning(one: str, other: str) -> None:
    assert normalised_sql(one) != normalised_sql(other)
