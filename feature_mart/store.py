"""The mart as a Python object: the same as the commands."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feature_mart.definitions import load_project
from feature_mart.definitions.problems import did_you_mean
from feature_mart.delta.lazy import LazySession
from feature_mart.errors import UsageError
from feature_mart.records import as_utc, parse_instant
from feature_mart.runner.workspace import Event, Workspace, ignore, utc_now

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from feature_mart.definitions import FeatureView, Project
    from feature_mart.delta.tables import Table
    from feature_mart.history.input_rows import InputTable
    from feature_mart.online.response import OnlineResponse
    from feature_mart.plan.preview import Plan
    from feature_mart.runner.build import BuildResult
    from feature_mart.runner.online import Online
    from feature_mart.runner.unit_tests import TestResult
    from feature_mart.runner.verify import Verification
    from feature_mart.sync.verify import OnlineVerified
    from feature_mart.train.job import RetrievalJob
    from feature_mart.train.request import Wanted
    from feature_mart.train.spine import EntityRows
    from feature_mart.train.training_set import TrainingSet
    from feature_mart.train.verify import Verified

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
        parallel: int = 1,
        select: Sequence[str] = (),
        full_refresh: bool = False,
    ) -> BuildResult:
        """Brings pipelines (all where none is named) up to date with their sources.

        Args:
            start: where a backfill begins; default: with the first row of the inputs.
            end: the horizon; default: now.
            chunk: publish intervals in steps of this length.
            parallel: compute so many chunks of a view at the same time; they are published one after the other.
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

        request = Request(_moment(start), _moment(end), chunk, full_refresh, parallel=parallel)
        return build(self._workspace, pipelines, select=select, request=request)

    def plan(
        self,
        *pipelines: str,
        start: Moment | None = None,
        end: Moment | None = None,
        select: Sequence[str] = (),
        full_refresh: bool = False,
    ) -> Plan:
        """What `build` with the same arguments would do now. Needs no Spark with a warehouse.

        Raises:
            UsageError: an unknown pipeline or view.
            SourceError: a source's files cannot be listed.
        """
        from feature_mart.plan.steps import Request
        from feature_mart.runner.preview import plan_build

        request = Request(_moment(start), _moment(end), None, full_refresh)
        return plan_build(self._workspace, pipelines, select=select, request=request)

    def verify(self, view: str, start: Moment | None = None, end: Moment | None = None) -> Verification:
        """Checks on real data that an interval view's definition gives the same rows however time is cut.

        Args:
            start, end: the range; default: the 30 intervals up to the view's latest row.

        Raises:
            UsageError: the view is unknown, is built whole, or the range is empty.
            BuildError: the definition fails.
        """
        from feature_mart.runner.verify import verify_view

        return verify_view(self._workspace, view, start=_moment(start), end=_moment(end))

    def table(self, name: str, version: int | None = None, as_of: Moment | None = None) -> DataFrame:
        """The rows of a view or source at one version (default: the latest), as a Spark frame.

        Raises:
            UsageError: both a version and a moment are given.
            TableError: it has not been built.
            VersionNotFound: it has no such version, or files of it were removed.
        """
        from feature_mart.read.inputs import rows_of

        if version is not None and as_of is not None:
            raise UsageError(f"{name} is asked for at version {version} and as of a moment: give one of the two.")
        table = self._table(name)
        return rows_of(table, table.readable(version, _moment(as_of)).version)

    def history(self, name: str) -> list[dict[str, Any]]:
        """The versions of a view or source, newest first, each with what made it. Needs no Spark with a warehouse.

        Raises:
            TableError: it has not been built.
        """
        from feature_mart.history.versions import versions_of

        return versions_of(self._table(name))

    def diff(self, view: str, before: int, after: int, *, limit: int = 5) -> dict[str, Any]:
        """What changed in a view from version ``before`` to version ``after``.

        Returns:
            ``rows`` added, removed and changed by ``key`` (join keys, event and created timestamp), counts per feature
            in ``features``, ``limit`` ``examples`` of each kind, ``columns`` and the ``definition`` where they differ,
            what made both versions (``from``, ``to``), and how they were ``compared``.

        Raises:
            UsageError: there is no such view, or a version lacks a key.
            VersionNotFound: it has no such version, or files of it were removed.
        """
        from feature_mart.history.diff import diff_versions

        found = self._view(view)
        return diff_versions(found, self._workspace.tables.table(view), before, after, limit=limit)

    def restore(self, view: str, version: int) -> int:
        """Commits what a view was at ``version`` as its newest version, whose number is returned.

        The view is on hold from then on: builds leave it as it is, until one selects it by name.

        Raises:
            UsageError: there is no such view.
            VersionNotFound: it has no such version, or files of it were removed.
            TableError: another writer made that version.
            ConcurrentBuild: somebody else committed in the meantime.
        """
        from feature_mart.history.restore import restore

        run = self._workspace.new_run(None)
        return restore(self._view(view), self._workspace.tables.table(view), version, run).version

    def explain(
        self, reference: str, key: Mapping[str, Any], at: Moment | None = None, version: int | None = None
    ) -> dict[str, Any]:
        """Where a value comes from: ``view:feature`` of one key, at a moment (default: newest) of one version.

        Returns:
            The ``value`` with its row's event timestamp, the version that wrote it with its run, git commit and
            ``definition``, and for each of its ``inputs``, at the version that was read, the rows that made it: marked
            ``exact``, or ``candidates`` where the definition does not allow more.

        Raises:
            UsageError: there is no such feature, or the key is not complete or of another type.
            TableError: the view has no row of that key, or no such version.
        """
        from feature_mart.history.explain import Question, explain

        name, _, feature = reference.partition(":")
        view = self._view(name)
        question = Question(view, feature, dict(key), _moment(at), version)
        return explain(question, self._workspace.tables.table(name), self._inputs_of(view))

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

    def lineage(self, name: str) -> dict[str, Any]:
        """What a view or ``view:feature`` is made from, back to the sources, and what uses it. Needs no Spark.

        Returns:
            ``nodes`` (columns, rows and feature services), ``edges`` from what is used to what uses it with the
            ``kinds`` of use, the columns that decide the ``rows`` of each view, and what is ``unresolved``.

        Raises:
            UsageError: there is no such view or column.
        """
        from feature_mart.definitions.lineage.chain import chain_of
        from feature_mart.definitions.lineage.mart import MartLineage

        return chain_of(MartLineage(self.project), name).to_dict()

    def write_lineage(self) -> Sequence[str]:
        """Writes metadata/lineage for all views and gives the files that changed; Python definitions need Spark.

        Raises:
            BuildError: a Python definition fails over empty inputs.
        """
        from feature_mart.runner.lineage import write_all

        return write_all(self._workspace)

    def test(self, *views: str) -> Iterator[TestResult]:
        """Runs the unit tests of views (all where none is named); each result comes when its test is done.

        Raises:
            UsageError: a view is unknown, or has no tests.
        """
        from feature_mart.runner.unit_tests import run_unit_tests

        return run_unit_tests(self._workspace, views)

    def get_historical_features(
        self,
        entity_df: EntityRows,
        features: Wanted | Mapping[str, Wanted],
        full_feature_names: bool = False,
        *,
        join_keys: Mapping[str, Mapping[str, str]] | None = None,
        versions: Mapping[str, int] | None = None,
        as_of: Moment | None = None,
    ) -> RetrievalJob:
        """The features of each row of ``entity_df`` as they were at its ``event_timestamp``: a point-in-time join.

        Nothing of a view is seen that was not known then. Versions are pinned when this is called; rows are joined
        when a result is asked for (`to_df`, `to_arrow`, `to_spark_df`, `save`).

        Args:
            entity_df: the spine, with the join keys and `event_timestamp`: a pandas, Arrow or Spark frame, a path to
                csv, parquet or Delta, or the name of a table of the mart.
            features: ``view:feature``, ``view``, the name of a feature service, or a list of these. ``view@alias``
                joins a view once more under another name. Or such by arm of an experiment, as in
                ``{"control": "churn_v1", "candidate": ["churn_v2", "view:feature"]}``: what arms share is joined once,
                and columns are called ``arm__feature``.
            full_feature_names: call columns ``view__feature``, with arms ``arm__view__feature``.
            join_keys: by alias (or view), the column of the spine that holds a key of the view.
            versions: the version of a view to read, by number; default: those of the last completed run.
            as_of: read what the mart knew at that moment.

        Raises:
            UsageError: something that is asked for does not exist, or the spine does not fit.
            TableError: a view has not been built.
            VersionNotFound: there is no such version (any more).
            FilesMissing: files of a version are gone.
        """
        from feature_mart.runner.historical_features import historical_features

        return historical_features(
            self._workspace,
            entity_df,
            features,
            join_keys=join_keys,
            full_feature_names=full_feature_names,
            versions=versions,
            as_of=_moment(as_of),
        )

    def create_training_set(
        self,
        name: str,
        entity_df: EntityRows,
        features: Wanted | Mapping[str, Wanted],
        full_feature_names: bool = False,
        *,
        join_keys: Mapping[str, Mapping[str, str]] | None = None,
        versions: Mapping[str, int] | None = None,
        as_of: Moment | None = None,
    ) -> dict[str, Any]:
        """What `get_historical_features` gives, kept as a training set: its manifest. What is done is told meanwhile.

        Raises:
            UsageError: the name is taken or cannot be one, which is said before the spine is read; or as above.
            MartError: as above.
        """
        from feature_mart.runner.training_sets import create_training_set

        return create_training_set(
            self._workspace,
            name,
            entity_df,
            features,
            join_keys=join_keys,
            full_feature_names=full_feature_names,
            versions=versions,
            as_of=_moment(as_of),
        )

    def training_sets(self) -> Sequence[dict[str, Any]]:
        """The manifests of all training sets that are kept, by name. Needs no Spark with a warehouse."""
        from feature_mart.train.manifests import manifests

        return manifests(self._workspace.tables)

    def training_set(self, name: str) -> TrainingSet:
        """A training set that was saved: its manifest, its rows, the proof. Needs no Spark until rows are read.

        Raises:
            UsageError: there is none of that name.
        """
        from feature_mart.runner.training_sets import training_set

        return training_set(self._workspace, name)

    def verify_training_set(self, name: str) -> Verified:
        """Makes a training set again from the versions in its manifest, and compares it to the last bit.

        Raises:
            UsageError: there is none of that name.
            TableError: the table that keeps it is damaged.
        """
        from feature_mart.runner.training_sets import verify_training_set

        return verify_training_set(self._workspace, name)

    def vacuum(
        self, *names: str, dry_run: bool = False, orphans_older_than: timedelta | None = None
    ) -> Sequence[dict[str, Any]]:
        """Removes files that no kept version of views and sources (all where none is named) needs. Needs no Spark.

        Kept are versions within the view's ``retention`` (default: 400 days), the newest one, and those that a training
        set, a completed run or the next build of a view needs.

        Args:
            dry_run: remove nothing, and say what would go.
            orphans_older_than: how old files of killed builds must be (default: 7 days). Files of a build that still
                runs look the same: never give less than the longest build takes.

        Returns:
            One dict per table: versions that are kept (``recent``, ``pinned`` with the reasons) and ``expired`` ones,
            how many ``files`` and ``bytes`` go, and pinned versions that have ``lost`` files already.

        Raises:
            UsageError: an unknown name, or the tables are not on a local disk.
            TableError: a training set does not say what it needs, or a table cannot be read or cleaned.
        """
        from feature_mart.runner.maintenance import vacuum_tables

        return vacuum_tables(self._workspace, names, dry_run=dry_run, safe_age=orphans_older_than)

    def optimize(self, *names: str, dry_run: bool = False) -> Sequence[dict[str, Any]]:
        """Lays rows of views and sources (all where none is named) out anew where files are too many or too coarse.

        No row changes, and the next build goes on as if nothing had happened; old files stay until `vacuum`. Starts
        Spark only where something is due.

        Args:
            dry_run: change nothing, and say what is due.

        Returns:
            One dict per table: how many files of how many bytes went and came, and the ``version`` that was made.

        Raises:
            UsageError: an unknown name, or the tables are not on a local disk.
            ConcurrentBuild: a build took rows away that were being rewritten; it goes first.
        """
        from feature_mart.runner.maintenance import optimize_tables

        return optimize_tables(self._workspace, names, dry_run=dry_run)

    @cached_property
    def _online(self) -> Online:
        from feature_mart.runner.online import Online

        return Online(self._workspace)

    def sync(self, *views: str, full: bool = False) -> Sequence[dict[str, Any]]:
        """Publishes views (all that go ``online`` where none is named) into the online store.

        Published is what the last completed run of a view's pipeline left, as of now, by what differs from what is
        online. Readers see the old snapshot or the new one, never a mixture. Without names, views that do not go online
        any more are removed, and views that were rolled back stay as they are.

        Args:
            full: write every key, and trust nothing that is there.

        Returns:
            One dict per view: ``how`` it was done (nothing, rules, changes, all, anew, busy), ``version`` and the one
            ``before``, ``as_of``, ``rows`` that are online, and how many keys ``changed``, ``came`` and ``went``.

        Raises:
            UsageError: there is no such view, or it does not go online.
            TableError: a view has not been built, or its version lacks a feature.
            OnlineStoreError, OnlineStoreUnavailable: the store does not take it; what is live stays.
            SyncSuperseded: another sync took its place, or the view was rolled back.
        """
        return [result.to_json() for result in self._online.sync(views, full=full)]

    def get_online_features(
        self,
        features: str | Sequence[str],
        entity_rows: Any,
        full_feature_names: bool = False,
        *,
        join_keys: Mapping[str, Mapping[str, str]] | None = None,
    ) -> OnlineResponse:
        """The newest published features of some entities, in one round trip. Needs no Spark.

        Every view is read at one snapshot. Values older than the view's ``ttl`` are missing, as in training.

        Args:
            features: as in `get_historical_features`, of what is online.
            entity_rows: a list of dicts of join keys, or a pandas frame or an Arrow table of them.
            full_feature_names: call columns ``view__feature``.
            join_keys: by alias (or view), the name in the entity rows that holds a key of the view.

        Raises:
            UsageError: a feature is not online, or a key is missing or of another type.
            OnlineStoreUnavailable: the store cannot be reached.
        """
        rows = entity_rows
        if hasattr(rows, "to_pylist"):
            rows = rows.to_pylist()
        elif hasattr(rows, "to_dict"):
            rows = rows.to_dict("records")
        return self._online.lookup(features, rows, full_feature_names=full_feature_names, join_keys=join_keys)

    def online_status(self) -> Sequence[dict[str, Any]]:
        """What is live of each view that goes online: version, age, keys, bytes, and what made it. Needs no Spark."""
        return self._online.status()

    def verify_online(self, view: str, sample: int | None = None) -> OnlineVerified:
        """Reads back what is live of a view, and compares it with its version, value by value.

        Args:
            sample: look at about so many keys only.

        Raises:
            UsageError: there is no such view, or it does not go online.
            TableError: nothing of it is live, or its version is gone.
        """
        return self._online.verify(view, sample)

    def rollback_online(self, view: str) -> dict[str, Any]:
        """Makes the snapshot before live again, and holds the view until a sync names it. Gives its status.

        Raises:
            UsageError: nothing of that name is live.
            OnlineStoreError: there is no snapshot before.
        """
        return self._online.roll_back(view)

    def stop_online(self) -> bool:
        """Ends the embedded online store, and with it what is in it. Whether it ran.

        Raises:
            UsageError: the online store is no server of the mart's own.
        """
        return self._online.stop()

    def stop(self) -> None:
        """Ends the Spark that this mart started, and connections; a session that was handed in goes on."""
        if "_online" in self.__dict__:
            self._online.close()
        self._workspace.session.stop()

    def _view(self, name: str) -> FeatureView:
        project = self.project
        if name in project.views:
            return project.views[name]
        if name in project.sources:
            raise UsageError(f"{name} is a source; name a feature view. Known: {', '.join(sorted(project.views))}.")
        hint = did_you_mean(name, sorted(project.views))
        raise UsageError(f"there is no view {name!r}. Known: {', '.join(sorted(project.views))}.{hint}")

    def _inputs_of(self, view: FeatureView) -> dict[str, InputTable]:
        from feature_mart.history.input_rows import InputTable

        producers = [self.project.producer(name) for name in {*view.inputs, *view.reads}]
        return {
            producer.name: InputTable(self._workspace.table_of(producer), producer.event_timestamp)
            for producer in producers
        }

    def _table(self, name: str) -> Table:
        project = self.project
        subject = name.removesuffix("__quarantine")
        if name != "mart_runs" and not project.has_table(subject):
            known = sorted([*project.views, *project.sources])
            hint = did_you_mean(subject, known)
            raise UsageError(f"there is no view or source {name!r}. Known: {', '.join(known)}.{hint}")
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
