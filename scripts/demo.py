"""`make demo`: builds the reference mart on sample data with the same commands that a user types, and shows the result.

All in one process, so that Spark's JVM starts once.
"""

from __future__ import annotations

import csv
import gzip
import io
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
PIPELINE = "retail_daily"
EXPLAINED = "order_count"
INVOICES = ROOT / "data" / "invoice_lines"
LATE_BY = timedelta(days=60)
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
    last = max(INVOICES.glob("[0-9]*.csv.gz")).name.removesuffix(".csv.gz")
    return (date.fromisoformat(last) + timedelta(days=1)).isoformat()


def late_file(end: str) -> tuple[Path, int]:
    """A till that was offline for two months sends an invoice. Gives its file, and the customer's number.

    Every demonstration has a late file of its own, as a known one would change nothing.
    """
    number = 1 + len(list(INVOICES.glob("late-*.csv.gz")))
    day = date.fromisoformat(end) - LATE_BY
    like = max(path for path in INVOICES.glob("[0-9]*.csv.gz") if path.name <= f"{day}.csv.gz")
    with gzip.open(like, "rt", encoding="utf-8", newline="") as lines:
        row = next(row for row in csv.DictReader(lines) if row["CustomerID"] and not row["InvoiceNo"].startswith("C"))
    text = io.StringIO()
    writer = csv.DictWriter(text, row.keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerow(row | {"InvoiceNo": str(990_000 + number), "Quantity": "10", "UnitPrice": "2.5"})
    late = INVOICES / f"late-{number:03}.csv.gz"
    late.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))
    return late, int(float(row["CustomerID"]))


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
    late, customer = late_file(end)
    click.secho(f"\nA late file arrives: {late.relative_to(ROOT)}, an invoice of two months ago", bold=True)
    run("plan", PIPELINE, "--end", end)
    run("build", PIPELINE, "--end", end)
    run("explain", f"{VIEW}:{EXPLAINED}", "--key", f"customer_id={customer}")
    run("sync")
    run("online", "get", VIEW, "--key", f"customer_id={customer}")
    run("online", "stop")
    click.echo(f"\nThe first build took {built:.0f} s, everything {time.perf_counter() - started:.0f} s.")
    click.echo(NEXT.format(end=end))


if __name__ == "__main__":
    main()
