"""A small view that tests publish and look up: what a sync and a service do, without tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pyarrow as pa

from feature_mart.online.cell_writer import Counts
from feature_mart.online.keys import key_text
from feature_mart.online.lookup import Lookup, Part
from feature_mart.online.payload import PayloadLayout
from feature_mart.online.publication import OnlineView, Publication
from feature_mart.online.records import Control, Snapshot, schema_text
from feature_mart.online.redis_store import RedisStore

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
NUMBER = pa.schema([("number", pa.int64())])


class SampleView:
    """A view with one whole number for each customer."""

    def __init__(self, store: RedisStore, name: str = "spend", entity: str = "customer") -> None:
        self.store = store
        self.view = OnlineView(name, entity, {"customer_id": "bigint"})
        self._published = 0

    def begin(self, *, is_scanned: bool = False) -> Publication:
        """As a sync begins; one that finds nothing live writes everything."""
        return Publication.begin(self.store, self.view, since="2026-03-01T12:00:00Z", is_scanned=is_scanned)

    def write(
        self, publication: Publication, values: Mapping[int, int | None], *, writes_all: bool | None = None
    ) -> Counts:
        """Writes values of some customers; None for one that has none."""
        everything = publication.live is None if writes_all is None else writes_all
        return publication.writer_of_cells(writes_all=everything).write(*cells(values))

    def snapshot(self, publication: Publication, version: int, **rules: Any) -> Snapshot:
        """The record of what a publication has written, static and without a ttl if ``rules`` say nothing."""
        self._published += 1
        return replace(
            Snapshot(
                epoch=publication.writer.epoch,
                version=version,
                table_id="a-table",
                as_of="2026-03-01T12:00:00Z",
                published_at=(NOW + timedelta(seconds=self._published)).isoformat(),
                known_until="2026-03-01T11:00:00Z",
                definition_hash="abc",
                git_commit="def",
                run_id=f"run-{version}",
                event_timestamp=None,
                created_timestamp=None,
                ttl=None,
                freshness=None,
                columns={"number": "bigint"},
                schema=schema_text(NUMBER),
                layout=0,
                defaults={},
                rows=0,
            ),
            **rules,
        )

    def publish(self, values: Mapping[int, int | None], version: int, *, is_full: bool = False) -> Control:
        """A sync from beginning to end. ``values``: all of them if it is full, else those that changed."""
        publication = self.begin(is_scanned=is_full)
        self.write(publication, values, writes_all=is_full)
        if is_full:
            publication.forget_others()
        control = publication.commit(self.snapshot(publication, version))
        publication.tidy(control)
        return control

    def lookup(self) -> Lookup:
        """What a service asks; it remembers the record that it has seen."""
        return Lookup(self.store, lambda: NOW)

    def read(self, lookup: Lookup, customers: Sequence[int]) -> dict[int, int]:
        """The numbers of those customers that have one."""
        rows = [{"customer_id": customer} for customer in customers]
        parts = [Part(self.view.name, {"number": "number"}, {"customer_id": "customer_id"})]
        found = lookup.get(self.view.name, lambda live: parts, rows)
        pairs = zip(customers, found.to_dict()["number"], strict=True)
        return {customer: number for customer, number in pairs if number is not None}


def cells(values: Mapping[int, int | None]) -> tuple[list[str], list[bytes]]:
    """Keys and payloads, empty for None."""
    layout = PayloadLayout(NUMBER, None, None)
    encoded = layout.encoded(pa.table({"number": pa.array([value or 0 for value in values.values()], pa.int64())}))
    texts = [key_text(["bigint"], [customer]) for customer in values]
    payloads = [b"" if value is None else there for value, there in zip(values.values(), encoded, strict=True)]
    return texts, payloads


def held(store: RedisStore) -> dict[str, Any]:
    """Everything that the store holds of a mart, by key, but for the records: strings of hashes, lists."""
    found: dict[str, Any] = {}
    for keys in store.keys_like(f"{store.address.mart}:*"):
        for key in keys:
            is_list = store.run([("TYPE", key)])[0] in (b"list", "list")
            found[key.decode()] = store.run([("LRANGE", key, 0, -1) if is_list else ("HGETALL", key)])[0]
    found.pop(store.records, None)
    return found


def journals(store: RedisStore) -> list[str]:
    return [name for name in held(store) if "~written:" in name]


def entries(store: RedisStore, entity: str = "customer") -> dict[str, int]:
    """How many values the cells of an entity hold, by the text of the key; of all its views together."""
    found = {}
    for name, cell in held(store).items():
        if f"{entity}:" in name:
            parts = list(cell.values()) if isinstance(cell, dict) else cell[1::2]
            found[name.rsplit(":", 1)[1]] = sum((int.from_bytes(part[:4], "little") >> 30) + 1 for part in parts)
    return found
