"""`mart training-set`: make, list, show, verify and drop training sets."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from feature_mart.cli.command import cell_text, mart_command, open_store, parse_pairs, print_json, print_table
from feature_mart.cli.progress import Progress
from feature_mart.definitions.problems import counted, did_you_mean, listed
from feature_mart.errors import UsageError

if TYPE_CHECKING:
    from feature_mart.store import FeatureStore
    from feature_mart.train.verify import Verified

_SHORT = 10


@click.group("training-set", context_settings={"help_option_names": ["-h", "--help"]})
def training_set() -> None:
    """Training sets: the features of many rows as they were at their times, kept with what they were made from."""


@mart_command("create")
@click.argument("name")
@click.argument("references", metavar="[REF]...", nargs=-1)
@click.option("--spine", metavar="FILE|TABLE", required=True, help="The rows: csv, parquet, a Delta table, or a table.")
@click.option(
    "--features", metavar="[ARM=]REF", multiple=True, help="VIEW:FEATURE, VIEW or VIEW@ALIAS:FEATURE; repeatable."
)
@click.option(
    "--service", "services", metavar="[ARM=]S", multiple=True, help="All features of a feature service; repeatable."
)
@click.option("--version", "versions", metavar="VIEW=N", multiple=True, help="Read this version of a view.")
@click.option("--as-of", metavar="T", default=None, help="Read what the mart knew at this moment.")
@click.option(
    "--join-key", "pairs", metavar="ALIAS.KEY=COLUMN", multiple=True, help="The spine's column that holds a key."
)
@click.option("--full-feature-names", is_flag=True, help="Call columns VIEW__FEATURE.")
@click.option("--json", "as_json", is_flag=True, help="The manifest as JSON.")
def create(ctx: click.Context, name: str, spine: str, as_json: bool, **asked: Any) -> None:
    """Keep the rows of a spine with features as the training set NAME.

    Features are joined as they were at each row's event_timestamp. REF is what --features takes, too. With ARM=
    before each of them, several choices of features are joined in one pass; columns are called ARM__FEATURE.
    """
    versions = parse_pairs(asked["versions"], "--version")
    join_keys = _join_keys(asked["pairs"])
    with Progress() as progress:
        store = open_store(ctx, on_event=progress)
        try:
            _require_services(store, [name.rpartition("=")[2] for name in asked["services"]])
            manifest = store.create_training_set(
                name,
                _spine(store, spine),
                _by_arm([*asked["services"], *asked["features"], *asked["references"]]),
                asked["full_feature_names"],
                join_keys=join_keys,
                versions=versions,
                as_of=asked["as_of"],
            )
        finally:
            store.stop()
    if as_json:
        print_json(manifest)
        return
    rows, columns = counted(manifest["rows"], "row"), counted(len(manifest["features"]), "feature")
    click.echo(f"{name}: {rows} with {columns}, from {_versions(manifest)}")
    click.echo(f"digest {manifest['digest']}")


def _by_arm(references: Sequence[str]) -> list[str] | dict[str, list[str]]:
    """References as they are, or by arm where they are ``ARM=REF``."""
    arms: dict[str, list[str]] = {}
    for arm, is_named, reference in (reference.rpartition("=") for reference in references):
        if is_named:
            arms.setdefault(arm, []).append(reference)
    if not arms:
        return list(references)
    without = [reference for reference in references if "=" not in reference]
    if without:
        raise UsageError(
            f"{without[0]} is of no arm, and others are: {listed(arms)}. Write ARM={without[0]}, or no arm at all."
        )
    return arms


def _require_services(store: FeatureStore, names: Sequence[str]) -> None:
    known = store.project.services
    for name in names:
        if name not in known:
            hint = did_you_mean(name, sorted(known))
            raise UsageError(f"--service {name!r}: there is no such feature service. Known: {listed(known)}.{hint}")


def _spine(store: FeatureStore, text: str) -> str:
    """A table by its name; else a path, which a shell completes from where it stands."""
    path, root = Path(text).resolve(), store.project.root
    if store.project.has_table(text) or not path.exists():
        return text
    return str(path.relative_to(root) if path.is_relative_to(root) else path)


def _join_keys(pairs: Sequence[str]) -> dict[str, dict[str, str]]:
    """``ALIAS.KEY=COLUMN`` arguments by alias."""
    found: dict[str, dict[str, str]] = {}
    for pair in pairs:
        place, _, column = pair.partition("=")
        alias, _, key = place.partition(".")
        if not (alias and key and column):
            raise UsageError(
                f"--join-key {pair!r}: write ALIAS.KEY=COLUMN, as in --join-key sender.customer_id=sender_id."
            )
        found.setdefault(alias, {})[key] = column
    return found


@mart_command("list")
@click.option("--json", "as_json", is_flag=True, help="All manifests as JSON.")
def list_sets(ctx: click.Context, as_json: bool) -> None:
    """List all training sets that are kept."""
    store = open_store(ctx)
    try:
        found = store.training_sets()
    finally:
        store.stop()
    if as_json:
        print_json(found)
    elif found:
        columns = ["training set", "rows", "features", "versions", "created", "git"]
        print_table(columns, [_row(manifest) for manifest in found])
    else:
        click.echo("There are no training sets. `mart training-set create` makes one.")


def _row(manifest: Mapping[str, Any]) -> list[Any]:
    features = len(manifest["features"])
    return [manifest["name"], manifest["rows"], features, _versions(manifest), manifest["created_at"], _git(manifest)]


def _versions(manifest: Mapping[str, Any]) -> str:
    return ", ".join(dict.fromkeys(f"{view['view']} v{view['version']}" for view in manifest["views"]))


def _git(manifest: Mapping[str, Any]) -> str:
    return (manifest["git_commit"] or "")[:_SHORT] + ("+changes" if manifest["git_dirty"] else "")


@mart_command("show")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="The manifest as JSON, and what changed since.")
def show(ctx: click.Context, name: str, as_json: bool) -> None:
    """Show what the training set NAME holds and what it was made from."""
    store = open_store(ctx)
    try:
        found = store.training_set(name)
    finally:
        store.stop()
    manifest = found.manifest
    if as_json:
        print_json({**manifest, "changes": found.changes})
        return
    for line in provenance_lines(manifest, found.changes):
        click.echo(line)
    print_table(
        ["column", "type", "nulls", "min", "max"],
        [[name, *(said[key] for key in ("type", "nulls", "min", "max"))] for name, said in _statistics(manifest)],
    )


def _statistics(manifest: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """In the order of the columns: JSON keeps none."""
    columns = [*manifest["spine"]["columns"], *manifest["features"]]
    return [(column, manifest["statistics"][column]) for column in columns]


def provenance_lines(manifest: Mapping[str, Any], changes: Sequence[str]) -> list[str]:
    """What a training set was made from, as people read it."""
    spine = manifest["spine"]
    as_of = f", as of {manifest['as_of']}" if manifest["as_of"] else ""
    lines = [
        f"training set {manifest['name']} of mart {manifest['mart']}",
        f"created  {manifest['created_at']}, git {_git(manifest) or 'unknown'}, engine {manifest['engine']}",
        f"rows     {manifest['rows']}, digest {manifest['digest']}",
        f"spine    {manifest['source']}: {', '.join(spine['columns'])}; digest {spine['digest']}",
        *_asked_lines(manifest, as_of),
    ]
    lines += [f"view     {_view_line(view)}" for view in manifest["views"]]
    return [*lines, *(f"changed  {change}" for change in changes)]


def _asked_lines(manifest: Mapping[str, Any], as_of: str) -> list[str]:
    if not manifest["arms"]:
        return [f"asked    {', '.join(manifest['asked'])}{as_of}"]
    return [
        f"asked    {arm}: {', '.join(said['asked'])} ({counted(len(said['columns']), 'column')}){as_of}"
        for arm, said in manifest["arms"].items()
    ]


def _view_line(view: Mapping[str, Any]) -> str:
    alias = f" as {view['alias']}" if view["alias"] else ""
    definition, commit = (str(view[key] or "unknown")[:_SHORT] for key in ("definition_hash", "git_commit"))
    keys = ", ".join(key if key == column else f"{key} in {column}" for key, column in view["join_keys"].items())
    features = counted(len(view["features"]), "feature")
    made = f"definition {definition}, git {commit}"
    return f"{view['view']}{alias}, version {view['version']}: {features} by {keys}; {made}"


@mart_command("verify")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="The result as JSON.")
def verify(ctx: click.Context, name: str, as_json: bool) -> None:
    """Make the training set NAME again, and compare it to the last bit.

    It is made from the versions in its manifest. Ends with 1 where the two differ, or where it cannot be made again.
    """
    with Progress() as progress:
        store = open_store(ctx, on_event=progress)
        try:
            found = store.verify_training_set(name)
        finally:
            store.stop()
    if as_json:
        print_json(found.to_json())
    else:
        for line in verified_lines(found):
            click.echo(line)
    if not found.is_equal:
        sys.exit(1)


def verified_lines(found: Verified) -> list[str]:
    """What came out, as people read it."""
    since = [f"  changed since, without effect on it: {change}" for change in found.changes]
    if found.is_equal:
        return [f"{found.name}: {counted(found.rows, 'row')} made again, equal to the last bit", *since]
    kept = "; the rows that are kept are those that were saved" if found.is_kept else ""
    lines = [f"{found.name}: not proven equal{kept}"]
    lines += [f"  why: {reason}" for reason in found.reasons]
    lines += since
    if found.differing_rows:
        columns = ", ".join(f"{column} ({count})" for column, count in found.differing_columns.items())
        lines.append(f"  rows that differ: {found.differing_rows}; by column: {columns or 'none'}; for example")
        lines += [f"    {_example(example)}" for example in found.examples]
    return lines


def _example(example: Mapping[str, Any]) -> str:
    keys = ", ".join(f"{key}={cell_text(value)}" for key, value in example["keys"].items())
    values = "; ".join(
        f"{column}: kept {cell_text(said['kept'])}, made again {cell_text(said['again'])}"
        for column, said in example["columns"].items()
    )
    return f"spine row {example['spine_row']} ({keys}): {values or example['found']}"


@mart_command("drop")
@click.argument("name")
def drop(ctx: click.Context, name: str) -> None:
    """Remove the training set NAME for good, without asking. The versions that it needed may be vacuumed then."""
    store = open_store(ctx)
    try:
        freed = store.training_set(name).drop()
    finally:
        store.stop()
    versions = listed([f"{view} v{version}" for view, version in freed])
    told = f"no training set needs any more: {versions}" if freed else "other training sets need the same versions"
    click.echo(f"{name}: dropped; {told}")


for _command in (create, list_sets, show, verify, drop):
    training_set.add_command(_command)

COMMANDS = {"training-set": training_set}
