"""How rows lie in a table's files: the table contract of docs/adr/0001-table-contract.md.

Two hidden partition columns describe every file. ``_period`` keeps rows of about the same time together ('all', '2011'
or '2011-03'). ``_bucket`` keeps rows of about the same keys together: it is a 1 followed by the first k bits of the
hash of the join keys, so 1 is all keys, 2 and 3 are its halves, 8 to 15 its eighths, and ``_bucket >> 1`` is the bucket
that contains a bucket. A code tells how fine it is, so files of different fineness live in one version of one table.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Period = Literal["all", "year", "month"]

PERIOD = "_period"
BUCKET = "_bucket"
PARTITIONS = (PERIOD, BUCKET)

# Both were measured (docs/adr/0001-table-contract.md): a task joins a million rows in 0.4 s and 330 MB, and below
# 50,000 rows the fixed cost of a file outweighs what it holds.
ROWS_PER_BUCKET = 1_000_000
ROWS_PER_FILE = 50_000
MAXIMUM_DEPTH = 12


@dataclass(frozen=True)
class Layout:
    """How fine a write cuts its rows; any mixture of layouts in one table is readable."""

    period: Period = "all"
    depth: int = 0

    def to_json(self) -> dict[str, str | int]:
        """As it stands in a commit's provenance."""
        return {"period": self.period, "depth": self.depth}


def choose_layout(rows: int, earliest: datetime | None, latest: datetime | None, *, added: int | None = None) -> Layout:
    """The layout for a commit to a table that will have about ``rows`` rows between two event timestamps.

    Args:
        added: how many rows the commit writes, where it adds an interval and does not write the whole table: a night's
            few rows make few files, and lie in their buckets only once the table is compacted.
    """
    depth = 0
    while depth < MAXIMUM_DEPTH and rows > ROWS_PER_BUCKET << depth:
        depth += 1
    if depth == 0 or earliest is None or latest is None:
        period: Period = "all"
    else:
        months = (latest.year - earliest.year) * 12 + latest.month - earliest.month + 1
        years = latest.year - earliest.year + 1
        enough = ROWS_PER_FILE << depth
        period = "month" if rows >= enough * months else "year" if rows >= enough * years else "all"
    if added is not None:
        depth = min(depth, max(0, (added // ROWS_PER_FILE).bit_length() - 1))
    return Layout(period, depth)
