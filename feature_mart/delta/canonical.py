"""Values as SQL and as text, in one form that no session setting changes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pyspark.sql import Column
from pyspark.sql import functions as F

from feature_mart.records import iso

# Spark's own default writes milliseconds, and rows that differ by a microsecond would look alike.
EXACT_TIMES = {
    "timestampFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX",
    "timestampNTZFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSS",
}


def row_text(columns: Sequence[str]) -> Column:
    """The named columns of a row as one JSON text."""
    return F.to_json(F.struct(*[F.col(f"`{name}`") for name in columns]), EXACT_TIMES)


def instant(moment: datetime) -> str:
    """A SQL literal of an instant."""
    return f"timestamp'{iso(moment)}'"
