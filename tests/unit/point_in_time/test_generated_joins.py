"""Generated joins, in which everything collides, against brute force in plain Python and against DuckDB."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_mart.columns.arrow import Array
from feature_mart.point_in_time.join import Rule, Spine, as_of, latest, ties
from feature_mart.point_in_time.order import RowColumns
from tests import point_in_time_oracle as oracle

EXAMPLES = int(os.environ.get("FEATURE_MART_JOIN_EXAMPLES", "250"))
UTC = timezone.utc
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
INSTANT = pa.timestamp("us", tz="UTC")


def micros(moment: datetime) -> int:
    return (moment - EPOCH) // MICROSECOND


# What is alike and not the same: numbers that doubles take for one, texts that normalise to one, keys that read as one
# when they are glued.
KEYS: dict[str, tuple[pa.DataType, list[Any]]] = {
    "int64": (pa.int64(), [1, 11, 111, 2**53, 2**53 + 1, -(2**63), 2**63 - 1]),
    "int32": (pa.int32(), [1, 11, -1, 0]),
    "string": (pa.string(), ["", "a", "b|c", "a|b", "c", "\u00e9", "e\u0301", "a\x00", "1", "11", "\U0001f600"]),
    "decimal": (
        pa.decimal128(38, 18),
        [
            Decimal("0"),
            Decimal("1.000000000000000001"),
            Decimal(1),
            Decimal("-99999999999999999999.000000000000000001"),
        ],
    ),
    "date": (pa.date32(), [date(1, 1, 1), date(1969, 12, 31), date(2038, 1, 19), date(9999, 12, 31)]),
    "double": (pa.float64(), [0.0, -0.0, math.nan, -math.nan, math.inf, -math.inf, 1.5, 5e-324]),
    "float": (pa.float32(), [0.0, -0.0, math.nan, math.inf, 1.5]),
    "boolean": (pa.bool_(), [True, False]),
    "timestamp": (INSTANT, [EPOCH, EPOCH - MICROSECOND, datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)]),
    "binary": (pa.binary(), [b"", b"\xff", b"a"]),
}
NESTED = pa.list_(pa.struct([("b", pa.map_(pa.string(), pa.int64())), ("a", pa.float64())]))
FEATURES: dict[str, tuple[pa.DataType, list[Any]]] = {
    "number": (pa.float64(), [None, math.nan, -math.nan, 0.0, -0.0, 1.5, -math.inf]),
    "Text": (pa.string(), [None, "", "a", "\uffff", "\U0001f600"]),
    "exact": (pa.decimal128(38, 18), [None, Decimal("1.000000000000000001"), Decimal(1)]),
    "nested": (
        NESTED,
        [
            None,
            [],
            [None],
            [{"a": None, "b": None}],
            [{"a": math.nan, "b": []}],
            [{"a": 0.0, "b": [("k", None)]}],
            [{"a": 0.0, "b": [("k", 1), ("j", 2)]}, None],
        ],
    ),
}
ANCHORS = [
    micros(datetime(1, 1, 1, tzinfo=UTC)),
    micros(datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
    micros(datetime(2038, 1, 19, 3, 14, 7, tzinfo=UTC)),
    micros(datetime(9999, 12, 31, 23, 59, 58, 999998, tzinfo=UTC)),
]
STEPS = [0, 1, 2, 999_999, 1_000_000, 1_000_001]
# Differences of steps, so that bounds are met exactly; and more than int64 holds.
SPANS = [1, 2, 999_998, 999_999, 1_000_000, 1_000_001, 10**13, timedelta.max // MICROSECOND]
SIZES = st.sampled_from([0, 1, 2, 4, 8, 8, 8, 12])


@dataclass(frozen=True)
class Case:
    """A spine and the rows of a view, as plain values."""

    kinds: Sequence[str]
    spine: list[tuple[tuple[Any, ...], int | None]]
    rows: list[dict[str, Any]]
    view: oracle.View
    until: int | None
    shuffle: random.Random

    @property
    def columns(self) -> RowColumns:
        return RowColumns(tuple(self.view.keys), self.view.event, self.view.created)

    @property
    def rule(self) -> Rule:
        after, ttl = self.view.available_after, self.view.ttl
        return Rule(
            "created_timestamp" if after is None else after * MICROSECOND, None if ttl is None else ttl * MICROSECOND
        )

    def spine_keys(self) -> list[Array]:
        return [pa.array([keys[n] for keys, _ in self.spine], KEYS[kind][0]) for n, kind in enumerate(self.kinds)]

    def spine_times(self) -> Array:
        return pa.array([time for _, time in self.spine], pa.int64()).view(INSTANT)

    def table(self, rows: Sequence[dict[str, Any]]) -> pa.Table:
        """The rows as a table, in two chunks, its columns in any order."""
        types = {f"key_{n}": KEYS[kind][0] for n, kind in enumerate(self.kinds)}
        types |= {name: kind for name, (kind, _) in FEATURES.items()}
        types |= {name: pa.int64() for name in (self.view.event, self.view.created) if name is not None}
        columns = {}
        for name in self.shuffle.sample(sorted(types), len(types)):
            values = pa.array([row[name] for row in rows], types[name])
            columns[name] = values.view(INSTANT) if name in (self.view.event, self.view.created) else values
        made = pa.table(columns)
        return pa.concat_tables([made.slice(0, len(rows) // 2), made.slice(len(rows) // 2)])


@st.composite
def cases(draw: st.DrawFn) -> Case:
    kinds = draw(
        st.lists(st.sampled_from(sorted(KEYS)), min_size=1, max_size=2) | st.just(["int64", "string", "double"])
    )
    pool = draw(st.lists(st.tuples(*map(keys_of, kinds)), min_size=1, max_size=4))
    keys = st.sampled_from([*pool, pool[0]])
    has_event, has_created = draw(st.sampled_from([(True, True), (True, True), (True, False), (False, False)]))
    after = draw(st.sampled_from([0, 0, *SPANS, *([None] * 12 if has_created else [])]))
    ttl = draw(st.sampled_from([None, *SPANS]))
    view = oracle.View(
        [f"key_{n}" for n in range(len(kinds))],
        "event" if has_event else None,
        "created" if has_created else None,
        after,
        ttl,
    )
    anchor, steps = draw(st.sampled_from(ANCHORS)), draw(st.lists(st.sampled_from(STEPS), min_size=1, max_size=4))
    moments = st.sampled_from([*(anchor + step for step in steps), None])
    # A spine row stands at a bound of some row, or just beside it.
    shifts = [shift + by for shift in (after or 0, ttl or 0) if shift <= 10**7 for by in (-1, 0, 0, 1)]
    times = st.sampled_from([*(anchor + step + by for step in steps for by in shifts or [0]), None, None])
    base = draw(st.tuples(*map(st.sampled_from, VALUES)))
    features = st.sampled_from([base, *(one_other(base, *draw(CHANGED)) for _ in range(2))])
    rows = []
    size = draw(SIZES)
    for key, event, created, found in draw(
        st.lists(st.tuples(keys, moments, moments, features), min_size=size, max_size=size)
    ):
        row = dict(zip(view.keys, key, strict=True)) | dict(zip(FEATURES, found, strict=True))
        rows.append(row | ({"event": event} if has_event else {}) | ({"created": created} if has_created else {}))
    asked = st.sampled_from(pool[: draw(st.integers(1, 4))])
    spine = draw(st.lists(st.tuples(asked, times), max_size=8))
    return Case(kinds, spine, rows, view, draw(moments), random.Random(draw(st.integers(0, 99))))


VALUES = [values for _, values in FEATURES.values()]
CHANGED = st.integers(0, len(VALUES) - 1).flatmap(lambda at: st.tuples(st.just(at), st.sampled_from(VALUES[at])))


def keys_of(kind: str) -> st.SearchStrategy[Any]:
    """Keys of a kind, those that are most alike more often."""
    values = KEYS[kind][1]
    return st.sampled_from([*values[:2], *values, None])


def one_other(values: tuple[Any, ...], at: int, value: Any) -> tuple[Any, ...]:
    return (*values[:at], value, *values[at + 1 :])


@pytest.fixture(scope="module")
def duck() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


@settings(max_examples=EXAMPLES, deadline=None)
@given(case=cases())
def test_every_way_finds_the_same_rows(duck: duckdb.DuckDBPyConnection, case: Case) -> None:
    expected = [oracle.as_of(keys, time, case.rows, case.view) for keys, time in case.spine]
    found = joined(case, case.rows)
    assert found == [(oracle.number_of(one.row, case.rows), one.is_expired, one.is_tied) for one in expected]
    shuffled = case.shuffle.sample(case.rows, len(case.rows))
    assert joined(case, shuffled) == found
    if case.view.event is not None:
        told = [None if one.row is None else (one.row["event"], one.row.get("created")) for one in expected]
        assert by_duckdb(duck, case) == told


@settings(max_examples=EXAMPLES, deadline=None)
@given(case=cases())
def test_the_latest_rows_are_those_of_brute_force(case: Case) -> None:
    until = None if case.until is None else EPOCH + case.until * MICROSECOND
    expected = [oracle.number_of(row, case.rows) for row in oracle.latest(case.rows, case.view, case.until)]
    for rows in (case.rows, case.shuffle.sample(case.rows, len(case.rows))):
        found = latest(case.table(rows), case.columns, until)
        assert [oracle.number_of(rows[at], case.rows) for at in found] == expected
        assert ties(case.table(rows), case.columns) == oracle.ties(case.rows, case.view)


def joined(case: Case, rows: list[dict[str, Any]]) -> list[tuple[int, bool, bool]]:
    spine = Spine.of(case.spine_keys(), case.spine_times())
    matches = as_of(spine, case.table(rows), case.columns, case.rule)
    found = [oracle.number_of(None if at < 0 else rows[at], case.rows) for at in matches.index]
    return list(zip(found, matches.is_expired.tolist(), matches.is_tied.tolist(), strict=True))


ASOF = """
    with best as (
        select * from rows qualify row_number() over (
            partition by {keys}, event order by created desc nulls last) = 1
    )
    select event, created from spine asof left join best
        on {same} and spine.time::hugeint >= best.event::hugeint + $after
    order by number
"""
CORRELATED = """
    select event, created from spine left join lateral (
        select event, created from rows where {same} and created <= time and event is not null
        order by event desc, created desc limit 1
    ) on true
    order by number
"""


def by_duckdb(duck: duckdb.DuckDBPyConnection, case: Case) -> list[tuple[int, int | None] | None]:
    """The event and created timestamp of the row of each spine row: by an ASOF join if it can be."""
    names = case.view.keys
    types = dict(zip(names, (KEYS[kind][0] for kind in case.kinds), strict=True))
    types |= {"event": pa.int64(), "created": pa.int64()}
    rows = pa.table({name: pa.array([row.get(name) for row in case.rows], kind) for name, kind in types.items()})
    spine = pa.table(
        {
            **dict(zip(names, case.spine_keys(), strict=True)),
            "time": pa.array([time for _, time in case.spine], pa.int64()),
            "number": pa.array(range(len(case.spine)), pa.int64()),
        }
    )
    duck.register("rows", rows).register("spine", spine)
    after, ttl = case.view.available_after, case.view.ttl
    query, parameters = (CORRELATED, {}) if after is None else (ASOF, {"after": after})
    same = " and ".join(f"spine.{name} = {'rows' if after is None else 'best'}.{name}" for name in names)
    found = duck.execute(query.format(keys=", ".join(names), same=same), parameters).fetchall()
    return [
        None if event is None or time is None or (ttl is not None and event < time - ttl) else (event, created)
        for (event, created), (_, time) in zip(found, case.spine, strict=True)
    ]
