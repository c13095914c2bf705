"""The online store of a mart: what goes into it, what is in it, and looking it up."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from feature_mart.definitions import FeatureView
from feature_mart.definitions.problems import did_you_mean, listed
from feature_mart.errors import TableError, UsageError
from feature_mart.online.address import address_of
from feature_mart.online.embedded import EmbeddedServer
from feature_mart.online.live import live_control, progress_field, retire, roll_back
from feature_mart.online.lookup import EntityRows, Lookup, Part
from feature_mart.online.publication import LEASE_MS, Busy
from feature_mart.online.records import LIVE, SYNC, Control, Progress
from feature_mart.online.redis_store import RedisStore
from feature_mart.online.response import OnlineResponse
from feature_mart.records import MICROSECOND, TableVersion, iso, parse_instant
from feature_mart.runner.side_by_side import run_side_by_side
from feature_mart.runner.workspace import Event, Workspace
from feature_mart.train.request import resolve
from feature_mart.train.versions import pin

if TYPE_CHECKING:
    from feature_mart.sync.job import SyncResult
    from feature_mart.sync.verify import OnlineVerified

_AT_ONCE = 4
_SAMPLE = 200


class Online:
    """The online store of one mart in one environment. Spark starts for a sync of many keys and for a proof alone."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        settings = workspace.project.settings
        self._server = (
            EmbeddedServer(workspace.project.root, workspace.project.environment)
            if settings.online_store.kind == "embedded"
            else None
        )
        self._address = (
            address_of(settings.mart, settings.online_store)
            if self._server is None
            else self._server.address(settings.mart)
        )
        self._lookups: Lookup | None = None

    @cached_property
    def _store(self) -> RedisStore:
        return RedisStore(self._address)

    @property
    def _is_there(self) -> bool:
        """Whether there is a store to ask: the embedded one runs from the first sync on."""
        return self._server is None or self._server.is_running()

    def _running(self) -> RedisStore:
        if not self._is_there:
            raise UsageError("nothing is online: the embedded store does not run. Run `mart sync`, which starts it.")
        return self._store

    def sync(self, names: Sequence[str], *, full: bool = False) -> list[SyncResult]:
        """Publishes views; see `FeatureStore.sync`."""
        from feature_mart.sync.job import SyncTarget, sync_view

        chosen = self._chosen(names)
        if self._server is not None:
            self._server.start()
        store, tell, now = self._store, self._workspace.tell, self._workspace.now()
        if not names:
            self._retire(chosen, tell)
        pinned = self._pinned([view for view in chosen if names or not self._is_held(view)], is_named=bool(names))

        def work(name: str) -> SyncResult:
            view, table = self._workspace.project.views[name], self._workspace.tables.table(name)
            tell(Event("started", name, f"syncing version {pinned[name].version}"))
            started = time.monotonic()
            target = SyncTarget(view, table, pinned[name], now)
            result = self._patiently(
                lambda: sync_view(store, target, self._workspace.session, anew=full, now=now), target, now
            )
            tell(Event("done", name, f"{said(result)} in {time.monotonic() - started:.1f} s"))
            return result

        done: dict[str, SyncResult] = {}
        run_side_by_side(dict.fromkeys(pinned, ()), work, done, at_once=_AT_ONCE)
        return [done[name] for name in pinned]

    def _patiently(self, work: Any, target: Any, now: datetime) -> SyncResult:
        """Does the work, unless another sync does it. One that says nothing any more is waited out."""
        from feature_mart.sync.job import SyncResult

        until, deadline = None, time.monotonic() + LEASE_MS / 1000 + 2
        while True:
            try:
                result: SyncResult = work()
                return result
            except Busy as busy:
                is_at_work = until is not None and busy.writer.until_ms != until
                if is_at_work or time.monotonic() > deadline:
                    self._workspace.tell(Event("remark", target.view.name, busy.message))
                    return SyncResult(target.view.name, "busy", target.version.version, None, iso(now), 0)
                until = busy.writer.until_ms
                time.sleep(0.5)

    def _chosen(self, names: Sequence[str]) -> list[FeatureView]:
        views = self._workspace.project.views
        online = [view for view in views.values() if view.online]
        for name in names:
            if name not in views:
                hint = did_you_mean(name, sorted(views))
                raise UsageError(f"there is no view {name!r}. Online: {listed(view.name for view in online)}.{hint}")
            if not views[name].online:
                raise UsageError(
                    f"view {name} does not go online. Write online: true in {views[name].file}, or name one that does: "
                    f"{listed(view.name for view in online)}."
                )
        if not online:
            raise UsageError("no view goes online. Write online: true, or online: {features: […]}, in a pipeline.")
        return [views[name] for name in dict.fromkeys(names)] if names else online

    def _is_held(self, view: FeatureView) -> bool:
        control = live_control(self._store, view.name)
        if control is None or control.held_since is None:
            return False
        text = f"held since its rollback of {control.held_since}; `mart sync {view.name}` goes on"
        self._workspace.tell(Event("skipped", view.name, text))
        return True

    def _pinned(self, views: Sequence[FeatureView], *, is_named: bool) -> dict[str, TableVersion]:
        """The versions of the last completed runs, all pinned at once. Views without one are left out if not named."""
        tables, tell = self._workspace.tables, self._workspace.tell
        try:
            return pin(tables, views) if views else {}
        except TableError:
            if is_named:
                raise
        built: list[FeatureView] = []
        for view in views:
            try:
                pin(tables, [view])
                built.append(view)
            except TableError as error:
                tell(Event("skipped", view.name, error.message))
        if not built:
            raise TableError("no view that goes online has been built. Run `mart build`.")
        return pin(tables, built)

    def _retire(self, kept: Sequence[FeatureView], tell: Any) -> None:
        names = {view.name for view in kept}
        for field in self._store.all_records():
            view = field.removeprefix(SYNC)
            if field.startswith(SYNC) and view not in names and retire(self._store, view):
                tell(Event("done", view, "removed from the online store: it does not go online any more"))

    def lookup(
        self,
        features: str | Sequence[str],
        entity_rows: EntityRows,
        *,
        full_feature_names: bool = False,
        join_keys: Mapping[str, Mapping[str, str]] | None = None,
    ) -> OnlineResponse:
        """Looks features up; see `FeatureStore.get_online_features`."""
        if self._lookups is None:
            self._lookups = Lookup(self._running(), self._workspace.now)
        asked = (
            features if isinstance(features, str) else tuple(features),
            full_feature_names,
            None if join_keys is None else repr(join_keys),
        )

        def parts(live: Any) -> list[Part]:
            found = resolve(
                self._workspace.project,
                features,
                columns_of=lambda view: live(view.name),
                join_keys=join_keys,
                full_feature_names=full_feature_names,
            )
            return [
                Part(
                    request.view.name, {name: column for name, (column,) in request.features.items()}, request.join_keys
                )
                for request in found
            ]

        return self._lookups.get(asked, parts, entity_rows)

    def status(self) -> list[dict[str, Any]]:
        """What is live of each view that goes online; see `FeatureStore.online_status`."""
        views = self._workspace.project.views
        if not self._is_there:
            return [_not_live(view.name) for view in views.values() if view.online]
        records = self._store.all_records()
        names = [view.name for view in views.values() if view.online]
        names += sorted(
            field.removeprefix(LIVE) for field in records if field.startswith(LIVE) and field[len(LIVE) :] not in names
        )
        return [self._status(name, records) for name in names]

    def _status(self, name: str, records: Mapping[str, bytes]) -> dict[str, Any]:
        progress = Progress.from_bytes(records[progress_field(name)]) if progress_field(name) in records else None
        writer = None if progress is None or progress.writer is None else progress.writer
        syncing = None if writer is None else {"host": writer.host, "pid": writer.pid, "since": writer.since}
        if LIVE + name not in records:
            return {**_not_live(name), "syncing": syncing}
        control = Control.from_bytes(records[LIVE + name])
        live = control.live
        current = self._workspace.tables.table(name).current()
        is_same = current is not None and current.table_id == live.table_id
        known = parse_instant(live.known_until or live.published_at)
        age = self._workspace.now() - known
        return {
            "view": name,
            "version": live.version,
            "newest_version": None if current is None else current.version,
            "versions_behind": current.version - live.version if current is not None and is_same else None,
            "known_until": iso(known),
            "age_seconds": int(age.total_seconds()),
            "is_stale": live.freshness is not None and age > live.freshness * MICROSECOND,
            "published_at": live.published_at,
            "as_of": live.as_of,
            "keys": live.rows,
            "bytes": _bytes_of(self._store, control),
            "definition_hash": live.definition_hash,
            "git_commit": live.git_commit,
            "run_id": live.run_id,
            "previous_version": None if control.previous is None else control.previous.version,
            "held_since": control.held_since,
            "syncing": syncing,
        }

    def verify(self, name: str, sample: int | None) -> OnlineVerified:
        """Compares what is live of a view with its version; see `FeatureStore.verify_online`."""
        from feature_mart.sync.verify import verify_online

        (view,) = self._chosen([name])
        table = self._workspace.tables.table(name)
        return verify_online(self._running(), view, table, self._workspace.session, sample)

    def roll_back(self, name: str) -> dict[str, Any]:
        """Makes the snapshot before live again; see `FeatureStore.rollback_online`."""
        store = self._running()
        if live_control(store, name) is None:
            live = [field[len(LIVE) :] for field in store.all_records() if field.startswith(LIVE)]
            raise UsageError(f"nothing of {name!r} is live. Live: {listed(live)}.{did_you_mean(name, live)}")
        back = roll_back(store, name, iso(self._workspace.now()))
        return self._status(name, {**store.all_records(), LIVE + name: back.to_bytes()})

    def stop(self) -> bool:
        """Ends the embedded server; see `FeatureStore.stop_online`."""
        if self._server is None:
            raise UsageError(f"the online store ({self._address.shown}) is no server of the mart's own, and goes on.")
        self.close()
        return self._server.stop()

    def close(self) -> None:
        """Ends the connections; the next call opens new ones."""
        self._lookups = None
        if "_store" in self.__dict__:
            self._store.close()
            del self._store

    def pinned_versions(self) -> dict[str, list[tuple[str, int]]]:
        """By view the versions that are live, or that a rollback would make live, each with its table's id.

        Raises:
            OnlineStoreError, OnlineStoreUnavailable: the store does not tell.
        """
        if not self._is_there:
            return {}
        found: dict[str, list[tuple[str, int]]] = {}
        for field, stored in self._store.all_records().items():
            if field.startswith(LIVE):
                control = Control.from_bytes(stored)
                snapshots = [control.live, *([control.previous] if control.previous else [])]
                found[control.view] = [(snapshot.table_id, snapshot.version) for snapshot in snapshots]
        return found


def said(result: SyncResult) -> str:
    """What a sync did, in words."""
    if result.how == "nothing":
        return f"version {result.version} is online already"
    if result.how == "rules":
        return f"version {result.version} is online; no value changed"
    what = f"{result.changed} of {result.rows} keys changed" if result.how != "anew" else f"{result.rows} keys written"
    gone = f", {result.went} gone" if result.went else ""
    return f"version {result.version} is online: {what}{gone}"


def _not_live(name: str) -> dict[str, Any]:
    return {"view": name, "version": None, "keys": 0, "syncing": None}


def _bytes_of(store: RedisStore, control: Control) -> int:
    """About how many bytes the values of a view take, from a sample of its keys."""
    keys = next(store.keys_like(store.pattern(control.entity)), [])[:_SAMPLE]
    lengths = (
        [length for length in store.run([("HSTRLEN", key, control.field) for key in keys]) if length] if keys else []
    )
    return sum(lengths) * control.live.rows // len(lengths) if lengths else 0
