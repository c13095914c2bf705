"""What `mart plan --json` says is what `mart build` with the same arguments then does, one change after another."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from pyspark.sql import SparkSession

from feature_mart import FeatureStore
from feature_mart.cli.main import main
from feature_mart.records import Interval, merged, parse_instant
from feature_mart.testing import FixedClock, write_files, write_tiny_mart

ORDERS, DAYS = "customer_orders", "customer_days"
SQL, WORDS = "features/days.sql", "metadata/feature_views/customer_days.yml"
GROUPED = "from customer_orders group by customer_id, date_trunc('DAY', ordered_at)"
COLUMNS = "customer_id, date_trunc('DAY', ordered_at) as day"
SPENT, TWICE = (f"sum(cast({value} as decimal(20, 2))) as spent" for value in ("amount", "amount * 2"))
DESCRIBED = """
    feature_view: customer_days
    description: Days on which a customer ordered.
    owner: days@example.com
    features:
      spent: {description: What was spent.}
    """
MART = {
    SQL: f"select {COLUMNS}, {SPENT} {GROUPED}",
    WORDS: DESCRIBED,
    "pipelines/days.yml": """
        pipeline: days
        description: Days of customers.
        feature_views:
          - name: customer_days
            definition: features/days.sql
            entities: [customer]
            event_timestamp: day
            materialize: {mode: interval, every: 1d}
        """,
}
LATE = "customer_id,order_no,ordered_at,amount\n9,z,2011-01-02 23:59:59,1.0\n"
Days = list[tuple[int, int]]


class Mart:
    """A mart that is planned, built, and asked what was built."""

    def __init__(self, root: Path, spark: SparkSession) -> None:
        self.root = write_tiny_mart(root, MART)
        self.spark = spark

    def store(self) -> FeatureStore:
        return FeatureStore(self.root, spark=self.spark, now=FixedClock("2011-01-05T12:00:00Z"))

    def planned(self, **asked: Any) -> dict[str, tuple[str, Days]]:
        """Action and days by view, as the command prints them; it knows no chunks."""
        options = [part for name, value in asked.items() if name != "chunk" for part in (f"--{name}", value)]
        result = CliRunner().invoke(main, ["--mart", str(self.root), "plan", "--json", *options])
        assert result.exit_code == 0, result.output
        views = json.loads(result.stdout)["feature_views"]
        return {entry["view"]: (entry["action"], days(entry["intervals"])) for entry in views}

    def built(self, **asked: Any) -> dict[str, tuple[str, Days]]:
        """The same of a build: by its new commits."""
        before = {name: len(self.commits(name)) for name in (ORDERS, DAYS)}
        named = [asked.pop("select")] if "select" in asked else []
        views = self.store().build(select=named, **asked).views
        found = {}
        for view in views:
            new = self.commits(view.view)[: -before[view.view] or None]
            intervals = [interval for commit in new for interval in commit["intervals"]]
            found[view.view] = ("build" if view.committed else "skip", days(intervals))
        return found

    def commits(self, view: str) -> list[dict[str, Any]]:
        table = self.root / "warehouse" / view
        return self.store().history(view) if table.exists() else []


def days(intervals: list[list[str]]) -> Days:
    """Intervals as days of January 2011, neighbours joined."""
    spans = merged(Interval(parse_instant(start), parse_instant(end)) for start, end in intervals)
    return [(span.start.day, span.end.day) for span in spans]


def test_what_is_planned_is_what_is_built(spark: SparkSession, tmp_path: Path) -> None:
    mart = Mart(tmp_path, spark)

    def done(_what: str, **asked: Any) -> dict[str, tuple[str, Days]]:
        plan = mart.planned(**asked)
        assert mart.built(**asked) == plan
        return plan

    until = "2011-01-05"
    mart.store().build("daily", end=until)
    assert done("new view", end=until) == {ORDERS: ("skip", []), DAYS: ("build", [(1, 5)])}
    assert done("nothing to do", end=until) == {ORDERS: ("skip", []), DAYS: ("skip", [])}

    write_files(tmp_path, {"data/orders/late.csv": LATE})
    mart.store().build("daily", end=until)  # which ingests it
    assert done("late file", end=until) == {ORDERS: ("skip", []), DAYS: ("build", [(2, 3)])}

    write_files(tmp_path, {SQL: f"select {COLUMNS}, {TWICE} {GROUPED}"})
    assert done("changed definition", end=until)[DAYS] == ("build", [(1, 5)])

    more = DESCRIBED.rstrip() + "\n      n: {description: How many orders.}\n"
    write_files(tmp_path, {SQL: f"select {COLUMNS}, {TWICE}, count(*) as n {GROUPED}", WORDS: more})
    assert done("added feature", end="2011-01-06")[DAYS] == ("build", [(5, 6)])
    chunked: dict[str, Any] = {"select": DAYS, "start": "2011-01-01", "end": "2011-01-06", "chunk": timedelta(days=3)}
    assert done("chunked backfill", **chunked) == {DAYS: ("build", [(1, 5)])}
    assert [days(entry["intervals"]) for entry in mart.commits(DAYS)[:2]] == [[(4, 5)], [(1, 4)]]

    mart.store().restore(DAYS, 1)
    assert done("held view", end="2011-01-06")[DAYS] == ("skip", [])
    assert done("held view, named", select=DAYS, end="2011-01-06") == {DAYS: ("build", [(1, 6)])}
