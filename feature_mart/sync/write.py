"""Values of some keys on their way into the store, and back again to see that they are there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import pyarrow as pa

from feature_mart.errors import OnlineStoreError
from feature_mart.online.cell_writer import CellWriter, Counts, opened
from feature_mart.online.cells import payload_at
from feature_mart.online.keys import lane_of
from feature_mart.online.redis_store import Command, RedisStore
from feature_mart.sync.snapshot import SnapshotRows

# Of the keys that are written together so many are read back.
_SAMPLE = 32


@dataclass(frozen=True)
class Pushed:
    """What came of writing values. ``rows``: keys that have one; ``counts``: of cells that changed."""

    rows: int = 0
    changed: int = 0
    came: int = 0
    went: int = 0

    def __add__(self, other: Pushed) -> Pushed:
        return Pushed(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    @classmethod
    def of(cls, rows: int, counts: Counts) -> Pushed:
        """With the counts of a writer."""
        return cls(rows, counts.changed, counts.came, counts.went)


def push_keys(texts: Sequence[str], rows: pa.Table, how: SnapshotRows, writer: CellWriter) -> Pushed:
    """Writes the latest rows of some keys, and for those of ``texts`` that have none, or too old a one, that.

    Raises:
        OnlineStoreError: what was written does not come back.
    """
    kept, payloads = how.cells(rows)
    has_value = set(kept)
    gone = [text for text in texts if text not in has_value]
    return _written([*kept, *gone], [*payloads, *([b""] * len(gone))], len(kept), writer)


def _written(texts: Sequence[str], payloads: Sequence[bytes], rows: int, writer: CellWriter) -> Pushed:
    counts = writer.write(texts, payloads)
    step = max(1, len(texts) // _SAMPLE)
    require_stored(writer, texts[::step], payloads[::step])
    return Pushed.of(rows, counts)


def require_stored(writer: CellWriter, texts: Sequence[str], payloads: Sequence[bytes]) -> None:
    """Reads values back as readers will.

    Raises:
        OnlineStoreError: one is not what was written.
    """
    found = stored(opened(writer.address), writer.entity, writer.field, writer.epoch, texts)
    for text, payload, there in zip(texts, payloads, found, strict=True):
        if (there or b"") != payload:
            raise OnlineStoreError(
                f"the value of {writer.entity}:{text} that was written to the online store did not come back from it. "
                "Nothing was published. Does something else write or evict its keys (maxmemory-policy)?"
            )


def stored(store: RedisStore, entity: str, field: str, epoch: int, texts: Sequence[str]) -> list[bytes | None]:
    """The payloads of keys at an epoch, None where a key has none."""
    keys = (store.key(lane_of(text, store.lanes), entity, text) for text in texts)
    commands: list[Command] = [("HGET", key, field) for key in keys]
    found: list[bytes | None] = []
    for cell in store.run(commands) if commands else []:
        payload = None if cell is None else payload_at(cell, epoch)
        found.append(None if payload is None else payload[0][payload[1] :])
    return found
