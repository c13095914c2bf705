"""`mart verify`: is a view's definition additive over time?"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from feature_mart.cli.command import mart_command, open_store, print_json
from feature_mart.cli.progress import Progress

if TYPE_CHECKING:
    from feature_mart.runner.verify import Verification


@mart_command("verify")
@click.argument("view")
@click.option(
    "--start", metavar="T", default=None, help="Where the range begins (default: 30 intervals before its end)."
)
@click.option("--end", metavar="T", default=None, help="Where the range ends (default: after the view's latest row).")
@click.option("--json", "as_json", is_flag=True, help="The result as JSON.")
def verify(ctx: click.Context, view: str, start: str | None, end: str | None, as_json: bool) -> None:
    """Run VIEW's definition over a range in one go, by single intervals and by odd chunks, and compare the rows.

    Nothing is published. Ends with 1 where the rows differ, or where there are none to compare.
    """
    with Progress() as progress:
        store = open_store(ctx, on_event=progress)
        try:
            found = store.verify(view, start=start, end=end)
        finally:
            store.stop()
    if as_json:
        print_json(found.to_dict())
    else:
        for line in verification_lines(found):
            click.echo(line)
    if not found.is_additive:
        sys.exit(1)


def verification_lines(found: Verification) -> list[str]:
    """What was compared and what came out, as people read it."""
    lines = [f"view {found.view} over {found.interval}: {found.rows} rows in one go"]
    for split in found.splits:
        if split.is_equal:
            lines.append(f"  {split.name} ({split.pieces}): the same rows")
            continue
        lines.append(
            f"  {split.name} ({split.pieces}): {split.only_in_one_go} rows only in one go, "
            f"{split.only_in_pieces} only in pieces; for example"
        )
        lines.extend(f"    {example}" for example in split.examples)
    if found.is_without_rows:
        nothing = (
            "There are no rows in this range, so nothing was compared: give --start and --end where inputs have rows."
        )
        return [lines[0], nothing]
    if found.is_additive:
        return [*lines, "The definition is additive over this range."]
    return [
        *lines,
        "The definition is not additive: what it gives depends on how time is cut, so an incremental build differs "
        "from a full one. Look for windows or groups that reach over an interval's edge (declare `lookback`), and for "
        "sums of doubles (their last digits depend on the order of rows; sum decimals).",
    ]


COMMANDS = {"verify": verify}
