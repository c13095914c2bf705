"""From text to declared types: what fits becomes a value, what does not becomes a reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

FILE = "_file"
REASON = "_reason"
RAW = "_raw"

_NOT_UTF8 = "\ufffd"
_LONGEST_QUOTE = 60
_TIMES = ("timestamp", "timestamp_ntz", "date")


def quoted_name(name: str) -> Column:
    """The column of exactly that name, with whatever dots, spaces and backticks it has."""
    return F.col("`" + name.replace("`", "``") + "`")


def in_calendar(value: Column) -> Column:
    """Whether a date or time lies in the years 0001 to 9999, outside of which Python and other readers know none."""
    return F.year(value.cast("timestamp_ntz")).between(1, 9999)


def _time(text: Column, data_type: str, formats: Mapping[str, str]) -> Column:
    if data_type == "timestamp" and "timestampFormat" in formats:
        return F.try_to_timestamp(text, F.lit(formats["timestampFormat"]))
    if data_type == "date" and "dateFormat" in formats:
        return F.try_to_timestamp(text, F.lit(formats["dateFormat"])).cast("date")
    # Spark completes a bare time of day with today's date; a value must not depend on the day it is read.
    return F.when(text.rlike(r"^\s*\d{4}-\d"), text.try_cast(data_type))


def _cast(text: Column, data_type: str, formats: Mapping[str, str]) -> Column:
    """``text`` as ``data_type``, null where it is none."""
    if data_type in _TIMES:
        value = _time(text, data_type, formats)
        return F.when(in_calendar(value), value)
    cast = text.try_cast(data_type)
    if data_type in ("float", "double"):
        # Java's number suffixes ("1d", "2f") are no part of a number in a file.
        return F.when(~text.rlike(r"(?i)(?<!in)[df]\s*$"), cast)
    if data_type.startswith("decimal"):
        # Spark rounds what does not fit the scale; a value that would change is not taken.
        exact = text.try_cast("decimal(38,18)")
        return F.when(exact.isNull() | (exact == cast), cast)
    return cast


def _reason(name: str, data_type: str, typed: Column) -> Column:
    text = quoted_name(name)
    if data_type == "string":
        return F.when(text.contains(_NOT_UTF8), F.lit(f"{name}: bytes that are not UTF-8"))
    shown = F.when(F.length(text) > _LONGEST_QUOTE, F.concat(F.substring(text, 1, _LONGEST_QUOTE), F.lit("…")))
    said = F.concat(F.lit(f"{name}: '"), shown.otherwise(text), F.lit(f"' is no {data_type}"))
    return F.when(text.isNotNull() & typed.isNull(), said)


def conformed(
    texts: DataFrame,
    schema: Mapping[str, str],
    *,
    formats: Mapping[str, str],
    raw: Column,
    broken: Column | None = None,
    typed_already: Sequence[str] = (),
) -> DataFrame:
    """Declared columns in their types, with `_file`, `_reason` (null where the row fits) and `_raw`.

    Args:
        texts: a frame with a text column per declared column, and `_file`.
        formats: ``timestampFormat`` and ``dateFormat``, where the source declares any.
        raw: the row as text, kept where there is a reason.
        broken: a reason that is known before any column is looked at, null where there is none.
        typed_already: columns that the reader parsed in their declared types.
    """
    typed = {
        name: quoted_name(name)
        if kind == "string" or name in typed_already
        else _cast(quoted_name(name), kind, formats)
        for name, kind in schema.items()
    }
    reasons = [_reason(name, kind, typed[name]) for name, kind in schema.items() if name not in typed_already]
    per_column = F.concat_ws("; ", *reasons)
    found = F.when(per_column != "", per_column)
    reason = found if broken is None else F.coalesce(broken, found)
    return texts.select(
        *[typed[name].alias(name) for name in schema],
        F.col(FILE),
        reason.alias(REASON),
        F.when(reason.isNotNull(), raw).alias(RAW),
    )


def file_name(base: str) -> Column:
    """The file that a row was read from, as its path below ``base`` (a local path, or a URI)."""
    path = F.url_decode(F.replace(F.col("_metadata.file_path"), F.lit("+"), F.lit("%2B")))
    # Hadoop writes local paths with one slash after the scheme or with three.
    plain = F.regexp_replace(path, "^file:/+", "/")
    return F.substr(plain, F.lit(len(base.rstrip("/")) + 2))
