"""Builds pipelines: sources first, then their views in the order of their dependencies, then the record of the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from feature_mart.definitions import FeatureView, Source
from feature_mart.definitions.problems import did_you_mean
from feature_mart.delta.errors import delta_errors
from feature_mart.errors import ConcurrentBuild, MartError, TableError, UsageError
from feature_mart.openlineage.emitter import Emitter
from feature_mart.plan.steps import Request
from feature_mart.records import Run, TableVersion
from feature_mart.runner.ingest import Input, ingest, pin
from feature_mart.runner.openlineage import Told, is_read_in_place, telling
from feature_mart.runner.runs import record_run
from feature_mart.runner.side_by_side import run_side_by_side
from feature_mart.runner.view import ViewBuild, build_view
from feature_mart.runner.view_plan import refuse_foreign, view_state
from feature_mart.runner.workspace import Event, Workspace

_ATTEMPTS = 4
# Most of a small build is planning, done by one thread per query: with several views at a time the cores don't wait for
# it (docs/benchmarks.md). Each one holds its rows in memory, so they are few; the best number is not measured yet.
_AT_ONCE = 4

# What a step gives: whether a source's ingest committed, or what was done with a view.
_Done = bool | ViewBuild


@dataclass(frozen=True)
class BuildResult:
    """What a build did: per view, and whether anything was committed at all."""

    run_id: str
    views: tuple[ViewBuild, ...]
    sources: dict[str, TableVersion] = field(default_factory=dict)
    committed: bool = False


def build(
    workspace: Workspace, pipelines: Sequence[str] = (), *, select: Sequence[str] = (), request: Request | None = None
) -> BuildResult:
    """Builds ``pipelines`` (all where none is named), or those of their views that ``select`` names.

    Raises:
        UsageError: an unknown pipeline or view, a range that ends before it starts, or parallel work without chunks.
        MartError: a step failed; what was published before it stays, nothing of the failed view was published.
    """
    request = replace(request or Request(), named=tuple(select))
    views = selected_views(workspace, pipelines, select)
    if request.start and request.end and request.start >= request.end:
        raise UsageError("--start must be before --end.")
    if request.parallel < 1 or (request.parallel > 1 and request.chunk is None):
        raise UsageError(
            f"--parallel {request.parallel}: it says how many chunks are computed at a time, 1 or more, and needs "
            "--chunk. Add --chunk 30d, for example."
        )
    run = workspace.new_run(request.end)
    with telling(workspace) as emitter, Told(emitter, workspace, run):
        work = _Build(workspace, run, request, {view.name: view for view in views}, emitter)
        return _built(work, views, select)


def _built(work: _Build, views: Sequence[FeatureView], select: Sequence[str]) -> BuildResult:
    """Takes all steps of a build, and records the run where it was one of whole pipelines."""
    workspace, run = work.workspace, work.run
    sources = {source.name: () for source in sources_of(workspace, views)}
    done: dict[str, _Done] = {}
    try:
        run_side_by_side(sources | {view.name: view.reads for view in views}, work.step, done, at_once=_AT_ONCE)
    except MartError as error:
        raise _with_state_left(error, [view.name for view in views], done) from error
    built = [result for view in views if view.tiles_of is None and isinstance(result := done[view.name], ViewBuild)]
    committed = any(result if isinstance(result, bool) else result.committed for result in done.values())
    if not select:
        versions = {result.view: result.version for result in built}
        for pipeline in sorted({view.pipeline for view in views}):
            committed = record_run(workspace, run, pipeline, versions) or committed
    read = {name: entry.version for name, entry in work.pinned.items() if name in workspace.project.sources}
    return BuildResult(run.run_id, tuple(built), read, committed)


@dataclass(frozen=True)
class _Build:
    """One call of `build`: what its steps share. ``pinned`` fills as sources are ingested and views are built."""

    workspace: Workspace
    run: Run
    request: Request
    views: Mapping[str, FeatureView]
    emitter: Emitter | None = None
    pinned: dict[str, Input] = field(default_factory=dict)

    def step(self, name: str) -> _Done:
        """Ingests a source (telling whether anything was committed) or builds a view."""
        if is_read_in_place(self.workspace, name):
            return self._step(name)
        with Told(self.emitter, self.workspace, self.run, name):
            return self._step(name)

    def _step(self, name: str) -> _Done:
        if name not in self.views:
            self.pinned[name], changed = _ingest(self.workspace, self.workspace.project.sources[name], self.run)
            return changed
        view = self.views[name]
        result = _build_one(self.workspace, view, self.pinned, self.run, self.request)
        # What this run made, not what another one may have committed since.
        self.pinned[name] = replace(pin(self.workspace, view), version=result.version)
        return result


def selected_views(workspace: Workspace, pipelines: Sequence[str], select: Sequence[str]) -> list[FeatureView]:
    """The views to build, each after those that it reads.

    Raises:
        UsageError: a name is unknown, or a selected view is in none of the named pipelines.
    """
    project = workspace.project
    for name in pipelines:
        if name not in project.pipelines:
            known = sorted(project.pipelines)
            hint = did_you_mean(name, known)
            if name in project.views:
                hint = f" It is a feature view: write {project.views[name].pipeline} --select {name}"
            raise UsageError(f"there is no pipeline {name!r}. Known: {', '.join(known)}.{hint}")
    chosen = [view for view in project.views.values() if not pipelines or view.pipeline in pipelines]
    names = [view.name for view in chosen]
    for name in select:
        if name in project.views and name not in names:
            other = project.views[name].pipeline
            raise UsageError(
                f"view {name} is built by the pipeline {other}, which is not among those named. "
                f"Write: mart build {other} --select {name}"
            )
        if name not in names:
            hint = did_you_mean(name, sorted(names))
            raise UsageError(f"there is no view {name!r} to select. Known: {', '.join(sorted(names))}.{hint}")
    picked = [view for view in chosen if not select or view.name in select]
    return [part for view in picked for part in ((view,) if view.tiles is None else (view.tiles, view))]


def sources_of(workspace: Workspace, views: Sequence[FeatureView]) -> list[Source]:
    names = {name for view in views for name in view.inputs}
    return [source for name, source in sorted(workspace.project.sources.items()) if name in names]


def _ingest(workspace: Workspace, source: Source, run: Run) -> tuple[Input, bool]:
    for _ in range(_ATTEMPTS - 1):
        try:
            with delta_errors(source.name):
                return ingest(workspace, source, run)
        except ConcurrentBuild as error:
            workspace.tell(Event("remark", source.name, f"{error.message} Looking at what it left."))
    with delta_errors(source.name):
        return ingest(workspace, source, run)


def _build_one(
    workspace: Workspace, view: FeatureView, pinned: dict[str, Input], run: Run, request: Request
) -> ViewBuild:
    for attempt in range(_ATTEMPTS):
        try:
            with delta_errors(view.name):
                return build_view(workspace, view, _inputs(workspace, view, pinned), run, asked_of(view, request))
        except ConcurrentBuild as error:
            if attempt == _ATTEMPTS - 1:
                raise
            workspace.tell(Event("remark", view.name, f"{error.message} Planning again on what it left."))
            # The other build may have seen newer inputs than this run pinned; an older result must not replace it.
            for name in view.reads:
                pinned[name] = _pinned(workspace, view, name)
    raise AssertionError("unreachable")


def _inputs(workspace: Workspace, view: FeatureView, pinned: dict[str, Input]) -> dict[str, Input]:
    for name in view.reads:
        if name not in pinned:
            pinned[name] = _pinned(workspace, view, name)
    return {name: pinned[name] for name in view.reads}


def asked_of(view: FeatureView, request: Request) -> Request:
    """What a view is asked for. Tiles are those of all events: which of them windows reach back to may change later."""
    if view.tiles_of is None:
        return request
    named = (*request.named, view.name) if view.tiles_of.name in request.named else request.named
    return replace(request, start=None, named=named)


def _pinned(workspace: Workspace, view: FeatureView, name: str) -> Input:
    """An input that this run has not built, as another one left it."""
    producer = workspace.project.producer(name)
    try:
        found = pin(workspace, producer)
    except TableError as error:
        pipeline = producer.pipeline if isinstance(producer, FeatureView) else ""
        raise TableError(
            f"view {view.name} reads {name}, which has not been built yet. Run `mart build {pipeline}` first."
        ) from error
    if isinstance(producer, FeatureView):
        refuse_foreign(producer, view_state(found.table))
    return found


def _with_state_left(error: MartError, views: Sequence[str], done: Mapping[str, _Done]) -> MartError:
    """The same error, its text ending with what was published and what to run next."""
    built = {name: result for name, result in done.items() if isinstance(result, ViewBuild)}
    published = [name for name in views if name in built and built[name].committed]
    published += [error.facts["published"]] if "published" in error.facts else []
    left = [name for name in views if name not in built]
    lines = [error.message, ""]
    lines.append(
        f"Published before this: {', '.join(published)}." if published else "Nothing was published by this run."
    )
    if len(left) > 1:
        lines.append(f"Not built: {', '.join(left)}.")
    lines.append("Mend the cause and run the same command again: what is up to date is not built twice.")
    told = error.__class__.__new__(error.__class__)
    told.__dict__.update(error.__dict__)
    told.message = "\n".join(lines)
    told.args = (told.message,)
    return told


__all__ = ["BuildResult", "build", "selected_views"]
