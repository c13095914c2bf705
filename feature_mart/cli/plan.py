"""`mart plan`: what a build would do, before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from feature_mart.cli.command import mart_command, open_store, print_json, selected
from feature_mart.definitions.problems import counted
from feature_mart.records import Interval, iso

if TYPE_CHECKING:
    from feature_mart.plan.preview import Plan, SourcePlan, ViewPlan

_SHOWN = 5


@mart_command("plan")
@click.argument("pipelines", nargs=-1, metavar="[PIPELINE...]")
@click.option("--start", metavar="T", default=None, help="Where a backfill would begin.")
@click.option("--end", metavar="T", default=None, help="The horizon: build up to here (default: now).")
@click.option("--select", metavar="VIEW", multiple=True, help="Only this view; may be given several times.")
@click.option("--full-refresh", is_flag=True, help="As if everything were to be built anew.")
@click.option("--json", "as_json", is_flag=True, help="The plan as JSON.")
def plan(
    ctx: click.Context,
    pipelines: tuple[str, ...],
    start: str | None,
    end: str | None,
    select: tuple[str, ...],
    full_refresh: bool,
    as_json: bool,
) -> None:
    """Show what `mart build` with the same arguments would do. Nothing is run, and nothing changes."""
    store = open_store(ctx)
    names, pipelines = selected(select, pipelines, store.project.views)
    try:
        found = store.plan(*pipelines, start=start, end=end, select=names, full_refresh=full_refresh)
    finally:
        store.stop()
    if as_json:
        print_json(found.to_dict())
        return
    for line in plan_lines(found):
        click.echo(line)


def plan_lines(plan: Plan) -> list[str]:
    """The plan as people read it: what changes first, what stays as one number."""
    lines: list[str] = []
    for source in plan.sources:
        if source.action != "skip":
            lines.append(f"{source.action:10} {source.source:28} {source.reason}{_files(source)}")
    for view in plan.views:
        if view.action != "skip":
            first, *further = view.reason.splitlines()
            lines.append(f"{view.action:10} {view.view:28} {first}{_extent(view)}")
            lines.extend(f"{'':10}   {line}" for line in further)
        elif view.change is not None or view.stale or view.reason != "up to date":
            lines.append(f"{'leave':10} {view.view:28} {view.reason}")
        lines.extend(_change_lines(view))
    resting = sum(view.action == "skip" for view in plan.views)
    is_all = all(view.action == "build" for view in plan.views)
    lines.append("Every view is built." if is_all else f"{resting} of {len(plan.views)} views stay as they are.")
    if plan.affected and not plan.is_empty:
        lines += ["", "Downstream of what changes:"]
        for entry in plan.affected:
            kind = "view" if entry.kind == "feature_view" else "service"
            by = ", ".join(entry.by[:_SHOWN]) + (
                f" and {len(entry.by) - _SHOWN} more" if len(entry.by) > _SHOWN else ""
            )
            lines.append(f"  {kind:8} {entry.name:28} {entry.owner or 'no owner':32} by {by}")
    if plan.deprecated:
        lines += ["", "Deprecated features in use:"]
        for use in plan.deprecated:
            instead = f"; use {use.replacement}" if use.replacement else ""
            lines.append(
                f"  {use.feature} (since {use.since}{instead}) by service {use.service}, {use.owner or 'no owner'}"
            )
    return lines


def _files(source: SourcePlan) -> str:
    parts = []
    for kind, names in source.files.items():
        if names:
            shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
            fate = "" if kind != "gone" else ", their rows leave" if source.drops_gone else ", their rows stay"
            parts.append(f"{len(names)} {kind}{fate} ({shown})")
    return ": " + "; ".join(parts) if parts else ""


def _extent(view: ViewPlan) -> str:
    if view.action != "build":
        return ""
    if view.intervals is None:
        return f"; {_rows(view)}"
    count = view.interval_count
    shown = f"{counted(count, 'interval')}, {_rows(view)}: {_some(view.intervals)}" if count else ""
    after = f"what changes in {', '.join(view.known_after)} is known once it is read" if view.known_after else ""
    return "".join(f"; {text}" for text in (shown, after) if text)


def _rows(view: ViewPlan) -> str:
    """The estimate as one: with two digits that count."""
    rows = view.estimated_rows
    if rows is None:
        return "rows unknown"
    return f"about {int(float(f'{rows:.1e}')):,} row{'' if rows == 1 else 's'}"


def _some(intervals: Sequence[Interval]) -> str:
    shown = ", ".join(map(str, intervals[:_SHOWN]))
    return shown + (f" and {len(intervals) - _SHOWN} more" if len(intervals) > _SHOWN else "")


def _change_lines(view: ViewPlan) -> list[str]:
    lines = []
    if view.change is not None:
        lines.append(f"{'':10}   definition: {', '.join(view.change.classes)}")
        lines.extend(f"{'':10}     {line}" for line in view.change.diff)
    if view.stale and view.action == "skip":
        since, until = iso(view.stale[0].start), iso(view.stale[-1].end)
        lines.append(f"{'':10}   made by an earlier definition: {_some(view.stale)}; to make it anew:")
        lines.append(f"{'':10}     mart build {view.pipeline} --select {view.view} --start {since} --end {until}")
    return lines


COMMANDS = {"plan": plan}
