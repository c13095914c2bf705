"""For tests of marts: a small mart in a folder, written in a line, and a clock that stands still."""

from __future__ import annotations

from feature_mart.testing.clock import FixedClock
from feature_mart.testing.marts import tiny_pipeline, write_files, write_tiny_mart

__all__ = ["FixedClock", "tiny_pipeline", "write_files", "write_tiny_mart"]
