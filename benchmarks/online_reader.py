"""Looks entities up until its standard input ends, and says how long that took: a service beside a sync.

    python -m benchmarks.online_reader MART VIEWS ENTITIES

Each view's values of one answer must be of one version: all event timestamps before the given moment, or none.
"""

from __future__ import annotations

import json
import random
import select
import sys
import time
from datetime import datetime, timezone

from feature_mart import FeatureStore
from feature_mart.errors import MartError

COUNT = 10
# Values of the version that is pushed meanwhile are of this day and later.
BORDER = datetime(2025, 1, 4, tzinfo=timezone.utc)


def main() -> None:
    """Looks up, and prints what came of it as JSON."""
    root, views, entities = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    store, draws = FeatureStore(root), random.Random(0)
    names = [f"view_{view}" for view in range(views)]
    taken: list[float] = []
    errors = mixed = 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        asked = [{"user_id": draws.randrange(entities)} for _ in range(COUNT)]
        started = time.perf_counter()
        try:
            found = store.get_online_features(names, asked)
            found.to_dict()
        except MartError:
            errors += 1
            continue
        taken.append(1000 * (time.perf_counter() - started))
        times = found.to_dict(include_event_timestamps=True)
        mixed += any(len({moment >= BORDER for moment in times[f"v{view}_0__ts"]}) > 1 for view in range(views))
    taken.sort()
    said = {"requests": len(taken), "errors": errors, "mixed": mixed, "p50": taken[len(taken) // 2]}
    print(json.dumps({**said, "p99": taken[len(taken) * 99 // 100]}))


if __name__ == "__main__":
    main()
