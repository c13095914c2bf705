"""Frames under names that SQL can use."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pyspark.sql import DataFrame

_IN_USE = threading.Lock()


@contextmanager
def named(frames: Mapping[str, DataFrame]) -> Iterator[None]:
    """Within this block SQL finds ``frames`` under their names.

    Names of temporary views belong to the session, so one statement at a time is bound to its frames. Spark resolves
    them at once: a frame made in the block needs the names no longer.
    """
    with _IN_USE:
        for name, frame in frames.items():
            frame.createOrReplaceTempView(name)
        yield
