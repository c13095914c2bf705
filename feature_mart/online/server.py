"""Whether a Redis server is set up as the online store needs it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from feature_mart.errors import OnlineStoreError
from feature_mart.online.redis_store import RedisStore

# Values of a view are longer than the 64 bytes up to which Redis packs small hashes, and a packed hash takes a third
# less room. Its settings were called ziplist up to Redis 6.2.
PACKED_VALUE, PACKED_ENTRIES = 1024, 128
OLDEST = (6, 2)


def described(store: RedisStore) -> str:
    """What the store is, in a few words."""
    versions = sorted({str(said.get("redis_version", "unknown")) for said in store.info("server")})
    masters = len(store.info("server"))
    kind = f"cluster of {masters} masters" if store.is_cluster else "one server"
    return f"{store.address.shown}: Redis {', '.join(versions)}, {kind}"


def problems(store: RedisStore) -> Iterator[str]:
    """What should be set otherwise, each with how."""
    for said in store.info("server"):
        version = str(said.get("redis_version", "0"))
        if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
            yield f"Redis {version} is too old: install {'.'.join(map(str, OLDEST))} or newer"
    try:
        settings = {**store.settings("maxmemory*"), **store.settings("hash-max-*")}
    except OnlineStoreError as error:
        yield f"its settings cannot be read ({error.message}); allow this user CONFIG|GET to have them checked"
        return
    policy = settings.get("maxmemory-policy", "noeviction")
    if policy != "noeviction":
        yield f"maxmemory-policy is {policy}, which throws values away: set it to noeviction"
    for what, least in (("value", PACKED_VALUE), ("entries", PACKED_ENTRIES)):
        name, number = _packed(settings, what)
        if number < least:
            yield f"{name} is {number}, so that hashes take half as much room again: set it to {least} or more"


def _packed(settings: Mapping[str, str], what: str) -> tuple[str, int]:
    for kind in ("listpack", "ziplist"):
        name = f"hash-max-{kind}-{what}"
        if name in settings:
            return name, int(settings[name])
    return f"hash-max-listpack-{what}", 0
