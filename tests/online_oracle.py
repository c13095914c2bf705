"""What lookups must give of a view, worked out from its table by brute force, and from a point-in-time join."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import pyarrow as pa

from feature_mart import FeatureStore
from feature_mart.definitions import FeatureView
from tests.point_in_time_oracle import View, as_of

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
MICROSECOND = timedelta(microseconds=1)


def assert_online_is_offline(store: FeatureStore, name: str, most: int) -> None:
    """Looks up to ``most`` keys of a view up, and compares values and types.

    Args:
        store: its clock stands at the moment of the last sync.
    """
    view = store.project.views[name]
    live = next(entry for entry in store.online_status() if entry["view"] == name)
    moment = datetime.fromisoformat(live["as_of"].replace("Z", "+00:00"))
    table = store.table(name, version=live["version"]).toArrow()
    keys, expected = latest_rows(table, view, moment)
    assert len([row for row in expected if row is not None]) == live["keys"] > 0, name
    step = max(1, len(keys) // most)
    keys, expected = keys[::step], expected[::step]
    found = store.get_online_features(name, keys).to_arrow(include_event_timestamps=True)
    features = [column for column in found.column_names if column not in view.keys and not column.endswith("__ts")]
    assert features, name
    assert found.select(features).schema == table.select(features).schema.remove_metadata(), name
    for feature in features:
        should = [None if row is None else row[feature] for row in expected]
        assert differing(keys, found[feature].to_pylist(), should) == [], f"{name}:{feature}"
    if view.event_timestamp is not None:
        should = [None if row is None else row[view.event_timestamp] for row in expected]
        seen = found[f"{features[0]}__ts"].to_pylist()
        kept = [number for number, row in enumerate(expected) if row is not None]
        assert [seen[number] for number in kept] == [should[number] for number in kept], name
    assert_joined(store, view, moment, keys, found.select(features))


def assert_joined(
    store: FeatureStore, view: FeatureView, moment: datetime, keys: Sequence[dict[str, Any]], found: pa.Table
) -> None:
    """Compares with a join whose spine is so late that just the rows of the snapshot are available.

    What is too old is so as of the spine's time there, and as of the sync here, so views with both rules are left to
    the rows by brute force.
    """
    delay = view.available_after if isinstance(view.available_after, timedelta) else timedelta(0)
    if view.ttl is not None and delay:
        return
    times = pa.array([moment + delay] * len(keys), pa.timestamp("us", tz="UTC"))
    spine = pa.Table.from_pylist(list(keys)).append_column("event_timestamp", times)
    wanted = [f"{view.name}:{feature}" for feature in found.column_names]
    joined = store.get_historical_features(spine, wanted).to_arrow()
    assert joined.select(found.column_names).schema.remove_metadata() == found.schema.remove_metadata(), view.name
    by_key = {repr([row[key] for key in view.keys]): row for row in joined.to_pylist()}
    ordered = [by_key[repr([row[key] for key in view.keys])] for row in keys]
    for feature in found.column_names:
        should = [row[feature] for row in ordered]
        assert differing(keys, found[feature].to_pylist(), should) == [], f"{view.name}:{feature}"


def differing(keys: Sequence[Any], found: Sequence[Any], should: Sequence[Any]) -> list[tuple[Any, Any, Any]]:
    """Keys whose values are not the same; NaN is the same as NaN, and a decimal has its scale."""
    return [entry for entry in zip(keys, found, should, strict=True) if repr(entry[1]) != repr(entry[2])]


def latest_rows(
    table: pa.Table, view: FeatureView, moment: datetime
) -> tuple[list[dict[str, Any]], list[dict[str, Any] | None]]:
    """All keys of a table in an order, and the row of each that counts at a moment, None where it is too old."""
    event, created = view.event_timestamp, view.created_timestamp
    ttl = None if view.ttl is None else view.ttl // MICROSECOND
    rules = View(tuple(view.keys), event, created, 0, ttl)
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    rows = table.to_pylist()
    for row in rows:
        if all(row[key] is not None for key in view.keys):
            groups[repr([row[key] for key in view.keys])].append(row)
    keys: list[dict[str, Any]] = []
    found: list[dict[str, Any] | None] = []
    for _, group in sorted(groups.items()):
        numbered = [{**row, **{name: micros(row[name]) for name in (event, created) if name}} for row in group]
        own = [group[0][key] for key in view.keys]
        best = as_of(own, micros(moment), numbered, rules).row
        keys.append(dict(zip(view.keys, own, strict=True)))
        found.append(None if best is None else group[next(at for at, row in enumerate(numbered) if row is best)])
    return keys, found


def micros(moment: datetime | None) -> int | None:
    """Microseconds since 1970."""
    return None if moment is None else (moment - EPOCH) // MICROSECOND
