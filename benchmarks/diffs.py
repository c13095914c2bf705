"""`mart diff` of two versions of a view: the cost against the change and against the table.

Rows are built in intervals of a day; a corrected file changes some days. The change feed names the rows of those days,
so the cost should follow the days that changed and not the days that the table holds.
"""

from __future__ import annotations

import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from benchmarks.retail_pipeline import timed
from feature_mart import FeatureStore
from feature_mart.delta.session import start_session
from feature_mart.testing import FixedClock, write_files

FIRST = datetime(2026, 1, 1, tzinfo=timezone.utc)
ROWS_A_DAY = 10_000
FILES = {
    "conf/base.yml": "mart: diffs\nwarehouse: warehouse\n",
    "metadata/entities.yml": "entities:\n  user: {description: Somebody., keys: {user_id: bigint}}\n",
    "metadata/sources.yml": (
        "sources:\n  events:\n    description: What users did.\n    owner: a@example.com\n    format: csv\n"
        "    path: data/*.csv\n    options: {header: true}\n"
        "    schema: {user_id: bigint, at: timestamp, amount: bigint}\n    event_timestamp: at\n"
    ),
    "metadata/feature_views/amounts.yml": (
        "feature_view: amounts\ndescription: Amounts.\nowner: a@example.com\nfeatures:\n"
        "  amount: {description: The amount., unit: pieces}\n"
    ),
    "features/amounts.sql": "select user_id, at, amount from events\n",
    "pipelines/daily.yml": (
        "pipeline: daily\ndescription: Every day.\nowner: a@example.com\nfeature_views:\n  - name: amounts\n"
        "    definition: features/amounts.sql\n    entities: [user]\n    event_timestamp: at\n"
        "    materialize: {mode: interval, every: 1d}\n"
    ),
}


def measure(shapes: tuple[tuple[int, int], ...] = ((10, 1), (100, 1), (100, 10))) -> dict[str, Any]:
    """Seconds of a diff, by days in the table and days that changed (of 10,000 rows each), the best of three."""
    spark = start_session({}, "local[*]")
    found = {}
    for days, changed in shapes:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            write_files(root, FILES)
            end = FIRST + timedelta(days=days)
            store = FeatureStore(root, spark=spark, now=FixedClock(end))
            for day in range(days):
                _write_day(root, day, amount=day)
            store.build()
            for day in range(changed):
                _write_day(root, day, amount=day + 1)
            store.build()
            store.diff("amounts", 0, 1)
            name = f"{days * ROWS_A_DAY:,} rows, {changed * ROWS_A_DAY:,} of them changed"
            found[name] = min(timed(lambda store=store: store.diff("amounts", 0, 1)) for _ in range(3))  # type: ignore[misc]
    return found


def _write_day(root: Path, day: int, *, amount: int) -> None:
    at = (FIRST + timedelta(days=day)).isoformat()
    rows = "\n".join(f"{user},{at},{amount}" for user in range(ROWS_A_DAY))
    path = root / f"data/{day:04}.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"user_id,at,amount\n{rows}\n", encoding="utf-8")
