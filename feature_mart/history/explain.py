"""Where one value comes from: the commit that wrote its row, and the input rows behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from feature_mart.build.sql import with_parameters
from feature_mart.columns.values import plain, plain_row
from feature_mart.definitions import FeatureView
from feature_mart.definitions.key_values import key_values
from feature_mart.definitions.problems import did_you_mean
from feature_mart.delta.canonical import instant, row_text
from feature_mart.delta.errors import delta_errors
from feature_mart.delta.tables import Table, visible
from feature_mart.errors import TableError, UsageError
from feature_mart.history.definition_diff import definition_of
from feature_mart.history.input_rows import Asked, InputTable, Reach, literal, matched_rows
from feature_mart.history.matching import Published, match_inputs
from feature_mart.history.window_events import events_of, inputs_of_tiles
from feature_mart.history.writer import Writer, writer_of
from feature_mart.records import EARLIEST, LATEST, MICROSECOND, Interval, floor_to, iso, moved, parse_instant

_SAID = ("run_id", "git_commit", "git_dirty", "definition_hash", "pipeline", "horizon", "reason", "engine")


@dataclass(frozen=True)
class Question:
    """Which value: the latest row of ``key`` up to ``at`` (None: the newest) in ``version`` (None: the latest)."""

    view: FeatureView
    feature: str
    key: Mapping[str, Any]
    at: datetime | None = None
    version: int | None = None


@dataclass(frozen=True)
class _Found:
    """The row that answers: its values, when they were true, and how many rows have the same key and times."""

    values: Mapping[str, Any]
    moment: datetime | None
    ties: int


def explain(question: Question, table: Table, inputs: Mapping[str, InputTable]) -> dict[str, Any]:
    """The value, who wrote it and from what; see `FeatureStore.explain`.

    Raises:
        UsageError: there is no such feature, or the key is wrong.
        TableError: no row of that key; the table or the version is not there.
    """
    view = question.view
    key = key_values(view, question.key)
    if question.at is not None and view.event_timestamp is None:
        raise UsageError(f"{view.name} is static: its values hold at all times. Leave the moment out.")
    version = table.pinned(question.version).version
    types = table.columns(version)
    _check_feature(question, types)
    found = _row(question, table, version, key)
    within = found.moment
    if within is not None and view.windows is not None:
        within = moved(within, -MICROSECOND)  # a row of windows stands at the end of its interval
    writer = writer_of(table.history(), version, within)
    asked = Asked(key, found.values, types)
    return {
        "feature": f"{view.name}:{question.feature}",
        "key": plain_row(key),
        "at": None if question.at is None else iso(question.at),
        "version": version,
        "value": plain(found.values[question.feature]),
        "event_timestamp": None if found.moment is None else iso(found.moment),
        "ties": found.ties,
        "written_by": None if writer is None else _written(writer),
        "restored_by": [] if writer is None else list(writer.restored_by),
        "inputs": [] if writer is None else _inputs(question, asked, found.moment, writer, inputs),
    }


def _check_feature(question: Question, columns: Mapping[str, str]) -> None:
    view = question.view
    features = [name for name in columns if name not in view.reserved_columns]
    if question.feature not in features:
        hint = did_you_mean(question.feature, features)
        raise UsageError(
            f"{view.name} has no feature {question.feature!r}; write VIEW:FEATURE. "
            f"It has: {', '.join(sorted(features)) or 'none'}.{hint}"
        )


def _row(question: Question, table: Table, version: int, key: Mapping[str, Any]) -> _Found:
    view = question.view
    with delta_errors(table.name):
        rows = visible(table.read(version))
        for name, value in key.items():
            rows = rows.where(F.col(f"`{name}`") == literal(value, view.keys[name]))
        if question.at is not None:
            rows = rows.where(F.col(f"`{view.event_timestamp}`") <= F.expr(instant(question.at)))
        best = _best(view, rows)
    if not best:
        asked = ", ".join(f"{name}={plain(value)}" for name, value in key.items())
        until = "" if question.at is None else f" with an event timestamp up to {iso(question.at)}"
        raise TableError(f"{view.name} has no row of {asked}{until} at version {version}.")
    first, *others = best
    times = [name for name in (view.event_timestamp, view.created_timestamp) if name in first]
    ties = sum(all(entry[name] == first[name] for name in times) for entry in others)
    return _Found(first, first[view.event_timestamp] if view.event_timestamp else None, ties)


def _best(view: FeatureView, rows: DataFrame) -> list[dict[str, Any]]:
    """The latest rows, best first: by event timestamp, created timestamp, then by their values alone."""
    times = [name for name in (view.event_timestamp, view.created_timestamp) if name in rows.columns]
    order = [*(F.col(f"`{name}`").desc_nulls_last() for name in times), row_text(sorted(rows.columns)).desc()]
    found: list[dict[str, Any]] = rows.orderBy(*order).limit(_MOST_TIES).toArrow().to_pylist()
    return found


_MOST_TIES = 100


def _written(writer: Writer) -> dict[str, Any]:
    said = writer.commit.provenance or {}
    return {
        "version": writer.commit.version,
        "timestamp": iso(writer.commit.committed_at),
        "interval": None if writer.interval is None else writer.interval.to_json(),
        **{name: said.get(name) for name in _SAID},
        "definition": definition_of(said),
    }


def _inputs(
    question: Question, asked: Asked, moment: datetime | None, writer: Writer, inputs: Mapping[str, InputTable]
) -> list[dict[str, Any]]:
    view, said = question.view, writer.commit.provenance or {}
    horizon = None if said.get("horizon") is None else parse_instant(said["horizon"])
    recorded = inputs_of_tiles(view, said.get("inputs") or {}, inputs)
    definition = _filled_in(definition_of(said), writer.interval, horizon)
    columns: dict[str, dict[str, str]] = {}
    for name, entry in recorded.items():
        problem = _unreadable(entry, inputs.get(name))
        columns[name] = {} if problem else inputs[name].table.columns(entry["version"])
    if view.windows is not None and moment is not None:
        matches, reach = events_of(view, question.feature, moment, definition, columns)
    else:
        matches = match_inputs(definition, Published(list(view.keys), view.event_timestamp, asked.types), columns)
        reach = _reach(view, moment, writer.interval, horizon)
    found = []
    for name, entry in recorded.items():
        match, why = matches[name], _unreadable(entry, inputs.get(name))
        rows: dict[str, Any] = {"count": None, "rows": []}
        if why is None:
            try:
                rows = matched_rows(inputs[name], entry["version"], match, reach, asked)
            except TableError as error:
                why = error.message
        told = {"match": match.kind if why is None else None, "why": why or match.why}
        found.append({"name": name, "table_id": entry["table_id"], "version": entry["version"], **told, **rows})
    return found


def _unreadable(recorded: Mapping[str, Any], source: InputTable | None) -> str | None:
    """Why an input can't be read as it was; None where it can."""
    if source is None:
        return "it is no input of the view any more"
    current = source.table.current()
    if current is None:
        return "its table is gone"
    if current.table_id != recorded["table_id"]:
        return "its table was made anew since; the one that was read is gone"
    return None


def _filled_in(definition: dict[str, Any], interval: Interval | None, horizon: datetime | None) -> dict[str, Any]:
    """The definition with its parameters as they were when it ran."""
    moments = {
        "interval_start": EARLIEST if interval is None else interval.start,
        "interval_end": (horizon or LATEST) if interval is None else interval.end,
    }
    text = with_parameters(definition.get("text") or "", {name: instant(at) for name, at in moments.items()})
    return {**definition, "text": text}


def _reach(view: FeatureView, moment: datetime | None, interval: Interval | None, horizon: datetime | None) -> Reach:
    """The time of which the definition sees input rows for the row at ``moment``."""
    if interval is None or moment is None:
        return Reach((None, horizon), (None, horizon))
    rules = view.materialize
    start = max(floor_to(moment, rules.every), interval.start)
    end = min(moved(start, rules.every), interval.end)
    return Reach(
        narrow=(moved(start, -rules.lookback), moved(end, rules.lookahead)),
        whole=(moved(interval.start, -rules.lookback), moved(interval.end, rules.lookahead)),
    )
