"""Runs the benchmarks of the engine, prints them as a table, and keeps them as JSON in benchmarks/results/.

python -m benchmarks                    # all that needs no data from elsewhere
RETAIL_DATA=<folder> python -m benchmarks   # the retail pipeline on the real files too
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def retail_folder() -> Path | None:
    """The real Online Retail files, where they are at hand."""
    named = os.environ.get("RETAIL_DATA")
    folder = Path(named).resolve() if named else ROOT.parent / "shared" / "data" / "online-retail"
    return folder if any(folder.glob("*.csv.gz")) else None


def main() -> None:
    """Parses the arguments, measures, prints and keeps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", choices=["commands", "plans", "diffs", "retail", "new_day"], help="Run one of the benchmarks."
    )
    parser.add_argument("--rounds", type=int, default=2, help="Counted rounds of the retail pipeline.")
    arguments = parser.parse_args()
    found: dict[str, Any] = {"machine": {"cores": os.cpu_count(), "python": platform.python_version()}}
    if arguments.only in (None, "commands"):
        from benchmarks import commands

        found["commands"] = commands.measure(ROOT)
        show("commands without Spark, seconds (median of 5, whole process)", found["commands"])
    if arguments.only in (None, "plans"):
        from benchmarks import plans

        found["plans"] = plans.measure()
        show("mart plan, 1,000 views x 10 features, 1,000 versions each, seconds (median of 3)", found["plans"])
    if arguments.only in (None, "diffs"):
        from benchmarks import diffs

        found["diffs"] = diffs.measure()
        show("mart diff of two versions, warm session, seconds (best of 3)", found["diffs"])
    retail = retail_folder()
    if arguments.only in (None, "retail") and retail is not None:
        from benchmarks import retail_pipeline

        found["retail"] = retail_pipeline.measure(ROOT, retail, arguments.rounds)
        show("retail pipeline on the real files", found["retail"])
    if arguments.only in (None, "new_day") and retail is not None:
        from benchmarks import new_day

        found["new_day"] = new_day.measure(ROOT, retail)
        show("one new day on top of a history of real files, warm session, seconds", found["new_day"])
    if retail is None:
        print("The Online Retail files are not at hand: set RETAIL_DATA to their folder to measure with them.")
    RESULTS.mkdir(parents=True, exist_ok=True)
    kept = RESULTS / "latest.json"
    kept.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(f"kept in {kept.relative_to(ROOT)}")


def show(title: str, figures: dict[str, Any]) -> None:
    """One table: a row per figure."""
    table = Table(title=title, title_justify="left")
    table.add_column("what")
    table.add_column("figure", justify="right")
    for name, value in figures.items():
        rows = value.items() if isinstance(value, dict) else [("", value)]
        for inner, figure in rows:
            shown = ", ".join(f"{each:.2f}" for each in figure) if isinstance(figure, list) else f"{figure:.3f}"
            table.add_row(f"{name} {inner}".strip(), shown)
    Console().print(table)


if __name__ == "__main__":
    main()
