"""What the store says of each view: the snapshot that is live, the one before, and who is writing."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import pyarrow as pa

from feature_mart.online.payload import PayloadLayout

# What the fields of the hash of records begin with: a view's record for readers, and the one for writers.
LIVE, SYNC = "live:", "sync:"


@dataclass(frozen=True)
class Snapshot:
    """One version of a view as of one moment, as it is published.

    ``epoch``: tags its values; ``as_of``, ``published_at``: ISO 8601, UTC; ``known_until``: up to when the version
    knows the view's inputs; ``ttl``, ``freshness``: microseconds; ``columns``: Spark types; ``schema``: Arrow's, of
    the features, as base64; ``layout``: its number; ``defaults``: by feature, as YAML has them; ``rows``: how many
    keys have a value.
    """

    epoch: int
    version: int
    table_id: str
    as_of: str
    published_at: str
    known_until: str | None
    definition_hash: str | None
    git_commit: str | None
    run_id: str | None
    event_timestamp: str | None
    created_timestamp: str | None
    ttl: int | None
    freshness: int | None
    columns: Mapping[str, str]
    schema: str
    layout: int
    defaults: Mapping[str, Any]
    rows: int

    @cached_property
    def payload_layout(self) -> PayloadLayout:
        """How its values are written."""
        features = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(self.schema)))
        return PayloadLayout(features, self.event_timestamp, self.created_timestamp, self.layout)


def schema_text(features: pa.Schema) -> str:
    """A schema as `Snapshot.schema` has it."""
    return base64.b64encode(features.remove_metadata().serialize().to_pybytes()).decode()


@dataclass(frozen=True)
class Control:
    """What readers go by. It changes only when another snapshot becomes live.

    ``field``: the view's field in the hash of an entity; ``entity``: what stands before the keys; ``keys``: Spark
    types; ``held_since``: when the view was rolled back, so that only a sync that names it goes on.
    """

    view: str
    field: str
    entity: str
    keys: Mapping[str, str]
    live: Snapshot
    previous: Snapshot | None = None
    held_since: str | None = None

    def to_bytes(self) -> bytes:
        """As it is stored. The order of the keys is that of their values in the texts of keys, and is kept."""
        return json.dumps(asdict(self), separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, stored: bytes) -> Control:
        """The inverse of `to_bytes`."""
        said = json.loads(stored)
        live, previous = (None if said[name] is None else Snapshot(**said[name]) for name in ("live", "previous"))
        assert live is not None
        return cls(**{**said, "live": live, "previous": previous})


@dataclass(frozen=True)
class Writer:
    """A sync that is at work. ``until_ms``: when it counts as gone if it says no more, in the store's own time."""

    epoch: int
    token: str
    host: str
    pid: int
    since: str
    until_ms: int

    @property
    def fence(self) -> str:
        """What stands in each lane while nobody else has begun."""
        return f"{self.epoch}:{self.token}"


@dataclass(frozen=True)
class Progress:
    """What writers go by. ``epoch``: the last one that was given out; ``scanned``: epochs whose keys no journal lists.

    ``written``: epochs that may have left values which neither the live nor the previous snapshot needs; ``retired``:
    fields, and what stood before their keys, that the view had when it was of other entities.
    """

    field: str
    entity: str
    epoch: int = 0
    writer: Writer | None = None
    written: tuple[int, ...] = ()
    scanned: tuple[int, ...] = ()
    retired: tuple[tuple[str, str], ...] = ()

    def to_bytes(self) -> bytes:
        """As it is stored."""
        return json.dumps(asdict(self), separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, stored: bytes) -> Progress:
        """The inverse of `to_bytes`."""
        said = json.loads(stored)
        writer = None if said["writer"] is None else Writer(**said["writer"])
        retired = tuple((at, entity) for at, entity in said["retired"])
        written, scanned = tuple(said["written"]), tuple(said["scanned"])
        return cls(**{**said, "writer": writer, "written": written, "scanned": scanned, "retired": retired})

    def begun(self, writer: Writer, *, is_scanned: bool) -> Progress:
        """With a writer, whose epoch may leave values from now on."""
        scanned = (*self.scanned, writer.epoch) if is_scanned else self.scanned
        return replace(self, epoch=writer.epoch, writer=writer, written=(*self.written, writer.epoch), scanned=scanned)

    def cleaned(self, epochs: tuple[int, ...]) -> Progress:
        """Without epochs whose leftovers are gone."""
        return replace(
            self,
            written=tuple(epoch for epoch in self.written if epoch not in epochs),
            scanned=tuple(epoch for epoch in self.scanned if epoch not in epochs),
        )
