"""Stores of all kinds, each started once; every test has a mart of its own in them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from feature_mart.online import publication
from feature_mart.online.redis_store import RedisStore
from tests.contract.online.redis_servers import (
    PASSWORD,
    RedisCluster,
    RedisServer,
    embedded_executable,
    free_port,
    system_executable,
)
from tests.contract.online.sample_view import SampleView

_MARTS = (f"shop{number}" for number in itertools.count())


@pytest.fixture(scope="session")
def embedded() -> Iterator[RedisServer]:
    """The server that the mart starts for itself, on a socket."""
    server = RedisServer(embedded_executable())
    yield server
    server.remove()


@pytest.fixture(scope="session")
def standalone() -> Iterator[RedisServer]:
    """The distribution's server, over TCP and with a password."""
    server = RedisServer(system_executable(), port=free_port(), password=PASSWORD)
    yield server
    server.remove()


@pytest.fixture(scope="session")
def cluster() -> Iterator[RedisCluster]:
    """Three masters."""
    found = RedisCluster(system_executable())
    yield found
    found.remove()


@pytest.fixture(params=["embedded", "standalone", "cluster"])
def store(request: pytest.FixtureRequest) -> Iterator[RedisStore]:
    """An empty mart in each kind of store."""
    found = RedisStore(request.getfixturevalue(request.param).address(next(_MARTS)))
    yield found
    found.close()


@pytest.fixture
def view(store: RedisStore) -> SampleView:
    return SampleView(store)


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A server of 6.2 that the test may break."""
    found = RedisServer(embedded_executable())
    yield found
    found.remove()


@pytest.fixture
def own_view(server: RedisServer) -> Iterator[SampleView]:
    """A view on a server that the test may break."""
    store = RedisStore(server.address(next(_MARTS)))
    yield SampleView(store)
    store.close()


@pytest.fixture
def writers_are_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has begun counts as killed at once: the next may begin without waiting."""
    monkeypatch.setattr(publication, "LEASE_MS", -1)
