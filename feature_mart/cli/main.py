"""The entry point. Commands are loaded when they are called, so that `mart --help` answers at once."""

from __future__ import annotations

import atexit
import gc
import os
from importlib import import_module
from typing import Any

import click

from feature_mart.version import VERSION

_COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("feature_mart.cli.start", "Write a small, complete mart into a new folder."),
    "sample-data": ("feature_mart.cli.start", "Make sample data for the reference mart."),
    "doctor": ("feature_mart.cli.start", "Check Python, Java, Spark and Delta on this machine."),
    "validate": ("feature_mart.cli.definitions", "Check every file of the mart, without Spark."),
    "schema": ("feature_mart.cli.definitions", "Print or write the JSON Schema of each kind of file."),
    "list": ("feature_mart.cli.definitions", "Find views, features, sources and services."),
    "show": ("feature_mart.cli.definitions", "Show all that is known of a view, feature, source or service."),
    "lineage": ("feature_mart.cli.lineage", "Show where a feature comes from, and what uses it."),
    "test": ("feature_mart.cli.build", "Run the unit tests of feature views."),
    "verify": ("feature_mart.cli.verify", "Check on real data that a view is additive over time."),
    "plan": ("feature_mart.cli.plan", "Show what a build would do, and whom it concerns."),
    "build": ("feature_mart.cli.build", "Build pipelines: read, run, check, publish."),
    "history": ("feature_mart.cli.data", "Show the versions of a view and what made them."),
    "diff": ("feature_mart.cli.versions", "Show what changed in a view between two versions."),
    "restore": ("feature_mart.cli.versions", "Bring back what a view was at a version."),
    "explain": ("feature_mart.cli.versions", "Show where a value comes from, down to the input rows."),
    "optimize": ("feature_mart.cli.maintenance", "Lay rows out anew where files are too many."),
    "vacuum": ("feature_mart.cli.maintenance", "Remove files that no version needs any more."),
    "query": ("feature_mart.cli.data", "Run a SELECT against the mart."),
    "sync": ("feature_mart.cli.online", "Publish views in the online store."),
    "online": ("feature_mart.cli.online", "See what is online, look features up, go back."),
    "training-set": ("feature_mart.cli.training_sets", "Make, list, show, verify and drop training sets."),
}


#: How many new objects make the collector look for garbage.
_NEW_OBJECTS = 100_000


class _LazyGroup(click.Group):
    """A group that imports a command's module when the command is called."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Runs a command, and ends the process.

        Nearly all that a command makes lives until its end, modules above all: looking through it for garbage again
        and again, and once more before the process ends, takes a fifth of the time of a short command.
        """
        # Pydantic would look through all installed packages for plugins, which a mart's files have no use for.
        os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
        before = gc.get_threshold()
        gc.set_threshold(_NEW_OBJECTS, *before[1:])
        atexit.register(gc.freeze)
        try:
            return super().main(*args, **extra)
        finally:
            gc.set_threshold(*before)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(_COMMANDS[cmd_name][0])
        command: click.Command = module.COMMANDS[cmd_name]
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in _COMMANDS:
            from feature_mart.definitions.problems import did_you_mean  # commands that exist do without

            ctx.fail(f"There is no command {args[0]!r}.{did_you_mean(args[0], _COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="mart")
@click.option("--env", metavar="NAME", default=None, help="The environment: conf/NAME.yml over conf/base.yml.")
@click.option(
    "--mart", "directory", metavar="DIR", default=None, help="The mart's folder (default: found upwards from here)."
)
@click.option("--debug", is_flag=True, help="Show the whole trace of an error.")
@click.pass_context
def main(ctx: click.Context, env: str | None, directory: str | None, debug: bool) -> None:
    """Feature Mart: features from SQL and PySpark, as versioned Delta tables."""
    ctx.obj = {"env": env, "directory": directory, "debug": debug}
