"""How a definition differs from the one that built what is there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from feature_mart.definitions import FeatureView
from feature_mart.definitions.durations import format_duration
from feature_mart.plan.definition_diff import definition_diff, read_record
from feature_mart.windows.spec import Series, Windows

ChangeClass = Literal["description only", "feature added", "feature removed", "values may change"]


@dataclass(frozen=True)
class DefinitionChange:
    """What changed since the last build.

    ``classes``: what it means for who uses the view. ``diff``: lines of a unified diff of the logic and of the words.
    """

    classes: tuple[ChangeClass, ...]
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    diff: tuple[str, ...] = ()


def definition_record(view: FeatureView) -> str:
    """What a commit keeps of a definition, so that it can be read and compared without the repository."""
    return json.dumps(_facts(view), sort_keys=True)


def _facts(view: FeatureView) -> dict[str, Any]:
    documented = [*view.features.values(), *view.patterns]
    windows, tiles = view.windows, view.tiles_of.windows if view.tiles_of is not None else None
    return {
        **({} if windows is None else {"windows": _windows(windows)}),
        **({} if tiles is None else {"tiles": _tiles(tiles)}),
        "kind": view.definition.kind,
        "path": view.definition.path,
        "text": view.definition.text,
        "derived": dict(view.derived),
        "shape": {
            "keys": dict(view.keys),
            "event_timestamp": view.event_timestamp,
            "created_timestamp": view.created_timestamp,
            "static": view.static,
            "mode": view.materialize.mode,
            "every": format_duration(view.materialize.every),
            "lookback": format_duration(view.materialize.lookback),
            "lookahead": format_duration(view.materialize.lookahead),
        },
        "described": {
            "description": view.description,
            "owner": view.owner,
            "features": {feature.name: feature.description for feature in documented},
        },
    }


def _windows(windows: Windows) -> dict[str, str]:
    return {
        output.name: f"{output.function}({output.series.input}) over {output.window.written}{_where(output.series)}"
        for output in windows.aggregations
    }


def _tiles(windows: Windows) -> dict[str, Any]:
    return {
        series.name: {"of": f"{series.input}{_where(series)}", "partials": list(partials)}
        for series, partials in windows.series.items()
    }


def _where(series: Series) -> str:
    return "" if series.where is None else f" where {series.where}"


def definition_change(before: str, hash_before: str, view: FeatureView) -> DefinitionChange | None:
    """What is different from the recorded definition; None where nothing is that a reader or a value could notice."""
    recorded, now = read_record(before), _facts(view)
    then, described = recorded.get("described") or {}, now["described"]
    added = tuple(sorted(set(described["features"]) - set(then.get("features", described["features"]))))
    removed = tuple(sorted(set(then.get("features", ())) - set(described["features"])))
    same_values = hash_before == view.definition_hash
    if same_values and (not then or then == described):
        return None
    if same_values:
        return DefinitionChange(("description only",), diff=definition_diff(recorded, now))
    classes: list[ChangeClass] = []
    if added:
        classes.append("feature added")
    if removed:
        classes.append("feature removed")
    if not (added and only_adds_features(before, view)):
        classes.append("values may change")
    return DefinitionChange(tuple(classes), added, removed, definition_diff(recorded, now))


def only_adds_features(before: str, view: FeatureView) -> bool:
    """Whether the definition gives all that the recorded one gave, in the same way, and some features more.

    Only SQL can be compared like this; a changed Python definition is taken to change values. Another window has rows
    at other moments. Tiles are what they were as long as they hold all that is asked of them.
    """
    if view.windows is not None:
        return False
    if view.tiles_of is not None:
        return _holds_all(read_record(before), _facts(view))
    if view.definition.kind != "sql" or not before:
        return False
    recorded = read_record(before)
    if recorded.get("kind") != "sql":
        return False
    try:
        old, new = _select(recorded["text"]), _select(view.definition.text)
    except (KeyError, SqlglotError):
        return False
    if recorded.get("shape") != _facts(view)["shape"]:
        return False
    if old is None or new is None or not dict(view.derived).items() >= dict(recorded.get("derived", {})).items():
        return False
    return _columns(new) >= _columns(old) and _rest(old) == _rest(new)


def _holds_all(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether tiles that were made before have every partial aggregate that is needed now, of the same events."""
    if any(recorded.get(fact) != now[fact] for fact in ("kind", "text", "shape")):
        return False
    had = recorded.get("tiles") or {}
    return all(
        name in had and had[name]["of"] == series["of"] and set(had[name]["partials"]) >= set(series["partials"])
        for name, series in now["tiles"].items()
    )


def _select(text: str) -> exp.Select | None:
    tree = sqlglot.parse_one(text, dialect="spark")
    return tree if isinstance(tree, exp.Select) else None


def _columns(select: exp.Select) -> set[str]:
    return {column.sql(dialect="spark", comments=False) for column in select.expressions}


def _rest(select: exp.Select) -> str:
    rest = select.copy()
    rest.set("expressions", [])
    # DISTINCT and grouping by position depend on the columns, so an added one may change the others.
    depends = rest.args.get("distinct") is not None or (
        rest.args.get("group") is not None and "GROUP BY ALL" in rest.sql().upper()
    )
    return rest.sql(dialect="spark", comments=False) + (
        "" if not depends else select.sql(dialect="spark", comments=False)
    )
