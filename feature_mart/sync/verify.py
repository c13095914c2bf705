"""Proof that what is online is what its version of the table holds, value by value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from feature_mart.definitions import FeatureView
from feature_mart.delta.tables import Table
from feature_mart.errors import TableError
from feature_mart.online.cell_writer import opened
from feature_mart.online.cells import payload_at
from feature_mart.online.live import live_control
from feature_mart.online.payload import PayloadLayout
from feature_mart.online.records import Control
from feature_mart.online.redis_store import RedisStore
from feature_mart.records import MICROSECOND, parse_instant
from feature_mart.sync.snapshot import ReadRows, SnapshotRows, snapshot_rows
from feature_mart.sync.write import stored

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_EXAMPLES = 5
_VERIFIED = pa.schema(
    [("rows", pa.int64()), ("missing", pa.int64()), ("different", pa.int64()), ("examples", pa.list_(pa.string()))]
)


@dataclass(frozen=True)
class OnlineVerified:
    """What a comparison found: ``rows`` looked at, keys ``missing`` online, ``different`` in a value, ``extra`` online.

    ``extra`` is None where only a sample was looked at.
    """

    view: str
    version: int
    as_of: str
    rows: int
    missing: int
    different: int
    extra: int | None
    examples: tuple[str, ...]

    @property
    def is_equal(self) -> bool:
        """Whether nothing differs."""
        return not (self.missing or self.different or self.extra)

    def to_json(self) -> dict[str, Any]:
        """As a plain dict."""
        return {**vars(self), "examples": list(self.examples), "is_equal": self.is_equal}


def verify_online(
    store: RedisStore, view: FeatureView, table: Table, spark: Callable[[], SparkSession], sample: int | None = None
) -> OnlineVerified:
    """Compares what is live of a view with the version that it is of.

    Args:
        sample: look at about so many keys only, chosen by their hash.

    Raises:
        TableError: nothing of the view is live, or the version is gone, or not of this table any more.
    """
    from feature_mart.sync.tasks import BucketWork, VersionRows, in_buckets

    control = live_control(store, view.name)
    if control is None:
        raise TableError(f"view {view.name} is not online: nothing of it was published. Run `mart sync {view.name}`.")
    live = control.live
    current = table.current()
    if current is None or current.table_id != live.table_id:
        raise TableError(
            f"view {view.name}: version {live.version}, which is online, is of a table that was replaced since. Run "
            f"`mart sync {view.name}`."
        )
    files = table.data_files(live.version, live.event_timestamp)
    target = VersionRows(table, live.version, files)
    rows = table.row_count(live.version)
    every = 1 if sample is None or not rows else max(1, rows // sample)
    how = _rows_of(view, table, control)
    job = BucketWork(target, how, _comparison(store, control, how, every), _VERIFIED)
    found = in_buckets(spark(), job)
    looked, missing, different = (sum(row[name] for row in found) for name in ("rows", "missing", "different"))
    extra = None if every > 1 else _visible_keys(store, control) - (looked - missing)
    examples = sorted(text for row in found for text in row["examples"])[:_EXAMPLES]
    return OnlineVerified(view.name, live.version, live.as_of, looked, missing, different, extra, tuple(examples))


def _rows_of(view: FeatureView, table: Table, control: Control) -> SnapshotRows:
    """How the rows of the snapshot that is live are found, by the rules by which it was published."""
    live = control.live
    then = replace(
        view,
        keys=dict(control.keys),
        event_timestamp=live.event_timestamp,
        created_timestamp=live.created_timestamp,
        ttl=None if live.ttl is None else live.ttl * MICROSECOND,
        online=tuple(live.payload_layout.features.names),
    )
    return snapshot_rows(then, table.arrow_schema(live.version), parse_instant(live.as_of), live.layout)


def _comparison(
    store: RedisStore, control: Control, how: SnapshotRows, every: int
) -> Callable[[ReadRows, pa.Table | None], dict[str, Any]]:
    address, entity, field, epoch = store.address, control.entity, control.field, control.live.epoch

    def compare(read: ReadRows, _: pa.Table | None) -> dict[str, Any]:
        texts, payloads = how.cells(how.latest(read))
        texts, payloads = texts[::every], payloads[::every]
        there = stored(opened(address), entity, field, epoch, texts)
        wrong = [
            (text, expected, found)
            for text, expected, found in zip(texts, payloads, there, strict=True)
            if found != expected
        ]
        missing = sum(found is None for _, _, found in wrong)
        examples = [_said(how.layout, entity, *entry) for entry in wrong[:_EXAMPLES]]
        return {"rows": len(texts), "missing": missing, "different": len(wrong) - missing, "examples": examples}

    return compare


def _said(layout: PayloadLayout, entity: str, text: str, expected: bytes, found: bytes | None) -> str:
    if found is None:
        return f"{entity}:{text}: not online"
    try:
        there = layout.decoded(found, 0)
    except ValueError as error:
        return f"{entity}:{text}: {error}"
    wanted = layout.decoded(expected, 0)
    names = ["event timestamp", "created timestamp", *layout.features.names]
    pairs = zip(names, [*wanted[:2], *wanted[2]], [*there[:2], *there[2]], strict=True)
    differing = [f"{name} is {value!r} and should be {should!r}" for name, should, value in pairs if value != should]
    return f"{entity}:{text}: {', '.join(differing) or 'written in another form'}"


def _visible_keys(store: RedisStore, control: Control) -> int:
    """How many keys have a value in the snapshot that is live."""
    seen: set[bytes] = set()
    count = 0
    for keys in store.keys_like(store.pattern(control.entity)):
        fresh: Sequence[bytes] = [key for key in dict.fromkeys(keys) if key not in seen]
        seen.update(fresh)
        cells = store.run([("HGET", key, control.field) for key in fresh])
        count += sum(cell is not None and payload_at(cell, control.live.epoch) is not None for cell in cells)
    return count
