"""Finds out what a build would do, without Spark and without doing it: the same decisions, from the logs and the files.

What a source's new files hold is not known before they are read. A view downstream of them says so (`known_after`);
all else is what the build will do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from feature_mart.definitions import FeatureView, Source
from feature_mart.definitions.problems import counted
from feature_mart.delta.tables import Table
from feature_mart.errors import TableError
from feature_mart.plan.definition_change import DefinitionChange, definition_change
from feature_mart.plan.foreign import foreign_refusal
from feature_mart.plan.intervals import affected_by
from feature_mart.plan.preview import (
    Plan,
    SourcePlan,
    ViewPlan,
    affected_by_views,
    deprecated_in_use,
    estimated_rows,
    interval_count,
    moment,
    stale_ranges,
)
from feature_mart.plan.schema_change import refusal, schema_change
from feature_mart.plan.steps import Request, Step, ViewState, horizon_of
from feature_mart.read.ingest import plan_ingest
from feature_mart.records import EARLIEST, Interval, TableVersion, floor_to, merged
from feature_mart.runner.build import selected_views, sources_of
from feature_mart.runner.ingest import Input, pin
from feature_mart.runner.view_plan import plan_step, view_state
from feature_mart.runner.workspace import Workspace

# Reading a log waits for a disk or an object store.
_READERS = 8


def plan_build(
    workspace: Workspace, pipelines: Sequence[str] = (), *, select: Sequence[str] = (), request: Request | None = None
) -> Plan:
    """What `build` with the same arguments would do now.

    Raises:
        UsageError: an unknown pipeline or view.
        SourceError: a source's files cannot be listed.
    """
    request = replace(request or Request(), named=tuple(select))
    views = selected_views(workspace, pipelines, select)
    with ThreadPoolExecutor(_READERS) as pool:
        sources = list(pool.map(lambda source: _source_plan(workspace, source), sources_of(workspace, views)))
        states = list(pool.map(lambda view: view_state(workspace.tables.table(view.name)), views))
    pending: dict[str, tuple[Interval, ...] | None] = {
        entry.source: None for entry in sources if entry.action != "skip"
    }
    planned: list[ViewPlan] = []
    planner = _Planner(workspace, request, pending)
    for view, state in zip(views, states, strict=True):
        entry = planner.view(view, state)
        planned.append(entry)
        if entry.action == "build":
            pending[view.name] = None if entry.known_after else entry.intervals
    changing = [
        entry.view
        for entry in planned
        if entry.action in ("build", "refused") and entry.view in workspace.project.views
    ]
    return Plan(
        horizon=str(moment(request.end or workspace.now())),
        sources=tuple(sources),
        views=tuple(planned),
        affected=affected_by_views(workspace.project, changing),
        deprecated=deprecated_in_use(workspace.project),
    )


def _source_plan(workspace: Workspace, source: Source) -> SourcePlan:
    owner = source.owner or ""
    if source.format in ("delta", "table"):
        current = workspace.table_of(source).current()
        said = "read in place" if current is not None else "its table is not there"
        return SourcePlan(source.name, owner, "skip", said, None if current is None else current.version)
    table = workspace.tables.table(source.name)
    last = table.last_build()
    version = None if last is None else last.version
    if source.format == "jdbc":
        reason = "a database table is read, and compared with what is there"
        return SourcePlan(source.name, owner, "read anew", reason, version)
    plan = plan_ingest(source, workspace.project.root, table, last, now=workspace.now(), anew=False)
    changes = plan.changes
    files = {
        "added": tuple(file.name for file in changes.added),
        "changed": tuple(file.name for file in changes.replaced),
        "gone": changes.gone,
    }
    if not plan.is_needed:
        return SourcePlan(source.name, owner, "skip", f"{counted(changes.unchanged, 'file')}, none new", version, files)
    if last is not None and plan.is_new_declaration:
        return SourcePlan(source.name, owner, "read anew", "its declaration changed", version, files)
    reason = "new" if last is None else "files to read"
    return SourcePlan(source.name, owner, "ingest", reason, version, files, drops_gone=bool(plan.dropped))


@dataclass(frozen=True)
class _Planner:
    """Plans views in the order of their dependencies.

    ``pending`` are the inputs that the build changes before: with the intervals that it rebuilds of them at most, or
    None where that is not known. ``pinned``, ``changed`` and ``columns`` keep what was found in the logs, as many views
    may read the same input: its version (None where it is not there), what changed in it between two versions, and the
    types of its columns at a version; ``spoilt`` tells of views whether another program changed their rows.
    """

    workspace: Workspace
    request: Request
    pending: Mapping[str, tuple[Interval, ...] | None]
    pinned: dict[str, Input | None] = field(default_factory=dict)
    spoilt: dict[str, bool] = field(default_factory=dict)
    changed: dict[tuple[str, frozenset[tuple[str, Any]]], tuple[Interval, ...] | None] = field(default_factory=dict)
    columns: dict[tuple[str, TableVersion], Mapping[str, str]] = field(default_factory=dict)

    def view(self, view: FeatureView, state: ViewState | None) -> ViewPlan:
        """The plan of one view."""
        self.spoilt[view.name] = state is not None and state.foreign is not None
        waits_for = [name for name in view.reads if name in self.pending]
        inputs = {name: entry for name in view.reads if (entry := self._pin(name)) is not None}
        horizon = horizon_of(view, self.request.end, self.workspace.now())
        missing = [name for name in view.reads if name not in inputs and name not in waits_for]
        spoilt = [name for name in view.reads if name not in waits_for and self._is_spoilt(name)]
        if missing or spoilt:
            why = f"{', '.join(missing)}, not built yet" if missing else _spoilt_text(spoilt)
            blocked = Step(view.name, "skip", f"waits for {why}", horizon, _none_yet(view))
            return self._told(view, state, blocked, (), is_blocked=True)
        if len(inputs) < len(view.reads):
            first = Step(view.name, "build", "new", horizon, _none_yet(view))
            return self._told(view, state, first, waits_for)
        unknown: list[str] = []

        def changes_of(table: Table, **between: Any) -> tuple[Interval, ...] | None:
            found = self._changed(table, **between)
            if found is None:
                unknown.append(table.name)
            return found or ()

        step = plan_step(self.workspace, view, state, inputs, self.request, changes_of)
        unsure = sorted({*waits_for, *unknown})
        return self._told(view, state, self._with_pending(view, step, unsure), unsure)

    def _refused(self, view: FeatureView, state: ViewState | None, change: DefinitionChange | None) -> str | None:
        """Why a build would be refused for the sake of what is published, as far as that is known without a run."""
        if state is None or self.request.full_refresh or view.tiles_of is not None:
            return None
        if change is None and not any(self._comes_otherwise(name, state) for name in view.reads):
            return None
        from feature_mart.definitions.column_types import known_types  # loads the SQL parser

        published = self.workspace.tables.table(view.name).columns()
        found = schema_change(published, view.columns, known_types(view, self._types_of_input))
        return None if found is None else refusal(view, found, self.workspace.project.services.values())

    def _comes_otherwise(self, name: str, state: ViewState) -> bool:
        """Whether an ingested source is declared in other types than those that the last build of a view read."""
        producer, seen = self.workspace.project.producer(name), state.inputs.get(name)
        if not isinstance(producer, Source) or not producer.is_ingested or seen is None:
            return False
        if (name, seen) not in self.columns:
            try:
                self.columns[name, seen] = self.workspace.table_of(producer).columns(seen.version)
            except TableError:  # that version is gone, so what it had is not known
                self.columns[name, seen] = {}
        return any(self.columns[name, seen].get(column) != kind for column, kind in producer.schema.items())

    def _types_of_input(self, name: str) -> Mapping[str, str]:
        """Ingested sources come in their declared types; a view keeps those that are published."""
        producer = self.workspace.project.producer(name)
        if isinstance(producer, Source):
            return producer.schema if producer.is_ingested else {}
        return self.workspace.tables.table(name).columns()

    def _pin(self, name: str) -> Input | None:
        if name not in self.pinned:
            producer = self.workspace.project.producer(name)
            is_there = self.workspace.table_of(producer).current() is not None
            self.pinned[name] = pin(self.workspace, producer) if is_there else None
        return self.pinned[name]

    def _is_spoilt(self, name: str) -> bool:
        """Whether it is a view whose rows another program changed."""
        if name not in self.spoilt:
            is_view = name in self.workspace.project.views
            state = view_state(self.workspace.tables.table(name)) if is_view else None
            self.spoilt[name] = state is not None and state.foreign is not None
        return self.spoilt[name]

    def _changed(self, table: Table, **between: Any) -> tuple[Interval, ...] | None:
        from feature_mart.delta.log_changes import changed_intervals_by_log  # loads Arrow, which few plans need

        key = (table.name, frozenset(between.items()))
        if key not in self.changed:
            self.changed[key] = changed_intervals_by_log(table, **between)
        return self.changed[key]

    def _with_pending(self, view: FeatureView, step: Step, waits_for: Sequence[str]) -> Step:
        """The step with what inputs add that the same build changes before, or whose changes only Spark can tell."""
        if not waits_for or step.held:
            return step
        reason = step.reason if step.action == "build" else f"inputs change: {', '.join(waits_for)}"
        if step.intervals is None:
            return replace(step, action="build", reason=reason)
        rules = view.materialize
        changed = [interval for name in waits_for for interval in self.pending.get(name) or ()]
        reached = affected_by(changed, every=rules.every, lookback=rules.lookback, lookahead=rules.lookahead)
        begin = EARLIEST if self.request.start is None else floor_to(self.request.start, rules.every)
        within = [
            Interval(max(interval.start, begin), min(interval.end, step.horizon))
            for interval in reached
            if interval.start < step.horizon and interval.end > begin
        ]
        return replace(step, action="build", reason=reason, intervals=merged([*step.intervals, *within]))

    def _told(
        self,
        view: FeatureView,
        state: ViewState | None,
        step: Step,
        unknown: Sequence[str],
        *,
        is_blocked: bool = False,
    ) -> ViewPlan:
        change = None if state is None else definition_change(state.definition, state.definition_hash, view)
        refused = foreign_refusal(view, state, self.request)
        if refused is None and step.action == "build":
            refused = self._refused(view, state, change)
        action = "refused" if refused else "blocked" if is_blocked else step.action
        count, rows = self._extent(view, state, step) if action == "build" else (None, None)
        return ViewPlan(
            view=view.name,
            pipeline=view.pipeline,
            owner=view.owner,
            action=action,
            reason=refused or step.reason,
            intervals=step.intervals,
            known_after=tuple(unknown) if step.intervals is not None else (),
            version=None if state is None else state.version,
            horizon=moment(step.horizon),
            change=change,
            stale=() if state is None else stale_ranges(state.covered, view.definition_hash),
            interval_count=count,
            estimated_rows=rows,
        )

    def _extent(self, view: FeatureView, state: ViewState | None, step: Step) -> tuple[int | None, int | None]:
        """How many intervals the step has, and about how many rows it writes, as far as the log tells."""
        every, intervals = view.materialize.every, step.intervals
        count = None if intervals is None else interval_count(intervals, every)
        if state is None:
            return count, None
        rows = self.workspace.tables.table(view.name).log.row_count(state.version)
        return count, estimated_rows(rows, state.covered, intervals, every)


def _spoilt_text(names: Sequence[str]) -> str:
    return f"{', '.join(names)}, whose rows another program changed"


def _none_yet(view: FeatureView) -> tuple[Interval, ...] | None:
    return () if view.materialize.mode == "interval" else None
