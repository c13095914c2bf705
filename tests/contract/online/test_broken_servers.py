"""Servers that are gone, full, read-only, empty again, paused, or another than they were."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest
from redis.crc import key_slot

from feature_mart.errors import OnlineStoreError, OnlineStoreUnavailable, SyncSuperseded, UsageError
from feature_mart.online import publication as publishing
from feature_mart.online.address import StoreAddress
from feature_mart.online.live import has_all_marks, live_control
from feature_mart.online.redis_store import RedisStore
from tests.contract.online.redis_servers import (
    PASSWORD,
    RedisCluster,
    RedisServer,
    ask,
    embedded_executable,
    free_port,
    system_executable,
    until,
)
from tests.contract.online.sample_view import SampleView, cells, entries

KEYS = range(300)
ONES = dict.fromkeys(KEYS, 1)


@pytest.fixture
def gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has begun counts as killed at once."""
    monkeypatch.setattr(publishing, "LEASE_MS", -1)


def full_sync(view: SampleView, version: int) -> None:
    view.publish(dict.fromkeys(KEYS, version), version, is_full=True)
    assert view.read(view.lookup(), KEYS) == dict.fromkeys(KEYS, version)


# Empty again


@pytest.mark.usefixtures("gone")
@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_sync_whose_store_is_emptied_publishes_nothing_and_the_next_writes_everything(
    own_view: SampleView, server: RedisServer, is_restarted: bool
) -> None:
    full_sync(own_view, 1)
    lookup = own_view.lookup()
    assert own_view.read(lookup, KEYS) == ONES
    publication = own_view.begin()
    own_view.write(publication, {1: 2})
    if is_restarted:
        server.restart()
    else:
        own_view.store.run([("FLUSHALL",)])
    with pytest.raises(SyncSuperseded):
        own_view.write(publication, {2: 2})
    with pytest.raises(SyncSuperseded):
        publication.commit(own_view.snapshot(publication, 2))
    with pytest.raises(UsageError, match="view spend is not online"):
        own_view.read(lookup, KEYS)
    full_sync(own_view, 3)
    assert own_view.read(lookup, KEYS) == dict.fromkeys(KEYS, 3)


@pytest.mark.usefixtures("gone")
def test_a_reader_does_not_take_a_half_written_store_for_the_one_that_was_emptied(own_view: SampleView) -> None:
    full_sync(own_view, 1)
    lookup = own_view.lookup()
    assert own_view.read(lookup, KEYS) == ONES
    own_view.store.run([("FLUSHALL",)])
    publication = own_view.begin(is_scanned=True)
    own_view.write(publication, {1: 2})
    with pytest.raises(UsageError, match="view spend is not online"):
        own_view.read(lookup, KEYS)
    assert publication.writer.epoch == 1


def test_a_store_that_forgot_its_scripts_is_given_them_again(own_view: SampleView) -> None:
    full_sync(own_view, 1)
    publication = own_view.begin()
    own_view.store.run([("SCRIPT", "FLUSH")])
    own_view.write(publication, {1: 2})
    own_view.store.run([("SCRIPT", "FLUSH")])
    publication.tidy(publication.commit(own_view.snapshot(publication, 2)))
    assert own_view.read(own_view.lookup(), KEYS) == {**ONES, 1: 2}


@pytest.mark.usefixtures("gone")
def test_a_server_that_comes_back_without_its_last_writes_is_not_trusted_with_them(
    own_view: SampleView, server: RedisServer
) -> None:
    """It keeps what it held at some moment of the sync, its fence too, and the sync goes on as if nothing had been."""
    full_sync(own_view, 1)
    publication = own_view.begin()
    own_view.write(publication, {1: 2})
    own_view.store.run([("SAVE",)])
    own_view.write(publication, {2: 2})
    server.restart()
    own_view.write(publication, {3: 2})
    with pytest.raises(OnlineStoreError, match="was restarted or replaced"):
        publication.commit(own_view.snapshot(publication, 2))
    assert own_view.read(own_view.lookup(), KEYS) == ONES
    own_view.publish({4: 3}, 3)
    assert own_view.read(own_view.lookup(), KEYS) == {**ONES, 4: 3}


@pytest.mark.usefixtures("gone")
def test_cleaning_that_a_server_lost_is_done_again(own_view: SampleView, server: RedisServer) -> None:
    full_sync(own_view, 1)
    own_view.write(own_view.begin(), {1: 2})  # killed
    own_view.store.run([("SAVE",)])
    publication = own_view.begin()  # removes what that one left
    records = own_view.store.all_records()
    fence = own_view.store.run([("HGETALL", own_view.store.fence(0))])[0]
    server.restart()
    # In a cluster the records are on another node, and the fence may have been copied before the node failed.
    for name, content in ((own_view.store.records, records), (own_view.store.fence(0), fence)):
        own_view.store.run([("HSET", name, *[part for pair in dict(content).items() for part in pair])])
    with pytest.raises(OnlineStoreError, match="was restarted or replaced"):
        publication.commit(own_view.snapshot(publication, 2))
    publication.abandon()
    own_view.publish({2: 3}, 3)
    assert own_view.read(own_view.lookup(), KEYS) == {**ONES, 2: 3}


# Full


@pytest.fixture(params=["embedded", "system"])
def small_view(request: pytest.FixtureRequest) -> Iterator[SampleView]:
    """A view on a server of its own, of either version."""
    server = RedisServer(embedded_executable() if request.param == "embedded" else system_executable())
    store = RedisStore(server.address("small"))
    yield SampleView(store)
    store.close()
    server.remove()


@pytest.mark.usefixtures("gone")
def test_a_store_without_memory_keeps_what_is_live_and_is_cleaned_by_the_next_sync(small_view: SampleView) -> None:
    store = small_view.store
    full_sync(small_view, 1)
    publication = small_view.begin()
    texts, _ = cells(ONES)
    writer = publication.writer_of_cells(writes_all=False)
    used = int(store.info("memory")[0]["used_memory"])
    store.run([("CONFIG", "SET", "maxmemory", used + 200_000)])
    with pytest.raises(OnlineStoreError, match=r"is out of memory: .* What is live stays as it is\. Give it more"):
        for _ in range(1000):
            writer.write(texts, [b"x" * 2000] * len(texts))
    assert max(entries(store).values()) == 2
    assert small_view.read(small_view.lookup(), KEYS) == ONES
    small_view.publish({}, 2)
    assert set(entries(store).values()) == {1}
    assert small_view.read(small_view.lookup(), KEYS) == ONES
    small_view.publish({1: 3}, 3)
    assert small_view.read(small_view.lookup(), KEYS) == {**ONES, 1: 3}


# Not to be written, or not to be reached


def test_a_replica_is_named_as_one(own_view: SampleView, server: RedisServer) -> None:
    full_sync(own_view, 1)
    port = free_port()
    master = RedisServer(embedded_executable(), port=port)
    replica = RedisServer(embedded_executable(), "--replicaof", "127.0.0.1", str(port))
    try:
        view = SampleView(RedisStore(replica.address("shop"), retries=1))
        with pytest.raises(OnlineStoreUnavailable, match=r"is read-only: .*name the master in online_store:"):
            view.begin()
    finally:
        replica.remove()
        master.remove()


def test_a_wrong_password_is_said_and_not_shown(standalone: RedisServer) -> None:
    wrong = "not-the-password"
    for url in (
        f"redis://:{wrong}@127.0.0.1:{standalone.port}",
        f"redis://user:{wrong}@127.0.0.1:{standalone.port}",
        f"redis://127.0.0.1:{standalone.port}",
    ):
        address = StoreAddress("shop", (url,), f"127.0.0.1:{standalone.port}")
        with pytest.raises(OnlineStoreError, match=r"does not let this user in: .* Check user and password") as caught:
            RedisStore(address)
        assert wrong not in f"{caught.value} {address!r} {caught.value.__context__}"


def test_no_error_shows_the_password(standalone: RedisServer) -> None:
    store = RedisStore(standalone.address("shop"))
    with pytest.raises(OnlineStoreError, match="refused a command") as caught:
        store.run([("SET", "one", "2", PASSWORD, standalone.url)])
    assert PASSWORD not in str(caught.value)
    unreachable = StoreAddress("shop", (f"redis://:{PASSWORD}@127.0.0.1:{free_port()}",), "the test's server")
    with pytest.raises(OnlineStoreUnavailable, match="cannot be reached") as unreached:
        RedisStore(unreachable, retries=1)
    assert PASSWORD not in str(unreached.value)
    store.close()


def test_a_server_that_is_gone_is_said_to_be(own_view: SampleView, server: RedisServer) -> None:
    full_sync(own_view, 1)
    store = RedisStore(own_view.store.address, retries=1)
    view = SampleView(store)
    lookup = view.lookup()
    assert view.read(lookup, KEYS) == ONES
    server.kill()
    with pytest.raises(OnlineStoreUnavailable, match=r"cannot be reached: .* Check that it runs"):
        view.read(lookup, KEYS)
    with pytest.raises(OnlineStoreUnavailable, match="cannot be reached"):
        view.begin()
    server.start()
    with pytest.raises(UsageError, match="view spend is not online"):
        view.read(lookup, KEYS)


def test_a_server_that_restarts_meanwhile_is_waited_for(own_view: SampleView, server: RedisServer) -> None:
    full_sync(own_view, 1)
    own_view.store.run([("SAVE",)])
    lookup = own_view.lookup()
    assert own_view.read(lookup, KEYS) == ONES
    server.kill()
    soon = threading.Timer(0.3, server.start)
    soon.start()
    assert own_view.read(lookup, KEYS) == ONES
    soon.join()


def test_a_server_that_pauses_is_waited_for(own_view: SampleView, server: RedisServer) -> None:
    full_sync(own_view, 1)
    lookup = own_view.lookup()
    assert own_view.read(lookup, KEYS) == ONES
    publication = own_view.begin()
    paused(server)
    assert own_view.write(publication, {1: 2}).changed == 1
    publication.tidy(publication.commit(own_view.snapshot(publication, 2)))
    paused(server)
    assert own_view.read(lookup, KEYS) == {**ONES, 1: 2}


def paused(server: RedisServer) -> None:
    server.signal(signal.SIGSTOP)
    threading.Timer(2, server.signal, [signal.SIGCONT]).start()


# A cluster that fails over


@pytest.fixture(scope="module")
def replicated() -> Iterator[RedisCluster]:
    found = RedisCluster(system_executable(), has_replicas=True)
    yield found
    found.remove()


def test_what_a_replica_lacks_does_not_go_live(replicated: RedisCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    store = RedisStore(replicated.address("waits"))
    view = SampleView(store)
    full_sync(view, 1)
    publication = view.begin()
    view.write(publication, dict.fromkeys(KEYS, 2))
    replicated.replicas[0].signal(signal.SIGSTOP)
    monkeypatch.setattr(publishing, "_REPLICAS_MS", 100)
    try:
        with pytest.raises(OnlineStoreError, match="not all replicas of the online store have what was written"):
            publication.commit(view.snapshot(publication, 2))
    finally:
        replicated.replicas[0].signal(signal.SIGCONT)
    publication.abandon()
    assert view.read(view.lookup(), KEYS) == ONES
    store.close()


def test_a_node_that_fails_over_and_loses_its_last_writes_is_found_out(replicated: RedisCluster) -> None:
    store = RedisStore(replicated.address("fails"))
    view = SampleView(store)
    full_sync(view, 1)
    lookup = view.lookup()
    assert view.read(lookup, KEYS) == ONES
    slot = key_slot(store.records.encode())
    number = next(at for at in range(3) if not 16384 * at // 3 <= slot < 16384 * (at + 1) // 3)
    master, replica = replicated.masters[number], replicated.replicas[number]
    replica.signal(signal.SIGSTOP)
    with master.client() as client:
        client.client_kill_filter(_type="replica")
    view.publish(dict.fromkeys(KEYS, 2), 2)
    assert view.read(lookup, KEYS) == dict.fromkeys(KEYS, 2)
    master.kill()
    replica.signal(signal.SIGCONT)
    until(lambda: is_master(replica), "the replica takes the place of its master")
    control = live_control(store, "spend")
    assert control is not None and control.live.version == 2
    assert not has_all_marks(store, control)
    for reader in (lookup, view.lookup()):
        with pytest.raises(OnlineStoreError, match=r"lost values that it had acknowledged .* `mart sync spend`"):
            view.read(reader, KEYS)
    full_sync(view, 3)
    assert view.read(lookup, KEYS) == dict.fromkeys(KEYS, 3)
    store.close()


def is_master(node: RedisServer) -> bool:
    with node.client() as client:
        role = client.info("replication")["role"]
    return bool(role == "master" and "cluster_state:ok" in ask(node, "CLUSTER", "INFO"))
