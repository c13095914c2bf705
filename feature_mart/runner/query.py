"""Runs SQL against the mart: its views, its sources, its quarantines and its runs, at any of their versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

import sqlglot
from pyspark.sql import DataFrame
from sqlglot import exp
from sqlglot.errors import SqlglotError

from feature_mart.definitions.problems import did_you_mean
from feature_mart.definitions.sql_text import enclosing_cte
from feature_mart.delta.address import QUARANTINE_SUFFIX, RUNS_TABLE
from feature_mart.delta.errors import SPARK_ERRORS, first_lines
from feature_mart.delta.names import named
from feature_mart.delta.tables import Table, visible
from feature_mart.errors import UsageError
from feature_mart.read.inputs import rows_of
from feature_mart.records import iso
from feature_mart.runner.workspace import Event, Workspace


def run_query(
    workspace: Workspace, text: str, *, versions: Mapping[str, int] | None = None, as_of: datetime | None = None
) -> DataFrame:
    """The result of one SELECT; names in it are views, sources, ``<name>__quarantine`` and ``mart_runs``.

    Args:
        versions: the version to read of a view or source; the latest of all others.
        as_of: read everything as it was at that moment. Versions that are named go before it.

    Raises:
        UsageError: no SELECT, an unknown name, or SQL that fails.
        VersionNotFound: a table has no such version, or its files were removed.
    """
    names = tables_in(text)
    unknown = sorted(set(versions or {}) - names)
    if unknown:
        raise UsageError(
            f"--version names {', '.join(unknown)}, which the query does not read. It reads: {_shown(names)}."
            + did_you_mean(unknown[0], sorted(names))
        )
    # All names are looked up before Spark is started for any.
    tables = {name: _table(workspace, name) for name in sorted(names)}
    pinned = {
        name: table.readable((versions or {}).get(name), as_of if name not in (versions or {}) else None)
        for name, table in tables.items()
    }
    if as_of is not None:
        # A moment is looked up once; the numbers read the same for ever.
        read = ", ".join(f"{name}={version.version}" for name, version in pinned.items())
        workspace.tell(Event("remark", "query", f"as of {iso(as_of)} these versions are read: {read or 'none'}"))
    spark = workspace.session()
    frames = {name: rows_of(table, pinned[name].version) for name, table in tables.items()}
    with query_errors(), named(frames):
        return visible(spark.sql(text))


@contextmanager
def query_errors() -> Iterator[None]:
    """Raises a `UsageError` in place of what Spark says of a query, when it is read and when it runs."""
    try:
        yield
    except SPARK_ERRORS as error:
        raise UsageError(f"the query failed: {first_lines(error, most=6)}") from error


def tables_in(text: str) -> set[str]:
    """The tables that a SELECT reads, without its own common table expressions.

    Raises:
        UsageError: the text is no single SELECT.
    """
    try:
        statements = [statement for statement in sqlglot.parse(text, dialect="spark") if statement is not None]
    except SqlglotError as error:
        raise UsageError(f"the query does not parse: {str(error).splitlines()[0]}") from error
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise UsageError("the query must be one SELECT; the mart's tables are written by `mart build` only.")
    tables = list(statements[0].find_all(exp.Table))
    qualified = [table.sql(dialect="spark") for table in tables if table.db or table.catalog]
    if qualified:
        raise UsageError(f"{qualified[0]} is no plain table name. Write the name of a view or source as it is.")
    return {table.name.lower() for table in tables if table.name and enclosing_cte(table) is None}


def _table(workspace: Workspace, name: str) -> Table:
    project = workspace.project
    if name == RUNS_TABLE:
        return workspace.tables.table(name)
    subject = name.removesuffix(QUARANTINE_SUFFIX)
    if not project.has_table(subject):
        known = [*project.views, *project.sources, RUNS_TABLE]
        hint = did_you_mean(subject, sorted(known))
        raise UsageError(f"there is no view or source {name!r}. Known: {_shown(set(known))}.{hint}")
    return workspace.tables.table(name) if name != subject else workspace.table_of(project.producer(name))


def _shown(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "no table"
