"""Commands for beginners: a first mart, sample data, a look at the machine."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

import click

from feature_mart.cli.command import mart_command, mart_folder, print_json
from feature_mart.errors import UsageError


@mart_command("init")
@click.argument("directory_name", metavar="DIR")
@click.option("--name", default=None, help="The mart's name (default: the folder's).")
def init(ctx: click.Context, directory_name: str, name: str | None) -> None:
    """Write a small, complete mart that builds into DIR, which must be new or empty."""
    from feature_mart.scaffold import write_mart

    target = Path(directory_name)
    for path in write_mart(target, name or target.resolve().name):
        click.echo(f"wrote {path}")
    # Called by its path, as .venv/bin/mart, the command is not found by its name.
    command = "mart" if shutil.which("mart") else str(Path(sys.executable).parent / "mart")
    steps = "\n".join(f"  {command} {name}" for name in ("validate", "build", "list"))
    click.echo(f"\nNext:\n  cd {shlex.quote(directory_name)}\n{steps}")


@mart_command("sample-data")
@click.option("--customers", type=click.IntRange(min=1), default=300, show_default=True, help="How many customers.")
@click.option("--days", type=click.IntRange(min=1), default=120, show_default=True, help="How many days.")
@click.option("--seed", type=int, default=7, show_default=True, help="The same seed gives the same bytes.")
@click.option("--output", metavar="DIR", default=None, help="Where to (default: data/ in the mart).")
def sample_data(ctx: click.Context, customers: int, days: int, seed: int, output: str | None) -> None:
    """Make sample data for the reference mart: the same bytes for the same options, every time."""
    from feature_mart.sample import write_sample

    target = Path(output) if output is not None else mart_folder(ctx) / "data"
    with click.progressbar(length=days, label="making sample data", file=sys.stderr) as bar:

        def advance(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        summary = write_sample(target, customers=customers, days=days, seed=seed, progress=advance)
    click.echo(str(summary))


@mart_command("doctor")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Check Python, Java, Spark start, Delta write and read; say how to mend what fails."""
    from feature_mart.runner.doctor import run_checks

    try:
        root: Path | None = mart_folder(ctx)
    except UsageError:
        root = None
    results = []
    for result in run_checks(root, ctx.obj["env"]):
        results.append(result)
        if not as_json:
            click.echo(f"{'✓' if result.ok else '✗'} {result.name:20} {result.found}")
            if not result.ok:
                click.echo(f"  fix: {result.fix}")
    if as_json:
        print_json([{"name": r.name, "ok": r.ok, "found": r.found, "fix": r.fix} for r in results])
    if not all(result.ok for result in results):
        sys.exit(1)


COMMANDS = {"init": init, "sample-data": sample_data, "doctor": doctor}
