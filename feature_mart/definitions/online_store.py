"""The address of the online store, which may hold a password and so never shows itself whole."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from feature_mart.definitions.problems import Invalid
from feature_mart.definitions.secrets import masked_url

ALLOWED = "embedded, redis://host:port, rediss://host:port, or a list of the nodes of a cluster"
_URL = re.compile(r"(?P<scheme>rediss?|unix)://(?:(?P<secret>.*)@)?(?P<rest>[^@\s]+)")


@dataclass(frozen=True)
class StoreUrl:
    """The URL of one Redis node. ``str`` and ``repr`` mask user and password; `reveal` gives the whole."""

    _url: str = field(repr=False)

    def reveal(self) -> str:
        """The URL as a client needs it."""
        return self._url

    def __str__(self) -> str:
        return masked_url(self._url)

    def __repr__(self) -> str:
        return f"StoreUrl({masked_url(self._url)!r})"


@dataclass(frozen=True)
class OnlineStore:
    """Which online store: the embedded one, or Redis at one or several nodes."""

    kind: Literal["embedded", "redis"]
    nodes: tuple[StoreUrl, ...] = ()

    @classmethod
    def embedded(cls) -> OnlineStore:
        """The store that needs no server."""
        return cls("embedded")

    def __str__(self) -> str:
        return ", ".join(map(str, self.nodes)) or self.kind


def parse_online_store(value: object) -> OnlineStore:
    """The store that a text, or a list of texts, names.

    Raises:
        Invalid: it is none of those. The message does not repeat the value.
    """
    if value == "embedded":
        return OnlineStore.embedded()
    given: list[object] = value if isinstance(value, list) else [value]
    texts = [text for text in given if isinstance(text, str) and _URL.fullmatch(text)]
    if not texts or len(texts) != len(given):
        raise Invalid(
            "is no online store", allowed=ALLOWED, fix="write a URL that begins with redis:// or rediss://, or embedded"
        )
    return OnlineStore("redis", tuple(StoreUrl(text) for text in texts))
