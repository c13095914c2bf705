"""Finds out what has to be done with one view: from what its last build recorded, and from its inputs' change feeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from feature_mart.definitions import FeatureView
from feature_mart.delta.foreign import foreign_change, same_rows
from feature_mart.delta.tables import Table
from feature_mart.errors import TableError
from feature_mart.plan.definition_change import only_adds_features
from feature_mart.plan.foreign import foreign_refusal
from feature_mart.plan.intervals import affected_by
from feature_mart.plan.steps import (
    Found,
    Request,
    Step,
    ViewState,
    held_step,
    horizon_of,
    input_changes,
    plan_intervals,
    plan_whole,
)
from feature_mart.records import Interval, TableVersion
from feature_mart.runner.ingest import Input
from feature_mart.runner.workspace import Workspace

# Up to so many change rows are compared in this process rather than by Spark.
_FEW_ROWS = 100_000


def view_state(table: Table) -> ViewState | None:
    """What the view's last build recorded; None where there is no table.

    Raises:
        TableError: there is a table, but none of its commits is the engine's.
    """
    recent = table.recent()
    if recent is None:
        return None
    if recent.own is None or recent.own.provenance is None:
        raise TableError(
            f"table {table.name} exists, but no build of this mart made it. Move it away, or name the view otherwise."
        )
    state = ViewState.from_provenance(recent.own.version, recent.own.provenance)
    return replace(state, foreign=foreign_change(table.log, recent))


def refuse_foreign(view: FeatureView, state: ViewState | None, request: Request | None = None) -> None:
    """Refuses a view whose rows another program changed, unless ``request`` makes them anew on purpose.

    Raises:
        TableError: which commit it was, and the commands that lead out of it.
    """
    refusal = foreign_refusal(view, state, request or Request())
    if refusal is not None:
        raise TableError(refusal)


class ChangesOf(Protocol):
    """Finds where a table's rows differ between two versions: per slice of length ``every``, from first to last.

    None, or a `TableError`, where that cannot be told: all may have changed.
    """

    def __call__(
        self, table: Table, *, after: int, until: int, event_timestamp: str, every: timedelta
    ) -> tuple[Interval, ...] | None:
        """See the class."""


def plan_step(
    workspace: Workspace,
    view: FeatureView,
    state: ViewState | None,
    inputs: Mapping[str, Input],
    request: Request,
    changes_of: ChangesOf | None = None,
) -> Step:
    """What is to be done with the view. Starts Spark only where the change feed of an input must be read by it."""
    pinned = {name: _as_seen(entry, state) for name, entry in inputs.items()}
    horizon = horizon_of(view, request.end, workspace.now())
    held = held_step(view, state, request, horizon)
    if held is not None:
        return held
    if view.materialize.mode == "full":
        return plan_whole(view, state, pinned, request, horizon)
    affected: tuple[Interval, ...] | None = ()
    # Of a view that is replaced as a whole, nothing is left that could be out of date.
    if state is not None and not (request.full_refresh and request.start is None):
        affected = affected_intervals(view, state, inputs, changes_of)
    is_anew = state is None or request.full_refresh or affected is None
    found = Found(
        earliest=_earliest(inputs) if is_anew and request.start is None else None,
        affected=affected,
        accepts_older=state is not None
        and state.definition_hash != view.definition_hash
        and only_adds_features(state.definition, view),
    )
    return plan_intervals(view, state, pinned, request, horizon, found)


def affected_intervals(
    view: FeatureView, state: ViewState, inputs: Mapping[str, Input], changes_of: ChangesOf | None = None
) -> tuple[Interval, ...] | None:
    """The intervals that changed inputs reach, from their change feeds; None where all may be reached."""
    changes_of = changes_of or _changes_in_a_build
    changed: list[Interval] = []
    pinned = {name: _as_seen(entry, state) for name, entry in inputs.items()}
    for name in input_changes(state, pinned):
        entry, before = inputs[name], state.inputs.get(name)
        if entry.event_timestamp is None or before is None or before.table_id != entry.version.table_id:
            return None
        try:
            found = changes_of(
                entry.table,
                after=before.version,
                until=entry.version.version,
                event_timestamp=entry.event_timestamp,
                every=view.materialize.every,
            )
        except TableError:
            # The feed of those versions is gone, or a table that others write never kept one: all may have changed.
            return None
        if found is None:
            return None
        changed += found
    rules = view.materialize
    return affected_by(changed, every=rules.every, lookback=rules.lookback, lookahead=rules.lookahead)


def _as_seen(entry: Input, state: ViewState | None) -> TableVersion:
    """The input's version; the one that the last build saw where the rows are still the same (maintenance)."""
    seen = None if state is None else state.inputs.get(entry.name)
    now = entry.version
    is_older = seen is not None and seen.table_id == now.table_id and 0 <= seen.version < now.version
    return seen if seen and is_older and same_rows(entry.table.log, seen.version, now.version) else now


def _changes_in_a_build(
    table: Table, *, after: int, until: int, event_timestamp: str, every: timedelta
) -> tuple[Interval, ...]:
    """From the log where few rows changed, as on most nights: a query of Spark's takes longer than all their rows."""
    from feature_mart.delta.changes import changed_intervals  # Spark and Arrow, which most plans do without
    from feature_mart.delta.log_changes import changed_intervals_by_log

    found = changed_intervals_by_log(
        table, after=after, until=until, event_timestamp=event_timestamp, every=every, most_rows=_FEW_ROWS
    )
    if found is not None:
        return found
    return changed_intervals(table, after=after, until=until, event_timestamp=event_timestamp, every=every)


def _earliest(inputs: Mapping[str, Input]) -> datetime | None:
    """The first event timestamp of all inputs that have one."""
    moments = [
        entry.table.instants(entry.event_timestamp, entry.version.version).earliest
        for entry in inputs.values()
        if entry.event_timestamp is not None
    ]
    return min((moment for moment in moments if moment is not None), default=None)
