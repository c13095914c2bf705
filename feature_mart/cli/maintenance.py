"""Commands that keep tables in order: optimize and vacuum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import click

from feature_mart.cli.command import mart_command, open_store, print_json, print_table
from feature_mart.cli.progress import Progress
from feature_mart.definitions.durations import parse_duration
from feature_mart.definitions.problems import counted
from feature_mart.errors import UsageError

_MOST_REASONS = 3


@mart_command("optimize")
@click.argument("names", nargs=-1, metavar="[VIEW...]")
@click.option("--dry-run", is_flag=True, help="Change nothing; say what is due.")
@click.option("--json", "as_json", is_flag=True, help="All of it as JSON.")
def optimize(ctx: click.Context, names: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Lay rows out anew where files are too many or too coarse, as nightly builds leave them. No row changes.

    Of VIEWs and sources, or of all tables of the mart. The files before stay until `mart vacuum`.
    """
    with Progress() as progress:
        store = open_store(ctx, on_event=progress)
        try:
            found = store.optimize(*names, dry_run=dry_run)
        finally:
            store.stop()
    if as_json:
        print_json(found)
        return
    due = [entry for entry in found if entry["files_before"] or entry["why_not"]]
    if not due:
        click.echo("Nothing is due: every table lies as it should.")
        return
    print_table(
        ["table", "version", "files before", "after", "MB before", "after", "other files", "left, because"],
        [[entry["table"], *_sizes(entry), entry["untouched_files"], entry["why_not"] or ""] for entry in due],
    )


def _sizes(entry: Mapping[str, Any]) -> list[Any]:
    files, size = entry["files_after"], entry["bytes_after"]
    return [
        "" if entry["version"] is None else entry["version"],
        entry["files_before"],
        "" if files is None else files,
        _megabytes(entry["bytes_before"]),
        "" if size is None else _megabytes(size),
    ]


@mart_command("vacuum")
@click.argument("names", nargs=-1, metavar="[VIEW...]")
@click.option("--dry-run", is_flag=True, help="Remove nothing; say what would go.")
@click.option(
    "--orphans-older-than",
    metavar="DURATION",
    default="7d",
    show_default=True,
    help="How old files that no version names must be to go. DANGER: a build that runs now has such files too; less "
    "than the longest build takes destroys its work.",
)
@click.option("--json", "as_json", is_flag=True, help="All of it as JSON.")
def vacuum(ctx: click.Context, names: tuple[str, ...], dry_run: bool, orphans_older_than: str, as_json: bool) -> None:
    """Remove files of versions older than a view's retention that nothing needs, and what killed builds left behind.

    Of VIEWs and sources, or of all tables of the mart. What training sets, completed runs and next builds need stays.
    """
    try:
        safe_age = parse_duration(orphans_older_than)
    except ValueError as error:
        raise UsageError(
            f"--orphans-older-than {orphans_older_than!r} is no duration. Write a number and a unit, as in 7d."
        ) from error
    with Progress() as progress:
        store = open_store(ctx, on_event=progress)
        try:
            found = store.vacuum(*names, dry_run=dry_run, orphans_older_than=safe_age)
        finally:
            store.stop()
    if as_json:
        print_json(found)
    else:
        _print_vacuumed(found, dry_run)


def _print_vacuumed(found: Sequence[Mapping[str, Any]], dry_run: bool) -> None:
    if not found:
        click.echo("There are no tables yet: nothing has been built.")
        return
    print_table(
        ["table", "retention", "kept versions", "expired", "their files", "MB", "orphans", "MB", "left for their age"],
        [
            [
                entry["table"],
                entry["retention"],
                ranges([*entry["recent"], *(pin["version"] for pin in entry["pinned"])]),
                ranges(entry["expired"]) or "none",
                entry["files"],
                _megabytes(entry["bytes"]),
                entry["orphan_files"],
                _megabytes(entry["orphan_bytes"]),
                entry["waiting_files"],
            ]
            for entry in found
        ],
    )
    for entry in found:
        for line in _kept_for(entry):
            click.echo(line)
    files, size = (sum(entry[kind] + entry[f"orphan_{kind}"] for entry in found) for kind in ("files", "bytes"))
    click.echo(f"{counted(files, 'file')}, {_megabytes(size)} MB {'would go' if dry_run else 'removed'}")


def _kept_for(entry: Mapping[str, Any]) -> list[str]:
    """What pins versions that their age would not keep, and which pinned versions have lost files."""
    lines = []
    for pin in entry["pinned"]:
        if pin["version"] not in entry["recent"]:
            more = len(pin["why"]) - _MOST_REASONS
            why = ", ".join(pin["why"][:_MOST_REASONS]) + (f", and {more} more" if more > 0 else "")
            lines.append(f"{entry['table']}: version {pin['version']} is kept for {why}")
    for lost in entry["lost"]:
        why = next(", ".join(pin["why"]) for pin in entry["pinned"] if pin["version"] == lost["version"])
        missing = lost["missing_files"]
        gone = "it is not in the table's log" if missing is None else f"{counted(missing, 'file')} of it are gone"
        lines.append(f"{entry['table']}: version {lost['version']} is needed for {why}, but {gone}, removed by others")
    return lines


def ranges(numbers: Sequence[int]) -> str:
    """``0-3, 5`` for 0, 1, 2, 3 and 5."""
    ordered = sorted(set(numbers))
    if not ordered:
        return ""
    breaks = [(left, right) for left, right in pairwise(ordered) if right > left + 1]
    starts = [ordered[0], *(right for _, right in breaks)]
    ends = [*(left for left, _ in breaks), ordered[-1]]
    return ", ".join(f"{start}" if start == end else f"{start}-{end}" for start, end in zip(starts, ends, strict=True))


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f}"


COMMANDS = {"optimize": optimize, "vacuum": vacuum}
