"""SQL definitions: what they read, give, may not use, and when they may leak."""

from __future__ import annotations

import pytest

from feature_mart.definitions.problems import Invalid, Problems
from feature_mart.definitions.sql_columns import output_columns
from feature_mart.definitions.sql_leaks import check_leaks
from feature_mart.definitions.sql_rules import check_query, read_expression
from feature_mart.definitions.sql_text import SqlQuery, line_of, read_query

COLUMNS = {"a": ("k", "x", "ts"), "b": ("k", "y"), "v": ("k", "value", "seen_at")}
TIMED = {"v": "seen_at"}


def read(sql: str) -> tuple[SqlQuery | None, list[str], list[str]]:
    problems = Problems()
    query = read_query("f.sql", sql, problems)
    if query is not None:
        check_query(query, problems)
        check_leaks(query, TIMED, problems)
    found = [f"{problem.line}: {problem.message}" for problem in problems.errors()]
    return query, found, [f"{problem.line}: {problem.message}" for problem in problems.warnings()]


def query_of(sql: str) -> SqlQuery:
    query, errors, _ = read(sql)
    assert errors == []
    assert query is not None
    return query


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        ("select k, x as z from a", ["k", "z"]),
        ("select (k), s.f.g, s.f from a", ["k", "g", "f"]),
        ("select * from a", ["k", "x", "ts"]),
        ("select * from unknown", None),
        ("select 1 as one", ["one"]),
        ("select *", None),
        ("select a.*, b.y as z from a join b using (k)", ["k", "x", "ts", "z"]),
        ("select c.* from a join b using (k)", None),
        ("select * from a join b using (k)", ["k", "x", "ts", "y"]),
        ("select * from a natural join b", ["k", "x", "ts", "y"]),
        ("select * from a join b on a.k = b.k", ["k", "x", "ts", "k", "y"]),
        ("select * from a join unknown using (k)", None),
        ("select * from a left semi join b using (k)", ["k", "x", "ts"]),
        ("select * from a left anti join b on a.k = b.k", ["k", "x", "ts"]),
        ("select * except (x) from a", ["k", "ts"]),
        ("select * replace (1 as x) from a", None),
        ("select s['a'].b from a", ["b"]),
        ("with c as (select * except (x) from a) select *, 1 as one from c", ["k", "ts", "one"]),
        ("with a as (select k from a) select * from a", ["k"]),
        ("with c(p, q) as (select k, y from b) select * from c", ["p", "q"]),
        ("with recursive r(n) as (select 1 union all select n + 1 from r where n < 5) select * from r", ["n"]),
        ("select * from (select k, y from b) t", ["k", "y"]),
        ("select * from (select k, y from b) t(p, q)", ["p", "q"]),
        ("select * from a as t(p, q, r)", ["p", "q", "r"]),
        ("select k from a union all select y from b", ["k"]),
        ("(select k from a)", ["k"]),
        ("select * from (values (1, 2)) as t(p, q)", ["p", "q"]),
        ("select * from range(10)", None),
        ("select * from a lateral view outer explode(x) t as e", ["k", "x", "ts", "e"]),
        ("select * from a lateral view explode(x) t", None),
        ("select * from a, lateral (select y from b where b.k = a.k)", None),
        ("select stack(2, 1, 2) as (u, v) from a", ["u", "v"]),
        ("select explode(x) from a", None),
        ("select inline(x) from a", None),
        ("select * from a pivot (sum(x) for k in (1, 2))", None),
        ("select * from (select * from a) pivot (sum(x) for k in (1, 2))", None),
        ("select max(struct(ts, x)).x as m, count(*) from a group by all", ["m", None]),
        ("from a select x", ["x"]),
    ],
)
def test_columns(sql: str, columns: list[str | None] | None) -> None:
    assert output_columns(query_of(sql).tree, COLUMNS.get) == columns


@pytest.mark.parametrize(
    "sql",
    [
        "select k, row_number() over w as n from a window w as (partition by k order by ts rows 1 preceding)",
        "select k from a qualify row_number() over (partition by k order by ts) = 1",
        "select k, sum(x) filter (where x > 1) as s, grouping(k) as g from a group by cube (k) having sum(x) > 1",
        "select cast(null as struct<a: int, b: array<string>>) as s, interval 3 days as i, date'2011-01-01' as d",
        "select x div 2 as h, x <=> 1 as e, a rlike 'b' as r, try_cast(x as int) as c, `end` as `weird name` from a",
        "select transform(xs, e -> e + 1) as m, xs[0] as f, m['k'] as v, named_struct('a', 1) as n from a",
        "select /*+ broadcast(b) */ a.k from a join b on a.k = b.k",
        "select date_trunc('day', ts) as d, extract(hour from ts) as h, ts + interval '1' day as n from a",
        "select percentile_cont(0.5) within group (order by x) as p from a",
        "select k from a where exists (select 1 from b where b.k = a.k) and x in (select y from b)",
        "select unix_timestamp(ts) as u, a.now, x as current_date from a",
        "select k from a order by k limit 3",
        "select '-- no comment', 'rand()' as s, x /* rand() */ from a -- now()",
        "select k from a; -- done",
    ],
)
def test_sql_that_is_right(sql: str) -> None:
    assert read(sql)[1:] == ([], [])


def test_inputs_parameters_and_lines() -> None:
    query = query_of(
        "with c as (\n  select * from A join b using (k)\n), b as (select * from b)\n"
        "select c.k\nfrom c join b using (k) where ts < :interval_end and ts >= :interval_start"
    )
    assert [(table.name, table.line) for table in query.tables] == [("a", 2), ("b", 2), ("b", 3)]
    assert query.parameters == {"interval_start", "interval_end"}
    assert line_of(query.tree.selects[0]) == 4
    assert line_of(query_of("select 1 as one").tree.expressions[0].this) == 1


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("select 'abc", "1: has a text or comment that does not end, or a character that no SQL has"),
        ("select 1 as a;\n\nselect 2 as b", "3: has more than one statement: the second begins here"),
        ("create table t as select 1", "1: found CREATE, which is no SELECT"),
        ("values (1)", "1: found VALUES, which is no SELECT"),
        ("with c as (select 1) insert into t select * from c", "1: found WITH, which is no SELECT"),
        ("", "1: is empty"),
        ("select k from a version as of 3", "1: reads a at a version of its own"),
        ("select k from a timestamp as of '2020-01-01'", "1: reads a at a version of its own"),
        ("select k from read_files('x')", "1: found read_files(…), which reads an input by its path"),
        ("select k from parquet.`/x`", "1: found parquet.`/x`, which reads an input by its path"),
        ("select k from delta.`s3://x/y`", "1: found delta.`s3://x/y`, which reads an input by its path"),
        ("select k from s.a", "1: found s.a, which is a table outside the mart"),
        ("select k\nfrom a where x = :foo", "2: found the parameter :foo, which nothing gives a value"),
        ("select k from a where x = ?", "1: found the parameter ?, which nothing gives a value"),
        ("select k,\n  rand() as r from a", "2: found rand(), whose result is not determined by the inputs"),
        ("select current_date as d from a", "1: found current_date, whose result is not determined by the inputs"),
        (
            "select unix_timestamp() as d from a",
            "1: found unix_timestamp(), whose result is not determined by the inputs",
        ),
        (
            "select k from a tablesample (10 percent)",
            "1: found TABLESAMPLE, whose result is not determined by the inputs",
        ),
        ("select k from a\nlimit 3", "2: found LIMIT without ORDER BY, which takes rows by chance"),
        ("select transform(k) using 'cat' as (k) from a", "1: found TRANSFORM … USING, which runs a program"),
        ("select " + "(" * 5000 + "1" + ")" * 5000, "1: nests too deep to be read"),
    ],
)
def test_sql_that_is_refused(sql: str, told: str) -> None:
    assert read(sql)[1] == [told]


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("select first(x) as f,\n  last_value(x) as l from a", ["1: first", "2: last_value"]),
        ("select any_value(x) filter (where x > 1) as f from a", ["1: any_value"]),
        ("select first(x) ignore nulls as f from a", ["1: first"]),
        ("select collect_list(x) as f from a", ["1: collect_list"]),
        ("select k from a having first(x)", ["1: first"]),
        ("select sort_array(collect_list(x)) as f, size(collect_set(x)) as n from a", []),
        (
            "select first(x) ignore nulls over (order by ts) as f, listagg(x) within group (order by x) as l from a",
            [],
        ),
        ("select x from a order by x nulls first", []),
    ],
)
def test_aggregates_that_depend_on_order(sql: str, names: list[str]) -> None:
    ending = " gives what comes first or last by chance, so another run may differ"
    assert read(sql)[2] == [f"{name}{ending}" for name in names]


@pytest.mark.parametrize(
    "sql",
    [
        "select a.k, value from a join v on v.k = a.k",
        "select a.k, value from a left join v using (k)",
        "select a.k, value from a, v where v.k = a.k",
        "select a.k, value from a cross join v",
        "select a.k, value from v right join a on v.k = a.k",
        "select a.k, value from a full join v on v.k = a.k",
        "with w as (select * from v) select a.k, value from a join w on w.k = a.k",
        "select a.k, m from a join (select k, max(value) as m from v group by k) w on w.k = a.k",
        "select a.k, m from a join (select k, value as m from v union all select k, value from v) w on w.k = a.k",
        "select a.k from a join (select k, seen_at from v) w on w.k = a.k",
        "select a.k from a join v v1 on v1.k = a.k join b on b.k = a.k where a.ts > b.y",
    ],
)
def test_joins_that_may_leak(sql: str) -> None:
    assert read(sql)[2] == [
        "1: joins the feature view v without a condition on its event timestamp seen_at: it may leak"
    ]


@pytest.mark.parametrize(
    "sql",
    [
        "select k, value from v",
        "select v.k, y from v join b on v.k = b.k",
        "select a.k, value from a join v on v.k = a.k and v.seen_at <= a.ts",
        "select a.k, value from a join v on v.k = a.k where seen_at <= ts",
        "select a.k from a join v on v.k = a.k qualify row_number() over (order by seen_at) = 1 and seen_at < ts",
        "with w as (select * from v) select a.k, value from a join w on w.k = a.k and w.seen_at <= a.ts",
        "with w as (select k, value, seen_at as at from v) select a.k from a join w on w.k = a.k and w.at <= a.ts",
        "select a.k, m from a join (select k, max(value) as m from v where seen_at < '2020' group by k) w on w.k = a.k",
        "with recursive r as (select k from a union all select k from r) select a.k from a join r on r.k = a.k",
        "select a.k from a join range(3) r on r.id = a.k",
        "select a.k from a join (values (1)) r(k) on r.k = a.k",
        "with r as (values (1)) select a.k from a join r on r.k = a.k",
    ],
)
def test_joins_that_are_held_against_a_time(sql: str) -> None:
    assert read(sql)[2] == []


def test_expressions() -> None:
    assert read_expression("a / nullif(b, 0) + s.f")[1] == ("a", "b", "s")
    assert read_expression("order_value < 1e7")[1] == ("order_value",)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a +", "is no SQL expression that Spark reads"),
        ("'a", "is no SQL expression that Spark reads"),
        ("a as b", "is no SQL expression that Spark reads"),
        ("*", "is no single SQL expression"),
        ("sum(a)", "speaks of more than one row"),
        ("lag(a) over (order by b)", "speaks of more than one row"),
        ("a in (select 1)", "speaks of more than one row"),
        ("a > :interval_end", "speaks of more than one row"),
        ("rand() * a", "uses rand(), whose result is not determined by the inputs"),
    ],
)
def test_no_expressions(text: str, told: str) -> None:
    with pytest.raises(Invalid) as raised:
        read_expression(text)
    assert raised.value.message == told
