"""A program that syncs one view again and again, in a child process that may be killed: then it starts another.

Each value of a snapshot is the snapshot's number, and which keys have one depends on it, so that a mixture shows.
"""

from __future__ import annotations

import os
import sys

import pandas  # noqa: F401  Arrow loads it for the first column: better once, and before the children are forked

from feature_mart.errors import OnlineStoreError, OnlineStoreUnavailable, SyncSuperseded
from feature_mart.online.address import StoreAddress
from feature_mart.online.live import roll_back
from feature_mart.online.redis_store import RedisStore
from tests.contract.online.sample_view import NOW, SampleView

KEYS = range(1000)


def values_of(number: int) -> dict[int, int]:
    """What a snapshot holds."""
    return {key: number for key in KEYS if (key + number) % 7}


def sync(view: SampleView, *, is_full: bool) -> None:
    """As `mart sync` does it, with all keys changed."""
    publication = view.begin(is_scanned=is_full)
    is_full |= publication.live is None
    number = publication.writer.epoch
    values = values_of(number)
    with publication.beating():
        wanted = values if is_full else {key: values.get(key) for key in KEYS}
        view.write(publication, wanted, writes_all=is_full)
        if is_full:
            publication.forget_others()
        control = publication.commit(view.snapshot(publication, number))
    publication.tidy(control)


def work(address: StoreAddress) -> None:
    """Syncs, and goes back now and then, until the store is gone or another takes its place."""
    view = SampleView(RedisStore(address))
    turn = os.getpid()
    while True:
        turn += 1
        try:
            sync(view, is_full=view.store.record("live:spend") is None or turn % 3 == 0)
            if turn % 5 == 0:
                roll_back(view.store, "spend", NOW.isoformat())
        except (OnlineStoreError, OnlineStoreUnavailable, SyncSuperseded):
            continue


def main() -> None:
    mart, *urls = sys.argv[1:]
    while True:
        child = os.fork()
        if child == 0:
            work(StoreAddress(mart, tuple(urls), "the test's server"))
        print(child, flush=True)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
