"""Durations as the mart's files write them: ``<integer><unit>``, as in ``365d``."""

from __future__ import annotations

import re
from datetime import timedelta

from feature_mart.definitions.problems import Invalid

UNITS = {
    "w": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
ALLOWED = "<integer><unit>, units ms s m h d w, as in 365d"
PATTERN = re.compile(r"([0-9]+)(ms|[smhdw])")
_SPOKEN = re.compile(r"\s*([0-9]+)\s*([A-Za-z]+)\s*")
_SPOKEN_UNITS = {
    **dict.fromkeys(("millisecond", "milliseconds", "millis", "msec"), "ms"),
    **dict.fromkeys(("second", "seconds", "sec", "secs"), "s"),
    **dict.fromkeys(("minute", "minutes", "min", "mins"), "m"),
    **dict.fromkeys(("hour", "hours", "hr", "hrs"), "h"),
    **dict.fromkeys(("day", "days"), "d"),
    **dict.fromkeys(("week", "weeks"), "w"),
}


def parse_duration(text: object, *, zero_allowed: bool = False) -> timedelta:
    """The duration that a text such as ``36h`` names.

    Raises:
        Invalid: the text is no duration, is zero where that means nothing, or is longer than time itself.
    """
    match = PATTERN.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise Invalid("is no duration", allowed=ALLOWED, fix=_suggestion(text))
    try:
        duration = int(match[1]) * UNITS[match[2]]
    except (OverflowError, ValueError):
        raise Invalid(
            "is too long a duration", allowed="less than 3,000,000 years", fix="write a shorter one"
        ) from None
    if not duration and not zero_allowed:
        raise Invalid(
            "is zero", allowed="a duration greater than zero, as in 1d", fix="leave the key out, or give a length"
        )
    return duration


def format_duration(duration: timedelta) -> str:
    """The shortest text that `parse_duration` reads as this duration."""
    if not duration:
        return "0d"
    for unit, length in UNITS.items():
        if duration % length == timedelta(0):
            return f"{duration // length}{unit}"
    raise ValueError(f"{duration!r} is finer than a millisecond")


def spoken_duration(duration: timedelta) -> str:
    """A duration for people, in its two largest units, cut to whole seconds: ``2d``, ``1d 3h``, ``12m 5s``."""
    if duration < timedelta(0):
        return f"-{spoken_duration(-duration)}"
    left, parts = duration, []
    for unit in ("d", "h", "m", "s"):
        count, left = divmod(left, UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2]) or "0s"


def _suggestion(text: object) -> str:
    match = _SPOKEN.fullmatch(text) if isinstance(text, str) else None
    unit = None
    if match is not None:
        word = match[2].lower()
        unit = word if word in UNITS else _SPOKEN_UNITS.get(word)
    if match is not None and unit is not None:
        return f"write {int(match[1])}{unit}"
    if isinstance(text, int) and not isinstance(text, bool) and text > 0:
        return f"say the unit, as in {text}d for days"
    return "write a whole number and a unit, as in 365d"
