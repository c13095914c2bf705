"""Commands that compare, bring back and explain versions: diff, restore, explain."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click

from feature_mart.cli.command import mart_command, open_store, print_json, print_records, print_table
from feature_mart.definitions.problems import counted
from feature_mart.errors import UsageError

_SHORT = 10
_MOST_LINES = 12


@mart_command("diff")
@click.argument("view")
@click.option("--from", "before", type=int, metavar="N", required=True, help="The version to compare with.")
@click.option("--to", "after", type=int, metavar="M", required=True, help="The version that is compared.")
@click.option("--limit", metavar="N", default=5, show_default=True, help="Examples of each kind of change.")
@click.option("--json", "as_json", is_flag=True, help="All of it as JSON.")
def diff(ctx: click.Context, view: str, before: int, after: int, limit: int, as_json: bool) -> None:
    """Show what changed in VIEW between two versions: rows by key, features, the definition."""
    store = open_store(ctx)
    try:
        found = store.diff(view, before, after, limit=limit)
    finally:
        store.stop()
    if as_json:
        print_json(found)
    else:
        _print_diff(found)


def _print_diff(found: Mapping[str, Any]) -> None:
    compared = found["compared"]
    why = f" ({compared['why']})" if compared["why"] else ""
    click.echo(f"{found['view']}: version {found['from']['version']} → {found['to']['version']}")
    click.echo(f"compared by: {compared['by']}{why}; key: {', '.join(found['key'])}")
    click.echo("rows: " + ", ".join(f"{count} {kind}" for kind, count in found["rows"].items()))
    for kind, columns in found["columns"].items():
        if columns:
            shown = [f"{name} ({' → '.join(columns[name])})" if kind == "retyped" else name for name in columns]
            click.echo(f"columns {kind}: {', '.join(shown)}")
    differing = [(name, count) for name, count in found["features"].items() if count]
    if differing:
        print_table(["feature", "changed rows"], differing)
    for kind, examples in found["examples"].items():
        if examples:
            _print_examples(kind, examples, found["rows"][kind])
    _print_origin(found)


def _print_examples(kind: str, examples: Sequence[Mapping[str, Any]], count: int) -> None:
    click.echo(f"{kind} ({len(examples)} of {count}):")
    for example in examples:
        if kind == "changed":
            said = ", ".join(
                f"{name}: {_text(old)} → {_text(example['new'][name])}" for name, old in example["old"].items()
            )
        else:
            said = _pairs(example["values"])
        click.echo(f"  {_pairs(example['key'])}  |  {said}")


def _print_origin(found: Mapping[str, Any]) -> None:
    for side in ("from", "to"):
        click.echo(f"version {found[side]['version']}: {_origin(found[side])}")
    lines = found["definition"]["diff"]
    if not lines:
        click.echo("definition: " + ("its settings changed" if found["definition"]["changed"] else "the same"))
        return
    click.echo("definition:")
    for line in lines:
        click.echo(f"  {line}")


def _origin(said: Mapping[str, Any]) -> str:
    if said["run_id"] is None:
        return f"{said['timestamp']}, by another writer"
    git = (
        f"git {said['git_commit'][:_SHORT]}{'+changes' if said['git_dirty'] else ''}"
        if said["git_commit"]
        else "no git"
    )
    definition = f"definition {(said['definition_hash'] or '')[:_SHORT]}"
    return f"{said['timestamp']}, run {said['run_id'][:_SHORT]}, {git}, {definition}"


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_text(value)}" for name, value in values.items())


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@mart_command("restore")
@click.argument("view")
@click.option("--version", "version", type=int, metavar="N", required=True, help="The version to bring back.")
@click.option("--json", "as_json", is_flag=True, help="The result as JSON.")
def restore(ctx: click.Context, view: str, version: int, as_json: bool) -> None:
    """Bring back what VIEW was at version N, as a new version. Builds leave the view as it is from then on."""
    store = open_store(ctx)
    try:
        made = store.restore(view, version)
        pipeline = store.project.views[view].pipeline
    finally:
        store.stop()
    if as_json:
        print_json({"view": view, "version": made, "restored_from": version, "on_hold": True})
        return
    click.echo(
        f"{view}: version {made} has the content of version {version}, and is on hold: builds leave it as it is."
    )
    click.echo(f"To build it again: mart build {pipeline} --select {view}")


@mart_command("explain")
@click.argument("reference", metavar="VIEW:FEATURE")
@click.option("--key", "keys", metavar="K=V", multiple=True, required=True, help="A join key; one option for each.")
@click.option("--at", metavar="T", default=None, help="The latest row up to this moment (default: the newest).")
@click.option("--version", type=int, metavar="N", default=None, help="The view at this version (default: the latest).")
@click.option("--json", "as_json", is_flag=True, help="All of it as JSON.")
def explain(
    ctx: click.Context, reference: str, keys: tuple[str, ...], at: str | None, version: int | None, as_json: bool
) -> None:
    """Show where a value comes from: who wrote it, by which definition, from which input rows."""
    pairs = {}
    for pair in keys:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise UsageError(f"--key {pair!r}: write KEY=VALUE, as in --key customer_id=17850.")
        pairs[name] = value
    store = open_store(ctx)
    try:
        found = store.explain(reference, pairs, at, version)
    finally:
        store.stop()
    if as_json:
        print_json(found)
    else:
        _print_explained(found)


def _print_explained(found: Mapping[str, Any]) -> None:
    where = f" at {found['event_timestamp']}" if found["event_timestamp"] else ""
    click.echo(f"{found['feature']} of {_pairs(found['key'])}{where}: {_text(found['value'])}")
    click.echo(f"read at version {found['version']}")
    if found["ties"]:
        more = counted(found["ties"], "more row")
        click.echo(f"of this key and these timestamps: {more}; the one shown is chosen by its values")
    written = found["written_by"]
    if written is None:
        click.echo("who wrote it is not known: another writer committed to the table, or its log is cut off")
        return
    through = "".join(f" (brought back by version {number})" for number in found["restored_by"])
    click.echo(f"written by version {written['version']}{through}: {_origin(written)}")
    definition = written["definition"]
    if definition.get("text"):
        click.echo(f"definition {definition['path']}:")
        for line in _folded(definition, written):
            click.echo(f"  {line}")
    for name, text in (definition.get("derived") or {}).items():
        click.echo(f"  {name} = {text}")
    for entry in found["inputs"]:
        _print_input(entry)


def _folded(definition: Mapping[str, Any], written: Mapping[str, Any]) -> list[str]:
    """The beginning of a definition's text, and where the rest of it is to be seen."""
    lines: list[str] = definition["text"].splitlines()
    if len(lines) <= _MOST_LINES:
        return lines
    # What was not committed is in the table's log alone.
    is_in_git = written["git_commit"] and not written["git_dirty"]
    where = f"git show {written['git_commit'][:_SHORT]}:./{definition['path']}" if is_in_git else "--json"
    shown = lines[: _MOST_LINES - 1]
    return [*shown, f"… {counted(len(lines) - len(shown), 'more line')}: {where}"]


def _print_input(entry: Mapping[str, Any]) -> None:
    head = f"input {entry['name']}, version {entry['version']}: "
    if entry["match"] is None:
        reached = "" if entry["count"] is None else f"; rows in reach of the interval: {entry['count']}"
        click.echo(f"{head}{entry['why']}{reached}")
        return
    shown = "" if entry["count"] == len(entry["rows"]) else f", {len(entry['rows'])} shown"
    click.echo(f"{head}{counted(entry['count'], 'row')}{shown}, {entry['match']}:")
    click.echo(f"  {entry['why']}")
    if entry["rows"]:
        columns = list(entry["rows"][0])
        print_records(columns, [[_text(row[name]) for name in columns] for row in entry["rows"]])


COMMANDS = {"diff": diff, "restore": restore, "explain": explain}
