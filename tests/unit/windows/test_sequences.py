"""Windowed views through sequences of changes, with the engine's own plans and arithmetic, and tables in memory.

The same on real Spark and Delta is tests/spark/test_windows.py; here a sequence takes milliseconds, so that many can be
drawn, and a build may be stopped after any of its commits.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_mart.definitions import FeatureView
from feature_mart.definitions.load import load_project
from feature_mart.plan.intervals import affected_by, covered_after
from feature_mart.plan.steps import Found, Request, Step, ViewState, horizon_of, plan_intervals
from feature_mart.records import Interval, TableVersion, floor_to, moved
from feature_mart.runner.build import asked_of
from feature_mart.runner.parts import parts_of
from feature_mart.testing import write_tiny_mart
from feature_mart.windows.rows import Boundaries, Output, boundary_number, rows_of
from feature_mart.windows.tiles import TileColumns, tiles_of
from tests.windows_oracle import Event, Feature, rows_at_changes

DAY = timedelta(days=1)
MICRO = timedelta(microseconds=1)
START = datetime(2011, 1, 3, tzinfo=timezone.utc)
EXAMPLES = int(os.environ.get("FEATURE_MART_WINDOW_EXAMPLES", "200"))

Events = list[tuple[int, datetime, float]]
Rows = dict[tuple[int, datetime], tuple[Any, ...]]

PIPELINE = """
    pipeline: daily
    description: Orders by customer.
    owner: growth@example.com
    feature_views:
      - name: spend
        input: orders
        entities: [customer]
        event_timestamp: ordered_at
        windows:
          every: 1d
          aggregations:
            - {input: amount, functions: [sum, max, count, count_distinct, last], over: [1d, 3d]}
            - {input: amount, functions: [sum, first], over: [LONGEST, {window: 2d, shift: 1d}]}
    """


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, FeatureView]:
    """The same view with windows of all time, and of five days at most."""
    found = {}
    for longest in ("lifetime", "5d"):
        root = tmp_path_factory.mktemp(longest)
        write_tiny_mart(
            root,
            {
                "pipelines/daily.yml": PIPELINE.replace("LONGEST", longest),
                "metadata/feature_views/customer_orders.yml": None,
                "metadata/feature_views/spend.yml": (
                    "feature_view: spend\ndescription: Spend.\nowner: a@example.com\n"
                    'features:\n  "*": {description: Of orders.}\n'
                ),
                "features/orders.sql": None,
            },
        )
        found[longest] = load_project(root).views["spend"]
    return found


class Stopped(Exception):
    """The build was stopped after a commit."""


@dataclass
class Table:
    """The versions of a table, and what its last commit said."""

    versions: list[Rows] = field(default_factory=list)
    state: ViewState | None = None

    @property
    def rows(self) -> Rows:
        return self.versions[-1] if self.versions else {}

    def changed(self, since: int, every: timedelta) -> list[Interval]:
        """The instants at which rows differ from those of a version."""
        before, now = self.versions[since], self.versions[-1]
        times = {key[1] for key in before.keys() | now.keys() if before.get(key) != now.get(key)}
        return [Interval(at, at + MICRO) for at in sorted(times)]


@dataclass
class World:
    """Events as they are now, and the two tables of a windowed view."""

    view: FeatureView
    source: Table = field(default_factory=Table)
    tiles: Table = field(default_factory=Table)
    table: Table = field(default_factory=Table)
    commits_left: int = 1_000_000

    def build(self, request: Request, now: datetime) -> None:
        assert self.view.tiles is not None
        self._step(self.view.tiles, self.tiles, self.source, asked_of(self.view.tiles, request), now, self._tiles)
        self._step(self.view, self.table, self.tiles, request, now, self._rows)

    def _step(
        self,
        view: FeatureView,
        table: Table,
        source: Table,
        request: Request,
        now: datetime,
        compute: Callable[[Step], Iterator[tuple[Interval, Rows]]],
    ) -> None:
        rules, state = view.materialize, table.state
        (name,) = view.reads
        pinned = {name: TableVersion("source", len(source.versions) - 1)}
        affected: tuple[Interval, ...] = ()
        if state is not None and not (request.full_refresh and request.start is None):
            changed = source.changed(state.inputs[name].version, rules.every)
            affected = affected_by(changed, every=rules.every, lookback=rules.lookback, lookahead=rules.lookahead)
        earliest = None
        if (state is None or request.full_refresh) and request.start is None:
            earliest = min((at for _, at in source.rows), default=None)
        horizon = horizon_of(view, request.end, now)
        step = plan_intervals(view, state, pinned, request, horizon, Found(earliest, affected))
        if step.action == "skip":
            return
        for part in parts_of(step, request.chunk, view):
            self._commit(view, table, pinned, part, dict(compute(part)))

    def _commit(
        self,
        view: FeatureView,
        table: Table,
        pinned: Mapping[str, TableVersion],
        part: Step,
        computed: Mapping[Interval, Rows],
    ) -> None:
        if not self.commits_left:
            raise Stopped
        self.commits_left -= 1
        before = None if part.replaces_everything else table.state
        kept = {} if before is None else {k: r for k, r in table.rows.items() if not _is_in(view, k[1], computed)}
        new = {key: row for rows in computed.values() for key, row in rows.items()}
        assert not kept.keys() & new.keys()
        assert all(_is_in(view, key[1], computed) for key in new)
        table.versions.append({**kept, **new})
        covered = covered_after(
            before.covered if before else (),
            built=part.intervals or (),
            affected=part.affected,
            definition_hash=view.definition_hash,
        )
        table.state = ViewState(
            len(table.versions) - 1, view.definition_hash, "", dict(pinned), part.horizon, covered, 0, None, None, None,
            start=part.start,
        )  # fmt: skip

    @property
    def columns(self) -> TileColumns:
        windows = self.view.windows
        assert windows is not None
        series = {series.name: partials for series, partials in windows.series.items()}
        return TileColumns(("customer_id",), "ordered_at", None, windows.every, series)

    def _tiles(self, step: Step) -> Iterator[tuple[Interval, Rows]]:
        for span in step.intervals or ():
            events = [key for key in self.source.rows if span.start <= key[1] < span.end]
            made = tiles_of(
                pa.table(
                    {
                        "customer_id": pa.array([who for who, _ in events], pa.int64()),
                        "ordered_at": pa.array([at for _, at in events], pa.timestamp("us", tz="UTC")),
                        "amount": pa.array([self.source.rows[key][0] for key in events], pa.float64()),
                        "_nans": pa.array([0] * len(events), pa.int64()),
                    }
                ),
                self.columns,
            )
            self.schema = made.schema
            yield span, {(row["customer_id"], row["ordered_at"]): tuple(row.values()) for row in made.to_pylist()}

    def _rows(self, step: Step) -> Iterator[tuple[Interval, Rows]]:
        windows = self.view.windows
        assert windows is not None
        integral = ("count", "count_distinct")
        outputs = [
            Output(
                output.name,
                output.series.name,
                output.function,
                None if output.window.length is None else output.window.length // windows.every,
                output.window.shift // windows.every,
                pa.int64() if output.function in integral else pa.float64(),
            )
            for output in windows.aggregations
        ]
        for span in step.intervals or ():
            first = moved(span.start, -self.view.materialize.lookback)
            seen = [row for key, row in self.tiles.rows.items() if first <= key[1] < span.end]
            tiles = pa.Table.from_pylist([dict(zip(self.schema.names, row, strict=True)) for row in seen], self.schema)
            begin, end = (boundary_number(moment, self.columns) for moment in (span.start, span.end))
            wanted = Boundaries(begin + 1, end, is_start=span.start == step.begin)
            found: Rows = {}
            for piece in rows_of(tiles, self.columns, outputs, wanted, frozenset()):
                for row in piece.to_pylist():
                    who, at, *values = row.values()
                    found[who, at] = tuple(values)
            yield span, found


def _is_in(view: FeatureView, at: datetime, intervals: Mapping[Interval, Rows]) -> bool:
    within = at if view.windows is None else at - MICRO
    return any(span.start <= within < span.end for span in intervals)


def expected(view: FeatureView, events: Rows, first: datetime, now: datetime) -> Rows:
    windows = view.windows
    assert windows is not None
    features = [
        Feature("amount", output.function, output.window.length, output.window.shift) for output in windows.aggregations
    ]
    count = (floor_to(now, DAY) - first) // DAY + 1
    found = rows_at_changes(
        [Event(who, at, {"amount": amount}) for (who, at), (amount,) in events.items()],
        features,
        [first + DAY * number for number in range(count)],
    )
    return dict(found)  # type: ignore[arg-type]


TIMES = st.tuples(st.integers(0, 9), st.sampled_from([0, 1, 43_200_000_000, 86_399_999_999])).map(
    lambda at: START + DAY * at[0] + timedelta(microseconds=at[1])
)
AMOUNTS = st.sampled_from([0.1, 0.2, 0.3, 1e16, -1e16, 2.5, -0.5, 1e-9])
CHANGE = st.lists(st.tuples(st.sampled_from([1, 2]), TIMES, st.one_of(st.none(), AMOUNTS)), min_size=1, max_size=4)
CHUNK = st.sampled_from([None, DAY, 2 * DAY, 5 * DAY])
STOP = st.one_of(st.just(1_000_000), st.integers(0, 4))
HAPPENING = st.one_of(
    st.tuples(st.just("change"), CHANGE),
    st.tuples(st.just("build"), st.integers(0, 3), CHUNK, STOP),
    st.tuples(st.just("backfill"), st.integers(-2, 10), CHUNK, STOP),
    st.tuples(st.just("full refresh"), CHUNK, STOP),
    st.tuples(st.just("restore")),
)


def play(world: World, happened: Sequence[tuple[Any, ...]]) -> None:
    day, told = 4, None  # the day that it is, and from which on the view was told to be
    world.source.versions.append({(1, START): (0.1,)})
    for what, *details in [*happened, ("build", 1, None, 1_000_000)]:
        now, is_new = START + DAY * day + timedelta(hours=5), world.table.state is None
        if what == "change":
            rows = dict(world.source.rows)
            for who, at, amount in details[0]:
                rows.pop((who, at), None)
                if amount is not None:
                    rows[who, at] = (amount,)
            world.source.versions.append(rows)
            continue
        if what == "restore":
            world.source.versions.append(world.source.versions[len(world.source.versions) // 2])
            continue
        chunk, world.commits_left = details[-2], details[-1]
        request = Request(chunk=chunk)
        if what == "build":
            day += details[0]
            now = START + DAY * day + timedelta(hours=5)
        elif what == "backfill":
            since = START + DAY * details[0]
            if details[0] >= day or (told is None and not is_new and details[0] > 0):
                continue
            request = Request(start=since, end=now, chunk=chunk)
        else:
            request = Request(full_refresh=True, chunk=chunk)
        try:
            world.build(request, now)
        except Stopped:
            # What it was told counts from its first commit on.
            if world.table.state is not None:
                told = world.table.state.start
            continue
        told = world.table.state.start if world.table.state is not None else None
        first = START - 5 * DAY if told is None else floor_to(told, DAY)
        if world.table.state is not None:
            # A backfill leaves what lies before it to the next build.
            since = START + DAY * details[0] if what == "backfill" else first
            held = {key: row for key, row in world.table.rows.items() if key[1] >= since}
            true = expected(world.view, world.source.rows, first, now)
            assert held == {key: row for key, row in true.items() if key[1] >= since}, (what, details)
    # A build has no more chunks than there are days, however far a window reaches back.
    assert len(world.tiles.versions) <= 40 * (len(happened) + 1)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(HAPPENING, min_size=1, max_size=8), st.sampled_from(["lifetime", "5d"]))
def test_after_any_sequence_the_rows_are_those_of_brute_force(
    views: Mapping[str, FeatureView], happened: list[tuple[Any, ...]], longest: str
) -> None:
    play(World(views[longest]), happened)


ALL = 1_000_000  # commits: the build is not stopped
FOUND: list[list[tuple[Any, ...]]] = [
    # The grown part of the range and one beside it that is due are one interval: it is cut at the seam.
    [
        ("change", [(1, START, None)]),
        ("change", [(1, START, 0.1)]),
        ("full refresh", None, ALL),
        ("restore",),
        ("backfill", 0, DAY, ALL),
    ],
    # A late event before the moment at which the view was told to begin does not let its range grow.
    [("backfill", 2, None, ALL), ("change", [(2, START, 0.2)]), ("build", 3, None, ALL)],
    # A growth to the left that is stopped begins where it has come to.
    [("backfill", 3, DAY, ALL), ("backfill", -1, DAY, 3), ("change", [(1, START, 0.2)]), ("backfill", 3, DAY, ALL)],
]


@pytest.mark.parametrize("happened", FOUND)
def test_sequences_that_went_wrong_once(views: Mapping[str, FeatureView], happened: list[tuple[Any, ...]]) -> None:
    for longest in ("lifetime", "5d"):
        play(World(views[longest]), happened)
