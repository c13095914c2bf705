"""A mart whose views have several versions, each of them known without the engine: rows come, change and go.

One view has the rows themselves, one has windows over them.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml
from pyspark.sql import SparkSession

from feature_mart import FeatureStore
from feature_mart.records import parse_instant
from feature_mart.testing import FixedClock, write_files
from tests import point_in_time_oracle as oracle
from tests.spark.historical_mart import (
    CROWDED,
    EPOCH,
    HOUR,
    INSTANT,
    Made,
    at,
    micros,
    table_of,
    write_mart,
    write_rows,
)
from tests.windows_oracle import Event, Feature, rows_at_changes

START = at(2011, 3, 13, 5)
HOURS = 10
KEYS = (1, 11, CROWDED)
OUTPUTS = {"whole_count_2h": pa.int64(), "whole_sum_2h": pa.int64()}
KINDS: dict[str, pa.DataType] = {"customer_id": pa.int64(), "at": INSTANT, "whole": pa.int64()}


def _rows(draw: random.Random, count: int) -> list[dict[str, Any]]:
    """Rows at the full hours and just beside them."""
    return [
        {
            "customer_id": draw.choice(KEYS),
            "at": START + draw.randrange(HOURS) * HOUR + draw.choice([-1, 0, 1, HOUR // 2]),
            "whole": draw.choice([None, 2**53 + 1, -7, 1]),
        }
        for _ in range(count)
    ]


def _facts(rows: Sequence[Mapping[str, Any]]) -> Made:
    rules = {"entities": ["customer"], "event_timestamp": "at", "ttl": "1h"}
    return Made(oracle.View(["customer_id"], "at", None, ttl=HOUR), rows, {"whole": pa.int64()}, rules, {})


def _moment(time: int) -> datetime:
    return EPOCH + timedelta(microseconds=time)


def _spend(rows: Sequence[Mapping[str, Any]]) -> Made:
    events = [Event(row["customer_id"], _moment(row["at"]), {"whole": row["whole"]}) for row in rows]
    features = [Feature("whole", name, timedelta(hours=2)) for name in ("count", "sum")]
    boundaries = [_moment(START + hour * HOUR) for hour in range(HOURS + 4)]
    found = [
        {"customer_id": key, "at": micros(boundary), **dict(zip(OUTPUTS, values, strict=True))}
        for (key, boundary), values in rows_at_changes(events, features, boundaries).items()
    ]
    aggregations = [{"input": "whole", "functions": ["count", "sum"], "over": ["2h"]}]
    rules = {
        "input": "facts_rows",
        "entities": ["customer"],
        "event_timestamp": "at",
        "windows": {"every": "1h", "aggregations": aggregations},
    }
    return Made(oracle.View(["customer_id"], "at", None), found, OUTPUTS, rules, {"whole_count_2h": 0})


@dataclass(frozen=True)
class GrownMart:
    """``made``: by version, what each view holds; ``runs``: when the run that left that version had completed."""

    root: Path
    made: Sequence[Mapping[str, Made]]
    runs: Sequence[datetime]

    def store(self, spark: SparkSession) -> FeatureStore:
        return opened(self.root, spark)


def opened(root: Path, spark: SparkSession) -> FeatureStore:
    return FeatureStore(root, spark=spark, now=FixedClock(_moment(START + (HOURS + 3) * HOUR)))


def grow_mart(root: Path, spark: SparkSession) -> GrownMart:
    """Builds the mart three times."""
    draw = random.Random(8)
    first = _rows(draw, 40)
    second = [row | {"whole": 5} if draw.random() < 0.2 else row for row in first] + _rows(draw, 30)
    third = draw.sample(second, 60) + _rows(draw, 10)
    made = [{"facts": _facts(rows), "spend": _spend(rows)} for rows in (first, second, third)]
    write_mart(root, {"facts": made[0]["facts"]})
    pipeline = yaml.safe_load((root / "pipelines/all.yml").read_text())
    pipeline["feature_views"].append({"name": "spend", **made[0]["spend"].rules})
    documented = {name: {"description": "A value."} for name in OUTPUTS} | {
        name: {"description": "A value.", "default": value} for name, value in made[0]["spend"].defaults.items()
    }
    metadata = {"feature_view": "spend", "description": "Values.", "owner": "a@example.com", "features": documented}
    write_files(
        root,
        {
            "pipelines/all.yml": yaml.safe_dump(pipeline, sort_keys=False),
            "metadata/feature_views/spend.yml": yaml.safe_dump(metadata),
            "metadata/feature_services.yml": None,
        },
    )
    for stage in made:
        write_rows(root, "facts_rows", table_of(stage["facts"].rows, KINDS))
        opened(root, spark).build()
    runs = [parse_instant(version["timestamp"]) for version in opened(root, spark).history("mart_runs")]
    return GrownMart(root, made, sorted(runs))
