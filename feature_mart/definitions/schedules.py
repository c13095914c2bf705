"""When a pipeline runs."""

from __future__ import annotations

from datetime import datetime, timezone

from feature_mart.definitions.problems import Invalid, nearest

PRESETS = ("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually")
ALLOWED = f"five fields (minute hour day month weekday), as in 0 3 * * *; or {' '.join(PRESETS)}"


def checked_schedule(value: object) -> str:
    """The cron expression or preset, if it is one.

    Raises:
        Invalid: it is none, or names a day that does not exist.
    """
    from cronsim import CronSim, CronSimError  # only pipelines that have a schedule need it

    if not isinstance(value, str):
        raise Invalid("is no schedule", allowed=ALLOWED, fix="write it in quotes")
    if value.startswith("@"):
        if value in PRESETS:
            return value
        meant = nearest(value, PRESETS)
        raise Invalid("is no schedule", allowed=ALLOWED, nearest=meant, fix=f"write {meant or 'five fields'}")
    fields = len(value.split())
    if fields != 5:
        raise Invalid(
            f"is no schedule: it has {fields} field{'' if fields == 1 else 's'}",
            allowed=ALLOWED,
            fix='write "0 3 * * *" for three every night',
        )
    try:
        CronSim(value, datetime(2000, 1, 1, tzinfo=timezone.utc))
    except CronSimError as error:
        raise Invalid(
            f"is no schedule: {error}", allowed=ALLOWED, fix='write "0 3 * * *" for three every night'
        ) from None
    return value
