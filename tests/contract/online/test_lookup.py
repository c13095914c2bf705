"""What a lookup answers, over every kind of store: values in their types, statuses, and where they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from feature_mart.errors import UsageError
from feature_mart.online.keys import key_texts
from feature_mart.online.lookup import Lookup, Part
from feature_mart.online.payload import PayloadLayout
from feature_mart.online.publication import OnlineView, Publication
from feature_mart.online.records import schema_text
from feature_mart.online.redis_store import RedisStore
from feature_mart.online.response import OnlineResponse
from feature_mart.records import MICROSECOND
from tests.contract.online.sample_view import NOW, SampleView

DAY = timedelta(days=1)
UTC_MICROS = pa.timestamp("us", tz="UTC")
# A key of every type, and the columns that hold them.
KEYS: dict[str, tuple[str, pa.DataType, Any]] = {
    "k_string": ("string", pa.string(), "a:b%"),
    "k_bigint": ("bigint", pa.int64(), -(2**63)),
    "k_double": ("double", pa.float64(), -0.0),
    "k_decimal": ("decimal(9,2)", pa.decimal128(9, 2), Decimal("1.50")),
    "k_date": ("date", pa.date32(), date(1, 1, 1)),
    "k_boolean": ("boolean", pa.bool_(), False),
    "k_timestamp": ("timestamp", UTC_MICROS, datetime(9999, 12, 31, tzinfo=timezone.utc)),
}
FEATURES: dict[str, tuple[pa.DataType, Any]] = {
    "whole": (pa.int64(), 2**63 - 1),
    "small": (pa.int16(), -7),
    "money": (pa.decimal128(38, 18), Decimal("-99999999999999999999.999999999999999999")),
    "moment": (UTC_MICROS, datetime(1, 1, 1, tzinfo=timezone.utc)),
    "day": (pa.date32(), date(9999, 12, 31)),
    "text": (pa.string(), "Zürich"),
    "nothing": (pa.float64(), None),
    "several": (pa.list_(pa.int64()), [1, None, 2**62]),
    "pairs": (pa.map_(pa.string(), pa.decimal128(38, 18)), [("a", Decimal("0.000000000000000001")), ("b", None)]),
    "parts": (pa.struct([("a", pa.date32()), ("b", pa.list_(pa.string()))]), {"a": date(2026, 1, 1), "b": ["", None]}),
}


@dataclass
class TypedView:
    """A view with keys and rows as they come from Delta."""

    store: RedisStore
    name: str
    keys: Mapping[str, str]
    layout: PayloadLayout

    def publish(self, rows: pa.Table, **rules: Any) -> None:
        view = OnlineView(self.name, "thing", dict(self.keys))
        publication = Publication.begin(self.store, view, since=NOW.isoformat(), is_scanned=True)
        texts = key_texts(list(self.keys.values()), [rows[name].combine_chunks() for name in self.keys])
        publication.writer_of_cells(writes_all=True).write(texts, self.layout.encoded(rows))
        features = self.layout.features
        said = {
            "schema": schema_text(features),
            "event_timestamp": self.layout.event_timestamp,
            "columns": dict.fromkeys(features.names, "any"),
            **rules,
        }
        publication.tidy(publication.commit(SampleView(self.store).snapshot(publication, 12, **said)))

    def get(self, rows: Sequence[Mapping[str, Any]], now: datetime = NOW) -> OnlineResponse:
        names = {name: name for name in self.layout.features.names}
        part = Part(self.name, names, {key: key for key in self.keys})
        return Lookup(self.store, lambda: now).get(self.name, lambda live: [part], rows)


def typed(store: RedisStore) -> TypedView:
    features = pa.schema([(name, kind) for name, (kind, _) in FEATURES.items()])
    return TypedView(
        store, "things", {key: kind for key, (kind, _, _) in KEYS.items()}, PayloadLayout(features, None, None)
    )


def timed(store: RedisStore) -> TypedView:
    return TypedView(store, "totals", {"id": "bigint"}, PayloadLayout(pa.schema([("total", pa.int64())]), "at", None))


def totals(found: Mapping[int, tuple[int | None, timedelta]]) -> pa.Table:
    """By id a total and its age."""
    return pa.table(
        {
            "id": pa.array(list(found), pa.int64()),
            "total": pa.array([total for total, _ in found.values()], pa.int64()),
            "at": pa.array([NOW - age for _, age in found.values()], UTC_MICROS),
        }
    )


def test_values_of_all_types_are_found_by_keys_of_all_types(store: RedisStore) -> None:
    view = typed(store)
    columns = {key: pa.array([value], kind) for key, (_, kind, value) in KEYS.items()}
    columns |= {name: pa.array([value], kind) for name, (kind, value) in FEATURES.items()}
    view.publish(pa.table(columns))
    here = {key: value for key, (_, _, value) in KEYS.items()}
    same = {**here, "k_double": 0.0, "k_decimal": Decimal("1.5"), "k_string": "a:b%"}
    other = {**here, "k_string": "a%3Ab%"}
    without = {**here, "k_date": None}
    found = view.get([here, same, other, without])
    expected = {name: pa.array([value, value, None, None], kind) for name, (kind, value) in FEATURES.items()}
    assert found.to_arrow().select(list(FEATURES)) == pa.table(expected)
    statuses = found.to_dict(include_statuses=True)
    assert statuses["whole__status"] == ["present", "present", "not_found", "not_found"]
    assert statuses["nothing__status"] == ["null", "null", "not_found", "not_found"]


def test_values_expire_and_get_stale_when_they_are_read(store: RedisStore) -> None:
    view = timed(store)
    view.publish(
        totals({1: (10, DAY), 2: (20, 7 * DAY), 3: (30, 7 * DAY + MICROSECOND), 4: (None, DAY)}),
        ttl=7 * DAY // MICROSECOND,
        freshness=DAY // MICROSECOND,
        known_until=(NOW - DAY).isoformat(),
        defaults={"total": -1},
    )
    rows = [{"id": number} for number in (1, 2, 3, 4, 5)]
    found = view.get(rows).to_dict(include_event_timestamps=True, include_statuses=True)
    assert found["total"] == [10, 20, -1, None, -1]
    assert found["total__status"] == ["present", "present", "expired", "null", "not_found"]
    assert found["total__ts"] == [NOW - DAY, NOW - 7 * DAY, NOW - 7 * DAY - MICROSECOND, NOW - DAY, None]
    later = view.get(rows, NOW + MICROSECOND).to_dict(include_statuses=True)
    assert later["total__status"] == ["stale", "expired", "expired", "null", "not_found"]


def test_an_answer_says_where_each_value_comes_from(store: RedisStore) -> None:
    view = timed(store)
    view.publish(totals({1: (10, DAY)}))
    said = view.get([{"id": 1}]).provenance()["total"]
    assert (said["version"], said["definition_hash"], said["git_commit"], said["run_id"]) == (
        12,
        "abc",
        "def",
        "run-12",
    )
    assert said["as_of"] == "2026-03-01T12:00:00Z"


def test_a_key_that_is_missing_or_of_another_type_is_named(store: RedisStore) -> None:
    view = timed(store)
    view.publish(totals({1: (10, DAY)}))
    with pytest.raises(UsageError, match=r"entity row 1 lacks the key id\. Needed: id; found: name"):
        view.get([{"id": 1}, {"name": 1}])
    with pytest.raises(UsageError, match=r"the key id is bigint, and 1\.5 is none"):
        view.get([{"id": 1.5}])


def test_no_rows_get_no_answers(store: RedisStore) -> None:
    view = timed(store)
    view.publish(totals({1: (10, DAY)}))
    assert view.get([]).to_dict() == {"id": [], "total": []}


def test_a_reader_of_another_shape_gets_the_new_one_or_an_error(store: RedisStore) -> None:
    before = timed(store)
    before.publish(totals({1: (10, DAY)}))
    lookup = Lookup(store, lambda: NOW)

    def resolve(live: Any) -> list[Part]:
        if "total" not in live("totals"):
            raise UsageError("totals has no feature total")
        return [Part("totals", {"total": "total"}, {"id": "id"})]

    assert lookup.get("same", resolve, [{"id": 1}]).to_dict()["total"] == [10]
    features = pa.schema([("total", pa.float64())])
    rows = totals({1: (11, DAY)})
    TypedView(store, "totals", before.keys, PayloadLayout(features, "at", None, 1)).publish(
        rows.set_column(1, "total", rows["total"].cast(pa.float64())), layout=1
    )
    assert lookup.get("same", resolve, [{"id": 1}]).to_dict()["total"] == [11.0]
    features = pa.schema([("sum", pa.int64())])
    TypedView(store, "totals", before.keys, PayloadLayout(features, "at", None, 2)).publish(
        rows.rename_columns(["id", "sum", "at"]), layout=2
    )
    with pytest.raises(UsageError, match="no feature total"):
        lookup.get("same", resolve, [{"id": 1}])
