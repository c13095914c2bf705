"""Historical features: the request is understood, its versions are pinned, its spine is read; then it can be joined."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path

from feature_mart.definitions import FeatureView
from feature_mart.definitions.problems import did_you_mean, listed
from feature_mart.definitions.widening import is_widening
from feature_mart.delta.placement import key_family
from feature_mart.delta.tables import Table
from feature_mart.errors import UsageError
from feature_mart.records import iso
from feature_mart.runner.workspace import Workspace
from feature_mart.train.arms import understood
from feature_mart.train.defaults import require_fitting
from feature_mart.train.job import RetrievalJob
from feature_mart.train.join import PinnedView
from feature_mart.train.joined_view import JoinedView
from feature_mart.train.request import Wanted
from feature_mart.train.spine import EntityRows, read_spine
from feature_mart.train.versions import pin


def historical_features(
    workspace: Workspace,
    entity_df: EntityRows,
    features: Wanted | Mapping[str, Wanted],
    *,
    join_keys: Mapping[str, Mapping[str, str]] | None = None,
    full_feature_names: bool = False,
    versions: Mapping[str, int] | None = None,
    as_of: datetime | None = None,
) -> RetrievalJob:
    """A job for the features of a spine's rows. See `FeatureStore.get_historical_features`."""
    tables, project = workspace.tables, workspace.project

    @cache
    def columns_of(view: str) -> list[str]:
        return _features(project.views[view], tables.table(view))

    asked = understood(
        project,
        features,
        columns_of=lambda view: columns_of(view.name),
        join_keys=join_keys,
        full_feature_names=full_feature_names,
    )
    requests = asked.views
    views = list({request.view.name: request.view for request in requests}.values())
    pinned = pin(tables, views, versions=versions, as_of=as_of)
    joined = []
    for request in requests:
        table, version = tables.table(request.view.name), pinned[request.view.name].version
        _require_columns(request.view, table, version, request.features)
        kinds = table.columns(version)
        require_fitting(request.view, {name: kinds[name] for name in request.features}, version)
        joined.append(PinnedView(JoinedView.of(request), table, version))

    def table_of(name: str) -> Table | None:
        return workspace.table_of(project.producer(name)) if project.has_table(name) else None

    spine = read_spine(workspace.session(), entity_df, requests, root=project.root, table_of=table_of)
    return RetrievalJob(
        spine,
        joined,
        asked.columns,
        {
            **asked.to_json(project.services),
            "as_of": None if as_of is None else iso(as_of),
            "source": str(entity_df) if isinstance(entity_df, (str, Path)) else type(entity_df).__name__,
        },
        tables,
        workspace.new_run(None),
    )


def _features(view: FeatureView, table: Table) -> list[str]:
    """The features of a view's table; before it is built, those that the definition is known to give."""
    reserved = {name.lower() for name in view.reserved_columns}
    columns = list(table.columns()) or list(view.columns or ())
    return [name for name in columns if name.lower() not in reserved]


def _require_columns(view: FeatureView, table: Table, version: int, features: Iterable[str]) -> None:
    """Refuses a version that lacks what is asked for, or what today's definition says that rows are found by."""
    known = table.columns(version)
    history = f"`mart history {view.name}` lists the versions."
    for name in features:
        if name not in known:
            raise UsageError(
                f"view {view.name} has no feature {name} at version {version}. It has: {listed(known)}."
                f"{did_you_mean(name, list(known))} {history}"
            )
    for name in view.reserved_columns:
        if name not in known:
            raise UsageError(
                f"view {view.name} has no column {name} at version {version}, by which its rows are found today. It "
                f"has: {listed(known)}. {history} Take one that has it."
            )
    for key, kind in view.keys.items():
        if not is_widening(known[key], kind) and key_family(known[key]) != key_family(kind):
            raise UsageError(
                f"the key {key} of view {view.name} is {known[key]} at version {version} and {kind} today, and not all "
                f"values of the one are values of the other. {history} Take one in which it is {kind}."
            )
