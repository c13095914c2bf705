"""Publishing a snapshot, over every kind of store: what a sync does step by step, and what is left of it."""

from __future__ import annotations

import pytest

from feature_mart.errors import OnlineStoreError, SyncSuperseded, UsageError
from feature_mart.online.cell_writer import Counts
from feature_mart.online.live import has_all_marks, live_control, progress_field, retire, roll_back
from feature_mart.online.publication import Busy
from feature_mart.online.records import Control, Progress
from feature_mart.online.redis_store import RedisStore
from tests.contract.online.sample_view import NOW, SampleView, entries, held, journals

SINCE = NOW.isoformat()
# More than one script writes, so that lanes and parts are all gone through.
MANY = range(-3, 300)


def test_a_first_sync_makes_all_values_live_at_once(view: SampleView) -> None:
    publication = view.begin(is_scanned=True)
    assert publication.live is None
    assert view.write(publication, {key: key * 7 for key in MANY}) == Counts(len(MANY), len(MANY), 0)
    lookup = view.lookup()
    with pytest.raises(UsageError, match="view spend is not online"):
        view.read(lookup, MANY)
    control = publication.commit(view.snapshot(publication, 5))
    assert view.read(lookup, [*MANY, 1000]) == {key: key * 7 for key in MANY}
    publication.tidy(control)
    assert view.read(lookup, MANY) == {key: key * 7 for key in MANY}
    assert live_control(view.store, "spend") == control
    assert (control.live.version, control.previous, control.held_since) == (5, None, None)
    assert has_all_marks(view.store, control)


def test_changes_are_counted_against_what_is_live(view: SampleView) -> None:
    view.publish({1: 10, 2: 20, 3: 30}, 1, is_full=True)
    publication = view.begin()
    changes = {1: 10, 2: 21, 3: None, 4: 40, 5: None}
    assert view.write(publication, changes) == Counts(changed=3, came=1, went=1)
    assert view.write(publication, changes) == Counts(changed=3, came=1, went=1)  # a task that runs twice
    lookup = view.lookup()
    assert view.read(lookup, range(7)) == {1: 10, 2: 20, 3: 30}
    publication.tidy(publication.commit(view.snapshot(publication, 2)))
    assert view.read(lookup, range(7)) == {1: 10, 2: 21, 4: 40}
    assert view.read(view.lookup(), range(7)) == {1: 10, 2: 21, 4: 40}


def test_a_task_that_runs_again_with_another_value_has_the_last_word(view: SampleView) -> None:
    view.publish({1: 10, 2: 20}, 1, is_full=True)
    publication = view.begin()
    view.write(publication, {1: 11, 2: None, 3: 30})
    view.write(publication, {1: 10, 2: 20, 3: None})
    publication.tidy(publication.commit(view.snapshot(publication, 2)))
    assert view.read(view.lookup(), range(4)) == {1: 10, 2: 20}
    assert entries(view.store) == {"1": 1, "2": 1}


def test_a_full_sync_forgets_what_it_has_not_written(view: SampleView) -> None:
    view.publish(dict.fromkeys(MANY, 1), 1, is_full=True)
    publication = view.begin(is_scanned=True)
    kept = {key: 2 for key in MANY if key % 2}
    view.write(publication, kept, writes_all=True)
    assert publication.forget_others() == len(MANY) - len(kept)
    lookup = view.lookup()
    assert view.read(lookup, MANY) == dict.fromkeys(MANY, 1)
    publication.tidy(publication.commit(view.snapshot(publication, 2)))
    assert view.read(lookup, MANY) == kept
    roll_back(view.store, "spend", SINCE)
    assert view.read(lookup, MANY) == dict.fromkeys(MANY, 1)


def test_after_tidying_up_a_cell_holds_two_values_at_most_and_journals_are_gone(view: SampleView) -> None:
    view.publish(dict.fromkeys(MANY, 0), 0, is_full=True)
    for version in range(1, 5):
        view.publish({key: version for key in MANY if key % version == 0}, version)
        assert max(entries(view.store).values()) == 2
    dead = [name for name in journals(view.store) if not name.endswith(":5")]
    assert journals(view.store) and not dead
    view.publish(dict.fromkeys(MANY), 5)
    view.publish({}, 6)
    assert entries(view.store) == {}
    view.publish({}, 7)
    assert journals(view.store) == []
    assert not any("customer" in name for name in held(view.store))


def test_a_rollback_brings_the_snapshot_before_back_and_holds_the_view(view: SampleView) -> None:
    first = view.publish({1: 10, 2: 20}, 1, is_full=True)
    with pytest.raises(OnlineStoreError, match="the one that is live has none before it"):
        roll_back(view.store, "spend", SINCE)
    view.publish({1: 11, 2: None, 3: 30}, 2)
    lookup = view.lookup()
    assert view.read(lookup, range(4)) == {1: 11, 3: 30}
    back = roll_back(view.store, "spend", SINCE)
    assert (back.live, back.previous, back.held_since) == (first.live, None, SINCE)
    assert view.read(lookup, range(4)) == {1: 10, 2: 20}
    with pytest.raises(OnlineStoreError, match=r"mart restore spend --version N"):
        roll_back(view.store, "spend", SINCE)
    after = view.publish({2: 22}, 3)
    assert after.held_since is None
    assert view.read(lookup, range(4)) == {1: 10, 2: 22}
    view.publish({}, 4)
    assert entries(view.store) == {"1": 1, "2": 1}


def test_there_is_nothing_to_roll_back_where_nothing_is_live(view: SampleView) -> None:
    with pytest.raises(OnlineStoreError, match="nothing of it is live"):
        roll_back(view.store, "spend", SINCE)


def test_a_rollback_ends_a_sync_at_work(view: SampleView) -> None:
    view.publish({1: 10}, 1, is_full=True)
    view.publish({1: 11}, 2)
    publication = view.begin()
    view.write(publication, {1: 12})
    roll_back(view.store, "spend", SINCE)
    view.write(publication, {2: 22})
    with pytest.raises(SyncSuperseded, match="or the view was rolled back"):
        publication.commit(view.snapshot(publication, 3))
    lookup = view.lookup()
    assert view.read(lookup, range(3)) == {1: 10}
    view.publish({}, 3)
    assert view.read(lookup, range(3)) == {1: 10}


def test_one_sync_of_a_view_at_a_time(view: SampleView) -> None:
    publication = view.begin(is_scanned=True)
    with pytest.raises(Busy, match=r"view spend is being synced by process \d+ on .* since 2026-03-01T12:00:00Z"):
        view.begin()
    publication.abandon()
    view.begin(is_scanned=True).abandon()


def test_a_writer_that_speaks_is_not_taken_for_gone(view: SampleView) -> None:
    publication = view.begin(is_scanned=True)
    before = publication.writer.until_ms
    publication._say()
    stored = view.store.record(progress_field("spend"))
    assert stored is not None
    writer = Progress.from_bytes(stored).writer
    assert writer is not None
    assert writer.until_ms > before or writer == publication.writer


def test_views_of_one_entity_are_read_together_and_changed_alone(store: RedisStore) -> None:
    spend, visits = SampleView(store, "spend"), SampleView(store, "visits")
    spend.publish({1: 10, 2: 20}, 1, is_full=True)
    visits.publish({2: 200, 3: 300}, 1, is_full=True)
    lookup = spend.lookup()
    spend.publish({2: None}, 2)
    assert spend.read(lookup, range(4)) == {1: 10}
    assert visits.read(lookup, range(4)) == {2: 200, 3: 300}
    assert retire(store, "spend")
    assert visits.read(lookup, range(4)) == {2: 200, 3: 300}
    with pytest.raises(UsageError, match="view spend is not online"):
        spend.read(lookup, range(4))


def test_a_retired_view_leaves_nothing_and_can_come_back(view: SampleView) -> None:
    assert not retire(view.store, "spend")
    view.publish(dict.fromkeys(MANY, 1), 1, is_full=True)
    view.publish({1: 2}, 2)
    assert retire(view.store, "spend")
    assert not any("customer" in name or "~written:" in name for name in held(view.store))
    assert [name for name in view.store.all_records() if "spend" in name] == []
    view.publish({7: 70}, 3, is_full=True)
    assert view.read(view.lookup(), range(10)) == {7: 70}


def test_a_retired_view_is_written_by_nobody(view: SampleView) -> None:
    view.publish({1: 10}, 1, is_full=True)
    publication = view.begin()
    retire(view.store, "spend")
    with pytest.raises(SyncSuperseded):
        view.write(publication, {1: 11})
    with pytest.raises(SyncSuperseded):
        publication.commit(view.snapshot(publication, 2))
    assert not any("customer" in name for name in held(view.store))


def test_a_view_of_other_entities_starts_anew(store: RedisStore) -> None:
    before, after = SampleView(store), SampleView(store, entity="shop")
    before.publish({1: 10}, 1, is_full=True)
    publication = after.begin(is_scanned=True)
    after.write(publication, {1: 100}, writes_all=True)
    assert before.read(before.lookup(), [1]) == {1: 10}
    control = publication.commit(after.snapshot(publication, 2))
    assert control.previous is None
    publication.tidy(control)
    assert after.read(after.lookup(), [1]) == {1: 100}
    assert entries(store) == {} and entries(store, "shop") == {"1": 1}


def test_records_come_back_as_they_were_stored(view: SampleView) -> None:
    control = view.publish({1: 10}, 1, is_full=True)
    assert Control.from_bytes(control.to_bytes()) == control
    control = view.publish({1: 11}, 2)
    assert Control.from_bytes(control.to_bytes()) == control
    stored = view.store.record(progress_field("spend"))
    assert stored is not None and Progress.from_bytes(stored).to_bytes() == stored


def test_keys_can_be_read_in_redis_cli(view: SampleView) -> None:
    view.publish({-7: 1}, 1, is_full=True)
    (name,) = [name for name in held(view.store) if "customer" in name]
    start = f"{view.store.address.mart}:"
    assert name.startswith(start) and name.endswith("customer:-7")
