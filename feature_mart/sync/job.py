"""A sync of one view: from the snapshot that is online to the one that is wanted, by what differs between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from feature_mart.definitions import FeatureView
from feature_mart.delta.log import Commit
from feature_mart.delta.tables import Table
from feature_mart.errors import TableError
from feature_mart.online.keys import entity_of
from feature_mart.online.live import has_all_marks, live_control
from feature_mart.online.payload import LAYOUTS
from feature_mart.online.publication import OnlineView, Publication
from feature_mart.online.records import Control, Snapshot, schema_text
from feature_mart.online.redis_store import RedisStore
from feature_mart.records import EPOCH, MICROSECOND, TableVersion, iso, parse_instant
from feature_mart.sync.candidates import MOST_ROWS, Base, candidate_keys, latest_of
from feature_mart.sync.snapshot import EARLIEST_MICROS, SnapshotRows, snapshot_rows
from feature_mart.sync.write import Pushed, push_keys

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from feature_mart.delta.bucket_files import DataFile
    from feature_mart.sync.tasks import VersionRows

How = Literal["nothing", "rules", "changes", "all", "anew", "busy"]


@dataclass(frozen=True)
class SyncTarget:
    """What is wanted online: a version of a view's table, as of a moment."""

    view: FeatureView
    table: Table
    version: TableVersion
    as_of: datetime


@dataclass(frozen=True)
class SyncResult:
    """What a sync of a view did.

    ``how``: nothing (it was online already), rules (ttl, defaults or the like alone), changes (keys that changed),
    all (all keys compared), anew (all keys written), busy (another sync does the work); ``rows``: keys that have a
    value now; ``changed``, ``came`` and ``went``: of keys.
    """

    view: str
    how: How
    version: int
    before: int | None
    as_of: str
    rows: int
    changed: int = 0
    came: int = 0
    went: int = 0

    def to_json(self) -> dict[str, Any]:
        """As a plain dict."""
        return dict(vars(self))


@dataclass(frozen=True)
class _Wanted:
    """The snapshot to publish, but for its epoch and its rows; and how its rows are found."""

    online: OnlineView
    rows: SnapshotRows
    rules: Mapping[str, Any]


def sync_view(
    store: RedisStore, target: SyncTarget, spark: Callable[[], SparkSession], *, anew: bool, now: datetime
) -> SyncResult:
    """Publishes a snapshot of a view.

    Args:
        spark: is asked for a session if many keys have to be written.
        anew: write all keys, and trust nothing that is there.

    Raises:
        Busy: another sync of the view is at work.
        SyncSuperseded: another sync took its place, or the view was rolled back.
        TableError: the version lacks columns, or files of it are gone.
        OnlineStoreError, OnlineStoreUnavailable: the store does not take what is written.
    """
    live = live_control(store, target.view.name)
    wanted = _wanted(target, live)
    step = _step(store, target, wanted, None if anew else live)
    if live is not None and step.keys is not None and not len(step.keys) and not _rules_differ(live, wanted):
        return _result(target, "nothing", live.live, live)
    publication = Publication.begin(store, wanted.online, since=iso(now), is_scanned=step.base is None)
    if publication.live != live:  # another sync ended in between, or a rollback
        publication.abandon()
        return sync_view(store, target, spark, anew=anew, now=now)
    try:
        with publication.beating():
            pushed, how = _pushed(publication, target, wanted, step, spark)
            known = live.live.rows if live is not None and how in ("rules", "changes") else None
            rows = pushed.rows if known is None else known + pushed.came - pushed.went
            snapshot = Snapshot(epoch=publication.writer.epoch, published_at=iso(now), rows=rows, **wanted.rules)
            control = publication.commit(snapshot)
    except BaseException:
        publication.abandon()
        raise
    publication.tidy(control)
    return _result(target, how, snapshot, live, pushed)


def _result(
    target: SyncTarget, how: How, now: Snapshot, before: Control | None, pushed: Pushed | None = None
) -> SyncResult:
    version = None if before is None else before.live.version
    counts = (0, 0, 0) if pushed is None else (pushed.changed, pushed.came, pushed.went)
    return SyncResult(target.view.name, how, now.version, version, now.as_of, now.rows, *counts)


def _wanted(target: SyncTarget, live: Control | None) -> _Wanted:
    view, version = target.view, target.version
    schema = target.table.arrow_schema(version.version)
    rows = snapshot_rows(view, schema, target.as_of, 0)
    online = OnlineView(view.name, entity_of(view.entities), dict(view.keys))
    text = schema_text(rows.layout.features)
    number = _layout_number(live, text, rows)
    rows = replace(rows, layout=replace(rows.layout, number=number))
    columns = target.table.columns(version.version)
    made = _commit_of(target.table, version.version)
    said: Mapping[str, Any] = {} if made is None or made.provenance is None else made.provenance
    return _Wanted(
        online,
        rows,
        {
            "version": version.version,
            "table_id": version.table_id,
            "as_of": iso(target.as_of),
            "known_until": said.get("horizon") or (None if made is None else iso(made.committed_at)),
            "definition_hash": said.get("definition_hash"),
            "git_commit": said.get("git_commit"),
            "run_id": said.get("run_id"),
            "event_timestamp": view.event_timestamp,
            "created_timestamp": view.created_timestamp,
            "ttl": None if view.ttl is None else view.ttl // MICROSECOND,
            "freshness": None if view.freshness is None else view.freshness // MICROSECOND,
            "columns": {name: columns[name] for name in rows.layout.features.names},
            "schema": text,
            "layout": number,
            "defaults": {name: _plain(value) for name, value in view.defaults(rows.layout.features.names).items()},
        },
    )


def _plain(value: Any) -> Any:
    return value if isinstance(value, (bool, int, float, str)) else str(value)


def _commit_of(table: Table, version: int) -> Commit | None:
    """The engine's commit that made what a version holds: compaction and the like change nothing."""
    own = (commit for commit in table.history() if commit.version <= version and commit.provenance is not None)
    return next(own, None)


def _layout_number(live: Control | None, schema: str, rows: SnapshotRows) -> int:
    """The number of the layout that is live, if it is this one; else another than it and the one before have."""
    if live is None:
        return 0
    known = [live.live, *([live.previous] if live.previous else [])]
    for snapshot in known:
        times = (snapshot.event_timestamp, snapshot.created_timestamp)
        if snapshot.schema == schema and times == (rows.columns.event_timestamp, rows.columns.created_timestamp):
            return snapshot.layout
    return next(number for number in range(LAYOUTS) if number not in [snapshot.layout for snapshot in known])


def _rules_differ(live: Control, wanted: _Wanted) -> bool:
    """Whether there is something to publish although no value changed."""
    names = ("version", "ttl", "freshness", "defaults", "definition_hash")
    return live.held_since is not None or any(getattr(live.live, name) != wanted.rules[name] for name in names)


@dataclass(frozen=True)
class _Step:
    """From where a sync goes on. ``base``: what is live, if it can be trusted; ``keys``: those that may differ.

    ``keys`` is None where they are too many to be told, and ``before`` has the rows that they are compared with then;
    ``files`` are the target's, None where tasks cannot open them.
    """

    base: Control | None
    keys: pa.Table | None
    files: Sequence[DataFile] | None
    before: VersionRows | None = None


def _step(store: RedisStore, target: SyncTarget, wanted: _Wanted, live: Control | None) -> _Step:
    files = target.table.data_files(target.version.version, target.view.event_timestamp)
    if live is None or not _is_trusted(store, live, target, wanted):
        return _Step(None, None, files)
    keys = None
    if files is not None:
        keys = candidate_keys(target.table, files, _base(live), target.version.version, wanted.rows, MOST_ROWS)
    if keys is not None:
        return _Step(live, keys, files)
    before = _before(target, live)
    return _Step(None if before is None else live, None, files, before)


def _is_trusted(store: RedisStore, live: Control, target: SyncTarget, wanted: _Wanted) -> bool:
    """Whether what is online is the snapshot that its record tells, of this table, these entities and these values."""
    same_keys = (live.entity, live.keys) == (wanted.online.entity, wanted.online.keys)
    same_values = live.live.layout == wanted.rules["layout"]
    return live.live.table_id == target.version.table_id and same_keys and same_values and has_all_marks(store, live)


def _base(live: Control) -> Base:
    until = (parse_instant(live.live.as_of) - EPOCH) // MICROSECOND
    return Base(live.live.version, until, EARLIEST_MICROS if live.live.ttl is None else until - live.live.ttl)


def _pushed(
    publication: Publication, target: SyncTarget, wanted: _Wanted, step: _Step, spark: Callable[[], SparkSession]
) -> tuple[Pushed, How]:
    """Writes what differs."""
    rows = wanted.rows
    writer = publication.writer_of_cells(writes_all=step.base is None)
    if step.keys is not None and step.files is not None:
        if not len(step.keys):
            return Pushed(), "rules"
        latest = latest_of(step.keys, step.files, rows)
        return push_keys(rows.texts(step.keys), latest, rows, writer), "changes"
    from feature_mart.sync.tasks import VersionRows, push_all  # which takes Spark to import

    goal = VersionRows(target.table, target.version.version, step.files)
    if step.before is not None:
        return push_all(spark(), goal, step.before, rows, writer), "all"
    pushed = push_all(spark(), goal, None, rows, writer)
    return pushed + Pushed(went=publication.forget_others()), "anew"


def _before(target: SyncTarget, live: Control) -> VersionRows | None:
    """The rows of the version that is live, if they are still there."""
    from feature_mart.sync.tasks import VersionRows

    try:
        files = target.table.data_files(live.live.version, target.view.event_timestamp)
    except TableError:  # its files were removed, or the log does not reach back to it
        return None
    return VersionRows(target.table, live.live.version, files)
