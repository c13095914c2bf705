"""Errors of Redis as what they mean here, without a password in them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import redis
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    ConnectionError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TimeoutError,
)

from feature_mart.definitions.secrets import masked_text
from feature_mart.errors import OnlineStoreError, OnlineStoreUnavailable, SyncSuperseded
from feature_mart.online.address import StoreAddress

# What may be over in a moment: a restart, a failover, a slow node.
PASSING = (ConnectionError, TimeoutError, BusyLoadingError, ReadOnlyError, ClusterDownError, RedisClusterException)
_DENIED = (AuthenticationError, AuthorizationError, NoPermissionError)
_LIVE = "What is live stays as it is."


@contextmanager
def store_errors(address: StoreAddress) -> Iterator[None]:
    """Gives errors of the client library another name and a text.

    Raises:
        OnlineStoreUnavailable: the store cannot be reached now; trying again may help.
        SyncSuperseded: another sync has begun since.
        OnlineStoreError: anything else that Redis refused.
    """
    try:
        yield
    except (RedisError, RedisClusterException) as error:
        raise _meant(error, address) from None


def _meant(error: Exception, address: StoreAddress) -> Exception:
    said = masked_text(str(error).splitlines()[0] if str(error) else type(error).__name__, address.urls)
    where = f"the online store ({address.shown})"
    if isinstance(error, ResponseError) and "FENCED" in said:
        return SyncSuperseded(f"{where}: another sync of this view has begun since, and takes its place. {_LIVE}")
    if isinstance(error, OutOfMemoryError) or "OOM command not allowed" in said:
        return OnlineStoreError(
            f"{where} is out of memory: {said} {_LIVE} Give it more (maxmemory), or put fewer features online; the "
            "next sync removes what this one left."
        )
    if isinstance(error, _DENIED):
        return OnlineStoreError(f"{where} does not let this user in: {said} Check user and password in online_store:.")
    if isinstance(error, ReadOnlyError):
        return OnlineStoreUnavailable(
            f"{where} is read-only: {said} {_LIVE} It is a replica, or in the midst of a failover: name the master in "
            "online_store:, or try again."
        )
    if isinstance(error, PASSING):
        start = (
            "`mart sync` starts it again." if address.is_embedded else "Check that it runs, and online_store: in conf/."
        )
        return OnlineStoreUnavailable(f"{where} cannot be reached: {said}. {start}")
    return OnlineStoreError(f"{where} refused a command: {said} {_LIVE}")


__all__ = ["PASSING", "redis", "store_errors"]
