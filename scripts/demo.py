"""`make demo`: builds the reference mart on sample data with the same commands that a user types, and shows the result.

All in one process, so that Spark's JVM starts once.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import date, timedelta
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from feature_mart import FeatureStore
from feature_mart.cli.main import main as mart

ROOT = Path(__file__).resolve().parent.parent
VIEW = "customer_profile"
QUERY = "queries/rfm_segments.sql"
NEXT = f"""
What to try next (in this folder):
  .venv/bin/mart show {VIEW}           what a view is, feature by feature
  .venv/bin/mart build --end {{end}}          again: nothing is new, so nothing is done
  .venv/bin/mart query "SELECT * FROM {VIEW}" --limit 5
  .venv/bin/mart init ../my_mart                 a small mart of your own
  README.md                                      how to add a view of your own
"""


def run(*arguments: str) -> None:
    """One command, as it would be typed, and what it says."""
    click.secho(f"\n$ mart {' '.join(arguments)}", bold=True)
    try:
        mart(list(arguments), standalone_mode=False)
    except SystemExit as end:
        if end.code:
            sys.exit(end.code)


def show_tables() -> None:
    """Every view that has a table, with its rows and its latest version."""
    store = FeatureStore(ROOT)
    table = Table("feature view", "rows", "version", "published at (UTC)", box=None, header_style="bold")
    for entry in store.list():
        if entry["kind"] == "feature_view" and (versions := store.history(entry["name"])):
            last = versions[0]
            table.add_row(entry["name"], f"{last['rows']:,}", str(last["version"]), last["timestamp"][:19])
    click.secho("\nThe mart's tables", bold=True)
    Console().print(table)


def day_after_sample() -> str:
    """The horizon, whenever the demo is run: seen from today, every customer would have left long ago."""
    last = max((ROOT / "data" / "invoice_lines").glob("*.csv.gz")).name.removesuffix(".csv.gz")
    return (date.fromisoformat(last) + timedelta(days=1)).isoformat()


def main() -> None:
    """The demonstration, from no data to a query's result."""
    os.chdir(ROOT)
    started = time.perf_counter()
    run("sample-data")
    building = time.perf_counter()
    end = day_after_sample()
    run("build", "--end", end)
    built = time.perf_counter() - building
    show_tables()
    run("history", VIEW)
    run("query", QUERY, "--limit", "10")
    click.echo(f"\nThe build took {built:.0f} s, everything {time.perf_counter() - started:.0f} s.")
    click.echo(NEXT.format(end=end))


if __name__ == "__main__":
    main()
