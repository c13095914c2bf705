"""Commands that compute: build and test."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from feature_mart.cli.command import mart_command, open_store, print_json, print_table, selected
from feature_mart.cli.progress import Progress

if TYPE_CHECKING:
    from feature_mart.runner.build import BuildResult
    from feature_mart.runner.unit_tests import TestResult


@mart_command("build")
@click.argument("pipelines", nargs=-1, metavar="[PIPELINE...]")
@click.option(
    "--start", metavar="T", default=None, help="Where a backfill begins (default: the first row of the inputs)."
)
@click.option("--end", metavar="T", default=None, help="The horizon: build up to here (default: now).")
@click.option("--chunk", metavar="DURATION", default=None, help="Publish intervals in steps of this length, as in 30d.")
@click.option(
    "--parallel",
    metavar="N",
    type=click.IntRange(min=1),
    default=1,
    help="Compute so many chunks of a view at a time; they are published one after the other.",
)
@click.option("--select", metavar="VIEW", multiple=True, help="Only this view; may be given several times.")
@click.option("--full-refresh", is_flag=True, help="Build everything anew and take schema changes as meant.")
@click.option("--json", "as_json", is_flag=True, help="The result as JSON.")
def build(
    ctx: click.Context,
    pipelines: tuple[str, ...],
    chunk: str | None,
    select: tuple[str, ...],
    as_json: bool,
    **as_given: Any,  # start, end, parallel and full_refresh, each of its own type
) -> None:
    """Bring pipelines (all where none is named) up to date with their sources."""
    from feature_mart.definitions.durations import parse_duration
    from feature_mart.errors import UsageError

    try:
        length = None if chunk is None else parse_duration(chunk)
    except ValueError as error:
        raise UsageError(
            f"--chunk {chunk!r} is no duration. Write a number and a unit (m h d w), as in 30d."
        ) from error
    with Progress() as progress:
        store = open_store(ctx, on_event=progress)
        names, pipelines = selected(select, pipelines, store.project.views)
        try:
            result = store.build(*pipelines, chunk=length, select=names, **as_given)
        finally:
            store.stop()
    if as_json:
        print_json(_as_dict(result))
        return
    if not result.committed:
        click.echo("Nothing changed: every view is up to date.")
        return
    rows = [
        [e.view, e.version.version, e.rows if e.committed else "", e.quarantined or "", e.reason] for e in result.views
    ]
    print_table(["view", "version", "rows written", "set aside", "why"], rows)


def _as_dict(result: BuildResult) -> dict[str, Any]:
    return {
        "run_id": result.run_id,
        "committed": result.committed,
        "views": [
            {
                "view": entry.view,
                "version": entry.version.version,
                "rows": entry.rows,
                "committed": entry.committed,
                "reason": entry.reason,
                "quarantined": entry.quarantined,
                "warnings": list(entry.warnings),
            }
            for entry in result.views
        ],
        "sources": {name: version.version for name, version in result.sources.items()},
    }


@mart_command("test")
@click.argument("views", nargs=-1, metavar="[VIEW...]")
@click.option("--json", "as_json", is_flag=True, help="Results as JSON.")
def test(ctx: click.Context, views: tuple[str, ...], as_json: bool) -> None:
    """Run the unit tests in tests/mart/ (of all views where none is named). Ends with 1 where one fails."""
    store = open_store(ctx)
    results = []
    try:
        for result in store.test(*views):
            results.append(result)
            if not as_json:
                _print_result(result)
    finally:
        store.stop()
    failed = sum(not result.passed for result in results)
    if as_json:
        print_json([{"view": r.view, "test": r.name, "passed": r.passed, "difference": r.difference} for r in results])
    else:
        click.echo(f"{len(results) - failed} passed, {failed} failed")
    if failed:
        sys.exit(1)


def _print_result(result: TestResult) -> None:
    click.echo(f"{'✓' if result.passed else '✗'} {result.view}: {result.name}")
    for line in result.difference.splitlines():
        click.echo(f"    {line}")


COMMANDS = {"build": build, "test": test}
