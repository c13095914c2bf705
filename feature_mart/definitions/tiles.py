"""The view behind a windowed view: its tiles, built by intervals as any other view, from which its rows are made."""

from __future__ import annotations

from dataclasses import replace

from feature_mart.definitions.project import FeatureView, Materialize
from feature_mart.windows.tiles_names import tile_column

TILES_SUFFIX = "__tiles"


def tile_view(view: FeatureView) -> FeatureView:
    """The view that holds the partial aggregates of ``view``, per entity and slice of time."""
    assert view.windows is not None and view.event_timestamp is not None
    partials = [tile_column(series.name, partial) for series, names in view.windows.series.items() for partial in names]
    return replace(
        view,
        name=view.name + TILES_SUFFIX,
        description=f"Partial aggregates of {view.name}, per entity and slice of time.",
        tags=(),
        available_after=None,
        materialize=Materialize("interval", view.windows.every),
        freshness=None,
        checks=(),
        online=False,
        derived={},
        features={},
        patterns=(),
        columns=(*view.keys, view.event_timestamp, *partials),
        windows=None,
        tiles_of=view,
    )
