"""Readers ask without a pause while syncs are killed at random moments: no answer is ever mixed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from feature_mart.errors import OnlineStoreUnavailable, UsageError
from feature_mart.online.address import StoreAddress
from feature_mart.online.lookup import Lookup, Part
from feature_mart.online.publication import Busy
from feature_mart.online.redis_store import RedisStore
from tests.contract.online.redis_servers import RedisCluster, RedisServer
from tests.contract.online.restless_writer import KEYS, sync, values_of
from tests.contract.online.sample_view import SampleView, entries, journals

ROOT = Path(__file__).resolve().parents[3]
PART = Part("spend", {"number": "number"}, {"customer_id": "customer_id"})
ROWS = [{"customer_id": key} for key in KEYS]


@contextmanager
def restless(address: StoreAddress) -> Iterator[Callable[[], int]]:
    """The program that syncs; gives what tells the process that does."""
    command = [sys.executable, "-m", "tests.contract.online.restless_writer", address.mart, *address.urls]
    program = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert program.stdout is not None
    at_work = [0]

    def next_one() -> int:
        assert program.stdout is not None
        at_work[0] = int(program.stdout.readline())
        return at_work[0]

    try:
        yield next_one
    finally:
        program.kill()
        program.wait()
        if at_work[0]:
            with suppress(ProcessLookupError):
                os.kill(at_work[0], signal.SIGKILL)
        program.stdout.close()


class Readers:
    """Two that ask in turns: one that remembers records, one that does not."""

    def __init__(self, store: RedisStore) -> None:
        self._store, self._view = store, SampleView(store)
        self._remembers = self._view.lookup()
        self.answers = 0
        self.seen: set[int] = set()

    def ask(self) -> None:
        for lookup in (self._remembers, self._view.lookup()):
            version = self._version(lookup)
            self.answers += 1
            if version is not None:
                self.seen.add(version)

    def _version(self, lookup: Lookup) -> int | None:
        try:
            answer = lookup.get("spend", lambda live: [PART], ROWS)
        except UsageError:
            return None
        version: int = answer.provenance()["number"]["version"]
        numbers = answer.to_dict()["number"]
        assert {key: number for key, number in zip(KEYS, numbers, strict=True) if number is not None} == values_of(
            version
        )
        return version


def hammer(store: RedisStore, kills: int, kill: Callable[[], None]) -> Readers:
    """Asks until so many kills are done."""
    readers = Readers(store)

    def all_kills() -> None:
        for _ in range(kills):
            kill()

    with ThreadPoolExecutor(1) as pool:
        killing = pool.submit(all_kills)
        while not killing.done():
            readers.ask()
        killing.result()
    return readers


def kill_syncs(store: RedisStore, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    with restless(store.address) as next_one:

        def kill() -> None:
            child = next_one()
            time.sleep(chance.uniform(0.02, 0.6))
            os.kill(child, signal.SIGKILL)

        readers = hammer(store, kills, kill)
    print(f"{kills} kills, {readers.answers} answers of {len(readers.seen)} snapshots")
    assert len(readers.seen) > kills / 2
    require_tidy(store)


def require_tidy(store: RedisStore) -> None:
    """Whatever the killed ones left is gone after a sync, and one more."""
    view = SampleView(store)
    until = time.monotonic() + 20
    while time.monotonic() < until:  # a writer that the server remembers is waited out
        try:
            sync(view, is_full=store.record("live:spend") is None)
            break
        except (OnlineStoreUnavailable, Busy):
            time.sleep(0.1)
    view.publish({}, 0)
    assert set(entries(store).values()) == {1}
    assert journals(store) == []


@pytest.mark.parametrize("kills", [5, pytest.param(60, marks=pytest.mark.long)])
@pytest.mark.parametrize("kind", ["embedded", "cluster"])
def test_no_answer_is_mixed_while_syncs_are_killed(request: pytest.FixtureRequest, kind: str, kills: int) -> None:
    servers: RedisServer | RedisCluster = request.getfixturevalue(kind)
    store = RedisStore(servers.address(f"killed-{kills}-{kind}"))
    kill_syncs(store, kills, seed=kills)
    store.close()
