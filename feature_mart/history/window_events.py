"""The events behind a value of a windowed view: those of its window, in the input that its tiles were made from."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from feature_mart.definitions import FeatureView
from feature_mart.delta.tables import Table
from feature_mart.history.input_rows import InputTable, Reach, Span
from feature_mart.history.matching import OF_ROW, Match, Published, Same, match_inputs
from feature_mart.records import moved
from feature_mart.windows.spec import Aggregation, Window


def inputs_of_tiles(view: FeatureView, recorded: Mapping[str, Any], inputs: Mapping[str, InputTable]) -> dict[str, Any]:
    """The inputs, with their versions, from which the tiles were made that a commit of the view recorded."""
    if view.tiles is None or view.tiles.name not in recorded or view.tiles.name not in inputs:
        return dict(recorded)
    return _recorded_by(inputs[view.tiles.name].table, recorded[view.tiles.name]["version"])


def _recorded_by(tiles: Table, version: int) -> dict[str, Any]:
    commits = (commit for commit in tiles.history() if commit.version <= version and commit.provenance is not None)
    newest = next(commits, None)
    return {} if newest is None or newest.provenance is None else dict(newest.provenance.get("inputs") or {})


def events_of(
    view: FeatureView,
    feature: str,
    moment: datetime,
    definition: Mapping[str, Any],
    columns: Mapping[str, Mapping[str, str]],
) -> tuple[dict[str, Match], Reach]:
    """Which rows of the inputs are the events of a feature's window at a boundary, and when they were.

    Args:
        definition: that of the view, as its commit recorded it.
        columns: the columns of each input with their types.
    """
    assert view.windows is not None
    outputs = [output for output in view.windows.aggregations if output.name == feature]
    if not outputs:
        span = _hull([_span(output.window, moment) for output in view.windows.aggregations])
        return _candidates(view, definition, columns, "is derived from several windows"), Reach(span, span)
    (output,) = outputs
    span = _span(output.window, moment)
    if view.definition.kind != "input":
        return _candidates(view, definition, columns, "aggregates what a definition makes of its inputs"), Reach(
            span, span
        )
    return {name: _exact(view, output) for name in columns}, Reach(span, span)


def _exact(view: FeatureView, output: Aggregation) -> Match:
    same = tuple(Same(f"`{key}`", f"`{OF_ROW}{key.lower()}`", kind) for key, kind in view.keys.items())
    has_value = f"`{output.series.input}` is not null"
    where = has_value if output.series.where is None else f"{has_value} and ({output.series.where})"
    return Match("exact", "they are the events of the window", same=same, where=where)


def _candidates(
    view: FeatureView, definition: Mapping[str, Any], columns: Mapping[str, Mapping[str, str]], why: str
) -> dict[str, Match]:
    found = match_inputs(definition, Published(list(view.keys), None, dict(view.keys)), columns)
    keys = {key: f"`{key}`" for key in view.keys}
    is_as_it_is = view.definition.kind == "input"
    return {
        name: Match("candidates", f"the feature {why}", keys=keys if is_as_it_is else match.keys)
        if is_as_it_is or match.keys
        else Match(None, match.why)
        for name, match in found.items()
    }


def _span(window: Window, moment: datetime) -> Span:
    end = moved(moment, -window.shift)
    return (None if window.length is None else moved(end, -window.length), end)


def _hull(spans: list[Span]) -> Span:
    starts, ends = [start for start, _ in spans], [end for _, end in spans if end is not None]
    known = [start for start in starts if start is not None]
    return (min(known) if len(known) == len(starts) else None, max(ends))
