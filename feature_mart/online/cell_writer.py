"""Values of many keys on their way into their cells, and scripts that go over many cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from feature_mart.online.address import StoreAddress
from feature_mart.online.keys import by_lane
from feature_mart.online.redis_store import RedisStore, ScriptCall

CELLS = 16  # in one script: lookups wait no longer than it takes
SCRIPTS = 8  # in one round trip


@dataclass(frozen=True)
class Counts:
    """Of cells written: how many changed, how many keys came, how many went; all as against what is live."""

    changed: int = 0
    came: int = 0
    went: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.changed + other.changed, self.came + other.came, self.went + other.went)


@dataclass(frozen=True)
class CellWriter:
    """All that a task of Spark needs to write values of one epoch.

    ``all``: write values that are live already, too; ``journal``: note which keys are written.
    """

    address: StoreAddress
    field: str
    entity: str
    fence: str
    epoch: int
    live: int
    previous: int
    all: bool
    journal: bool

    def write(self, texts: Sequence[str], payloads: Sequence[bytes]) -> Counts:
        """Writes the payloads of keys, an empty one for a key without a value.

        Raises:
            SyncSuperseded: another sync has begun since.
            OnlineStoreError, OnlineStoreUnavailable: the store does not take them.
        """
        store = opened(self.address)
        given = [self.field, self.fence, self.epoch, self.live, self.previous, int(self.all), int(self.journal)]
        calls: list[ScriptCall] = []
        total = Counts()
        for lane, numbers in by_lane(texts, store.lanes).items():
            fixed = [store.fence(lane), store.journal(lane, self.field, self.epoch)]
            for start in range(0, len(numbers), CELLS):
                part = numbers[start : start + CELLS]
                keys = [store.key(lane, self.entity, texts[number]) for number in part]
                calls.append(("write", [*fixed, *keys], [*given, *(payloads[number] for number in part)]))
                if len(calls) == SCRIPTS:
                    total, calls = total + _counted(store, calls), []
        return total + _counted(store, calls)


def _counted(store: RedisStore, calls: Sequence[ScriptCall]) -> Counts:
    return sum((Counts(*found) for found in store.scripts(calls)), Counts()) if calls else Counts()


@lru_cache(maxsize=8)
def opened(address: StoreAddress) -> RedisStore:
    """The store at an address; one for each process. Python's workers of Spark live longer than a task."""
    return RedisStore(address, retries=8)


def calls_on_all(store: RedisStore, entity: str, script: str, given: Sequence[object]) -> Iterator[list[ScriptCall]]:
    """The calls of a script for all keys of an entity, in groups."""
    for group in store.keys_like(store.pattern(entity)):
        by_fence: dict[str, list[bytes]] = {}
        for key in group:
            by_fence.setdefault(store.fence(store.lane_of_key(key)), []).append(key)
        yield [call for fence, keys in by_fence.items() for call in in_parts(script, fence, keys, given)]


def in_parts(script: str, fence: str, keys: Sequence[bytes], given: Sequence[object]) -> list[ScriptCall]:
    """The calls of a script for some keys of one lane."""
    return [(script, [fence, *keys[start : start + CELLS]], given) for start in range(0, len(keys), CELLS)]
