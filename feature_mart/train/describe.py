"""What a training set is like before a model sees it: what is missing, how old values are, how far views reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pandas as pd
from pyspark.sql import Column
from pyspark.sql import functions as F

from feature_mart.records import MICROSECOND
from feature_mart.train.join import PinnedView, join_views
from feature_mart.train.spine import Spine
from feature_mart.train.spine_columns import EVENT_TIMESTAMP


def describe(spine: Spine, views: Sequence[PinnedView]) -> pd.DataFrame:
    """One row for each feature, by its column in the result.

    Returns:
        ``view``: its name or alias; ``missing``: the share of spine rows in which the feature is null; ``coverage``:
        the share for which the view has a row; ``age_min``, ``age_mean``, ``age_max``: how long before the spine row's
        time the event timestamp of that row is, NaT for static views and where nothing is found.
    """
    joined = join_views(spine.frame, [_with_marks(view, at) for at, view in enumerate(views)], spine.rows).frame
    wanted: list[Column] = [F.count("*").alias("rows")]
    for at, view in enumerate(views):
        wanted.append(F.count(_found(at)).alias(f"found_{at}"))
        if view.how.event_timestamp is not None:
            age = F.unix_micros(EVENT_TIMESTAMP) - F.unix_micros(_time(at))
            wanted += [F.min(age).alias(f"min_{at}"), F.mean(age).alias(f"mean_{at}"), F.max(age).alias(f"max_{at}")]
        wanted += [F.count(f"`{column}`").alias(f"known_{column}") for column in view.how.columns]
    row = joined.agg(*wanted).first()
    assert row is not None
    told = []
    for at, view in enumerate(views):
        ages = {
            f"age_{kind}": _span(row[f"{kind}_{at}"]) if view.how.event_timestamp is not None else None
            for kind in ("min", "mean", "max")
        }
        for column in view.how.columns:
            told.append(
                {
                    "feature": column,
                    "view": view.how.alias or view.how.view,
                    "missing": 1 - _share(row[f"known_{column}"], row["rows"]),
                    "coverage": _share(row[f"found_{at}"], row["rows"]),
                    **{name: pd.NaT if age is None else age for name, age in ages.items()},
                }
            )
    names = ["feature", "view", "missing", "coverage", "age_min", "age_mean", "age_max"]
    found: pd.DataFrame = pd.DataFrame(told, columns=names).set_index("feature")
    return found


def _with_marks(view: PinnedView, at: int) -> PinnedView:
    """With a key of the row that is found, and its event timestamp, beside the features."""
    how = view.how
    marks = {next(iter(how.keys)): (_found(at),)}
    if how.event_timestamp is not None:
        marks[how.event_timestamp] = (_time(at),)
    return replace(view, how=replace(how, features={**how.features, **marks}))


def _found(at: int) -> str:
    return f"_found_{at}"


def _time(at: int) -> str:
    return f"_time_{at}"


def _share(count: int, rows: int) -> float:
    return count / rows if rows else 0.0


def _span(micros: float | None) -> timedelta | None:
    return None if micros is None else round(micros) * MICROSECOND
