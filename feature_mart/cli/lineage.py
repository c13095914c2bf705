"""`mart lineage`: where a feature comes from and what uses it; starts Spark for ``--write`` alone."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from feature_mart.cli.command import mart_command, mart_folder, open_store
from feature_mart.definitions.problems import counted
from feature_mart.errors import UsageError

_FORMATS = ("text", "json", "mermaid", "svg")


@mart_command("lineage")
@click.argument("subject", metavar="[VIEW[:FEATURE]]", required=False)
@click.option(
    "--format", "form", type=click.Choice(_FORMATS), default="text", show_default=True, help="How to show it."
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write it to a file.")
@click.option("--write", is_flag=True, help="Write metadata/lineage/<view>.yml for all views.")
@click.option("--check", is_flag=True, help="End with 1 where a file of metadata/lineage is not current.")
def lineage(
    ctx: click.Context, subject: str | None, form: str, as_json: bool, output: Path | None, write: bool, check: bool
) -> None:
    """Show what VIEW or VIEW:FEATURE is made from, back to the sources, and which features and services use it."""
    if [subject is not None, write, check].count(True) != 1:
        raise UsageError("Name a view or VIEW:FEATURE, or give one of --write and --check. See `mart lineage --help`.")
    if write:
        _write(ctx)
    elif check:
        _check(ctx)
    else:
        _show(ctx, str(subject), "json" if as_json else form, output)


def _write(ctx: click.Context) -> None:
    store = open_store(ctx)
    try:
        changed = store.write_lineage()
    finally:
        store.stop()
    for file in changed:
        click.echo(f"wrote {file}" if (store.project.root / file).is_file() else f"removed {file}")
    click.echo(f"{counted(len(store.project.views), 'view')}, {counted(len(changed), 'file')} changed")


def _check(ctx: click.Context) -> None:
    from feature_mart.definitions import load_project
    from feature_mart.definitions.lineage.mart import WRITE, check_lineage

    project = load_project(mart_folder(ctx), ctx.obj["env"])
    stale = check_lineage(project)
    for entry in stale:
        click.echo(entry.text(), err=True)
    if stale:
        click.echo(f"To bring them up to date: {WRITE}", err=True)
        sys.exit(1)
    click.echo(f"The lineage of {counted(len(project.views), 'view')} is current.")


def _show(ctx: click.Context, subject: str, form: str, output: Path | None) -> None:
    from feature_mart.definitions import load_project
    from feature_mart.definitions.lineage.chain import chain_of
    from feature_mart.definitions.lineage.mart import MartLineage
    from feature_mart.definitions.lineage.show import FORMATS

    project = load_project(mart_folder(ctx), ctx.obj["env"])
    text = FORMATS[form](chain_of(MartLineage(project), subject))
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8", newline="\n")
        click.echo(f"wrote {output}", err=True)


COMMANDS = {"lineage": lineage}
