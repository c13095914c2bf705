"""What a spine's columns must be, before anything is read: names, keys in the mart's types, a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from feature_mart.definitions.problems import did_you_mean, listed
from feature_mart.definitions.spark_types import base_type
from feature_mart.definitions.widening import is_widening
from feature_mart.errors import UsageError
from feature_mart.train.request import ViewRequest

EVENT_TIMESTAMP = "event_timestamp"
_TEXTS = ("string", "char", "varchar")
_FLOATS = ("float", "double")
_TIMES = ("timestamp", "timestamp_ntz", "date", "void")


def wanted_types(requests: Sequence[ViewRequest]) -> dict[str, str]:
    """The spine's columns that are joined by, in the types that the mart has them in.

    Raises:
        UsageError: one column would have to hold keys of two types.
    """
    wanted: dict[str, str] = {}
    first: dict[str, str] = {}
    for request in requests:
        for key, column in request.join_keys.items():
            kind = request.view.keys[key]
            here = f"{key} of {request.name}"
            if wanted.setdefault(column, kind) != kind:
                raise UsageError(
                    f"the spine's column {column} is to be {first[column]}, which is {wanted[column]}, and {here}, "
                    f"which is {kind}. Give the spine a column for each, and name them in join_keys."
                )
            first.setdefault(column, here)
    if not all(request.view.static for request in requests):
        wanted[EVENT_TIMESTAMP] = "timestamp"
    return wanted


def check_spine(columns: Sequence[tuple[str, str]], requests: Sequence[ViewRequest]) -> dict[str, str]:
    """Refuses a spine that cannot be joined; gives the types that columns have to be cast to, none with a loss.

    Args:
        columns: names and Spark types of the spine, in its order.

    Raises:
        UsageError: a name is there twice or is not the spine's to give, a key or the time is missing or of another
            kind of type, or a feature would become a second column of a name.
    """
    names = [name for name, _ in columns]
    refuse_duplicates(names)
    _refuse_engine_names(names)
    _refuse_taken_names(names, requests)
    kinds = dict(columns)
    # A column in which pandas or Arrow saw no value at all; no Delta table holds such a type.
    casts = {name: "string" for name, kind in columns if kind == "void"}
    wanted = wanted_types(requests)
    for request in requests:
        for key, column in request.join_keys.items():
            if column not in kinds:
                raise _missing_key(request, key, column, names)
            if _key_type(kinds[column], wanted[column], column, request) is not None:
                casts[column] = wanted[column]
    if EVENT_TIMESTAMP in wanted:
        if EVENT_TIMESTAMP not in kinds:
            raise UsageError(
                f"the spine has no column {EVENT_TIMESTAMP}, the moment at which each row wants its features. It has: "
                f"{listed(names)}.{did_you_mean(EVENT_TIMESTAMP, names)} Rename the column that holds it."
            )
        _check_time(kinds[EVENT_TIMESTAMP])
        if kinds[EVENT_TIMESTAMP] != "timestamp":
            casts[EVENT_TIMESTAMP] = "timestamp"
    return casts


def refuse_duplicates(names: Iterable[str]) -> None:
    """Refuses names that SQL cannot tell from each other.

    Raises:
        UsageError: the first name that is there twice.
    """
    seen: dict[str, str] = {}
    for name in names:
        if name.lower() in seen:
            other = seen[name.lower()]
            both = f"{name} twice" if other == name else f"{other} and {name}, which SQL does not tell apart"
            raise UsageError(f"the spine has the column {both}. Rename or drop one of them.")
        seen[name.lower()] = name


def _refuse_engine_names(names: Sequence[str]) -> None:
    reserved = [name for name in names if name.startswith("_")]
    if reserved:
        raise UsageError(
            f"the spine has the column {reserved[0]}. Names that begin with _ are kept for the engine's own columns, "
            f"which readers do not see. Rename it, to {reserved[0].lstrip('_') or 'a name'} for example."
        )


def _refuse_taken_names(names: Sequence[str], requests: Sequence[ViewRequest]) -> None:
    taken = {name.lower(): name for name in names}
    for request in requests:
        for feature, output in ((feature, one) for feature, columns in request.features.items() for one in columns):
            if output.lower() in taken:
                raise UsageError(
                    f"the spine has a column {taken[output.lower()]}, and {request.name}:{feature} would be the column "
                    f"{output}. Rename the spine's, or ask with full_feature_names=True, which calls columns "
                    "view__feature."
                )


def _missing_key(request: ViewRequest, key: str, column: str, names: Sequence[str]) -> UsageError:
    mapping = f"join_keys={{{request.name!r}: {{{key!r}: …}}}}"
    what = "the key" if column == key else f"which join_keys gives for {key},"
    return UsageError(
        f"the spine has no column {column}, {what} of {request.name}. It has: {listed(names)}."
        f"{did_you_mean(column, names)} Rename the column that holds it, or name it in {mapping}."
    )


def _key_type(found: str, wanted: str, column: str, request: ViewRequest) -> str | None:
    """The type to cast a key to; None where it is of that type already."""
    if base_type(found) in _TEXTS and base_type(wanted) in _TEXTS:
        return None
    if found == wanted:
        return None
    # A date is a day, and no instant is that; all other widening keeps the kind of value.
    if found == "void" or (is_widening(found, wanted) and found != "date"):
        return wanted
    hint = ""
    if found in _FLOATS and wanted not in _FLOATS:
        hint = ' pandas keeps whole numbers as floats where one is missing: df[…].astype("Int64") keeps them whole.'
    raise UsageError(
        f"the spine's column {column} is {found}, but the key of {request.name} is {wanted}. Only a type whose values "
        f"all are values of {wanted} can be joined: cast the column to {wanted} first.{hint}"
    )


def _check_time(found: str) -> None:
    if found in _TIMES:
        return
    is_text = base_type(found) in _TEXTS
    what = f"the spine's column {EVENT_TIMESTAMP} holds text" if is_text else f"{EVENT_TIMESTAMP} is {found}"
    raise UsageError(
        f"{what} where a time belongs. Make it a timestamp first: pandas.to_datetime(df[{EVENT_TIMESTAMP!r}], "
        f"utc=True), or to_timestamp({EVENT_TIMESTAMP}) in Spark."
    )
