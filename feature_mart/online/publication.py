"""How a snapshot is published: written under an epoch that nobody reads, made live in one step, tidied up after.

The order of steps is what keeps readers safe (docs/adr/0012-snapshots-in-redis.md has the argument):

1. `begin` takes the view for one writer and gives it an epoch; a fence in every lane shuts out writers before it.
2. What epochs that never became live have left is removed, while only this writer can write.
3. Values are written under the epoch; what readers of the live and the previous snapshot need stays beside them.
4. `commit` moves the view's record to the new snapshot, if the view is still this writer's.
5. `tidy` removes what neither of the two snapshots needs any more.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product

from feature_mart.errors import OnlineStoreError, SyncSuperseded, TransientError
from feature_mart.online.cell_writer import CELLS, SCRIPTS, CellWriter, calls_on_all, in_parts
from feature_mart.online.live import LAST_EPOCH, UNKNOWN, control_field, drop_cells, live_control, progress_field
from feature_mart.online.records import Control, Progress, Snapshot, Writer
from feature_mart.online.redis_store import RedisStore, ScriptCall

# A writer that says nothing for so long counts as gone; it speaks three times as often.
LEASE_MS = 15_000
_BEAT = LEASE_MS / 3000
_REPLICAS_MS = 5_000
_FIELDS = "fields"


@dataclass(frozen=True)
class OnlineView:
    """A view as the store knows it: its name, the name of its entities, and the Spark types of its keys."""

    name: str
    entity: str
    keys: dict[str, str]


class Busy(TransientError):
    """Another sync of the view is at work. ``writer`` tells which."""

    def __init__(self, view: str, writer: Writer) -> None:
        super().__init__(
            f"view {view} is being synced by process {writer.pid} on {writer.host} since {writer.since}. That one does "
            "the work; `mart online status` shows when it is done."
        )
        self.writer = writer


class Publication:
    """One writer's hold on one view, from `begin` on.

    ``live``: the record for readers when it began, None where nothing is live; ``writer``: who writes.
    """

    def __init__(self, store: RedisStore, view: OnlineView, live: Control | None, progress: Progress) -> None:
        assert progress.writer is not None
        self.store, self.view, self.live, self.writer = store, view, live, progress.writer
        self._progress = progress
        self._turn = threading.Lock()
        self._masters = store.masters()

    @classmethod
    def begin(cls, store: RedisStore, view: OnlineView, *, since: str, is_scanned: bool) -> Publication:
        """Takes the view, shuts out writers before, and removes what they left.

        Args:
            since: the time, for people.
            is_scanned: many keys will be written: note that all have to be looked through later, and not each key.

        Raises:
            Busy: another sync is at work.
        """
        token, host, pid = secrets.token_hex(8), socket.gethostname(), os.getpid()
        last, is_dirty, is_closed = 0, False, False
        while True:
            stored = store.record(progress_field(view.name))
            control = live_control(store, view.name)
            known = None if stored is None else Progress.from_bytes(stored)
            progress = cls._progress_of(store, view, known, control, is_closed=is_closed)
            now = store.now_ms()
            if progress.writer is not None and not _is_gone(progress.writer, now, host):
                raise Busy(view.name, progress.writer)
            writer = Writer(max(progress.epoch, last) + 1, token, host, pid, since, now + LEASE_MS)
            begun = progress.begun(writer, is_scanned=is_scanned)
            if not store.swap(progress_field(view.name), stored, {progress_field(view.name): begun.to_bytes()}):
                continue
            found = cls(store, view, control, begun)
            before, last = found._fenced()
            is_dirty |= before > 0 and (known is None or known.field != begun.field)
            if not last:
                break
            # The store lost the view's record, and not the fences: begin after the last writer that it knew, or in
            # another field where this one was closed for ever.
            is_closed = last == LAST_EPOCH
            last = 0 if is_closed else last
            found._released()
        try:
            found._clean(is_dirty=is_dirty)
        except BaseException:
            found.abandon()
            raise
        return found

    @staticmethod
    def _progress_of(
        store: RedisStore, view: OnlineView, known: Progress | None, live: Control | None, *, is_closed: bool
    ) -> Progress:
        """What is known of the view's writers, in a field of its own for all entities that it has had.

        A view that is again of the entities of what is live goes on in that field. Nobody noted what was left there.
        """
        if known is not None and known.entity == view.entity and not is_closed:
            return known
        if live is not None and live.entity == view.entity and not is_closed:
            found = Progress(live.field, view.entity, written=UNKNOWN, scanned=UNKNOWN)
        else:
            # A field of the hash of records counts them: no two views ever have the same.
            found = Progress(str(store.run([("HINCRBY", store.records, _FIELDS, 1)])[0]), view.entity)
        if known is None:
            return found
        others = [*known.retired, (known.field, known.entity)]
        retired = tuple((field, entity) for field, entity in others if field != found.field)
        return replace(found, epoch=known.epoch, writer=known.writer, retired=retired)

    def _fenced(self) -> tuple[int, int]:
        """Shuts out writers before. The last epoch of those that were there, and of those that began after this one."""
        given = [self._progress.field, self.writer.epoch, self.writer.token]
        found = self.store.scripts([("fence", [self.store.fence(lane)], given) for lane in range(self.store.lanes)])
        epochs = [(int(there.split(b":")[0]) if there else 0, is_ours) for is_ours, there in found]
        return max(epoch for epoch, _ in epochs), max([0, *(epoch for epoch, is_ours in epochs if not is_ours)])

    def writer_of_cells(self, *, writes_all: bool) -> CellWriter:
        """What writes values of this epoch, here or in tasks."""
        live, previous = self._kept()
        is_scanned = self.writer.epoch in self._progress.scanned
        return CellWriter(
            self.store.address,
            self._progress.field,
            self.view.entity,
            self.writer.fence,
            self.writer.epoch,
            live,
            previous,
            writes_all,
            self.live is not None and not is_scanned,
        )

    def forget_others(self) -> int:
        """Keys that this epoch has not written have no value in it. How many had one."""
        live, previous = self._kept()
        given = [self._progress.field, self.writer.fence, self.writer.epoch, live, previous]
        return sum(self._on_all("forget", given)) if live else 0

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Says again and again that this writer is at work, so that nobody takes the view."""
        done = threading.Event()

        def beat() -> None:
            while not done.wait(_BEAT):
                try:
                    self._say()
                except TransientError:
                    return  # whatever is written from now on is refused, and so is the commit

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def commit(self, snapshot: Snapshot) -> Control:
        """Makes the snapshot live, in one step.

        Raises:
            SyncSuperseded: another sync has begun since, or the view was rolled back.
            OnlineStoreError: replicas do not have what was written, or a server may have lost some of it.
        """
        if self._progress.writer is None:  # it has committed, or was given up
            raise self._superseded()
        marks: list[ScriptCall] = [
            ("mark", [self.store.fence(lane)], [self._progress.field, self.writer.fence, self.writer.epoch])
            for lane in range(self.store.lanes)
        ]
        if not self.store.confirmed(marks, _REPLICAS_MS):
            raise OnlineStoreError(
                f"view {self.view.name}: not all replicas of the online store have what was written after "
                f"{_REPLICAS_MS // 1000} s, so a failover could lose it. What is live stays as it is. Look after the "
                "replicas, and sync again."
            )
        if self.store.masters() != self._masters:
            raise OnlineStoreError(
                f"view {self.view.name}: a server of the online store was restarted or replaced while this sync wrote, "
                "and may have lost some of it. What is live stays as it is. Sync again."
            )
        is_same_place = self.live is not None and self.live.field == self._progress.field
        control = Control(
            self.view.name,
            self._progress.field,
            self.view.entity,
            self.view.keys,
            snapshot,
            self.live.live if self.live is not None and is_same_place else None,
        )
        with self._turn:
            done = replace(self._progress, writer=None)
            changes = {
                progress_field(self.view.name): done.to_bytes(),
                control_field(self.view.name): control.to_bytes(),
            }
            if not self.store.swap(progress_field(self.view.name), self._progress.to_bytes(), changes):
                raise self._superseded()
            self._progress = done
        return control

    def tidy(self, control: Control) -> None:
        """Removes what neither the snapshot that is live now nor the one before needs.

        What it does not get to, the next sync does.
        """
        live, previous = _epochs(control)
        written = self._progress.written
        try:
            self._trim(written if previous else (), live, previous)
            done = tuple(epoch for epoch in written if epoch != self.writer.epoch or not previous)
            self._drop_journals(done)
            if self._progress.retired:
                # In a store that was emptied since, another view may have that field.
                self._changed(self._progress)
            for field, entity in self._progress.retired:
                drop_cells(self.store, field, entity)
            self._changed(replace(self._progress.cleaned(done), retired=()))
        except SyncSuperseded:
            return  # another sync tidies now

    def abandon(self) -> None:
        """Gives the view back without a new snapshot; what was written is removed by the next sync."""
        try:
            self._released()
        except (TransientError, OnlineStoreError):
            pass  # the lease ends by itself

    def _released(self) -> None:
        with self._turn:
            released = replace(self._progress, writer=None).to_bytes()
            self.store.swap(
                progress_field(self.view.name), self._progress.to_bytes(), {progress_field(self.view.name): released}
            )

    def _clean(self, *, is_dirty: bool) -> None:
        """Removes what epochs left that are neither live nor previous, before anything is written.

        They stay noted until a snapshot is live: a failover up to then can bring back what was removed.
        """
        live, previous = self._kept()
        left = tuple(epoch for epoch in self._progress.written if epoch not in (live, self.writer.epoch))
        if is_dirty:
            self._on_all("trim", [self._progress.field, self.writer.fence, live, previous])
        self._trim(left, live, previous)

    def _trim(self, epochs: Sequence[int], live: int, previous: int) -> None:
        given = [self._progress.field, self.writer.fence, live, previous]
        if any(epoch in self._progress.scanned for epoch in epochs):
            self._on_all("trim", given)
            return
        for epoch, lane in product(epochs, range(self.store.lanes)):
            journal = self.store.journal(lane, self._progress.field, epoch)
            start = 0
            while keys := self.store.run([("LRANGE", journal, start, start + CELLS * SCRIPTS - 1)])[0]:
                self.store.scripts(in_parts("trim", self.store.fence(lane), keys, given))
                start += len(keys)

    def _on_all(self, script: str, given: Sequence[object]) -> list[int]:
        """Runs a script on all keys of the view's entity."""
        found: list[int] = []
        for calls in calls_on_all(self.store, self.view.entity, script, given):
            found += self.store.scripts(calls)
        return found

    def _drop_journals(self, epochs: Sequence[int]) -> None:
        field, lanes = self._progress.field, range(self.store.lanes)
        noted = (epoch for epoch in epochs if epoch not in self._progress.scanned)
        names: list[str | bytes] = [self.store.journal(lane, field, epoch) for epoch, lane in product(noted, lanes)]
        if set(epochs) >= set(UNKNOWN):
            found = (name for group in self.store.keys_like(self.store.journals(field)) for name in group)
            # Those of writers that began since are not this one's to remove.
            names += (name for name in found if int(name.rpartition(b":")[2]) < self.writer.epoch)
        if names:
            self.store.run([("DEL", name) for name in names])

    def _kept(self) -> tuple[int, int]:
        """The epochs that readers may be at, in this field."""
        return (0, 0) if self.live is None or self.live.field != self._progress.field else _epochs(self.live)

    def _say(self) -> None:
        until = self.store.now_ms() + LEASE_MS
        if self._progress.writer is not None:
            self._changed(replace(self._progress, writer=replace(self.writer, until_ms=until)))

    def _changed(self, progress: Progress) -> None:
        with self._turn:
            field = progress_field(self.view.name)
            if not self.store.swap(field, self._progress.to_bytes(), {field: progress.to_bytes()}):
                raise self._superseded()
            self._progress = progress

    def _superseded(self) -> SyncSuperseded:
        return SyncSuperseded(
            f"view {self.view.name}: another sync has begun, or the view was rolled back, while this sync was at work. "
            "It published nothing."
        )


def _epochs(control: Control) -> tuple[int, int]:
    return control.live.epoch, 0 if control.previous is None else control.previous.epoch


def _is_gone(writer: Writer, now_ms: int, host: str) -> bool:
    """Whether a writer writes no more: its time is over, or it was a process of this machine that has ended."""
    if writer.until_ms < now_ms:
        return True
    return writer.host == host and not _is_alive(writer.pid)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's, but there
    return True
