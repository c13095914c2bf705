"""`mart sync`: from the snapshot that is online to the one that is wanted, by what differs between them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from feature_mart.errors import OnlineStoreError, TableError, UsageError
from feature_mart.online.embedded import EmbeddedServer
from feature_mart.online.publication import OnlineView, Publication
from feature_mart.online.redis_store import RedisStore
from feature_mart.testing import write_files
from tests.spark.online_shop import VIEW, Shop, opened_shop

FIRST = [(1, 10, "a", 5.0), (2, 11, "b", 7.5), (3, 12, "c", 1.0)]


@pytest.fixture
def shop(tmp_path: Path, spark: SparkSession) -> Iterator[Shop]:
    with opened_shop(tmp_path, spark) as found:
        found.write("first", FIRST)
        found.build()
        yield found


def published(shop: Shop) -> Shop:
    shop.sync()
    return shop


def raw_store(shop: Shop) -> RedisStore:
    return RedisStore(EmbeddedServer(shop.root, "local").address("tiny"))


def test_a_first_sync_writes_all_and_a_second_one_nothing(shop: Shop) -> None:
    first = shop.sync()
    assert (first["how"], first["rows"], first["before"]) == ("anew", 3, None)
    assert shop.found() == shop.expected()
    assert shop.sync()["how"] == "nothing"


def test_only_keys_that_changed_are_written(shop: Shop) -> None:
    published(shop)
    shop.write("second", [(1, 50, "d", 2.5), (4, 51, "e", 4.0)])
    shop.build()
    result = shop.sync()
    assert (result["how"], result["changed"], result["came"], result["rows"]) == ("changes", 2, 1, 4)
    assert shop.found() == shop.expected()


def test_a_late_row_and_a_correction_of_an_old_one_arrive(shop: Shop) -> None:
    shop.write("second", [(1, 50, "d", 2.5)])
    shop.build()
    published(shop)
    shop.write("late", [(1, 30, "late", 9.0), (2, 30, "newer", 9.0)])
    shop.write("first", [(1, 10, "a", 5.0), (2, 11, "b", 7.5), (3, 12, "c", 100.0)])
    shop.build()
    result = shop.sync()
    assert result["changed"] == 2  # customer 1 has a newer order than the late one
    assert shop.found() == shop.expected()
    assert shop.found()[3] == ("c", 100.0)


def test_a_deleted_row_brings_the_older_one_back_and_a_deleted_key_goes(shop: Shop) -> None:
    shop.write("second", [(1, 50, "d", 2.5), (4, 51, "e", 4.0)])
    shop.build()
    published(shop)
    shop.remove("second")
    shop.build()
    result = shop.sync()
    assert (result["changed"], result["went"], result["rows"]) == (2, 1, 3)
    assert shop.found() == shop.expected()
    assert shop.found()[1] == ("a", 5.0)
    assert shop.store.verify_online(VIEW).is_equal


SCHEDULED = """
    select customer_id, order_no, amount,
      case when order_no = 'soon' then ordered_at + interval 216 hours else ordered_at end as ordered_at
    from orders
    """


def test_a_row_of_the_future_comes_online_when_it_is_due(shop: Shop) -> None:
    shop.define(materialize={"mode": "full"})
    write_files(shop.root, {"features/orders.sql": SCHEDULED})
    shop.write("scheduled", [(1, 5, "soon", 1.0)])
    shop.build()
    published(shop)
    assert shop.found()[1] == ("a", 5.0)
    shop.clock.advance(timedelta(hours=5))
    result = shop.sync()
    assert (result["how"], result["changed"]) == ("changes", 1)
    assert shop.found()[1] == ("soon", 1.0)
    assert shop.sync()["how"] == "nothing"


def test_values_past_their_ttl_are_expired_and_then_swept(shop: Shop) -> None:
    shop.define(ttl="10d")
    published(shop)
    rows = [{"customer_id": 1}]
    shop.clock.advance(timedelta(days=1, hours=10))  # exactly as old as the ttl allows
    asked = shop.store.get_online_features(f"{VIEW}:amount", rows).to_dict(include_statuses=True)
    assert (asked["amount"], asked["amount__status"]) == ([5.0], ["present"])
    shop.clock.advance(timedelta(microseconds=1))
    asked = shop.store.get_online_features(f"{VIEW}:amount", rows).to_dict(include_statuses=True)
    assert (asked["amount"], asked["amount__status"]) == ([None], ["expired"])
    result = shop.sync()
    assert (result["went"], result["rows"]) == (1, 2)
    assert shop.found() == shop.expected()
    shop.define(ttl="20d")
    assert shop.sync()["came"] == 1
    assert shop.found() == shop.expected()


def test_a_new_default_reaches_lookups_though_no_row_changed(shop: Shop) -> None:
    published(shop)
    shop.document({"order_no": {}, "amount": {"default": 0.5}})
    assert shop.sync()["how"] == "rules"
    asked = shop.store.get_online_features(f"{VIEW}:amount", [{"customer_id": 99}]).to_dict(include_statuses=True)
    assert (asked["amount"], asked["amount__status"]) == ([0.5], ["not_found"])


def test_readers_of_the_old_shape_go_on_until_the_switch_and_are_told_after_it(shop: Shop) -> None:
    published(shop)
    shop.define(online={"features": ["amount"]})
    assert shop.found() == shop.expected()
    reader = shop.store
    rows = [{"customer_id": 1}]
    assert reader.get_online_features(f"{VIEW}:order_no", rows).to_dict()["order_no"] == ["a"]
    assert shop.sync()["how"] == "anew"
    with pytest.raises(UsageError, match=r"order_no is no feature of customer_orders.*amount"):
        reader.get_online_features(f"{VIEW}:order_no", rows)
    assert reader.get_online_features(VIEW, rows).to_dict() == {"customer_id": [1], "amount": [5.0]}
    assert shop.store.verify_online(VIEW).is_equal


def test_a_rollback_goes_back_at_once_and_holds_the_view(shop: Shop) -> None:
    published(shop)
    before = shop.found()
    shop.write("second", [(1, 50, "d", 2.5), (4, 51, "e", 4.0)])
    shop.build()
    shop.sync()
    after = shop.found()
    back = shop.store.rollback_online(VIEW)
    assert back["held_since"] is not None
    assert shop.found() == before
    assert shop.sync() == {}  # without its name it stays as it is
    assert shop.found() == before
    with pytest.raises(OnlineStoreError, match="no snapshot to go back to"):
        shop.store.rollback_online(VIEW)
    assert shop.sync(VIEW)["changed"] == 2
    assert shop.found() == after
    assert shop.store.online_status()[0]["held_since"] is None


def test_a_full_sync_heals_what_something_else_did(shop: Shop) -> None:
    published(shop)
    store = raw_store(shop)
    store.run(
        [
            ("DEL", "tiny:customer:1"),
            ("HSET", "tiny:customer:77", "1", store.run([("HGET", "tiny:customer:2", "1")])[0]),
        ]
    )
    found = shop.store.verify_online(VIEW)
    assert (found.missing, found.extra, found.is_equal) == (1, 1, False)
    assert "customer:1" in found.examples[0]
    result = shop.sync(full=True)
    assert (result["how"], result["rows"]) == ("anew", 3)
    assert shop.found() == shop.expected()
    assert shop.store.verify_online(VIEW).is_equal
    store.close()


def test_without_the_version_that_is_live_all_is_written_anew(shop: Shop) -> None:
    published(shop)
    shop.write("second", [(1, 50, "d", 2.5)])
    shop.store.build(full_refresh=True)
    folder = shop.root / "warehouse" / VIEW
    needed = {Path(file.path) for file in shop.store._table(VIEW).data_files(1, "ordered_at") or []}
    old = set(folder.rglob("*.parquet")) - needed
    assert old
    for path in old:
        path.unlink()
    assert shop.sync()["how"] == "anew"
    assert shop.found() == shop.expected()


def test_many_changes_are_compared_in_tasks(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    published(shop)
    shop.write("second", [(1, 50, "d", 2.5), (4, 51, "e", 4.0)])
    shop.write("first", FIRST[1:])
    shop.build()
    monkeypatch.setattr("feature_mart.sync.job.MOST_ROWS", 0)
    result = shop.sync()
    assert (result["how"], result["changed"], result["came"], result["rows"]) == ("all", 2, 1, 4)
    assert shop.found() == shop.expected()
    assert shop.store.verify_online(VIEW).is_equal


def test_a_view_that_goes_online_no_more_is_removed(shop: Shop, spark: SparkSession) -> None:
    published(shop)
    shop.define(online=False)
    with pytest.raises(UsageError, match="no view goes online"):
        shop.sync()
    with pytest.raises(UsageError, match="does not go online"):
        shop.sync(VIEW)


def test_a_sync_beside_another_leaves_it_the_work(shop: Shop) -> None:
    published(shop)
    shop.write("second", [(1, 50, "d", 2.5)])
    shop.build()
    store = raw_store(shop)
    view = OnlineView(VIEW, "customer", {"customer_id": "bigint"})
    other = Publication.begin(store, view, since="2011-01-10T00:00:00Z", is_scanned=False)
    with other.beating():
        assert shop.sync()["how"] == "busy"
    other.abandon()
    assert shop.sync()["how"] == "changes"
    assert shop.found() == shop.expected()
    store.close()


def test_what_is_not_there_is_told(shop: Shop) -> None:
    with pytest.raises(UsageError, match="nothing is online: the embedded store does not run"):
        shop.found()
    published(shop)
    with pytest.raises(UsageError, match=r"there is no view 'customer_order'.*customer_orders"):
        shop.sync("customer_order")
    with pytest.raises(UsageError, match="lacks the key customer_id"):
        shop.store.get_online_features(VIEW, [{"customer": 1}])
    with pytest.raises(UsageError, match="the key customer_id is bigint, and 'x' is none"):
        shop.store.get_online_features(VIEW, [{"customer_id": "x"}])


def test_a_view_that_was_never_built_is_told(tmp_path: Path, spark: SparkSession) -> None:
    with opened_shop(tmp_path, spark) as unbuilt, pytest.raises(TableError, match="has not been built"):
        unbuilt.sync(VIEW)


def test_status_says_how_far_behind_a_view_is(shop: Shop) -> None:
    assert shop.store.online_status() == [{"view": VIEW, "version": None, "keys": 0, "syncing": None}]
    published(shop)
    shop.write("second", [(1, 50, "d", 2.5)])
    shop.build()
    shop.clock.advance(timedelta(hours=2))
    (said,) = shop.store.online_status()
    assert (said["version"], said["newest_version"], said["versions_behind"]) == (0, 1, 1)
    assert (said["keys"], said["age_seconds"], said["is_stale"]) == (3, 7200, False)
    assert said["bytes"] > 0
    assert said["definition_hash"] == shop.store.history(VIEW)[0]["definition_hash"]


def test_values_of_a_view_older_than_its_freshness_are_stale(shop: Shop) -> None:
    shop.define(freshness="26h")
    published(shop)
    rows = [{"customer_id": 1}, {"customer_id": 99}]

    def statuses() -> list[str]:
        found = shop.store.get_online_features(f"{VIEW}:amount", rows).to_dict(include_statuses=True)
        return list(found["amount__status"])

    shop.clock.advance(timedelta(hours=26))
    assert statuses() == ["present", "not_found"]
    shop.clock.advance(timedelta(microseconds=1))
    assert statuses() == ["stale", "not_found"]


def test_vacuum_keeps_what_is_online(shop: Shop) -> None:
    published(shop)
    shop.write("second", [(1, 50, "d", 2.5)])
    shop.build()
    shop.clock.advance(timedelta(days=1000))
    shop.build()
    kept = next(entry for entry in shop.store.vacuum(VIEW, dry_run=True) if entry["table"] == VIEW)
    assert "the online store" in str(kept["pinned"])
