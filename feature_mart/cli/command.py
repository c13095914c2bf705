"""What all commands share: the options that choose a mart, how errors end, and how results are printed."""

from __future__ import annotations

import functools
import json
import shutil
import sys
import textwrap
import traceback
from collections.abc import Callable, Container, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from feature_mart.errors import MartError, UsageError

if TYPE_CHECKING:
    from feature_mart.store import FeatureStore

Handler = Callable[..., None]
_FILE_WIDTH = 240


def mart_command(name: str) -> Callable[[Handler], click.Command]:
    """A command that also takes ``--env``, ``--mart`` and ``--debug``, and ends our errors with their exit codes."""

    def decorate(handler: Handler) -> click.Command:
        @functools.wraps(handler)
        def run(env: str | None, directory: str | None, debug: bool, **arguments: Any) -> None:
            ctx = click.get_current_context()
            shared = dict(ctx.obj or {"env": None, "directory": None, "debug": False})
            shared["env"] = env or shared["env"]
            shared["directory"] = directory or shared["directory"]
            shared["debug"] = debug or shared["debug"]
            ctx.obj = shared
            try:
                handler(ctx, **arguments)
            except MartError as error:
                _end(error, shared["debug"])
            except KeyboardInterrupt:
                click.echo("Interrupted. What was published stays; run the same command again to go on.", err=True)
                sys.exit(130)

        options: list[Callable[[Handler], Handler]] = [
            click.option(
                "--env", metavar="NAME", default=None, help="The environment: conf/NAME.yml over conf/base.yml."
            ),
            click.option("--mart", "directory", metavar="DIR", default=None, help="The mart's folder."),
            click.option("--debug", is_flag=True, help="Show the whole trace of an error."),
        ]
        decorated: Handler = run
        for option in options:
            decorated = option(decorated)
        return click.command(name)(decorated)

    return decorate


def _end(error: MartError, debug: bool) -> NoReturn:
    if debug:
        traceback.print_exception(error)
    click.echo(f"Error: {error.message}", err=True)
    sys.exit(error.exit_code)


def mart_folder(ctx: click.Context) -> Path:
    """The folder of the mart that the command works on.

    Raises:
        UsageError: there is none here or above.
    """
    # Commands that need no mart must not load the definitions' models.
    from feature_mart.definitions import find_root

    directory = ctx.obj["directory"]
    return Path(directory).resolve() if directory else find_root(Path.cwd())


def open_store(ctx: click.Context, **settings: Any) -> FeatureStore:
    """The mart of this command, as an object."""
    from feature_mart.store import FeatureStore

    return FeatureStore(mart_folder(ctx), ctx.obj["env"], **settings)


def print_json(value: Any) -> None:
    """A value as JSON on standard output."""
    click.echo(json.dumps(value, indent=2, default=str, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> None:
    """Rows as a table: as wide as the terminal, and plain lines of full width where output goes to a file."""
    # rich takes a moment to load; commands that print JSON do without.
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # As a text of its own: for a plain one rich loads its markup and all emoji.
    heading = None if title is None else Text(title, style="table.title")
    table = Table(title=heading, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(Text(column), overflow="fold")
    for row in rows:
        table.add_row(*[Text(cell_text(value)) for value in row])
    console = Console(soft_wrap=False, highlight=False)
    if not console.is_terminal:
        console = Console(width=_FILE_WIDTH, highlight=False)
    console.print(table)


def print_records(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Rows as a table where there is room for it, else each one as ``name=value`` in lines of its own."""
    cells = [[cell_text(value) for value in row] for row in rows]
    is_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if is_terminal else _FILE_WIDTH
    needed = sum(max(map(len, column)) + len(" | ") for column in zip(columns, *cells, strict=True))
    if needed <= width:
        print_table(columns, rows)
        return
    for row in cells:
        said = ", ".join(f"{name}={value}" for name, value in zip(columns, row, strict=True))
        shown = textwrap.fill(said, width, initial_indent="  - ", subsequent_indent="    ", break_on_hyphens=False)
        click.echo(shown)


def cell_text(value: Any) -> str:
    """A value as it stands in a printed table."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def selected(
    select: Sequence[str], pipelines: Sequence[str], views: Container[str]
) -> tuple[list[str], tuple[str, ...]]:
    """The views that ``--select`` names, and the pipelines.

    ``--select a,b`` names two, and so does ``--select a b``, of which the second comes here as if it were a pipeline.
    """
    names = [name for entry in select for name in entry.split(",") if name]
    if not names:
        return [], tuple(pipelines)
    names += [name for name in pipelines if name in views]
    return names, tuple(name for name in pipelines if name not in views)


def parse_pairs(pairs: Sequence[str], option: str) -> dict[str, int]:
    """``VIEW=N`` arguments as a dict.

    Raises:
        UsageError: one is not of that shape.
    """
    found = {}
    for pair in pairs:
        name, _, number = pair.partition("=")
        if not name or not number.isdigit():
            raise UsageError(f"{option} {pair!r}: write NAME=NUMBER, as in {option} invoice_totals=3.")
        found[name] = int(number)
    return found
