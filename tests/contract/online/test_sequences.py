"""Drawn sequences of syncs, kills, rollbacks and losses against a model in plain Python, on a real server."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feature_mart.errors import OnlineStoreError, SyncSuperseded, UsageError
from feature_mart.online import publication as publishing
from feature_mart.online.cell_writer import Counts
from feature_mart.online.live import live_control, retire, roll_back
from feature_mart.online.lookup import Lookup, Part
from feature_mart.online.publication import Publication
from feature_mart.online.records import Control
from feature_mart.online.redis_store import Command, RedisStore
from tests.contract.online.redis_servers import RedisServer, embedded_executable
from tests.contract.online.sample_view import NOW, SampleView, entries, held, journals

EXAMPLES = int(os.environ.get("FEATURE_MART_ONLINE_EXAMPLES", "200"))
KEYS = range(6)
PART = Part("spend", {"number": "number"}, {"customer_id": "customer_id"})
Values = dict[int, int]


class Killed(BaseException):
    """What SIGKILL is here: nothing catches it."""


class MortalStore(RedisStore):
    """A store whose process dies before its n-th request, and lets others read before each."""

    deadline: int | None = None
    before_each: Callable[[], None] | None = None

    def tick(self) -> None:
        if self.before_each is not None:
            self.before_each()
        if self.deadline is not None:
            self.deadline -= 1
            if self.deadline < 0:
                raise Killed

    def _sent(self, commands: Sequence[Command]) -> list[Any]:
        self.tick()
        return super()._sent(commands)


@dataclass
class Stalled:
    """A sync that was killed, and may wake up. ``is_over``: nothing that it does may count any more."""

    view: SampleView
    publication: Publication
    wanted: Mapping[int, int | None]
    is_full: bool
    control: Control | None = None
    is_over: bool = False


@dataclass
class Shop:
    """A store, what its readers must see, and those readers.

    ``snapshots``: values by version; ``live`` and ``previous``: versions, None where there is none.
    """

    store: RedisStore
    writers: MortalStore
    live: int | None = None
    previous: int | None = None
    entity: str = "customer"
    snapshots: dict[int, Values] = field(default_factory=dict)
    stalled: list[Stalled] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reader = SampleView(self.store)
        self.lookup = self.reader.lookup()
        self.writers.before_each = lambda: self.read({self.live, *self.next})
        self.next: list[int | None] = []

    @property
    def values(self) -> Values:
        return {} if self.live is None else self.snapshots[self.live]

    def view(self, entity: str) -> SampleView:
        return SampleView(self.writers, entity=entity)

    # What readers see

    def read(self, allowed: set[int | None]) -> None:
        """A reader that remembers sees one snapshot, whole, and one of those that may be live."""
        version, values = self.found(self.lookup)
        assert version in allowed
        assert values == ({} if version is None else self.snapshots[version])

    def found(self, lookup: Lookup) -> tuple[int | None, Values]:
        rows = [{"customer_id": key} for key in KEYS]
        try:
            answer = lookup.get("spend", lambda live: [PART], rows)
        except UsageError as error:
            assert "view spend is not online" in str(error)
            return None, {}
        values = {key: value for key, value in zip(KEYS, answer.to_dict()["number"], strict=True) if value is not None}
        return answer.provenance()["number"]["version"], values

    def check(self) -> None:
        self.read({self.live})
        assert self.found(self.reader.lookup()) == (self.live, self.values)

    # What happens

    def dying(self, death: int | None, work: Callable[[], object], becomes: int | None) -> None:
        """Does some work that makes another snapshot live; a death before or after the switch is found out."""
        self.writers.deadline, self.next = death, [becomes]
        try:
            work()
        except Killed:
            control = live_control(self.store, "spend")
            version = None if control is None else control.live.version
            if version == becomes != self.live:
                self.switched(becomes)
        else:
            self.switched(becomes)
        finally:
            self.writers.deadline, self.next = None, []

    def switched(self, version: int | None) -> None:
        self.live, self.previous = version, self.live

    def sync(self, target: Values, *, entity: str, is_full: bool, also: Sequence[int], death: int | None) -> None:
        """As `sync_view` does it: all keys where nothing of the same entity is live, else those that differ.

        ``also``: keys that did not change, and are looked at all the same.
        """
        version = max([0, *self.snapshots]) + 1
        self.snapshots[version] = target
        is_full |= self.live is None or entity != self.entity
        view, before = self.view(entity), self.values
        differing = [key for key in KEYS if target.get(key) != before.get(key)]
        wanted = target if is_full else {key: target.get(key) for key in KEYS if key in differing or key in also}

        def work() -> None:
            publication = view.begin(is_scanned=is_full)
            for other in self.stalled:
                other.is_over = True
            stalled = Stalled(view, publication, wanted, is_full)
            self.stalled.append(stalled)
            counts = Counts()
            for key, number in wanted.items():
                self.writers.tick()
                counts += view.write(publication, {key: number}, writes_all=is_full)
            if is_full:
                counts += Counts(went=publication.forget_others())
            if entity == self.entity:
                assert counts.came == len(target.keys() - before.keys())
                assert counts.went == len(before.keys() - target.keys())
            stalled.control = publication.commit(view.snapshot(publication, version))
            publication.tidy(stalled.control)
            self.stalled.remove(stalled)

        self.dying(death, work, version)
        if self.live == version and entity != self.entity:
            self.entity, self.previous = entity, None

    def roll_back(self, death: int | None) -> None:
        if self.previous is None:
            with pytest.raises(OnlineStoreError, match="there is no snapshot to go back to"):
                roll_back(self.store, "spend", NOW.isoformat())
            return
        self.dying(death, lambda: roll_back(self.writers, "spend", NOW.isoformat()), self.previous)
        control = live_control(self.store, "spend")
        assert control is not None
        if control.held_since is not None:
            self.previous = None
            self.end_all()

    def retire(self, death: int | None) -> None:
        self.dying(death, lambda: retire(self.writers, "spend"), None)
        if self.live is None:
            self.previous = None
            self.end_all()

    def lose_everything(self) -> None:
        self.store.run([("FLUSHALL",)])
        self.live = self.previous = None
        self.end_all()

    def end_all(self) -> None:
        for stalled in self.stalled:
            stalled.is_over = True

    def wake(self, number: int, values: Mapping[int, int | None]) -> None:
        """A sync that was killed was only asleep."""
        if not self.stalled:
            return
        stalled = self.stalled[number % len(self.stalled)]
        view, publication = stalled.view, stalled.publication
        # A task that runs twice writes what it has written, after its snapshot is live, too.
        written = values if stalled.control is None else stalled.wanted
        late: list[Callable[[], object]] = [lambda: view.write(publication, written, writes_all=stalled.is_full)]
        if stalled.is_full:
            late.append(publication.forget_others)
        if stalled.is_over:
            late.append(lambda: publication.commit(view.snapshot(publication, 1000)))
        for step in late:
            try:
                step()
            except SyncSuperseded:
                continue
            assert step is not late[-1] or not stalled.is_over
        if stalled.control is not None:
            publication.tidy(stalled.control)
        publication.abandon()


@dataclass(frozen=True)
class Step:
    """One thing that happens, as it is drawn; ``death``: at which request the process dies, if it does."""

    kind: str
    death: int | None
    changes: dict[int, int | None]
    also: list[int]
    entity: str
    which: int

    def on(self, shop: Shop) -> None:
        if self.kind in ("sync", "full"):
            merged = {**shop.values, **self.changes}
            target = {key: number for key, number in merged.items() if number is not None}
            shop.sync(target, entity=self.entity, is_full=self.kind == "full", also=self.also, death=self.death)
        elif self.kind == "roll back":
            shop.roll_back(self.death)
        elif self.kind == "retire":
            shop.retire(self.death)
        elif self.kind == "lose":
            shop.lose_everything()
        else:
            shop.wake(self.which, self.changes)


KINDS = [*["sync"] * 5, "full", "full", "roll back", "roll back", "retire", "lose", "wake", "wake"]
STEPS = st.builds(
    Step,
    kind=st.sampled_from(KINDS),
    death=st.none() | st.integers(1, 30),
    changes=st.dictionaries(st.sampled_from(KEYS), st.none() | st.integers(0, 3), max_size=len(KEYS)),
    also=st.lists(st.sampled_from(KEYS), max_size=3),
    entity=st.sampled_from(["customer", "customer", "customer", "shop"]),
    which=st.integers(0, 5),
)


@pytest.fixture(scope="module")
def shops() -> Iterator[tuple[RedisStore, MortalStore]]:
    server = RedisServer(embedded_executable())
    address = server.address("mart")
    store, writers = RedisStore(address), MortalStore(address)
    yield store, writers
    store.close()
    writers.close()
    server.remove()


@settings(
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(steps=st.lists(STEPS, max_size=12))
def test_readers_see_the_live_snapshot_whatever_happens(
    shops: tuple[RedisStore, MortalStore], monkeypatch: pytest.MonkeyPatch, steps: list[Step]
) -> None:
    monkeypatch.setattr(publishing, "LEASE_MS", -1)
    shop = Shop(*shops)
    shop.lose_everything()
    for step in steps:
        step.on(shop)
        shop.check()
    target = {key: 7 for key in KEYS if key % 2}
    shop.sync(target, entity=shop.entity, is_full=False, also=[], death=None)
    shop.check()
    shop.sync(target, entity=shop.entity, is_full=False, also=[], death=None)
    shop.check()
    assert entries(shop.store, shop.entity) == {str(key): 1 for key in target}
    assert journals(shop.store) == []
    assert len(held(shop.store)) == len(target) + 1  # beside the cells, the fences
