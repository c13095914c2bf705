"""`mart sync` and `mart online`: publish views into the online store, look features up, and see what is there."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from feature_mart.cli.command import cell_text, mart_command, open_store, print_json, print_records
from feature_mart.cli.progress import Progress
from feature_mart.definitions.problems import counted
from feature_mart.errors import UsageError

_SHORT = 10


@mart_command("sync")
@click.argument("views", metavar="[VIEW]...", nargs=-1)
@click.option("--full", is_flag=True, help="Write every key, and trust nothing that is online.")
@click.option("--json", "as_json", is_flag=True, help="What was done, as JSON.")
def sync(ctx: click.Context, views: Sequence[str], full: bool, as_json: bool) -> None:
    """Publish views in the online store (all that go online where none is named).

    Published is what the last completed run left, by what differs from what is online. Readers see the old snapshot
    until the new one is whole.
    """
    with Progress() as progress:
        store = open_store(ctx, on_event=progress)
        try:
            found = store.sync(*views, full=full)
        finally:
            store.stop()
    if as_json:
        print_json(found)


@click.group("online", context_settings={"help_option_names": ["-h", "--help"]})
def online() -> None:
    """The online store: what is live, lookups, proofs, the way back."""


@mart_command("status")
@click.option("--json", "as_json", is_flag=True, help="All that is known, as JSON.")
def status(ctx: click.Context, as_json: bool) -> None:
    """Show which version of each view is live, how far behind it is, and how much room it takes."""
    found = open_store(ctx).online_status()
    if as_json:
        print_json(found)
        return
    columns = ["view", "version", "behind", "age", "keys", "bytes", "published", "definition", "state"]
    print_records(columns, [_status_row(entry) for entry in found])


def _status_row(entry: dict[str, Any]) -> list[Any]:
    syncing = entry["syncing"]
    at_work = f"syncing since {syncing['since']}" if syncing else None
    if entry["version"] is None:
        return [entry["view"], "-", "-", "-", 0, 0, "-", "-", at_work or "not online"]
    held = f"held since {entry['held_since']}" if entry["held_since"] else None
    state = at_work or held or ("stale" if entry["is_stale"] else "live")
    behind = "replaced" if entry["versions_behind"] is None else entry["versions_behind"]
    definition = (entry["definition_hash"] or "-")[:_SHORT]
    return [
        entry["view"],
        entry["version"],
        behind,
        _age(entry["age_seconds"]),
        entry["keys"],
        entry["bytes"],
        entry["published_at"],
        definition,
        state,
    ]


def _age(seconds: int) -> str:
    """A stretch of time in its two largest units."""
    parts = [(seconds // 86_400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "min"), (seconds % 60, "s")]
    shown = [f"{number} {unit}" for number, unit in parts if number]
    return " ".join(shown[:2]) or "0 s"


@mart_command("get")
@click.argument("references", metavar="REF...", nargs=-1, required=True)
@click.option("--key", "pairs", metavar="K=V", multiple=True, required=True, help="A join key and its value.")
@click.option("--full-feature-names", is_flag=True, help="Call features VIEW__FEATURE.")
@click.option("--json", "as_json", is_flag=True, help="Values, times, statuses and what made them, as JSON.")
def get(
    ctx: click.Context, references: Sequence[str], pairs: Sequence[str], full_feature_names: bool, as_json: bool
) -> None:
    """Look features of one entity up: VIEW:FEATURE, VIEW, or a feature service."""
    found = open_store(ctx).get_online_features(list(references), [_keys(pairs)], full_feature_names)
    values = found.to_dict(include_event_timestamps=True, include_statuses=True)
    sources = found.provenance()
    rows = [
        {
            "feature": name,
            "value": values[name][0],
            "status": values[f"{name}__status"][0],
            "event_timestamp": values[f"{name}__ts"][0],
            **said,
        }
        for name, said in sources.items()
    ]
    if as_json:
        from feature_mart.columns.values import plain_row

        print_json([plain_row(row) for row in rows])
        return
    columns = ["feature", "value", "status", "event timestamp", "version", "run", "git"]
    print_records(columns, [_found_row(row) for row in rows])


def _found_row(row: dict[str, Any]) -> list[Any]:
    from feature_mart.columns.values import plain

    run, commit = (str(row[name] or "-")[:_SHORT] for name in ("run_id", "git_commit"))
    moment = "-" if row["event_timestamp"] is None else plain(row["event_timestamp"])
    return [row["feature"], cell_text(plain(row["value"])), row["status"], moment, row["version"], run, commit]


def _keys(pairs: Sequence[str]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise UsageError(f"--key {pair!r}: write NAME=VALUE, as in --key customer_id=17850.")
        found[name] = value
    return found


@mart_command("verify")
@click.argument("view")
@click.option("--sample", metavar="N", type=click.IntRange(min=1), default=None, help="Look at about N keys only.")
@click.option("--json", "as_json", is_flag=True, help="The result as JSON.")
def verify(ctx: click.Context, view: str, sample: int | None, as_json: bool) -> None:
    """Read back what is live of VIEW, and compare it with its version, value by value.

    Ends with 1 where they differ.
    """
    with Progress() as progress:
        store = open_store(ctx, on_event=progress)
        try:
            found = store.verify_online(view, sample)
        finally:
            store.stop()
    if as_json:
        print_json(found.to_json())
    elif found.is_equal:
        click.echo(f"{view}: {counted(found.rows, 'key')} online are those of version {found.version}, value by value")
    else:
        extra = f", {found.extra} that the version does not have" if found.extra else ""
        click.echo(
            f"{view}: not version {found.version}: of {counted(found.rows, 'key')} {found.missing} missing, "
            f"{found.different} different{extra}. `mart sync {view} --full` writes all of them anew."
        )
        for example in found.examples:
            click.echo(f"  {example}")
    if not found.is_equal:
        sys.exit(1)


@mart_command("rollback")
@click.argument("view")
@click.option("--json", "as_json", is_flag=True, help="What is live now, as JSON.")
def rollback(ctx: click.Context, view: str, as_json: bool) -> None:
    """Make the snapshot of VIEW before the live one live again, at once, and hold the view.

    A sync that names the view goes on from there.
    """
    found = open_store(ctx).rollback_online(view)
    if as_json:
        print_json(found)
        return
    click.echo(
        f"{view}: version {found['version']} as of {found['as_of']} is live again. `mart sync` leaves it so; "
        f"`mart sync {view}` goes on."
    )


@mart_command("stop")
def stop(ctx: click.Context) -> None:
    """End the embedded online store. What is in it goes with it; `mart sync` fills a new one."""
    ended = open_store(ctx).stop_online()
    click.echo("The embedded online store has ended." if ended else "The embedded online store did not run.")


for _command in (status, get, verify, rollback, stop):
    online.add_command(_command)

COMMANDS = {"sync": sync, "online": online}
