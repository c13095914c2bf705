"""Where the online store is: what a process needs to connect to it, the processes of Spark's tasks among them."""

from __future__ import annotations

from dataclasses import dataclass, field

from feature_mart.definitions.online_store import OnlineStore

# Hash tags over which the keys of a mart are spread in a cluster: enough that its nodes get even shares.
CLUSTER_LANES = 256


@dataclass(frozen=True)
class StoreAddress:
    """The nodes of one store, and the mart whose keys are meant.

    ``urls`` may hold passwords, so they are in no ``repr``; ``shown`` is what people read.
    """

    mart: str
    urls: tuple[str, ...] = field(repr=False)
    shown: str
    is_embedded: bool = False


def address_of(mart: str, store: OnlineStore) -> StoreAddress:
    """The address of a store that is a server, or a cluster, of its own."""
    return StoreAddress(mart, tuple(node.reveal() for node in store.nodes), str(store))
