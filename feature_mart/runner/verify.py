"""Checks on real data that an interval definition is additive: the same range in one go, and in pieces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import cycle
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from feature_mart.build.run import Range
from feature_mart.definitions import FeatureView
from feature_mart.delta.canonical import row_text
from feature_mart.delta.errors import delta_errors
from feature_mart.errors import UsageError
from feature_mart.plan.steps import ViewState
from feature_mart.records import MICROSECOND, Interval, ceil_to, floor_to, iso
from feature_mart.runner.definition_rows import definition_rows
from feature_mart.runner.ingest import Input, pin
from feature_mart.runner.view_plan import view_state
from feature_mart.runner.workspace import Event, Workspace

# Where no range is asked for, this many intervals up to the latest row: pieces are many, and each is a query.
DEFAULT_INTERVALS = 30
# Pieces in one query; more make its plan, not its data, the cost.
_PIECES_AT_ONCE = 16
_ODD_SIZES = (1, 3, 2, 5)
_EXAMPLES = 5


@dataclass(frozen=True)
class Split:
    """How one way of cutting the range compares with one go. The examples are rows as JSON, in a fixed order.

    ``only_in_one_go`` and ``only_in_pieces`` count rows; a changed value counts in both.
    """

    name: str
    pieces: int
    only_in_one_go: int
    only_in_pieces: int
    examples: tuple[str, ...] = ()

    @property
    def is_equal(self) -> bool:
        """Whether the pieces give what one go gives."""
        return not self.only_in_one_go and not self.only_in_pieces


@dataclass(frozen=True)
class Verification:
    """What was checked of one view, and what came out."""

    view: str
    interval: Interval
    rows: int
    splits: tuple[Split, ...]

    @property
    def is_additive(self) -> bool:
        """Whether there are rows, and every way of cutting the range gives the same ones."""
        return not self.is_without_rows and all(split.is_equal for split in self.splits)

    @property
    def is_without_rows(self) -> bool:
        """Whether the range holds no rows however it is cut, so that nothing was compared."""
        return self.rows == 0 and all(split.is_equal for split in self.splits)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "view": self.view,
            "interval": self.interval.to_json(),
            "rows": self.rows,
            "additive": None if self.is_without_rows else self.is_additive,
            "splits": [
                {
                    "name": split.name,
                    "pieces": split.pieces,
                    "only_in_one_go": split.only_in_one_go,
                    "only_in_pieces": split.only_in_pieces,
                    "examples": list(split.examples),
                }
                for split in self.splits
            ],
        }


def verify_view(
    workspace: Workspace, name: str, *, start: datetime | None = None, end: datetime | None = None
) -> Verification:
    """Runs a view's definition over a range in one go, by single intervals and by odd chunks, and compares the rows.

    The inputs are taken at their latest versions. Nothing is published.

    Args:
        start, end: the range, widened to whole intervals; default: the 30 intervals up to the view's latest row.

    Raises:
        UsageError: the view is unknown, is not built by intervals, or the range is empty.
        BuildError: the definition fails.
    """
    view = _interval_view(workspace, name)
    interval = _interval(workspace, view, start, end)
    inputs = {name: pin(workspace, workspace.project.producer(name)) for name in view.reads}
    every = view.materialize.every
    count = (interval.end - interval.start) // every
    workspace.tell(Event("started", name, f"{interval}: {count} intervals"))
    spark = workspace.session()
    with delta_errors(name):
        span = Range(interval.start, interval.end)
        whole = definition_rows(spark, view, inputs, [span], begin=interval.start).frame.localCheckpoint()
        splits = []
        for title, pieces in (
            ("single intervals", _pieces(interval, every, (1,))),
            ("odd chunks", _pieces(interval, every, _ODD_SIZES)),
        ):
            splits.append(_compared(workspace, view, inputs, whole, title, pieces))
            workspace.tell(Event("progress", name, f"{title}: {'equal' if splits[-1].is_equal else 'different'}"))
        return Verification(name, interval, whole.count(), tuple(splits))


def _interval_view(workspace: Workspace, name: str) -> FeatureView:
    views = workspace.project.views
    if name not in views:
        raise UsageError(f"there is no view {name!r}. Known: {', '.join(sorted(views))}.")
    if views[name].materialize.mode != "interval":
        raise UsageError(
            f"view {name} is built whole, so there are no ranges to compare. `mart verify` is for views "
            "with `materialize: {mode: interval}`."
        )
    return views[name]


def _interval(workspace: Workspace, view: FeatureView, start: datetime | None, end: datetime | None) -> Interval:
    every = view.materialize.every
    state = view_state(workspace.tables.table(view.name))
    # A view that was built whole until now holds no intervals either.
    held = [entry.interval for entry in state.covered] if state is not None else []
    if not held and (start is None or end is None):
        raise UsageError(
            f"view {view.name} has not been built by intervals yet: run `mart build {view.pipeline}`, or give --start "
            "and --end."
        )
    until = ceil_to(end, every) if end is not None else _end_of_rows(state, held, every)
    if start is not None:
        since = floor_to(start, every)
    else:
        since = max(until - DEFAULT_INTERVALS * every, min(interval.start for interval in held))
    if since >= until:
        raise UsageError(f"the range from {iso(since)} to {iso(until)} is empty: --start must be before --end.")
    return Interval(since, until)


def _end_of_rows(state: ViewState | None, held: Sequence[Interval], every: timedelta) -> datetime:
    """Where the interval of the latest row ends: what is built may go on, without rows, up to a later horizon."""
    built = max(interval.end for interval in held)
    latest = None if state is None else state.latest
    return built if latest is None else min(built, ceil_to(latest + MICROSECOND, every))


def _pieces(interval: Interval, every: timedelta, sizes: Sequence[int]) -> list[Range]:
    """The range in pieces of so many intervals each, the sizes taken in turn."""
    pieces, at = [], interval.start
    for size in cycle(sizes):
        if at >= interval.end:
            break
        until = min(at + size * every, interval.end)
        pieces.append(Range(at, until))
        at = until
    return pieces


def _compared(
    workspace: Workspace,
    view: FeatureView,
    inputs: Mapping[str, Input],
    whole: DataFrame,
    title: str,
    pieces: Sequence[Range],
) -> Split:
    """Counts the rows in which the pieces and the whole differ, as bags of rows."""
    parts = [
        _signed(
            definition_rows(
                workspace.session(), view, inputs, pieces[at : at + _PIECES_AT_ONCE], begin=pieces[0].start
            ).frame,
            -1,
        )
        .groupBy("row")
        .agg(F.sum("sign").alias("sign"))
        .localCheckpoint()
        for at in range(0, len(pieces), _PIECES_AT_ONCE)
    ]
    both = _signed(whole, 1)
    for part in parts:
        both = both.unionByName(part)
    differing = both.groupBy("row").agg(F.sum("sign").alias("net")).where("net != 0").localCheckpoint()
    more = F.sum(F.when(F.col("net") > 0, F.col("net")).otherwise(0))
    fewer = F.sum(F.when(F.col("net") < 0, -F.col("net")).otherwise(0))
    counts = differing.agg(F.coalesce(more, F.lit(0)), F.coalesce(fewer, F.lit(0))).first()
    assert counts is not None
    examples = tuple(
        f"{side}: {row['row']}"
        for side, condition in (("one go", "net > 0"), ("pieces", "net < 0"))
        for row in differing.where(condition).orderBy("row").limit(_EXAMPLES).collect()
    )
    return Split(title, len(pieces), counts[0], counts[1], examples)


def _signed(frame: DataFrame, sign: int) -> DataFrame:
    return frame.select(row_text(sorted(frame.columns)).alias("row"), F.lit(sign).cast("bigint").alias("sign"))
