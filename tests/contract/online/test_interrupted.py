"""Syncs that are killed, overtaken or stall at the worst moment, over every kind of store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from feature_mart.errors import SyncSuperseded
from feature_mart.online.live import live_control, progress_field, retire, roll_back
from feature_mart.online.publication import Publication
from feature_mart.online.redis_store import Command, RedisStore
from tests.contract.online.sample_view import NOW, SampleView, entries, held

pytestmark = pytest.mark.usefixtures("writers_are_gone")
SINCE = NOW.isoformat()
KEYS = range(8)


def everything(view: SampleView) -> tuple[dict[str, Any], dict[str, bytes]]:
    return held(view.store), view.store.all_records()


@pytest.mark.parametrize("is_scanned", [False, True])
def test_values_of_a_killed_sync_are_never_read(view: SampleView, is_scanned: bool) -> None:
    view.publish({1: 10, 2: 20}, 1, is_full=True)
    killed = view.begin(is_scanned=is_scanned)
    view.write(killed, {1: 11, 2: None, 3: 31})
    lookup = view.lookup()
    assert view.read(lookup, KEYS) == {1: 10, 2: 20}
    view.publish({4: 40}, 2)  # 1, 2 and 3 are in the next target what they were, so nobody writes them
    assert view.read(lookup, KEYS) == {1: 10, 2: 20, 4: 40}
    assert view.read(view.lookup(), KEYS) == {1: 10, 2: 20, 4: 40}
    assert entries(view.store) == {"1": 1, "2": 1, "4": 1}


def test_values_of_a_snapshot_that_was_rolled_back_are_never_read(view: SampleView) -> None:
    view.publish({1: 10, 2: 20}, 1, is_full=True)
    view.publish({1: 11, 2: None, 3: 31}, 2)
    roll_back(view.store, "spend", SINCE)
    view.publish({4: 40}, 3)
    assert view.read(view.lookup(), KEYS) == {1: 10, 2: 20, 4: 40}


def test_a_sync_that_was_killed_before_it_cleaned_leaves_that_to_the_next(
    view: SampleView, monkeypatch: pytest.MonkeyPatch
) -> None:
    view.publish({1: 10, 2: 20}, 1, is_full=True)
    view.write(view.begin(), {1: 11})

    def killed(self: Publication, *, is_dirty: bool) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Publication, "_clean", killed)
        view.begin()
    view.publish({2: 22}, 2)
    assert view.read(view.lookup(), KEYS) == {1: 10, 2: 22}
    assert entries(view.store) == {"1": 1, "2": 2}


@pytest.mark.parametrize("is_full", [False, True])
def test_a_rollback_after_a_killed_sync_does_not_mix(view: SampleView, is_full: bool) -> None:
    view.publish({1: 10, 2: 20, 3: 30}, 1, is_full=True)
    view.publish({1: 11, 2: None}, 2)
    killed = view.begin(is_scanned=is_full)
    view.write(killed, {1: 12, 2: 22, 3: 32, 4: 42}, writes_all=is_full)
    killed.forget_others()
    lookup = view.lookup()
    assert view.read(lookup, KEYS) == {1: 11, 3: 30}
    roll_back(view.store, "spend", SINCE)
    assert view.read(lookup, KEYS) == {1: 10, 2: 20, 3: 30}
    view.publish({5: 53}, 3)
    assert view.read(lookup, KEYS) == {1: 10, 2: 20, 3: 30, 5: 53}


@pytest.mark.parametrize("is_full", [False, True])
def test_a_sync_that_was_killed_before_it_tidied_up_leaves_that_to_the_next(view: SampleView, is_full: bool) -> None:
    view.publish({1: 10, 2: 20, 3: 30}, 1, is_full=True)
    view.publish({1: 11, 2: 21, 3: None}, 2)
    publication = view.begin(is_scanned=is_full)
    view.write(publication, {1: 12, 2: 22}, writes_all=is_full)
    publication.commit(view.snapshot(publication, 3))
    assert view.read(view.lookup(), KEYS) == {1: 12, 2: 22}
    view.publish({2: 24}, 4)
    assert view.read(view.lookup(), KEYS) == {1: 12, 2: 24}
    view.publish({}, 5)
    assert entries(view.store) == {"1": 1, "2": 1}


def test_a_stalled_writer_that_wakes_up_changes_nothing(view: SampleView) -> None:
    view.publish({1: 10, 2: 20}, 1, is_full=True)
    stalled = view.begin(is_scanned=True)
    writer = stalled.writer_of_cells(writes_all=True)
    view.write(stalled, {1: 11})
    view.publish({1: 12, 3: 32}, 2)
    before = everything(view)
    late: list[Callable[[], object]] = [
        lambda: writer.write(["1", "2", "9"], [b"x", b"", b"y"]),
        stalled.forget_others,
        stalled._say,
        lambda: stalled.commit(view.snapshot(stalled, 3)),
    ]
    for step in late:
        with pytest.raises(SyncSuperseded):
            step()
    stalled.abandon()
    assert everything(view) == before
    assert view.read(view.lookup(), KEYS) == {1: 12, 2: 20, 3: 32}


def test_a_writer_that_stalls_while_another_writes_changes_nothing(view: SampleView) -> None:
    view.publish({1: 10}, 1, is_full=True)
    stalled, now = view.begin(), view.begin()
    view.write(now, {1: 12})
    with pytest.raises(SyncSuperseded):
        view.write(stalled, {1: 11})
    now.tidy(now.commit(view.snapshot(now, 2)))
    assert view.read(view.lookup(), KEYS) == {1: 12}


def test_a_key_that_was_inserted_again_survives_the_late_cleaning_of_its_deletion(view: SampleView) -> None:
    view.publish({1: 10, 2: 20}, 1, is_full=True)
    deletes = view.begin()
    view.write(deletes, {1: None})
    control = deletes.commit(view.snapshot(deletes, 2))
    inserts = view.begin()
    view.write(inserts, {1: 12})
    deletes.tidy(control)
    inserts.tidy(inserts.commit(view.snapshot(inserts, 3)))
    before = everything(view)
    deletes.tidy(control)
    assert everything(view) == before
    assert view.read(view.lookup(), KEYS) == {1: 12, 2: 20}


def test_a_reader_that_remembers_a_snapshot_whose_values_are_gone_reads_the_live_one(view: SampleView) -> None:
    view.publish(dict.fromkeys(KEYS, 1), 1, is_full=True)
    lookup = view.lookup()
    assert view.read(lookup, KEYS) == dict.fromkeys(KEYS, 1)
    for version in (2, 3):
        view.publish(dict.fromkeys(KEYS, version), version)
    assert view.read(lookup, KEYS) == dict.fromkeys(KEYS, 3)
    roll_back(view.store, "spend", SINCE)
    assert view.read(lookup, KEYS) == dict.fromkeys(KEYS, 2)


class SlowStore(RedisStore):
    """A store in which something happens before its n-th request, as it may while a reader waits."""

    requests = 0
    happens: Callable[[], object] | None = None
    before = 0

    def run(self, commands: Sequence[Command]) -> list[Any]:
        self.requests += 1
        if self.happens is not None and self.requests == self.before:
            self.happens()
        return super().run(commands)


@pytest.mark.parametrize("before", [1, 2, 3])
@pytest.mark.parametrize("remembers", [False, True])
def test_records_and_values_that_are_read_at_different_moments_are_of_one_snapshot(
    view: SampleView, before: int, remembers: bool
) -> None:
    view.publish(dict.fromkeys(KEYS, 1), 1, is_full=True)
    slow = SampleView(SlowStore(view.store.address))
    lookup = slow.lookup()
    if remembers:
        assert slow.read(lookup, KEYS) == dict.fromkeys(KEYS, 1)
    store = slow.store
    assert isinstance(store, SlowStore)
    store.requests, store.before = 0, before

    def two_syncs() -> None:
        view.publish(dict.fromkeys(KEYS, 2), 2)
        view.publish({key: 3 for key in KEYS if key % 2}, 3)

    store.happens = two_syncs
    after = {key: 3 if key % 2 else 2 for key in KEYS}
    found = slow.read(lookup, KEYS)
    assert found == (after if store.requests >= before else dict.fromkeys(KEYS, 1))
    store.close()


def test_a_definition_that_goes_back_to_its_entities_finds_its_values(store: RedisStore) -> None:
    view, other = SampleView(store), SampleView(store, entity="shop")
    view.publish({1: 10, 2: 20}, 1, is_full=True)
    view.write(view.begin(), {2: 22})
    other.write(other.begin(is_scanned=True), {1: 100}, writes_all=True)  # killed
    publication = view.begin()
    live = live_control(store, "spend")
    assert live is not None and publication.writer_of_cells(writes_all=False).field == live.field
    view.write(publication, {1: 11})
    publication.tidy(publication.commit(view.snapshot(publication, 2)))
    assert view.read(view.lookup(), KEYS) == {1: 11, 2: 20}
    assert entries(store) == {"1": 2, "2": 1} and entries(store, "shop") == {}


def test_a_retirement_that_was_killed_is_finished_by_the_next(view: SampleView) -> None:
    view.publish({1: 10}, 1, is_full=True)
    view.write(view.begin(), {1: 11})
    progress = view.store.record(progress_field("spend"))
    assert progress is not None
    assert retire(view.store, "spend")
    view.store.swap(progress_field("spend"), None, {progress_field("spend"): progress})
    view.publish({2: 20}, 2, is_full=True)
    assert view.read(view.lookup(), KEYS) == {2: 20}


def test_a_store_that_lost_its_records_begins_after_the_writers_that_it_knew(view: SampleView) -> None:
    stalled = view.begin(is_scanned=True)
    view.write(stalled, {1: 10, 2: 20})
    view.store.run([("DEL", view.store.records)])
    publication = view.begin(is_scanned=True)
    assert publication.writer.epoch > stalled.writer.epoch
    with pytest.raises(SyncSuperseded):
        view.write(stalled, {2: 20})
    view.write(publication, {1: 11})
    publication.tidy(publication.commit(view.snapshot(publication, 2)))
    assert view.read(view.lookup(), KEYS) == {1: 11}
    assert entries(view.store) == {"1": 1}


def test_a_store_that_lost_its_records_gives_no_field_of_a_view_that_was_removed(view: SampleView) -> None:
    view.publish({1: 10}, 1, is_full=True)
    retire(view.store, "spend")
    view.store.run([("DEL", view.store.records)])
    control = view.publish({1: 11}, 2, is_full=True)
    assert control.live.epoch < 1000
    assert view.read(view.lookup(), KEYS) == {1: 11}
