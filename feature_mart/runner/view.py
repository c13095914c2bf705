"""Builds one view: plan, read, run, check, write, in this order."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

from pyspark.sql import functions as F

from feature_mart.build.run import Range
from feature_mart.check.rules import Context, inside_rule
from feature_mart.check.run import RAW, REASON, Checked, check_rows
from feature_mart.definitions import FeatureService, FeatureView
from feature_mart.definitions.problems import counted
from feature_mart.delta.address import quarantine_of
from feature_mart.delta.canonical import instant
from feature_mart.delta.errors import delta_errors
from feature_mart.delta.tables import Table
from feature_mart.delta.writes import EVERYTHING, NOTHING, Expected, Replaces, expected_state, require_state
from feature_mart.errors import MartError
from feature_mart.history.restore import release
from feature_mart.plan.definition_change import definition_record
from feature_mart.plan.intervals import covered_after
from feature_mart.plan.steps import Request, Step, ViewState, clock_remark
from feature_mart.records import (
    EPOCH,
    MICROSECOND,
    CheckReport,
    Provenance,
    Run,
    TableVersion,
    WriteResult,
    iso,
    moved,
)
from feature_mart.runner.ahead import worked_ahead
from feature_mart.runner.definition_rows import definition_rows, has_margin
from feature_mart.runner.ingest import Input
from feature_mart.runner.parts import parts_of
from feature_mart.runner.remarks import remark_on_inputs
from feature_mart.runner.view_files import Written, target_of, write
from feature_mart.runner.view_plan import plan_step, refuse_foreign, view_state
from feature_mart.runner.workspace import Event, Workspace
from feature_mart.write.files import NOT_COMMITTED, discarded_on
from feature_mart.write.quarantine import of_ranges, quarantine_rows, set_aside
from feature_mart.write.view import Extent, Intent, in_published_types, publish, refuse_schema_change, rows_in


@dataclass(frozen=True)
class ViewBuild:
    """What a build did with one view."""

    view: str
    reason: str
    version: TableVersion
    rows: int
    committed: bool
    quarantined: int = 0
    warnings: tuple[str, ...] = ()


# Rows with their report; and the files that they are in, where tasks wrote them.
Computed = tuple[Checked, Written | None]


@dataclass(frozen=True)
class Task:
    """One view's part in a run: what does not change from chunk to chunk."""

    workspace: Workspace
    view: FeatureView
    table: Table
    inputs: Mapping[str, Input]
    run: Run


def build_view(
    workspace: Workspace, view: FeatureView, inputs: Mapping[str, Input], run: Run, request: Request
) -> ViewBuild:
    """Brings one view up to date with its pinned inputs.

    Raises:
        BuildError: the definition failed. Nothing was published.
        CheckFailed: a check of severity ``error`` failed. Nothing was published.
        SchemaChangeRefused: published features would go or change their types. Nothing was published.
        ConcurrentBuild: another build of the view committed in the meantime. Nothing was published.
        TableError: another program changed the view's rows.
    """
    task = Task(workspace, view, workspace.tables.table(view.name), inputs, run)
    # Before anything else is looked at: whoever commits after this moment is noticed.
    expected = expected_state(task.table)
    state = view_state(task.table)
    refuse_foreign(view, state, request)
    step = plan_step(workspace, view, state, inputs, request)
    remark = clock_remark(state, request, step.horizon)
    if remark is not None:
        workspace.tell(Event("remark", view.name, remark))
    if step.action == "skip" and state is not None and state.on_hold and not step.held:
        return _release(task, expected)
    if step.action == "skip":
        workspace.tell(Event("skipped", view.name, step.reason))
        return ViewBuild(view.name, step.reason, task.table.pinned(), 0, committed=False)
    workspace.tell(Event("started", view.name, step.reason))
    remark_on_inputs(workspace, view, inputs, in_intervals=step.intervals is not None)
    parts = parts_of(step, request.chunk, view)
    reports, version = _build_parts(task, parts, state, expected, at_once=_at_once(view, step, request))
    return _told(task, step, reports, task.table.pinned(version))


def _at_once(view: FeatureView, step: Step, request: Request) -> int:
    """How many chunks may be computed at the same time: one, where a chunk depends on what those before it published.

    So do checks that look at the view as a whole, and rows of another schema than the published one.
    """
    looks_at_all = any(check.kind in ("row_count", "row_count_change", "freshness") for check in view.checks)
    return 1 if step.replaces_schema or looks_at_all else request.parallel


def _build_parts(
    task: Task, parts: Sequence[Step], state: ViewState | None, expected: Expected, *, at_once: int
) -> tuple[list[CheckReport], int]:
    """Computes the parts of a step, several at a time where that is allowed, and commits them one after the other.

    Returns:
        The report of each part, and the version that the last one made.
    """
    reports: list[CheckReport] = []
    version = 0

    def compute(part: Step) -> Computed:
        return _compute(task, part, state)

    def computed() -> Generator[Computed]:
        # Of a new view the first part says in which types the others are published.
        alone = 1 if state is None else 0
        yield from worked_ahead(parts[:alone], compute, _drop, at_once=1)
        yield from worked_ahead(parts[alone:], compute, _drop, at_once=at_once)

    try:
        with closing(computed()) as found:
            for number, (part, (checked, written)) in enumerate(zip(parts, found, strict=True), start=1):
                try:
                    with discarded_on(NOT_COMMITTED, None if written is None else written.files.target):
                        result = _publish(task, part, state, expected, checked, written)
                finally:
                    checked.release()
                version = result.version
                expected, state = expected_state(task.table), view_state(task.table)
                refuse_foreign(task.view, state)  # the change may have come while this part was made
                reports.append(checked.report)
                _tell_progress(task, part, result, number, len(parts))
    except MartError as error:
        if reports:
            error.facts["published"] = f"{task.view.name}, chunks 1 to {len(reports)} of {len(parts)}"
        raise
    return reports, version


def _drop(computed: Computed) -> None:
    checked, written = computed
    checked.release()
    if written is not None:
        written.files.discard()


def _tell_progress(task: Task, part: Step, result: WriteResult, number: int, total: int) -> None:
    if total == 1:
        return
    ranges = ", ".join(map(str, part.intervals or ()))
    text = f"chunk {number} of {total}: {ranges}, {counted(result.rows, 'row')}"
    task.workspace.tell(Event("progress", task.view.name, text, number, total))


def _release(task: Task, expected: Expected) -> ViewBuild:
    """Ends the hold of a view that was asked for by name and in which nothing has to be built."""
    result = release(task.table, run=task.run, expected=expected)
    reason = "released from hold; its rows are up to date"
    task.workspace.tell(Event("done", task.view.name, f"version {result.version}, {reason}"))
    return ViewBuild(task.view.name, reason, task.table.pinned(result.version), 0, committed=True)


def _told(task: Task, step: Step, reports: Sequence[CheckReport], version: TableVersion) -> ViewBuild:
    """The result of a build, told to whoever listens."""
    tell, name = task.workspace.tell, task.view.name
    results = [result for report in reports for result in report.results]
    found = [f"{r.name}: {r.message}" for r in results if not r.passed and r.severity != "error"]
    warnings = tuple(dict.fromkeys(found))
    for warning in warnings:
        tell(Event("remark", name, warning))
    rows, aside = sum(report.rows for report in reports), sum(report.quarantined for report in reports)
    said = f"version {version.version}, {counted(rows, 'row')}" + (f", {aside} set aside" if aside else "")
    tell(Event("done", name, said))
    return ViewBuild(name, step.reason, version, rows, True, aside, warnings)


def _compute(task: Task, step: Step, state: ViewState | None) -> Computed:
    """Runs the definition over the step's ranges and checks what comes out; in files, where that is the quicker way."""
    view = task.view
    made = definition_rows(task.workspace.session(), view, task.inputs, _spans(step), begin=step.begin)
    frame = made.frame
    if state is not None and not step.replaces_schema:
        published = task.table.columns()
        frame = in_published_types(frame, published)
        # Known before a row is computed, and before anything is set aside.
        refuse_schema_change(view, published, dict(frame.dtypes), _services(task))
    rules = []
    if step.intervals is not None and not has_margin(view):
        rules.append(inside_rule(view, step.intervals))
    written = None
    if made.in_tasks is not None:
        replaces = _replaces(view, step, state)
        target = target_of(view, task.table, made.in_tasks, step, state, replaces)
        written = None if target is None else write(made.in_tasks, target, view)
    if written is None:
        return check_rows(view, frame, _context(task, step, state), rules), None
    with discarded_on((BaseException,), written.files.target):
        context = _context(task, step, state)
        return check_rows(view, written.frame, context, rules, are_kept=True), written


def _services(task: Task) -> tuple[FeatureService, ...]:
    return tuple(task.workspace.project.services.values())


def _spans(step: Step) -> list[Range]:
    if step.intervals is None:
        return [Range(None, step.horizon)]
    return [Range(interval.start, interval.end) for interval in step.intervals]


def _context(task: Task, step: Step, state: ViewState | None) -> Context:
    """What checks of the whole view need to know of the rows that this build does not make."""
    if state is None:
        return Context(step.horizon)
    kept = None if step.replaces_everything or _is_rebuilt(task.view, step, state.latest) else state.latest
    if all(check.kind not in ("row_count", "row_count_change") for check in task.view.checks):
        return Context(step.horizon, latest_kept=kept)
    rows = task.table.row_count(state.version)
    replaces = _replaces(task.view, step, state)
    if replaces.condition is None:
        return Context(step.horizon, rows, rows if replaces == EVERYTHING else 0, kept)
    with delta_errors(task.table.name):
        replaced = task.table.read(state.version).where(replaces.condition).count()
    return Context(step.horizon, rows, replaced, kept)


def _is_rebuilt(view: FeatureView, step: Step, moment: datetime | None) -> bool:
    if moment is None:
        return False
    within = _within(view, moment)
    return any(span.start <= within < span.end for span in step.intervals or ())


def _within(view: FeatureView, moment: datetime) -> datetime:
    """A moment of the interval that a row belongs to: a windowed view's stand at the end of theirs."""
    return moment if view.windows is None else moved(moment, -MICROSECOND)


def _publish(
    task: Task,
    step: Step,
    state: ViewState | None,
    expected: Expected,
    checked: Checked,
    written: Written | None,
) -> WriteResult:
    """Commits what was set aside, then the view."""
    replaces = _replaces(task.view, step, state)
    before = state if replaces != EVERYTHING else None
    rows = checked.report.rows
    added = rows if replaces == NOTHING or before is None else 0
    extent = Extent(
        rows=max(rows, added + (before.table_rows if before else 0)),
        earliest=_earlier(checked.earliest, before.earliest if before else None),
        latest=_later(checked.latest, before.latest if before else None),
    )
    provenance = _provenance(task, step, before, extent, checked.report)
    if checked.report.is_publishable:
        # Before the quarantine is touched: rows of an overtaken build have no place in it.
        require_state(task.table, expected)
        _set_aside(task, step, checked, provenance)
    intent = Intent(provenance, expected, replaces, step.replaces_schema, _services(task))
    # Chunks before it, published since it was computed, may ask for another way of making room.
    is_other = checked.report.quarantined or replaces.condition is not None
    files = None if written is None or is_other else written.files
    result = publish(
        task.view, checked.rows, task.table, report=checked.report, intent=intent, extent=extent, files=files
    )
    if written is not None and files is None:
        written.files.discard()  # Spark wrote the rows that stay once more
    return result


def _provenance(task: Task, step: Step, before: ViewState | None, extent: Extent, report: CheckReport) -> Provenance:
    covered = covered_after(
        before.covered if before else (),
        built=step.intervals or (),
        affected=step.affected,
        definition_hash=task.view.definition_hash,
    )
    return Provenance(
        run=task.run,
        pipeline=task.view.pipeline,
        feature_view=task.view.name,
        definition_hash=task.view.definition_hash,
        intervals=step.intervals,
        inputs={name: entry.version.to_json() for name, entry in task.inputs.items()},
        rows=report.rows,
        checks=report.counts(),
        horizon=step.horizon,
        extra={
            "reason": step.reason,
            "quarantined": report.quarantined,
            "coverage": None if step.intervals is None else [entry.to_json() for entry in covered],
            "definition": definition_record(task.view),
            "table_rows": extent.rows,
            "earliest": None if extent.earliest is None else iso(extent.earliest),
            "latest": None if extent.latest is None else iso(extent.latest),
            "latest_input": _latest_input(task.inputs),
            **({} if step.start is None else {"start": iso(step.start)}),
        },
    )


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min(filter(None, [one, other]), default=None)


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max(filter(None, [one, other]), default=None)


def _latest_input(inputs: Mapping[str, Input]) -> str | None:
    known = [entry.latest for entry in inputs.values() if entry.latest is not None]
    return iso(max(known)) if known else None


def _replaces(view: FeatureView, step: Step, state: ViewState | None) -> Replaces:
    """All rows, those of the step's intervals, or (the usual night: new intervals after all that is there) none."""
    if step.replaces_everything or state is None:
        return EVERYTHING
    built = step.intervals or ()
    if state.earliest is None or state.latest is None:
        return NOTHING
    earliest, latest = _within(view, state.earliest), _within(view, state.latest)
    if all(span.start > latest or span.end <= earliest for span in built):
        return NOTHING
    return rows_in(view, built)


def _set_aside(task: Task, step: Step, checked: Checked, provenance: Provenance) -> None:
    """Commits quarantined rows before the view's own, so that a published view never lacks them."""
    view, table = task.view, task.workspace.tables.table(quarantine_of(task.view.name))
    if not checked.report.quarantined and table.current() is None:
        return
    begin = step.intervals[0].start if step.intervals else EPOCH
    time = F.col(f"`{view.event_timestamp}`") if view.event_timestamp else F.lit(None).cast("timestamp")
    rows = quarantine_rows(
        checked.quarantined,
        at=F.coalesce(time, F.expr(instant(begin))),
        file=F.lit(None),
        reason=REASON,
        raw=RAW,
        run_id=task.run.run_id,
    )
    replaces = EVERYTHING if step.intervals is None or step.replaces_everything else of_ranges(step.intervals)
    set_aside(rows, table, provenance=provenance, replaces=replaces)
