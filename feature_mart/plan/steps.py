"""What a build does with one view, and why: plain data, decided from definitions and from what was recorded before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from feature_mart.definitions import FeatureView
from feature_mart.plan.intervals import OUTDATED, Covered, to_build, wanted_range, windowed_range
from feature_mart.records import ForeignChange, Interval, TableVersion, floor_to, iso, merged, parse_instant

Action = Literal["build", "skip"]


@dataclass(frozen=True)
class ViewState:
    """What the last build of a view recorded about itself, and what another program did to its rows since.

    ``start``: where a windowed view was told to begin.
    """

    version: int
    definition_hash: str
    definition: str
    inputs: Mapping[str, TableVersion]
    horizon: datetime | None
    covered: tuple[Covered, ...]
    table_rows: int
    earliest: datetime | None
    latest: datetime | None
    latest_input: datetime | None
    on_hold: bool = False
    restored_from: int | None = None
    foreign: ForeignChange | None = None
    start: datetime | None = None

    @classmethod
    def from_provenance(cls, version: int, provenance: Mapping[str, Any]) -> ViewState:
        """The state in a commit's provenance."""
        moment = {key: provenance.get(key) for key in ("horizon", "earliest", "latest", "latest_input", "start")}
        times = {key: None if text is None else parse_instant(text) for key, text in moment.items()}
        return cls(
            version=version,
            definition_hash=str(provenance.get("definition_hash")),
            definition=str(provenance.get("definition", "")),
            inputs={
                name: TableVersion(str(entry.get("table_id")), int(entry.get("version", -1)))
                for name, entry in (provenance.get("inputs") or {}).items()
            },
            horizon=times["horizon"],
            covered=tuple(Covered.from_json(entry) for entry in provenance.get("coverage") or ()),
            table_rows=int(provenance.get("table_rows", 0)),
            earliest=times["earliest"],
            latest=times["latest"],
            latest_input=times["latest_input"],
            on_hold=bool(provenance.get("on_hold")),
            restored_from=provenance.get("restored_from"),
            start=times["start"],
        )


@dataclass(frozen=True)
class Request:
    """What a build was asked for: a backfill's ``start``, the horizon ``end``, the length of a ``chunk``, all anew.

    ``parallel``: how many chunks of a view may be computed at the same time.
    ``named``: the views that were asked for by name, which releases those that are on hold.
    """

    start: datetime | None = None
    end: datetime | None = None
    chunk: timedelta | None = None
    full_refresh: bool = False
    named: tuple[str, ...] = ()
    parallel: int = 1


@dataclass(frozen=True)
class Found:
    """What had to be looked up to plan a view that is built by intervals.

    ``earliest`` is the first input row's event timestamp, needed where nothing was built before. ``affected`` are the
    intervals that changed inputs can reach; None where that is not known, so that all are. ``accepts_older`` says that
    ranges which an earlier definition made may stay, as the new one only adds features.
    """

    earliest: datetime | None = None
    affected: tuple[Interval, ...] | None = ()
    accepts_older: bool = False


@dataclass(frozen=True)
class Step:
    """One view's part in a build. ``intervals`` is None where the view is built whole; ``held``: it is on hold.

    Of a windowed view, ``begin`` is where its one range begins after this step, ``start`` where it was told to begin,
    if it was, and ``grows_from`` where the range began before, if it grows to the left.
    """

    view: str
    action: Action
    reason: str
    horizon: datetime
    intervals: tuple[Interval, ...] | None = None
    affected: tuple[Interval, ...] = ()
    replaces_everything: bool = False
    replaces_schema: bool = False
    held: bool = False
    begin: datetime | None = None
    start: datetime | None = None
    grows_from: datetime | None = None


DAY = timedelta(days=1)


def horizon_of(view: FeatureView, end: datetime | None, now: datetime) -> datetime:
    """The moment up to which a view is built: the asked ``end``, else now.

    Where ``:interval_end`` is in the definition of a view that is built whole, now is the start of today: otherwise no
    two builds of the same day would give the same.
    """
    if view.materialize.mode == "interval":
        return floor_to(end or now, view.materialize.every)
    if end is None and "interval_end" in view.definition.parameters:
        return floor_to(now, DAY)
    return end or now


def input_changes(state: ViewState, pinned: Mapping[str, TableVersion]) -> list[str]:
    """The inputs of which the last build saw another version (or another table of the name)."""
    return sorted(name for name, version in pinned.items() if state.inputs.get(name) != version)


def is_superseded(state: ViewState, pinned: Mapping[str, TableVersion]) -> bool:
    """Whether the last build saw a newer version of some input and an older one of none: its result is the newer."""
    pairs = [(state.inputs[name], version) for name, version in pinned.items() if name in state.inputs]
    same = [(was, now) for was, now in pairs if was.table_id == now.table_id]
    return any(was.version > now.version for was, now in same) and not any(
        was.version < now.version for was, now in same
    )


def change_text(state: ViewState, pinned: Mapping[str, TableVersion], names: Sequence[str]) -> str:
    """Which inputs moved from where to where, for people."""
    parts = []
    for name in names:
        was, now = state.inputs.get(name), pinned[name]
        if was is None or was.version < 0:
            parts.append(f"{name} is new")
        elif was.table_id != now.table_id:
            parts.append(f"{name} is another table of that name, at v{now.version}")
        else:
            parts.append(f"{name} v{was.version} → v{now.version}")
    return "inputs changed: " + ", ".join(parts)


def clock_remark(state: ViewState | None, request: Request, horizon: datetime) -> str | None:
    """What to say where now is before the last build's horizon: a clock went back, or that build had a later end."""
    if request.end is not None or state is None or state.horizon is None or horizon >= state.horizon:
        return None
    return (
        f"the horizon {iso(horizon)} is before the last build's, {iso(state.horizon)}: the clock went back, or that "
        "build was given a later --end. What lies after it is built when it is reached again, or with --end"
    )


def held_step(view: FeatureView, state: ViewState | None, request: Request, horizon: datetime) -> Step | None:
    """The step of a view that is on hold and was not asked for by name: it is left as it is. None for all others."""
    if state is None or not state.on_hold or view.name in request.named:
        return None
    intervals = () if view.materialize.mode == "interval" else None
    reason = (
        f"on hold since version {state.version} (restored from version {state.restored_from}): left as it is; "
        f"`mart build {view.pipeline} --select {view.name}` builds it again"
    )
    return Step(view.name, "skip", reason, horizon, intervals=intervals, held=True)


def plan_whole(
    view: FeatureView, state: ViewState | None, pinned: Mapping[str, TableVersion], request: Request, horizon: datetime
) -> Step:
    """The step of a view that is built whole."""

    def build(reason: str) -> Step:
        return Step(view.name, "build", reason, horizon, replaces_everything=True, replaces_schema=request.full_refresh)

    if state is None:
        return build("new")
    if request.full_refresh:
        return build("full refresh")
    if is_superseded(state, pinned):
        return Step(view.name, "skip", "a newer build has published this view already", horizon)
    if state.definition_hash != view.definition_hash:
        return build("definition changed")
    changed = input_changes(state, pinned)
    if changed:
        return build(change_text(state, pinned, changed))
    moved = state.horizon is not None and state.horizon != horizon
    # Inputs may hold rows that the last build did not see because they lay after its horizon.
    rows_due = state.horizon is not None and state.latest_input is not None and state.latest_input >= state.horizon
    if moved and (request.end is not None or "interval_end" in view.definition.parameters or rows_due):
        return build("the horizon moved")
    return Step(view.name, "skip", "up to date", horizon)


def plan_intervals(
    view: FeatureView,
    state: ViewState | None,
    pinned: Mapping[str, TableVersion],
    request: Request,
    horizon: datetime,
    found: Found,
) -> Step:
    """The step of a view that is built by intervals."""
    if state is not None and not request.full_refresh and is_superseded(state, pinned):
        return Step(view.name, "skip", "a newer build has published this view already", horizon, intervals=())
    covered = () if state is None else state.covered
    # What a first chunk or a backfill leaves as it was is due all the same.
    affected = merged([*(found.affected or ()), *_outlived(view, state, found)])
    accepted = _accepted(view, state, request, found)
    if view.windows is not None:
        return _plan_windows(view, state, pinned, request, horizon, affected, accepted, found.earliest)
    wanted = wanted_range(
        every=view.materialize.every,
        lookahead=view.materialize.lookahead,
        earliest=found.earliest,
        horizon=horizon,
        covered=covered,
        affected=affected,
        start=request.start,
    )
    todo = to_build(wanted, covered, accepted=accepted, affected=affected)
    idle = Step(view.name, "skip", "up to date", horizon, intervals=(), affected=affected)
    return _building(idle, todo, _reason(view, state, pinned, request), request, _stays(covered, accepted))


def _plan_windows(
    view: FeatureView,
    state: ViewState | None,
    pinned: Mapping[str, TableVersion],
    request: Request,
    horizon: datetime,
    affected: tuple[Interval, ...],
    accepted: set[str],
    earliest: datetime | None,
) -> Step:
    """The step of a windowed view: its intervals are one range without gaps, so that its latest row holds always."""
    every = view.materialize.every
    covered = () if state is None or (request.full_refresh and request.start is None) else state.covered
    start = _earlier_start(state, request)
    wanted = windowed_range(
        every=every,
        earliest=earliest,
        horizon=horizon,
        covered=covered,
        affected=() if start is not None else affected,
        start=request.start,
    )
    # Where nothing is covered, something is wanted.
    begin = min([entry.interval.start for entry in covered] + ([] if wanted is None else [wanted.start]))
    # Before the range begins, nothing is there that could be due.
    affected = tuple(Interval(max(span.start, begin), span.end) for span in affected if span.end > begin)
    grows_from = covered[0].interval.start if covered and wanted and wanted.start < covered[0].interval.start else None
    if grows_from is not None:
        affected = merged([*affected, Interval(grows_from, grows_from + every)])
    todo = to_build(wanted, covered, accepted=accepted, affected=affected)
    idle = Step(
        view.name,
        "skip",
        "up to date",
        horizon,
        intervals=(),
        affected=affected,
        begin=begin,
        start=start,
        grows_from=grows_from,
    )
    return _building(idle, todo, _reason(view, state, pinned, request), request, _stays(covered, accepted))


def _stays(covered: Sequence[Covered], accepted: set[str]) -> bool:
    """Whether any range is there that may stay."""
    return any(entry.definition_hash in accepted for entry in covered)


def _building(idle: Step, todo: tuple[Interval, ...], reason: str, request: Request, stays: bool) -> Step:
    """The step that builds ``todo``; the idle one where that is nothing."""
    if not todo:
        return idle
    return replace(
        idle,
        action="build",
        reason=reason,
        intervals=todo,
        replaces_everything=request.start is None and not stays,
        replaces_schema=request.full_refresh,
    )


def _earlier_start(state: ViewState | None, request: Request) -> datetime | None:
    """Where a windowed view was told to begin, now or before; None where it begins with its first event."""
    if state is None or (request.full_refresh and request.start is None):
        return request.start
    known = [moment for moment in (request.start, state.start) if moment is not None]
    return min(known) if state.start is not None or not state.covered else None


def _outlived(view: FeatureView, state: ViewState | None, found: Found) -> list[Interval]:
    """The ranges whose rows cannot stay: inputs may have changed all of them, or the definition gives others now."""
    if state is None:
        return []
    may_stay = set() if found.affected is None else _standing(view, state, found)
    return [entry.interval for entry in state.covered if entry.definition_hash not in may_stay]


def _standing(view: FeatureView, state: ViewState, found: Found) -> set[str]:
    """The hashes of the definitions that today's one agrees with, as far as they go."""
    if state.definition_hash == view.definition_hash or found.accepts_older:
        return {view.definition_hash, *(entry.definition_hash for entry in state.covered)} - {OUTDATED}
    return {view.definition_hash}


def _accepted(view: FeatureView, state: ViewState | None, request: Request, found: Found) -> set[str]:
    """The hashes of the definitions whose ranges are not built again."""
    if state is None or request.full_refresh or found.affected is None:
        return set()
    # A backfill brings the range that it names to the definition of today.
    return {view.definition_hash} if request.start is not None else _standing(view, state, found)


def _reason(view: FeatureView, state: ViewState | None, pinned: Mapping[str, TableVersion], request: Request) -> str:
    if state is None:
        return "new"
    if request.full_refresh:
        return "full refresh"
    if state.definition_hash != view.definition_hash:
        return "definition changed"
    names = input_changes(state, pinned)
    if names:
        return change_text(state, pinned, names)
    if request.start is not None:
        return "backfill"
    is_due = any(entry.definition_hash == OUTDATED for entry in state.covered)
    return "an earlier build left ranges that were to be built again" if is_due else "the horizon moved"
