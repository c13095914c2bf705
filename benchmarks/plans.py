"""`mart plan` on a generated mart of many views, each with a long history: as a whole process, without Spark.

One view is built for real. The tables of the others are copies of its table in which the newest commit says what a
build of that view would have said; the versions between are commits without rows, as maintenance leaves them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks.large_mart import write_large_mart
from feature_mart import FeatureStore
from feature_mart.definitions import FeatureView
from feature_mart.plan.definition_change import definition_record
from feature_mart.testing import FixedClock

BUILT = "orders_0000"
END = "2026-03-05"
ROUNDS = 3


def measure(views: int = 1000, features: int = 10, versions: int = 1000) -> dict[str, Any]:
    """Medians in seconds of a plan with nothing new, one day later, and after every view's input has changed."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        write_large_mart(root, views, features)
        _write_orders(root / "data/orders/1.csv", day=1, features=features)
        store = FeatureStore(root, now=FixedClock(datetime(2026, 3, 5, tzinfo=timezone.utc)))
        store.build(select=[BUILT])
        for view in store.project.views.values():
            _write_history(root / "warehouse", view, versions)
        result = {
            "nothing new": _median(root, "--end", END),
            "the horizon a day later": _median(root, "--end", "2026-03-06"),
        }
        _write_orders(root / "data/orders/2.csv", day=2, features=features)
        result["a new file, not ingested yet"] = _median(root, "--end", END)
        store.build(select=[BUILT])
        result["every view's input changed"] = _median(root, "--end", END)
        store.stop()
    return result


def _write_orders(path: Path, *, day: int, features: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    names = [f"amount_{at}" for at in range(features)]
    lines = [",".join(["CustomerID", "OrderID", "OrderedAt", "Status", *names])]
    lines += [f"{number},o{day}-{number},2026-03-0{day}T10:00:00Z,paid" + ",2000.5" * features for number in range(50)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_history(warehouse: Path, view: FeatureView, versions: int) -> None:
    """The view's table, whose newest version is ``versions - 1``."""
    first = warehouse / BUILT / "_delta_log" / f"{0:020}.json"
    if view.name != BUILT:
        shutil.copytree(warehouse / BUILT, warehouse / view.name, ignore=shutil.ignore_patterns("0*.json", ".*"))
    log = warehouse / view.name / "_delta_log"
    actions = [json.loads(line) for line in first.read_text(encoding="utf-8").splitlines()]
    info = next(action["commitInfo"] for action in actions if "commitInfo" in action)
    table_id = next(action["metaData"]["id"] for action in actions if "metaData" in action)
    made = json.loads(info["userMetadata"])
    if view.name != BUILT:
        shutil.copyfile(first, log / first.name)
    between = log / f"{1:020}.json"
    between.write_text(json.dumps({"commitInfo": {**info, "userMetadata": None}}) + "\n", encoding="utf-8")
    for version in range(2, versions - 1):
        os.link(between, log / f"{version:020}.json")
    newest = versions - 1
    inputs = {
        name: made["inputs"]["orders"] if name == "orders" else {"table_id": table_id, "version": newest}
        for name in view.inputs
    }
    coverage = [[start, end, view.definition_hash] for start, end, _ in made["coverage"]]
    made |= {
        "feature_view": view.name,
        "pipeline": view.pipeline,
        "definition_hash": view.definition_hash,
        "definition": definition_record(view),
        "inputs": inputs,
        "coverage": coverage,
        "table_id": table_id,
        "sequence": 2,
        "planned_on": newest - 1,
    }
    text = json.dumps({"commitInfo": {**info, "userMetadata": json.dumps(made)}})
    transaction = json.dumps({"txn": {"appId": f"feature_mart:{view.name}", "version": 2}})
    (log / f"{newest:020}.json").write_text(f"{text}\n{transaction}\n", encoding="utf-8")


def _median(root: Path, *arguments: str) -> float:
    mart = str(Path(sys.executable).with_name("mart"))
    seconds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        subprocess.run([mart, "plan", *arguments], cwd=root, check=True, capture_output=True)
        seconds.append(time.perf_counter() - began)
    return sorted(seconds)[ROUNDS // 2]
