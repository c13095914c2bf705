"""Lets a few rows be treated as the engine treats millions: cut into buckets, read and written by tasks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from feature_mart.build import windows
from feature_mart.delta import bucket_files, layout
from feature_mart.runner import view_files
from feature_mart.train import join


@contextmanager
def large_tables() -> Iterator[None]:
    """Within this block, a few rows fill a file, a task or a bucket."""
    sizes = [
        (layout, "ROWS_PER_BUCKET", 16),
        (layout, "ROWS_PER_FILE", 2),
        (layout, "MAXIMUM_DEPTH", 2),
        (view_files, "ROWS_PER_FILE", 0),
        (bucket_files, "ROWS_PER_TASK", 16),
        (windows, "MAXIMUM_DEPTH", 2),
        (bucket_files, "MAXIMUM_DEPTH", 2),
        (windows, "_EVENTS_PER_TASK", 8),
        (join, "ROWS_PER_TASK", 48),
        (join, "_ROWS_TOGETHER", 128),
        (join, "MAXIMUM_DEPTH", 2),
    ]
    patches = [patch.object(module, name, size) for module, name, size in sizes]
    for each in patches:
        each.start()
    try:
        yield
    finally:
        for each in patches:
            each.stop()
