"""How one view is joined, in plain data: all that is needed to join it again, whatever became of its definition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from feature_mart.records import MICROSECOND
from feature_mart.train.request import ViewRequest


@dataclass(frozen=True)
class JoinedView:
    """One view in a training set, under its name or an alias.

    ``keys``: join keys and their Spark types; ``join_keys``: the spine's column for each; ``features``: the columns
    that each becomes; ``defaults``: what a feature is where no value is found, or an expired one.
    """

    view: str
    alias: str | None
    keys: Mapping[str, str]
    join_keys: Mapping[str, str]
    event_timestamp: str | None
    created_timestamp: str | None
    available_after: timedelta | Literal["created_timestamp"]
    ttl: timedelta | None
    features: Mapping[str, Sequence[str]]
    defaults: Mapping[str, Any]

    @property
    def columns(self) -> tuple[str, ...]:
        """What the view gives to the result."""
        return tuple(column for columns in self.features.values() for column in columns)

    @classmethod
    def of(cls, request: ViewRequest) -> JoinedView:
        """As the definitions of today say."""
        view = request.view
        return cls(
            view=view.name,
            alias=request.alias,
            keys=dict(view.keys),
            join_keys=dict(request.join_keys),
            event_timestamp=view.event_timestamp,
            created_timestamp=view.created_timestamp,
            available_after=view.available_after or timedelta(0),
            ttl=view.ttl,
            features=dict(request.features),
            defaults=view.defaults(request.features),
        )

    def to_json(self) -> dict[str, Any]:
        """As it stands in a manifest; durations in microseconds."""
        waits = self.available_after
        return {
            **vars(self),
            "features": {name: list(columns) for name, columns in self.features.items()},
            "defaults": {name: _plain(value) for name, value in self.defaults.items()},
            "available_after": waits if isinstance(waits, str) else waits // MICROSECOND,
            "ttl": None if self.ttl is None else self.ttl // MICROSECOND,
        }

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> JoinedView:
        """What `to_json` gave."""
        waits, ttl = entry["available_after"], entry["ttl"]
        return cls(
            view=entry["view"],
            alias=entry["alias"],
            keys=entry["keys"],
            join_keys=entry["join_keys"],
            event_timestamp=entry["event_timestamp"],
            created_timestamp=entry["created_timestamp"],
            available_after="created_timestamp" if waits == "created_timestamp" else waits * MICROSECOND,
            ttl=None if ttl is None else ttl * MICROSECOND,
            features=entry["features"],
            defaults=entry["defaults"],
        )


def _plain(value: Any) -> Any:
    """What JSON has no word for, as dates, as text."""
    return value if isinstance(value, (bool, int, float, str, list, dict)) else str(value)
