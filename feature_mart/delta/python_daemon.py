"""Starts Spark's Python workers on one machine, less what makes each of their tasks slow.

Spark puts archives of itself at the head of Python's path, and before each task a worker forgets what it knew of that
path. So each task reads the directories of two zips and of a jar, ten thousand entries, in a tenth of a second of
processor time. Where pyspark is installed beside them, nothing is imported from there.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import PathFinder
from pathlib import Path

_ARCHIVES = (".zip", ".jar")


def without_archives(path: Sequence[str]) -> list[str]:
    """Python's path without the archives that come with the pyspark which is installed on it."""
    installed = PathFinder.find_spec("pyspark", [entry for entry in path if not entry.endswith(_ARCHIVES)])
    if installed is None or installed.origin is None:
        return list(path)
    folder = Path(installed.origin).parent
    return [entry for entry in path if not (entry.endswith(_ARCHIVES) and folder in Path(entry).parents)]


def main() -> None:
    """What Spark runs, with the name of the worker's module as the only argument."""
    kept = without_archives(sys.path)
    for entry in set(sys.path) - set(kept):
        sys.path_importer_cache.pop(entry, None)
    sys.path[:] = kept
    from pyspark.daemon import manager

    manager()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
