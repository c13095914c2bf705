"""Real Redis servers for tests: started here, and stopped by their own processes."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from feature_mart.online.address import StoreAddress
from feature_mart.online.embedded import executable

SYSTEM_SERVER = Path("/usr/bin/redis-server")
PASSWORD = "a-long-pass:word"
_PATIENCE = 20.0


def embedded_executable() -> Path:
    """The server that `mart` starts for itself (6.2)."""
    return executable()


def system_executable() -> Path:
    """The distribution's server (7 or newer)."""
    if not SYSTEM_SERVER.exists():
        reason = f"there is no {SYSTEM_SERVER}: install it (apt-get install redis-server)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)  # what must hold must not be skipped unseen
        pytest.skip(reason)
    return SYSTEM_SERVER


def until(is_done: Callable[[], bool], what: str) -> None:
    """Waits for something that takes a moment."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        if is_done():
            return
        time.sleep(0.02)
    pytest.fail(f"not within {_PATIENCE:.0f} s: {what}")


def free_port() -> int:
    """A port of this machine on which nobody listens, nor on the one that a cluster's node has beside it."""
    while True:
        with socket.socket() as taken, socket.socket() as beside:
            taken.bind(("127.0.0.1", 0))
            port: int = taken.getsockname()[1]
            try:
                beside.bind(("127.0.0.1", port + 10_000))
            except (OSError, OverflowError):
                continue
            return port


class RedisServer:
    """One server with a folder of its own, on a loopback port or (without one) a unix socket.

    It keeps nothing on disk, unless ``options`` say so.
    """

    def __init__(self, executable: Path, *options: str, port: int | None = None, password: str | None = None) -> None:
        self.executable, self._options, self._password = executable, options, password
        self.port = port
        self.folder = Path(tempfile.mkdtemp(prefix="mart-redis-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        if self.port is None:
            return f"unix://{self.folder}/redis.sock"
        return (
            f"redis://:{self._password}@127.0.0.1:{self.port}" if self._password else f"redis://127.0.0.1:{self.port}"
        )

    def address(self, mart: str) -> StoreAddress:
        return StoreAddress(mart, (self.url,), "the test's server")

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, socket_timeout=5)

    def start(self) -> None:
        where = ["--port", str(self.port or 0), "--bind", "127.0.0.1"]
        where += [] if self.port else ["--unixsocket", str(self.folder / "redis.sock")]
        secret = ["--requirepass", self._password, "--masterauth", self._password] if self._password else []
        self._process = subprocess.Popen(
            [str(self.executable), *where, *secret, "--dir", str(self.folder), "--save", "", *self._options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(self._answers, f"{self.executable} starts")

    def _answers(self) -> bool:
        assert self._process is not None and self._process.poll() is None, "the server ended"
        with self.client() as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """Ends it at once, as a crash does. `start` starts it again."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def restart(self) -> None:
        """As after a crash: with what it has on disk."""
        self.kill()
        self.start()

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self.folder)


class RedisCluster:
    """Three masters, each with a replica if asked for."""

    def __init__(self, executable: Path, *, has_replicas: bool = False) -> None:
        options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--repl-diskless-sync-delay", "0"]
        options += ["--cluster-replica-validity-factor", "0"]
        count = 6 if has_replicas else 3
        self.nodes = [RedisServer(executable, *options, port=free_port()) for _ in range(count)]
        self.masters, self.replicas = self.nodes[:3], self.nodes[3:]
        first = self.nodes[0]
        for number, node in enumerate(self.nodes):
            ask(node, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            ask(first, "CLUSTER", "MEET", "127.0.0.1", node.port)
        for number, node in enumerate(self.masters):
            slots = range(16384 * number // 3, 16384 * (number + 1) // 3)
            ask(node, "CLUSTER", "ADDSLOTS", *slots)
        until(lambda: all(self._is_ok(node) for node in self.nodes), "the cluster's nodes know each other")
        for replica, master in zip(self.replicas, self.masters, strict=bool(self.replicas)):
            ask(replica, "CLUSTER", "REPLICATE", ask(master, "CLUSTER", "MYID"))
        until(lambda: all(_is_linked(replica) for replica in self.replicas), "the replicas follow their masters")

    def _is_ok(self, node: RedisServer) -> bool:
        said = ask(node, "CLUSTER", "INFO")
        return "cluster_state:ok" in said and f"cluster_known_nodes:{len(self.nodes)}" in said

    def address(self, mart: str) -> StoreAddress:
        return StoreAddress(mart, tuple(node.url for node in self.masters), "the test's cluster")

    def remove(self) -> None:
        for node in self.nodes:
            node.remove()


def ask(node: RedisServer, *command: object) -> str:
    """The reply of one node to a command."""
    with node.client() as client:
        found = client.execute_command(*command)
    return found.decode() if isinstance(found, bytes) else str(found)


def _is_linked(replica: RedisServer) -> bool:
    with replica.client() as client:
        return bool(client.info("replication").get("master_link_status") == "up")
