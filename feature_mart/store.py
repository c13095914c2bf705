"""The mart as a Python object: the same as the commands."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feature_mart.definitions import load_project
from feature_mart.delta.lazy import LazySession
from feature_mart.errors import UsageError
from feature_mart.records import as_utc, parse_instant
from feature_mart.runner.workspace import Event, Workspace, ignore, utc_now

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from feature_mart.definitions import Project
    from feature_mart.delta.tables import Table
    from feature_mart.runner.build import BuildResult
    from feature_mart.runner.unit_tests import TestResult

Moment = datetime | str


class FeatureStore:
    """A mart, opened from its folder.

    Spark starts only when data is computed or read. Moments are datetimes or ISO 8601 texts; without a zone they are
    UTC.

    Args:
        repo_path: the mart's folder, the one that holds ``conf/base.yml``.
        env: the environment whose ``conf/<env>.yml`` is laid over the base; default: ``MART_ENV``, else ``local``.
        spark: a session to use, as on Databricks or in a notebook; its settings are neither used nor changed where
            they would decide results. Without it the mart starts its own.
        on_event: is told what a build does while it does it.
        now: the clock.
        variables: what ``${VAR}`` in the mart's files is filled in from; default: the environment.

    Raises:
        DefinitionError: files of the mart are wrong; every problem at once.
        UsageError: the folder is no mart, or the environment is unknown.
    """

    def __init__(
        self,
        repo_path: str | Path = ".",
        env: str | None = None,
        spark: SparkSession | None = None,
        *,
        on_event: Callable[[Event], None] = ignore,
        now: Callable[[], datetime] = utc_now,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        root = Path(repo_path).resolve()
        self.project: Project = load_project(root, env, os.environ if variables is None else variables)
        settings = self.project.settings.spark
        session = LazySession(
            master=settings.master,
            conf=settings.conf,
            given=spark,
            on_start=lambda: on_event(Event("remark", "spark", "starting")),
        )
        self._workspace = Workspace(self.project, session, now, on_event)

    def __repr__(self) -> str:
        return f"FeatureStore({str(self.project.root)!r}, env={self.project.environment!r})"

    def build(
        self,
        *pipelines: str,
        start: Moment | None = None,
        end: Moment | None = None,
        chunk: timedelta | None = None,
        select: Sequence[str] = (),
        full_refresh: bool = False,
    ) -> BuildResult:
        """Brings pipelines (all where none is named) up to date with their sources.

        Args:
            start: where a backfill begins; default: with the first row of the inputs.
            end: the horizon; default: now.
            chunk: publish intervals in steps of this length.
            select: only these views.
            full_refresh: build everything anew, taking schema changes as meant.

        Raises:
            CheckFailed: a check failed; the view keeps its version before.
            SourceError: a source cannot be read as declared.
            BuildError: a definition failed.
            SchemaChangeRefused: a published feature would go or change its type.
        """
        from feature_mart.plan.steps import Request
        from feature_mart.runner.build import build

        request = Request(_moment(start), _moment(end), chunk, full_refresh)
        return build(self._workspace, pipelines, select=select, request=request)

    def table(self, name: str, version: int | None = None, as_of: Moment | None = None) -> DataFrame:
        """The rows of a view or source at one version (default: the latest), as a Spark frame.

        Raises:
            TableError: it has not been built.
            VersionNotFound: it has no such version.
        """
        from feature_mart.read.inputs import rows_of

        table = self._table(name)
        return rows_of(table, table.pinned(version, _moment(as_of)).version)

    def history(self, name: str) -> list[dict[str, Any]]:
        """The versions of a view or source, newest first, each with what made it. Needs no Spark with a warehouse.

        Raises:
            TableError: it has not been built.
        """
        from feature_mart.history.versions import versions_of

        return versions_of(self._table(name))

    def query(self, sql: str, *, versions: Mapping[str, int] | None = None, as_of: Moment | None = None) -> DataFrame:
        """The result of a SELECT over views and sources by their names, as a Spark frame.

        Raises:
            UsageError: no SELECT, an unknown name, or SQL that fails.
        """
        from feature_mart.runner.query import run_query

        return run_query(self._workspace, sql, versions=versions, as_of=_moment(as_of))

    def list(self, text: str = "") -> list[dict[str, Any]]:
        """Everything in the catalog that matches ``text``, best match first. Needs no Spark."""
        from feature_mart.definitions.catalog import search

        return search(self.project, text)

    def show(self, name: str) -> dict[str, Any]:
        """What the catalog says of a view, feature (``view:feature``), source or service. Needs no Spark.

        Raises:
            UsageError: there is nothing of that name.
        """
        from feature_mart.definitions.catalog import describe

        return describe(self.project, name)

    def test(self, *views: str) -> Iterator[TestResult]:
        """Runs the unit tests of views (all where none is named); each result comes when its test is done.

        Raises:
            UsageError: a view is unknown, or has no tests.
        """
        from feature_mart.runner.unit_tests import run_unit_tests

        return run_unit_tests(self._workspace, views)

    def stop(self) -> None:
        """Ends the Spark that this mart started; a session that was handed in goes on."""
        self._workspace.session.stop()

    def _table(self, name: str) -> Table:
        project = self.project
        subject = name.removesuffix("__quarantine")
        if name != "mart_runs" and subject not in project.views and subject not in project.sources:
            known = ", ".join(sorted([*project.views, *project.sources]))
            raise UsageError(f"there is no view or source {name!r}. Known: {known}.")
        if name == "mart_runs" or name != subject:
            return self._workspace.tables.table(name)
        return self._workspace.table_of(project.producer(name))


def _moment(value: Moment | None) -> datetime | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        return as_utc(value)
    try:
        return parse_instant(value)
    except ValueError as error:
        raise UsageError(
            f"{value!r} is no moment. Write ISO 8601, as in 2011-12-01 or 2011-12-01T06:00:00Z."
        ) from error
