"""Writes a mart with many feature views, and measures how long it takes to validate it.

    python benchmarks/large_mart.py DIR --views 1000 --features 10 --measure

Every view has a SQL definition of its own, metadata for each feature, and an entry in one of the pipelines; every tenth
view reads another view. The files are the same every time.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

VIEWS_PER_PIPELINE = 50
AGGREGATES = ("sum", "min", "max", "avg", "count")
MEASURED = """
import pathlib, sys
from feature_mart.definitions import load_project
load_project(pathlib.Path(sys.argv[1]), None, {})
"""


def write_large_mart(root: Path, views: int, features: int) -> None:
    """Write the files of a mart with so many views of so many features each."""
    for folder in ("conf", "metadata/feature_views", "features/sales", "pipelines"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    _write(root / "conf/base.yml", "mart: large\nwarehouse: warehouse\n")
    _write(
        root / "metadata/entities.yml",
        "entities:\n  customer: {description: A shopper with an account., keys: {customer_id: bigint}}\n",
    )
    amounts = ", ".join(f"amount_{at}: double" for at in range(features))
    _write(
        root / "metadata/sources.yml",
        "sources:\n  orders:\n    description: One line of an order.\n    format: csv\n    path: data/orders/*.csv\n"
        f"    schema: {{CustomerID: string, OrderID: string, OrderedAt: timestamp, Status: string, {amounts}}}\n"
        "    event_timestamp: OrderedAt\n",
    )
    entries: list[str] = []
    for number in range(views):
        name = f"orders_{number:04d}"
        reads_view = number % 10 == 9
        text = _sql_on_view(number, features) if reads_view else _sql_on_source(number, features)
        _write(root / f"features/sales/{name}.sql", text)
        _write(root / f"metadata/feature_views/{name}.yml", _metadata(name, number, features))
        entries.append(_entry(name))
    for at in range(0, views, VIEWS_PER_PIPELINE):
        name = f"sales_{at // VIEWS_PER_PIPELINE:03d}"
        head = (
            f'pipeline: {name}\ndescription: Features from orders.\nowner: sales@example.com\nschedule: "0 3 * * *"\n'
        )
        _write(
            root / f"pipelines/{name}.yml", f"{head}feature_views:\n{''.join(entries[at : at + VIEWS_PER_PIPELINE])}"
        )


def measure(root: Path, repetitions: int = 3) -> dict[str, float]:
    """Seconds that loading the mart takes in a new process: the best and the worst of some runs."""
    seconds = []
    for _ in range(repetitions):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", MEASURED, str(root)], check=True)
        seconds.append(time.perf_counter() - start)
    return {"best_seconds": round(min(seconds), 3), "worst_seconds": round(max(seconds), 3)}


def _sql_on_source(number: int, features: int) -> str:
    inputs = ",\n".join(f"    coalesce(amount_{at}, 0) as amount_{at}" for at in range(features))
    aggregates = ",\n".join(
        f"    cast({AGGREGATES[at % len(AGGREGATES)]}(case when amount_{at} > {number} then amount_{at} end) as double)"
        f" as feature_{at}"
        for at in range(features)
    )
    outputs = ",\n".join(f"  feature_{at}" for at in range(features))
    return f"""-- Amounts per customer and day, cancelled orders left out.
with lines as (
  select
    cast(cast(CustomerID as double) as bigint) as customer_id,
    date_trunc('day', OrderedAt) as ordered_on,
    OrderID as order_id,
{inputs}
  from orders
  where CustomerID is not null and Status <> 'cancelled'
),

totals as (
  select
    customer_id,
    ordered_on,
    count(distinct order_id) as orders,
{aggregates}
  from lines
  group by customer_id, ordered_on
)

select
  customer_id,
  ordered_on + interval 24 hours as event_time,
{outputs}
from totals
where orders > 0
"""


def _sql_on_view(number: int, features: int) -> str:
    columns = ",\n".join(f"  max(feature_{at}) over by_time as feature_{at}" for at in range(features))
    return f"""select
  customer_id,
  event_time,
{columns}
from orders_{number - 1:04d}
where event_time < :interval_end
window by_time as (partition by customer_id order by event_time rows between 6 preceding and current row)
"""


def _metadata(name: str, number: int, features: int) -> str:
    entries = "".join(
        f"  feature_{at}: {{description: Amount {at} of the day's orders above {number}., unit: GBP, type: double}}\n"
        for at in range(features)
    )
    return f"""feature_view: {name}
description: Orders of a customer per day, those above {number}.
owner: sales@example.com
tags: [orders]
features:
{entries}"""


def _entry(name: str) -> str:
    return f"""  - name: {name}
    definition: features/sales/{name}.sql
    entities: [customer]
    event_timestamp: event_time
    ttl: 365d
    materialize: {{mode: interval, every: 1d, lookback: 6d}}
    checks: [{{unique: [customer_id, event_time]}}, {{row_count: {{minimum: 1}}}}]
    online: true
"""


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def main() -> None:
    """Command line: write, and measure if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--views", type=int, default=1000)
    parser.add_argument("--features", type=int, default=10)
    parser.add_argument("--measure", action="store_true", help="time the validation and print it as JSON")
    arguments = parser.parse_args()
    write_large_mart(arguments.folder, arguments.views, arguments.features)
    if arguments.measure:
        print(json.dumps({"views": arguments.views, "features": arguments.features, **measure(arguments.folder)}))


if __name__ == "__main__":
    main()
