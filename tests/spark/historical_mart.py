"""A mart in which everything that a join may get wrong lies side by side, and brute force over its rows.

Its sources are Parquet files that are written here, so that the rows of each view are known without the engine.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from feature_mart.testing import write_files
from tests import point_in_time_oracle as oracle

UTC = timezone.utc
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
INSTANT = pa.timestamp("us", tz="UTC")
HOUR = 3_600_000_000
TTL = 1_500_000
WIDE = 1_000
WALK = 3_000
WALK_AFTER, WALK_TTL = 600_000_000, 2 * HOUR
CROWDED = 42  # the key that has most of the rows


def micros(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def at(*parts: int) -> int:
    """Microseconds since 1970 of a moment in UTC."""
    return micros(datetime(*parts, tzinfo=UTC))  # type: ignore[misc,arg-type]


# Around these moments everything happens: the ends of the calendar, both sides of 1970, the end of 32 bits, and the
# hours in which New York's clocks go forward and back.
ANCHORS = (
    at(1, 1, 1),
    at(1969, 12, 31, 23, 59, 59),
    at(2011, 3, 13, 7),
    at(2011, 11, 6, 5, 30),
    at(2011, 11, 6, 6, 30),
    at(2038, 1, 19, 3, 14, 7),
    at(9999, 12, 31, 20),
)
STEPS = (0, 1, 999_999, 1_000_000, 1_000_001, 2 * 1_000_000)

CUSTOMERS = [1, 11, 2**53, 2**53 + 1, -(2**63), 2**63 - 1, CROWDED]
SHOPS = [(1, "11"), (11, "1"), (1, "a"), (1, "a|b"), (11, ""), (1, "é"), (1, "e\u0301"), (-1, "\x00"), (0, "😀")]
PRICES = [
    (Decimal("1.000000000000000001"), date(1, 1, 1)),
    (Decimal("1"), date(1969, 12, 31)),
    (Decimal("0"), date(9999, 12, 31)),
    (Decimal("-99999999999999999999.000000000000000001"), date(2038, 1, 19)),
]
NUMBERS = [0.0, -0.0, math.nan, math.inf, -math.inf, 1.5, 5e-324]

NESTED = pa.struct([("name", pa.string()), ("sizes", pa.list_(pa.float64()))])
VALUES: dict[str, tuple[pa.DataType, list[Any]]] = {
    "whole": (pa.int64(), [None, 2**53 + 1, -(2**63), 7]),
    "small": (pa.int32(), [None, 1, -1]),
    "flag": (pa.bool_(), [None, True, False]),
    "real": (pa.float64(), [None, math.nan, -0.0, 0.0, 1.5]),
    "exact": (pa.decimal128(38, 18), [None, Decimal("1.000000000000000001"), Decimal(1)]),
    "text": (pa.string(), [None, "", "é", "e\u0301", "😀"]),
    "moment": (INSTANT, [None, datetime(1, 1, 1, tzinfo=UTC), datetime(2011, 1, 1, 1, 1, 1, 1, UTC)]),
    "day": (pa.date32(), [None, date(9999, 12, 31), date(1969, 12, 31)]),
    "tags": (pa.list_(pa.string()), [None, [], ["a", None], [""]]),
    "counts": (pa.map_(pa.string(), pa.int64()), [None, [], [("k", None)], [("k", 1), ("j", 2**53 + 1)]]),
    "nested": (NESTED, [None, {"name": None, "sizes": None}, {"name": "n", "sizes": [math.nan, None]}]),
}
KINDS: dict[str, pa.DataType] = {
    "customer_id": pa.int64(),
    "shop": pa.int32(),
    "code": pa.string(),
    "price": pa.decimal128(38, 18),
    "quoted_on": pa.date32(),
    "number": pa.float64(),
}
PAIR: dict[str, pa.DataType] = {"buyer": pa.int64(), "seller": pa.int64()}
ENTITIES = {
    "customer": {"customer_id": "bigint"},
    "shop": {"shop": "int", "code": "string"},
    "price": {"price": "decimal(38,18)", "quoted_on": "date"},
    "number": {"number": "double"},
    "pair": {"buyer": "bigint", "seller": "bigint"},
}


@dataclass(frozen=True)
class Made:
    """A view: its rows as plain values with times in microseconds, and how rows count."""

    view: oracle.View
    rows: Sequence[Mapping[str, Any]]
    features: Mapping[str, pa.DataType]
    rules: Mapping[str, Any]
    defaults: Mapping[str, Any]

    def found(self, row: Mapping[str, Any], join_keys: Mapping[str, str] | None = None) -> list[Any]:
        """The features of one spine row by brute force."""
        keys = [row[(join_keys or {}).get(key, key)] for key in self.view.keys]
        best = oracle.as_of(keys, row.get("event_timestamp"), self.rows, self.view).row
        return [self.defaults.get(name) if best is None else best[name] for name in self.features]


def _timed(keys: Sequence[str], pool: Sequence[Any], draw: random.Random, count: int) -> list[dict[str, Any]]:
    return [
        dict(zip(keys, draw.choice(pool), strict=True))
        | {
            "at": draw.choice(ANCHORS[:-1]) + draw.choice(STEPS),
            "seen": draw.choice([None, *(anchor + step for anchor in ANCHORS[:3] for step in STEPS)]),
        }
        | {name: draw.choice(values) for name, (_, values) in VALUES.items()}
        for _ in range(count)
    ]


def _last_day(row: dict[str, Any]) -> dict[str, Any]:
    """The same in year 9999."""
    return row | {"at": ANCHORS[-1] + row["at"] % 1_000_000}


def views() -> dict[str, Made]:
    """All views by name."""
    draw = random.Random(6)
    timed = {name: kind for name, (kind, _) in VALUES.items()}
    crowd = [(key,) for key in (*CUSTOMERS, *[CROWDED] * 60)]
    facts = _timed(["customer_id"], crowd, draw, 300)
    facts += [_last_day(row) for row in facts[:20]]
    own = {"entities": ["customer"], "event_timestamp": "at"}
    created = own | {"created_timestamp": "seen"}
    plain = oracle.View(["customer_id"], "at", None)
    full = oracle.View(["customer_id"], "at", "seen")
    defaults = {"small": 5, "text": "none", "exact": Decimal("0.5"), "day": date(1970, 1, 1)}
    shops = _timed(["shop", "code"], SHOPS, draw, 60)
    prices = _timed(["price", "quoted_on"], PRICES, draw, 60)
    numbers = _timed(["number"], [(number,) for number in NUMBERS], draw, 60)
    static = [{"customer_id": key, "country": f"land of {key}"} for key in CUSTOMERS[:-1]]
    few = [{"customer_id": key, "at": ANCHORS[2] + step, "part": key % 7} for key in (1, 11, CROWDED) for step in STEPS]
    wide = [row | {f"w{number:03}": row["part"] + number for number in range(WIDE)} for row in few]
    return {
        "recent": Made(replace(full, ttl=TTL), facts, timed, created | {"ttl": "1500ms"}, defaults),
        "corrected": Made(full, facts, timed, created, {}),
        "late": Made(replace(full, available_after=3 * HOUR), facts, timed, created | {"available_after": "3h"}, {}),
        "learned": Made(
            replace(full, available_after=None),
            facts,
            timed,
            created | {"available_after": "created_timestamp"},
            {},
        ),
        "shops": Made(oracle.View(["shop", "code"], "at", "seen"), shops, timed, created | {"entities": ["shop"]}, {}),
        "prices": Made(
            oracle.View(["price", "quoted_on"], "at", "seen"), prices, timed, created | {"entities": ["price"]}, {}
        ),
        "numbers": Made(oracle.View(["number"], "at", "seen"), numbers, timed, created | {"entities": ["number"]}, {}),
        "country": Made(
            oracle.View(["customer_id"], None, None),
            static,
            {"country": pa.string()},
            {"entities": ["customer"], "static": True},
            {},
        ),
        "pairs": Made(
            oracle.View(["buyer", "seller"], None, None),
            [{"buyer": key, "seller": key, "trades": key % 5} for key in CUSTOMERS],
            {"trades": pa.int64()},
            {"entities": ["pair"], "static": True},
            {},
        ),
        "walk": Made(
            replace(plain, available_after=WALK_AFTER, ttl=WALK_TTL),
            [
                {"customer_id": int(draw.random() ** 4 * 100), "at": ANCHORS[5] + 7_000_003 * step, "step": step}
                for step in range(WALK)
            ],
            {"step": pa.int64()},
            own | {"available_after": "10m", "ttl": "2h"},
            {},
        ),
        "nothing": Made(full, [], timed, created, {}),
        "wide": Made(plain, wide, {f"w{number:03}": pa.int64() for number in range(WIDE)}, own, {}),
    }


def table_of(rows: Sequence[Mapping[str, Any]], kinds: Mapping[str, pa.DataType]) -> pa.Table:
    """Rows in which times are microseconds."""
    columns = {}
    for name, kind in kinds.items():
        values = [row.get(name) for row in rows]
        is_micros = kind == INSTANT and any(isinstance(value, int) for value in values)
        columns[name] = pa.array(values, pa.int64()).view(INSTANT) if is_micros else pa.array(values, kind)
    return pa.table(columns)


def write_rows(root: Path, source: str, rows: pa.Table) -> None:
    """The one file of a source."""
    folder = root / "data" / source
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows, folder / "rows.parquet")


def write_mart(root: Path, made: Mapping[str, Made]) -> Path:
    """The mart that gives these views, each from a source of its own."""
    pipeline: list[dict[str, Any]] = []
    sources: dict[str, Any] = {}
    files: dict[str, str] = {}
    read: dict[int, str] = {}
    for name, one in made.items():
        keys = {key: (KINDS | PAIR)[key] for key in one.view.keys}
        times: dict[str, pa.DataType] = {
            time: INSTANT for time in (one.view.event, one.view.created) if time is not None
        }
        kinds: dict[str, pa.DataType] = keys | times | ({"part": pa.int64()} if name == "wide" else dict(one.features))
        source = read.setdefault(id(one.rows), f"{name}_rows")  # views of the same rows share their source
        if source not in sources:
            write_rows(root, source, table_of(one.rows, kinds))
            sources[source] = {
                "description": "Rows.",
                "owner": "a@example.com",
                "format": "parquet",
                "path": f"data/{source}/*.parquet",
                "schema": {column: _spark(kind) for column, kind in kinds.items()},
                **({"event_timestamp": "at"} if times else {}),
            }
        logic = {"input": source}
        if name == "wide":
            logic = {"definition": "features/wide.sql"}
            numbers = ", ".join(f"part + {number} as {feature}" for number, feature in enumerate(one.features))
            files["features/wide.sql"] = f"select customer_id, at, {numbers} from wide_rows\n"
        pipeline.append({"name": name, **logic, **one.rules})
        documented: dict[str, dict[str, Any]] = {
            feature: {"description": "A value."} for feature in (["w*"] if name == "wide" else one.features)
        }
        for feature, default in one.defaults.items():
            documented[feature]["default"] = float(default) if isinstance(default, Decimal) else _text(default)
        files[f"metadata/feature_views/{name}.yml"] = yaml.safe_dump(
            {
                "feature_view": name,
                "description": "Values.",
                "owner": "a@example.com",
                "features": documented,
            }
        )
    files |= {
        "conf/base.yml": "mart: joins\nwarehouse: warehouse\nonline_store: embedded\n",
        "metadata/entities.yml": yaml.safe_dump(
            {"entities": {name: {"description": "It.", "keys": keys} for name, keys in ENTITIES.items()}},
            sort_keys=False,
        ),
        "metadata/sources.yml": yaml.safe_dump({"sources": sources}, sort_keys=False),
        "metadata/feature_services.yml": yaml.safe_dump(
            {
                "feature_services": {
                    "service": {
                        "description": "A model.",
                        "owner": "a@example.com",
                        "features": ["country", "late:whole", "shops:text"],
                    }
                }
            }
        ),
        "pipelines/all.yml": yaml.safe_dump(
            {
                "pipeline": "all",
                "description": "All of it.",
                "owner": "a@example.com",
                "schedule": "0 3 * * *",
                "feature_views": pipeline,
            },
            sort_keys=False,
        ),
    }
    return write_files(root, files)


def _text(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


def _spark(kind: pa.DataType) -> str:
    from pyspark.sql.pandas.types import from_arrow_type

    return from_arrow_type(kind).simpleString()
