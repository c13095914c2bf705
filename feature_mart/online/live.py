"""What is live of each view, and the switches that need no writing: back to the snapshot before, or off."""

from __future__ import annotations

from dataclasses import replace

from feature_mart.errors import OnlineStoreError, SyncSuperseded
from feature_mart.online.cell_writer import calls_on_all
from feature_mart.online.records import LIVE, SYNC, Control, Progress
from feature_mart.online.redis_store import RedisStore

# Stands for epochs of which nobody noted what they left.
UNKNOWN = (0,)
LAST_EPOCH = (1 << 30) - 1
_CLOSED = "closed"


def control_field(view: str) -> str:
    """The name of a view's record for readers."""
    return LIVE + view


def progress_field(view: str) -> str:
    """The name of a view's record for writers."""
    return SYNC + view


def live_control(store: RedisStore, view: str) -> Control | None:
    """What is live of a view; None where nothing is."""
    stored = store.record(control_field(view))
    return None if stored is None else Control.from_bytes(stored)


def has_all_marks(store: RedisStore, control: Control) -> bool:
    """Whether every lane has the mark of the live snapshot; one that was lost in a failover has not."""
    mark = f"written:{control.field}"
    found = store.run([("HGET", store.fence(lane), mark) for lane in range(store.lanes)])
    return all(int(written or 0) >= control.live.epoch for written in found)


def roll_back(store: RedisStore, view: str, since: str) -> Control:
    """Makes the snapshot before live again, in one step, and holds the view. A sync at work publishes nothing.

    Raises:
        OnlineStoreError: there is no snapshot before.
        SyncSuperseded: a sync became live at the same time.
    """
    stored, control = store.record(progress_field(view)), live_control(store, view)
    if stored is None or control is None or control.previous is None:
        why = "nothing of it is live" if control is None else "the one that is live has none before it"
        raise OnlineStoreError(
            f"view {view}: there is no snapshot to go back to: {why}. `mart restore {view} --version N` brings an "
            f"older version back, and `mart sync {view}` publishes it."
        )
    progress = Progress.from_bytes(stored)
    back = replace(control, live=control.previous, previous=None, held_since=since)
    written = tuple(dict.fromkeys((*progress.written, control.live.epoch)))
    changes = {
        progress_field(view): replace(progress, writer=None, written=written).to_bytes(),
        control_field(view): back.to_bytes(),
    }
    if not store.swap(progress_field(view), stored, changes):
        raise SyncSuperseded(f"view {view}: a sync changed it at the same time. Nothing was rolled back; try again.")
    return back


def retire(store: RedisStore, view: str) -> bool:
    """Removes a view from the store: readers find it no more, then its values go. Whether there was anything.

    Raises:
        SyncSuperseded: a sync of it began at the same time.
    """
    stored = store.record(progress_field(view))
    if stored is None:
        return False
    progress = Progress.from_bytes(stored)
    gone = replace(progress, writer=None, written=UNKNOWN, scanned=UNKNOWN)
    if not store.swap(progress_field(view), stored, {control_field(view): None, progress_field(view): gone.to_bytes()}):
        raise SyncSuperseded(f"view {view}: a sync of it began while it was being removed from the online store.")
    for field, entity in ((progress.field, progress.entity), *progress.retired):
        drop_cells(store, field, entity)
    store.swap(progress_field(view), gone.to_bytes(), {progress_field(view): None})
    return True


def drop_cells(store: RedisStore, field: str, entity: str) -> None:
    """Removes all values of a field that no view has any more, and shuts out whoever still writes it."""
    # Always the same token: what one that was killed has not removed, the next does.
    store.scripts([("fence", [store.fence(lane)], [field, LAST_EPOCH, _CLOSED]) for lane in range(store.lanes)])
    for calls in calls_on_all(store, entity, "drop", [field, f"{LAST_EPOCH}:{_CLOSED}"]):
        store.scripts(calls)
    for names in store.keys_like(store.journals(field)):
        store.run([("DEL", name) for name in names])
