"""Looking features up: one round trip, every view at exactly one snapshot, without Spark.

A request reads the cells of its entities and then, behind them, the records of its views. A record that is what the
cells are read by proves them right: while a snapshot is live, and as long as it is the one before, each cell keeps what
counts in it. A record that has changed sends the request again, with the new one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from feature_mart.columns.defaults import default_column
from feature_mart.definitions.key_values import key_value
from feature_mart.definitions.problems import listed
from feature_mart.errors import OnlineStoreError, UsageError
from feature_mart.online.cells import payload_at
from feature_mart.online.keys import key_text, lane_of
from feature_mart.online.live import control_field
from feature_mart.online.payload import Row
from feature_mart.online.records import Control
from feature_mart.online.redis_store import Command, RedisStore
from feature_mart.online.response import OnlineResponse, ViewAnswer
from feature_mart.records import EPOCH, MICROSECOND, parse_instant

# A view changes its snapshot as often as it is synced; more changes than this within one request are no coincidence.
_TRIES = 20

EntityRows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Part:
    """What is asked of one view. ``features``: stored name to column; ``join_keys``: key to column of entity rows."""

    view: str
    features: Mapping[str, str]
    join_keys: Mapping[str, str]


# The parts of a request, given what tells the features that are live of a view.
Resolve = Callable[[Callable[[str], Sequence[str]]], Sequence[Part]]


@dataclass(frozen=True)
class _Live:
    """A view's record, as it is stored and what it says."""

    stored: bytes
    control: Control

    @cached_property
    def features(self) -> list[str]:
        return list(self.control.live.payload_layout.features.names)

    @cached_property
    def defaults(self) -> dict[str, Any]:
        """In the types of the features."""
        schema = self.control.live.payload_layout.features
        return {
            name: default_column(self.control.view, name, default, schema.field(name).type)[0].as_py()
            for name, default in self.control.live.defaults.items()
            if name in schema.names
        }

    @cached_property
    def known_until(self) -> datetime:
        return parse_instant(self.control.live.known_until or self.control.live.published_at)


@dataclass(frozen=True)
class _Reader:
    """What is read of one view for one request, worked out once."""

    live: _Live
    features: tuple[tuple[int, str], ...]
    defaults: Mapping[int, Any]

    @classmethod
    def of(cls, part: Part, live: _Live) -> _Reader:
        places = {name: at for at, name in enumerate(live.features)}
        return cls(
            live,
            tuple((places[name], output) for name, output in part.features.items()),
            {places[name]: value for name, value in live.defaults.items()},
        )

    def answer(self, cells: Sequence[bytes | None], now: datetime, micros: int) -> ViewAnswer:
        """What the cells of some entities say now (``micros``: the same, since 1970)."""
        snapshot = self.live.control.live
        epoch, decoded = snapshot.epoch, snapshot.payload_layout.decoded
        rows: list[Row | None] = []
        for cell in cells:
            payload = None if cell is None else payload_at(cell, epoch)
            rows.append(None if payload is None else decoded(*payload))
        bound = None if snapshot.ttl is None else micros - snapshot.ttl
        allowed = snapshot.freshness
        is_stale = allowed is not None and now - self.live.known_until > allowed * MICROSECOND
        return ViewAnswer(snapshot, self.features, rows, bound, is_stale, self.defaults)


@dataclass(frozen=True)
class _Group:
    """Parts that are read with one command for each entity row: they share the entity and where its keys stand."""

    entity: str
    columns: tuple[str, ...]
    kinds: tuple[str, ...]
    readers: tuple[_Reader, ...]

    @cached_property
    def fields(self) -> tuple[str, ...]:
        return tuple(reader.live.control.field for reader in self.readers)

    def texts(self, rows: EntityRows) -> list[str | None]:
        """The key of each row; None where it has a null."""
        if self.kinds == ("bigint",):  # most are
            column = self.columns[0]
            values = [row[column] for row in rows]
            if all(type(value) is int for value in values):
                return list(map(str, values))
        return [self._text(row) for row in rows]

    def _text(self, row: Mapping[str, Any]) -> str | None:
        values = []
        for column, kind in zip(self.columns, self.kinds, strict=True):
            if _is_null(row[column], kind):
                return None
            values.append(key_value(column, kind, row[column]))
        return key_text(self.kinds, values)


@dataclass(frozen=True)
class _Plan:
    """How a request is sent, as long as ``records`` are what is stored."""

    groups: tuple[_Group, ...]
    columns: tuple[str, ...]
    fields: tuple[str, ...]
    records: list[bytes | None]


class Lookup:
    """Looks features up in one store, and remembers what it says of its views.

    Args:
        now: the clock, by which values are too old.
    """

    def __init__(self, store: RedisStore, now: Callable[[], datetime]) -> None:
        self._store, self._now = store, now
        self._plans: dict[Hashable, _Plan] = {}
        self._lives: dict[str, _Live] = {}

    def get(self, asked: Hashable, resolve: Resolve, entity_rows: EntityRows) -> OnlineResponse:
        """The features of entities.

        Args:
            asked: the same for the same request: what it needs is worked out once.
            entity_rows: one mapping of join keys for each entity.

        Raises:
            UsageError: a key is missing or of another type, or something that is asked for is not online.
            OnlineStoreError: the store lost what it held.
        """
        for _ in range(_TRIES):
            plan = self._plans.get(asked)
            if plan is None:
                plan = self._plans[asked] = self._planned(resolve)
            _require_columns(plan, entity_rows)
            found, records = self._read(plan, entity_rows)
            if records == plan.records:
                return self._answered(plan, entity_rows, found)
            self._plans.clear()
            self._lives.clear()
        raise OnlineStoreError(
            f"the snapshots that were asked for changed {_TRIES} times while they were read. Do syncs run without end?"
        )

    def _planned(self, resolve: Resolve) -> _Plan:
        parts = resolve(lambda view: self._live(view).features)
        together: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[_Reader]] = {}
        for part in parts:
            control = self._live(part.view).control
            columns = tuple(part.join_keys[key] for key in control.keys)
            shared = (control.entity, columns, tuple(control.keys.values()))
            together.setdefault(shared, []).append(_Reader.of(part, self._live(part.view)))
        groups = tuple(_Group(*shared, readers=tuple(readers)) for shared, readers in together.items())
        columns = tuple(dict.fromkeys(column for group in groups for column in group.columns))
        views = tuple(dict.fromkeys(part.view for part in parts))
        return _Plan(groups, columns, tuple(map(control_field, views)), [self._live(view).stored for view in views])

    def _live(self, view: str) -> _Live:
        if view not in self._lives:
            stored = self._store.record(control_field(view))
            if stored is None:
                raise UsageError(f"view {view} is not online: nothing of it was published. Run `mart sync {view}`.")
            self._lives[view] = _Live(stored, Control.from_bytes(stored))
        return self._lives[view]

    def _read(self, plan: _Plan, rows: EntityRows) -> tuple[list[list[list[bytes | None] | None]], list[bytes | None]]:
        """By group and row the cells of a group's views (None for a key with a null), and the records behind them."""
        store = self._store
        commands: list[Command] = []
        places: list[list[int | None]] = []
        lanes: dict[int, None] = {}
        for group in plan.groups:
            at: list[int | None] = []
            for text in group.texts(rows):
                if text is None:
                    at.append(None)
                    continue
                lane = lane_of(text, store.lanes)
                lanes[lane] = None
                at.append(len(commands))
                commands.append(("HMGET", store.key(lane, group.entity, text), *group.fields))
            places.append(at)
        last: Command = ("HMGET", store.records, *plan.fields)
        if store.is_cluster:
            # Another node may hold the records: they are asked for when all cells are there.
            replies = store.run(commands + self._marks(plan, list(lanes))) if commands else []
            self._require_marks(plan, replies[len(commands) :])
            records = store.run([last])[0]
        else:
            *replies, records = store.run([*commands, last])
        return [[None if number is None else replies[number] for number in at] for at in places], records

    def _marks(self, plan: _Plan, lanes: Sequence[int]) -> list[Command]:
        marks = [f"written:{field}" for group in plan.groups for field in group.fields]
        return [("HMGET", self._store.fence(lane), *marks) for lane in lanes]

    def _require_marks(self, plan: _Plan, found: Sequence[Sequence[bytes | None]]) -> None:
        """Refuses a node that lacks writes of the live snapshot: a failover lost what it had acknowledged."""
        lives = [reader.live for group in plan.groups for reader in group.readers]
        for marks in found:
            for live, mark in zip(lives, marks, strict=True):
                if int(mark or 0) < live.control.live.epoch:
                    raise OnlineStoreError(
                        f"view {live.control.view}: a node of the online store lost values that it had acknowledged "
                        f"(after a failover, as a rule). `mart sync {live.control.view}` writes all of them anew."
                    )

    def _answered(
        self, plan: _Plan, rows: EntityRows, found: Sequence[Sequence[Sequence[bytes | None] | None]]
    ) -> OnlineResponse:
        now = self._now()
        micros = (now - EPOCH) // MICROSECOND
        answers: list[ViewAnswer] = []
        for group, cells in zip(plan.groups, found, strict=True):
            for at, reader in enumerate(group.readers):
                own = [None if row is None else row[at] for row in cells]
                answers.append(reader.answer(own, now, micros))
        return OnlineResponse(rows, plan.columns, answers)


def _require_columns(plan: _Plan, rows: EntityRows) -> None:
    for number, row in enumerate(rows):
        for column in plan.columns:
            if column not in row:
                raise UsageError(
                    f"entity row {number} lacks the key {column}. Needed: {listed(plan.columns)}; found: "
                    f"{listed(list(row))}."
                )


def _is_null(value: Any, kind: str) -> bool:
    """None, and what pandas writes in its place; NaN is a value of a key of doubles."""
    if value is None:
        return True
    is_nothing = type(value).__name__ in ("NAType", "NaTType")
    return is_nothing or (isinstance(value, float) and value != value and kind not in ("float", "double"))
