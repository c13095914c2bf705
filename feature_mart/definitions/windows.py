"""The windows of a view: from the pipeline's file to what the engine computes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import timedelta

from feature_mart.definitions.checks import report_unknown, used_by_expression
from feature_mart.definitions.durations import format_duration
from feature_mart.definitions.files.pipelines import FeatureViewEntry
from feature_mart.definitions.files.windows import AggregationEntry, WindowsEntry
from feature_mart.definitions.fingerprint import normalised_sql
from feature_mart.definitions.inputs import Place
from feature_mart.definitions.problems import listed
from feature_mart.definitions.spark_types import base_type
from feature_mart.definitions.sql_memo import SqlMemo
from feature_mart.windows.functions import FUNCTIONS
from feature_mart.windows.spec import Aggregation, Series, Window, Windows

DAY = timedelta(days=1)
WEEK = timedelta(weeks=1)


def read_windows(entry: FeatureViewEntry, created: str | None) -> Windows | None:
    """The windows of an entry; None where it has none. ``created``: the created timestamp of its input."""
    if entry.windows is None:
        return None
    outputs = [
        Aggregation(aggregation.name or output_name(aggregation.input, function, window), series, function, window)
        for aggregation in entry.windows.aggregations
        for series in [_series(aggregation)]
        for window in aggregation.over
        for function in aggregation.functions
    ]
    return Windows(entry.windows.every, tuple(outputs), created)


def output_name(column: str, function: str, window: Window) -> str:
    """How an output is called: ``order_value_sum_30d``, ``order_value_sum_30d_shift_7d``."""
    return f"{column}_{function}_{window.written}"


def _series(aggregation: AggregationEntry) -> Series:
    """Named by what it holds, so that a tile's column stays what it is when other aggregations come and go."""
    if aggregation.where is None:
        return Series(aggregation.input, None, aggregation.input)
    digest = hashlib.sha256(normalised_sql(aggregation.where).encode()).hexdigest()[:8]
    return Series(aggregation.input, aggregation.where, f"{aggregation.input}_{digest}")


def check_windows(
    entry: FeatureViewEntry,
    given: Sequence[str] | None,
    types: Mapping[str, str],
    place: Place,
    memo: SqlMemo,
) -> None:
    """Tell what is wrong with the windows of an entry.

    Args:
        given: the columns of its input or definition, or None where only a build can tell.
        types: the Spark types of those of them that are known.
    """
    windows = entry.windows
    if windows is None:
        return
    _check_keys(entry, place)
    _check_every(windows, place)
    for at, aggregation in enumerate(windows.aggregations):
        _check_aggregation(entry, aggregation, at, given, types, place, memo)
    _check_names(entry, place)


def _check_keys(entry: FeatureViewEntry, place: Place) -> None:
    for key, why in (
        ("static", "its rows are of the boundaries of its windows"),
        (
            "created_timestamp",
            "its rows are made, not learned; ties of its events are told apart by those of its input",
        ),
        ("ttl", "its rows say themselves when a value ends"),
    ):
        if getattr(entry, key):
            message = f"{entry.name} has windows, so it takes no {key}: {why}"
            place.tell((key,), message, fix=f"remove {key}")
    if "materialize" in entry.model_fields_set:
        message = f"{entry.name} has windows, which say themselves what is made when"
        place.tell(("materialize",), message, fix="remove materialize; the distance of boundaries is windows: every")


def _check_every(windows: WindowsEntry, place: Place) -> None:
    every = windows.every
    if (every > DAY and every != WEEK) or (every < DAY and DAY % every):
        found = format_duration(every)
        message = f"found {found}, at which no boundary of windows can be"
        allowed = "what divides a day, as 15m, 1h or 1d does; or 7d, which is from Monday to Monday"
        place.tell(("windows", "every"), message, found=found, allowed=allowed, fix="write 1d, for instance")


def _check_aggregation(
    entry: FeatureViewEntry,
    aggregation: AggregationEntry,
    at: int,
    given: Sequence[str] | None,
    types: Mapping[str, str],
    place: Place,
    memo: SqlMemo,
) -> None:
    keys = ("windows", "aggregations", at)
    giver = entry.definition or entry.input or entry.name
    is_known = not report_unknown(aggregation.input, given, giver, place, (*keys, "input"))
    if aggregation.where is not None:
        for column in used_by_expression(aggregation.where, place, (*keys, "where"), memo):
            report_unknown(column, given, giver, place, (*keys, "where"))
    kind = types.get(aggregation.input) if is_known else None
    for number, name in enumerate(aggregation.functions):
        takes = FUNCTIONS[name].takes
        if kind is not None and takes is not None and base_type(kind) not in takes:
            message = f"found {name} of {aggregation.input}, which is {kind}"
            fitting = [
                other
                for other, function in FUNCTIONS.items()
                if function.takes is None or base_type(kind) in function.takes
            ]
            fix = f"take one of {listed(fitting)}, or cast the column in a definition"
            place.tell(
                (*keys, "functions", number), message, found=name, allowed=f"{name} takes {listed(takes)}", fix=fix
            )
    assert entry.windows is not None
    for number, window in enumerate(aggregation.over):
        for length in (window.length, window.shift or None):
            if length is not None and length % entry.windows.every:
                found, every = window.written.replace("_shift_", ", shift "), format_duration(entry.windows.every)
                what = "is shorter than" if length < entry.windows.every else "is no multiple of"
                message = f"found {found}, which {what} the distance of the boundaries, {every}"
                fix = f"write a multiple of {every}, or a smaller windows: every"
                place.tell((*keys, "over", number), message, found=found, allowed=f"multiples of {every}", fix=fix)
    if aggregation.name is not None and len(aggregation.functions) * len(aggregation.over) > 1:
        message = f"gives the name {aggregation.name} to {len(aggregation.functions) * len(aggregation.over)} outputs"
        fix = "write an aggregation of its own for each name"
        place.tell((*keys, "name"), message, found=aggregation.name, allowed="one function over one window", fix=fix)


def _check_names(entry: FeatureViewEntry, place: Place) -> None:
    assert entry.windows is not None
    seen: dict[str, int] = {}
    for at, aggregation in enumerate(entry.windows.aggregations):
        for window in aggregation.over:
            for function in aggregation.functions:
                name = aggregation.name or output_name(aggregation.input, function, window)
                if name == aggregation.name and seen.get(name.lower()) == at:
                    continue  # told already: one name for several outputs
                if name.lower() in seen:
                    message = f"gives {name} twice: in aggregation {seen[name.lower()] + 1} and in {at + 1}"
                    fix = "remove one of the two, or name it otherwise with name:"
                    place.tell(("windows", "aggregations", at), message, found=name, fix=fix)
                seen.setdefault(name.lower(), at)
