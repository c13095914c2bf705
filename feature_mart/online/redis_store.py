"""The commands that are sent to Redis: one server or a cluster, in as few round trips as can be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from importlib.resources import files
from typing import Any

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.connection import parse_url
from redis.exceptions import AskError, NoScriptError
from redis.retry import Retry

from feature_mart.online.address import CLUSTER_LANES, StoreAddress
from feature_mart.online.errors import PASSING, store_errors

Command = tuple[Any, ...]
# A script's name, its keys, its other arguments.
ScriptCall = tuple[str, Sequence[Any], Sequence[Any]]

# Seconds. A node that answers later than that is as good as gone.
_CONNECT, _ANSWER = 5.0, 15.0
_RETRIES, _BASE, _CAP = 5, 0.02, 1.0
_SCRIPTS = ("write", "trim", "forget", "drop")
_PLAIN_SCRIPTS = ("fence", "mark", "swap")
_KEYS_TOGETHER = 2048


class RedisStore:
    """One mart's part of a Redis server, or of a Redis cluster.

    Args:
        address: where it is.
        retries: how often a command is tried again while a node cannot be reached; waits grow up to a second.

    Raises:
        OnlineStoreUnavailable: from any method, when the store cannot be reached.
        OnlineStoreError: from any method, when Redis refuses a command.
    """

    def __init__(self, address: StoreAddress, retries: int = _RETRIES) -> None:
        self.address = address
        self._retry = Retry(ExponentialWithJitterBackoff(base=_BASE, cap=_CAP), retries, PASSING)
        with store_errors(address):
            self._client: redis.Redis | RedisCluster = self._connected()
        self.is_cluster = isinstance(self._client, RedisCluster)
        self.lanes = CLUSTER_LANES if self.is_cluster else 1

    def _connected(self) -> redis.Redis | RedisCluster:
        options: dict[str, Any] = {"socket_connect_timeout": _CONNECT, "socket_timeout": _ANSWER}
        if len(self.address.urls) == 1:
            single = redis.Redis.from_url(self.address.urls[0], retry=self._retry, **options)
            if not single.info("cluster").get("cluster_enabled"):
                return single
            single.close()
        parsed = [parse_url(url) for url in self.address.urls]
        nodes = [ClusterNode(found["host"], found.get("port", 6379)) for found in parsed]
        shared = {name: value for name, value in parsed[0].items() if name not in ("host", "port", "db")}
        if shared.pop("connection_class", None) is not None:
            shared["ssl"] = True
        return RedisCluster(startup_nodes=nodes, retry=self._retry, **shared, **options)

    def close(self) -> None:
        """Ends the connections."""
        self._client.close()

    # Names of keys

    @property
    def records(self) -> str:
        """The hash that holds what is said of each view."""
        return f"{self.address.mart}:~views"

    def fence(self, lane: int) -> str:
        """The hash that shuts out writers who were overtaken, in a lane."""
        return f"{self._prefix(lane)}~fence"

    def journal(self, lane: int, field: str, epoch: int) -> str:
        """The list of keys that an epoch of a view has written, in a lane."""
        return f"{self._prefix(lane)}~written:{field}:{epoch}"

    def key(self, lane: int, entity: str, text: str) -> str:
        """The hash that holds an entity's values, a field for each view."""
        return f"{self._prefix(lane)}{entity}:{text}"

    def journals(self, field: str) -> str:
        """What all journals of a field match."""
        return f"{self.address.mart}:{'{*}:' if self.is_cluster else ''}~written:{field}:*"

    def pattern(self, entity: str) -> str:
        """What all keys of an entity match."""
        return f"{self.address.mart}:{'{*}:' if self.is_cluster else ''}{entity}:*"

    def lane_of_key(self, key: bytes) -> int:
        """The lane of a key in the store."""
        return int(key[key.index(b"{") + 1 : key.index(b"}")]) if self.is_cluster else 0

    def _prefix(self, lane: int) -> str:
        return f"{self.address.mart}:{{{lane}}}:" if self.is_cluster else f"{self.address.mart}:"

    # Commands

    def run(self, commands: Sequence[Command]) -> list[Any]:
        """The replies to commands, sent together; in a cluster to all nodes at once.

        On one server they run in their order, others' commands between them.
        """
        with store_errors(self.address):
            return self._sent(commands)

    def _sent(self, commands: Sequence[Command]) -> list[Any]:
        return self._retry.call_with_retry(lambda: self._sent_once(commands), lambda error: None)

    def _sent_once(self, commands: Sequence[Command]) -> list[Any]:
        client = self._client
        return _on_nodes(client, commands) if isinstance(client, RedisCluster) else _at_once(client, commands)

    def scripts(self, calls: Sequence[ScriptCall]) -> list[Any]:
        """The replies of scripts, each with its keys (of one lane) and its other arguments."""
        with store_errors(self.address):
            return self._loaded(lambda: self._sent(self._commands(calls)))

    def _loaded(self, run: Callable[[], list[Any]]) -> list[Any]:
        """Runs scripts, on a server that may have been restarted since it was given them."""
        try:
            return run()
        except NoScriptError:
            self.__dict__.pop("_digests", None)
            return run()

    def _commands(self, calls: Sequence[ScriptCall]) -> list[Command]:
        return [("EVALSHA", self._digests[name], len(keys), *keys, *given) for name, keys, given in calls]

    def confirmed(self, calls: Sequence[ScriptCall], timeout_ms: int) -> bool:
        """Runs scripts, and says whether all replicas that are connected have what was written up to then.

        Replication keeps the order of writes, so a replica that has these has those of other connections before them.
        """
        with store_errors(self.address):
            nodes: dict[str, tuple[redis.Redis, list[ScriptCall]]] = {}
            for call in calls:
                client = self._client
                if isinstance(client, RedisCluster):
                    node = client.get_node_from_key(call[1][0])
                    assert node is not None
                    client = client.get_redis_connection(node)
                nodes.setdefault(str(client.get_connection_kwargs()), (client, []))[1].append(call)
            found = [self._is_confirmed(client, own, timeout_ms) for client, own in nodes.values()]
            return all(found)

    def _is_confirmed(self, client: redis.Redis, calls: Sequence[ScriptCall], timeout_ms: int) -> bool:
        replicas = int(client.info("replication").get("connected_slaves", 0))
        wait: list[Command] = [("WAIT", replicas, timeout_ms)] if replicas else []

        def run() -> list[Any]:
            commands = [*self._commands(calls), *wait]
            return self._retry.call_with_retry(lambda: _at_once(client, commands), lambda error: None)

        found = self._loaded(run)
        return not replicas or int(found[-1]) >= replicas

    @cached_property
    def _digests(self) -> dict[str, str]:
        folder = files("feature_mart.online") / "scripts"
        shared = (folder / "cells.lua").read_text()
        texts = {name: (folder / f"{name}.lua").read_text() for name in (*_SCRIPTS, *_PLAIN_SCRIPTS)}
        with store_errors(self.address):
            return {
                name: self._client.script_load(shared + text if name in _SCRIPTS else text)
                for name, text in texts.items()
            }

    def record(self, field: str) -> bytes | None:
        """A field of the hash of records."""
        found: bytes | None = self.run([("HGET", self.records, field)])[0]
        return found

    def all_records(self) -> dict[str, bytes]:
        """All fields of the hash of records."""
        found = self.run([("HGETALL", self.records)])[0]
        pairs = found.items() if isinstance(found, Mapping) else zip(found[::2], found[1::2], strict=True)
        return {name.decode(): value for name, value in pairs}

    def swap(self, field: str, expected: bytes | None, changes: Mapping[str, bytes | None]) -> bool:
        """Changes records in one step if a field is what it was; None stands for a field that is not there.

        The last of the changes must be one that nobody else would make: it tells whether they were made.
        """
        pairs = [part for name, value in changes.items() for part in (name, value or b"")]
        done = self.scripts([("swap", [self.records], [field, expected or b"", *pairs])])[0] == 1
        # The reply to the first try may have been lost on the way.
        last, value = list(changes.items())[-1]
        return done or self.record(last) == value

    def now_ms(self) -> int:
        """The store's own time, in milliseconds since 1970."""
        with store_errors(self.address):
            if isinstance(self._client, RedisCluster):
                seconds, micros = self._client.time(target_nodes=self._client.get_default_node())
            else:
                seconds, micros = self._client.time()
        return int(seconds) * 1000 + int(micros) // 1000

    def keys_like(self, pattern: str) -> Iterator[list[bytes]]:
        """All keys that match, in groups; some may come twice."""
        group: list[bytes] = []
        with store_errors(self.address):
            for key in self._client.scan_iter(match=pattern, count=2000):
                group.append(key)
                if len(group) == _KEYS_TOGETHER:
                    yield group
                    group = []
        if group:
            yield group

    def info(self, section: str) -> list[Mapping[str, Any]]:
        """What each master says of itself."""
        with store_errors(self.address):
            if isinstance(self._client, RedisCluster):
                found = self._client.info(section, target_nodes=RedisCluster.PRIMARIES)
                several = all(isinstance(value, dict) for value in found.values())
                return list(found.values()) if several else [found]
            return [self._client.info(section)]

    def masters(self) -> frozenset[str]:
        """The processes that hold the store: others after a restart or a failover, which can lose the last writes."""
        return frozenset(str(said["run_id"]) for said in self.info("server"))

    def settings(self, pattern: str) -> Mapping[str, str]:
        """The server's settings that match, of one node of a cluster."""
        with store_errors(self.address):
            if isinstance(self._client, RedisCluster):
                found = self._client.config_get(pattern, target_nodes=self._client.get_default_node())
            else:
                found = self._client.config_get(pattern)
            return {str(name): str(value) for name, value in found.items()}


def _on_nodes(client: RedisCluster, commands: Sequence[Command]) -> list[Any]:
    """Straight over connections, to all nodes before any answers.

    The client's own pipeline asks one node for the keys of each script, and gives up while a failover is under way.
    """
    by_node: dict[str, tuple[ClusterNode, list[int]]] = {}
    found: list[Any] = [None] * len(commands)
    open_ones: list[tuple[Any, Any, list[int]]] = []
    elsewhere: list[int] = []
    try:
        for number, command in enumerate(commands):
            node = client.get_node_from_key(command[3] if command[0] == "EVALSHA" else command[1])
            assert node is not None
            by_node.setdefault(node.name, (node, []))[1].append(number)
        for node, numbers in by_node.values():
            pool = client.get_redis_connection(node).connection_pool
            connection = pool.get_connection()
            open_ones.append((pool, connection, numbers))
            connection.send_packed_command(connection.pack_commands([commands[number] for number in numbers]))
        for _, connection, numbers in open_ones:
            for number in numbers:
                try:
                    found[number] = connection.read_response(disable_decoding=True)
                except AskError:  # its slot has moved, or is moving
                    elsewhere.append(number)
    except BaseException as error:
        for _, connection, _ in open_ones:
            connection.disconnect()
        if isinstance(error, PASSING):
            client.nodes_manager.initialize()
        raise
    finally:
        for pool, connection, _ in open_ones:
            pool.release(connection)
    for number in elsewhere:
        found[number] = client.execute_command(*commands[number])
    return found


def _at_once(client: redis.Redis, commands: Sequence[Command]) -> list[Any]:
    """Straight over a connection: the client's own pipeline takes twice as long for each command."""
    pool = client.connection_pool
    connection = pool.get_connection()
    try:
        connection.send_packed_command(connection.pack_commands(commands))
        return [connection.read_response(disable_decoding=True) for _ in commands]
    except BaseException:
        # Replies that nobody has read would be taken for those of the next commands.
        connection.disconnect()
        raise
    finally:
        pool.release(connection)
