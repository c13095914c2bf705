"""Commands about the mart's files: none of them starts Spark."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from feature_mart.cli.command import mart_command, mart_folder, print_json, print_table

if TYPE_CHECKING:
    from feature_mart.definitions import Validation

_SCHEMA_FOLDER = "conf/schemas"


@mart_command("validate")
@click.option("--json", "as_json", is_flag=True, help="Problems as JSON.")
def validate(ctx: click.Context, as_json: bool) -> None:
    """Check every file of the mart and report all problems at once. Ends with 2 where there is an error."""
    from feature_mart.definitions import validate_project

    found = validate_project(mart_folder(ctx), ctx.obj["env"])
    if as_json:
        entries = {
            "errors": [problem.to_dict() for problem in found.errors],
            "warnings": [problem.to_dict() for problem in found.warnings],
        }
        print_json(entries)
    else:
        for problem in [*found.errors, *found.warnings]:
            click.echo(problem.text() + "\n")
        click.echo(_summary(found))
    if found.errors:
        sys.exit(2)


def _summary(found: Validation) -> str:
    from feature_mart.definitions.problems import counted

    told = f"{counted(len(found.errors), 'error')}, {counted(len(found.warnings), 'warning')}"
    if found.project is None:
        return told
    project = found.project
    parts = (("view", project.views), ("source", project.sources), ("pipeline", project.pipelines))
    return f"{', '.join(counted(len(things), noun) for noun, things in parts)}: {told}"


@mart_command("schema")
@click.argument("kind", required=False)
@click.option(
    "--write",
    "write_to",
    metavar="[DIR]",
    is_flag=False,
    flag_value=_SCHEMA_FOLDER,
    default=None,
    help=f"Write one file per kind into DIR (default: {_SCHEMA_FOLDER}).",
)
@click.option(
    "--check",
    "check_in",
    metavar="[DIR]",
    is_flag=False,
    flag_value=_SCHEMA_FOLDER,
    default=None,
    help="End with 1 where the files in DIR are not current.",
)
def schema(ctx: click.Context, kind: str | None, write_to: str | None, check_in: str | None) -> None:
    """Print the JSON Schema of a KIND of file (of all kinds where none is named)."""
    from feature_mart.definitions.schema import check_schemas, json_schemas, write_schemas
    from feature_mart.errors import UsageError

    if write_to is not None:
        for path in write_schemas(Path(write_to)):
            click.echo(f"wrote {path}")
        return
    if check_in is not None:
        stale = check_schemas(Path(check_in))
        for path in stale:
            click.echo(f"{path} is not current: run `mart schema --write {check_in}`", err=True)
        sys.exit(1 if stale else 0)
    schemas = json_schemas()
    if kind is not None and kind not in schemas:
        raise UsageError(f"there is no kind of file {kind!r}. Known: {', '.join(schemas)}.")
    print_json(schemas if kind is None else schemas[kind])


@mart_command("list")
@click.argument("text", required=False, default="")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_command(ctx: click.Context, text: str, as_json: bool) -> None:
    """Find views, features, sources and services whose name, tags, description or owner match TEXT, best first."""
    from feature_mart.definitions import load_project
    from feature_mart.definitions.catalog import search

    hits = search(load_project(mart_folder(ctx), ctx.obj["env"]), text)
    if as_json:
        print_json(hits)
        return
    if not hits:
        click.echo(f"Nothing matches {text!r}. `mart list` shows everything.")
        return
    print_table(
        ["kind", "name", "description", "owner"],
        [[h.get(k, "") for k in ("kind", "name", "description", "owner")] for h in hits],
    )


@mart_command("show")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def show(ctx: click.Context, name: str, as_json: bool) -> None:
    """Show all that is known of NAME: a view, VIEW:FEATURE, a source or a feature service."""
    from feature_mart.definitions import load_project
    from feature_mart.definitions.catalog import describe

    described = describe(load_project(mart_folder(ctx), ctx.obj["env"]), name)
    if as_json:
        print_json(described)
        return
    for key, value in described.items():
        if isinstance(value, list) and value and all(isinstance(entry, dict) for entry in value):
            _print_entries(key, value)
        elif value not in (None, "", [], {}):
            click.echo(f"{key + ':':22}{_plain(value)}")


def _print_entries(key: str, entries: list[dict[str, Any]]) -> None:
    columns = list(dict.fromkeys(column for entry in entries for column in entry if _some(entries, column)))
    click.echo("")
    print_table(columns, [[_plain(entry.get(column, "")) for column in columns] for entry in entries], title=key)


def _some(entries: list[dict[str, Any]], column: str) -> bool:
    return any(entry.get(column) not in (None, "", [], {}) for entry in entries)


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(entry)}" for key, entry in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_plain(entry) for entry in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


COMMANDS = {"validate": validate, "schema": schema, "list": list_command, "show": show}
