"""A clock that says what it is told."""

from __future__ import annotations

from datetime import datetime, timedelta

from feature_mart.records import as_utc, parse_instant


class FixedClock:
    """Called, it gives the same moment until it is moved."""

    def __init__(self, moment: datetime | str) -> None:
        self.moment = parse_instant(moment) if isinstance(moment, str) else as_utc(moment)

    def __call__(self) -> datetime:
        """The moment at which the clock stands."""
        return self.moment

    def advance(self, by: timedelta) -> None:
        """Moves the clock; a negative ``by`` moves it back."""
        self.moment += by
