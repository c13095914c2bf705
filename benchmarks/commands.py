"""Commands that need no Spark, as whole processes."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.large_mart import write_large_mart

ROUNDS = 5


def seconds(command: list[str], folder: Path) -> list[float]:
    """How long each of some runs takes, after one that does not count.

    Raises:
        CalledProcessError: the command failed.
    """
    found = []
    for number in range(ROUNDS + 1):
        began = time.perf_counter()
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        if number > 0:
            found.append(time.perf_counter() - began)
    return found


def measure(root: Path) -> dict[str, Any]:
    """Medians in seconds: on the reference mart, and `validate` on a generated one of 1,000 views of 10 features."""
    mart = str(Path(sys.executable).with_name("mart"))
    commands = {
        "mart --help": [mart, "--help"],
        "mart validate": [mart, "validate"],
        "mart list": [mart, "list"],
        "mart list customer": [mart, "list", "customer"],
        "mart show invoice_totals": [mart, "show", "invoice_totals"],
    }
    if (root / "warehouse" / "invoice_totals").exists():
        commands["mart history invoice_totals"] = [mart, "history", "invoice_totals"]
    result = {name: sorted(seconds(command, root))[ROUNDS // 2] for name, command in commands.items()}
    with tempfile.TemporaryDirectory() as folder:
        large = Path(folder) / "large"
        write_large_mart(large, views=1000, features=10)
        result["mart validate (1,000 views x 10 features)"] = sorted(seconds([mart, "validate"], large))[ROUNDS // 2]
    return result
