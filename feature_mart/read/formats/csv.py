"""Delimited text. Columns are found by the names in each file's own header, so their order may differ between files."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import zlib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from feature_mart.definitions import Source
from feature_mart.errors import SourceError
from feature_mart.read.conform import FILE, RAW, conformed, file_name, quoted_name
from feature_mart.read.files import SourceFile, is_local, local_path, refuse_vanished, spark_path
from feature_mart.read.formats.loaded import Loaded, extra_columns_remark, union_of

_HEADER_BYTES = 1 << 20
_SEPARATOR = "\x1f"

# RFC 4180, which is what programs write: a quote inside a quoted field is doubled, and fields may hold line ends.
_DEFAULTS = {"escape": '"', "multiLine": "true", "encoding": "UTF-8"}
_OURS = ("header", "timestampFormat", "dateFormat")


def load(spark: SparkSession, source: Source, base: str, files: Sequence[SourceFile]) -> Loaded:
    """The rows of delimited files.

    Raises:
        SourceError: a header lacks a declared column, has a name twice, or cannot be read.
    """
    by_header: dict[tuple[str, ...], list[SourceFile]] = defaultdict(list)
    remarks = []
    has_header = source.options.get("header", "true").lower() == "true"
    for file in files:
        header = _header(spark, source, file) if has_header else tuple(source.schema)
        if header is None:
            remarks.append(f"source {source.name}: {file.name} is empty")
            continue
        if header not in by_header:
            _refuse_bad_header(source, file, header)
            remark = extra_columns_remark(source, file.name, header)
            remarks.extend([remark] if remark else [])
        by_header[header].append(file)
    frames = [_rows(spark, source, base, header, group, has_header) for header, group in by_header.items()]
    return Loaded(union_of(spark, source, frames), tuple(remarks))


def _header(spark: SparkSession, source: Source, file: SourceFile) -> tuple[str, ...] | None:
    """The names in the first record; None for a file with nothing in it."""
    encoding = source.options.get("encoding", "UTF-8")
    try:
        if is_local(file):
            text = _first_bytes(local_path(file)).decode(encoding, errors="replace")
        else:
            first = spark.read.text(spark_path(file), lineSep=source.options.get("lineSep")).first()
            text = "" if first is None else str(first[0])
        return _first_record(text.removeprefix("\ufeff"), source)
    except FileNotFoundError:
        refuse_vanished(source.name, [file])
        raise
    except (OSError, EOFError, LookupError, zlib.error, csv.Error) as error:
        raise SourceError(
            f"source {source.name}: {file.name} cannot be read: {error}. Nothing of this run was ingested; "
            "mend or remove the file and run the same command again."
        ) from error


def _first_record(text: str, source: Source) -> tuple[str, ...] | None:
    separator = source.options.get("sep", source.options.get("delimiter", ",")).replace("\\t", "\t")
    if len(separator) > 1:
        # Python's reader knows separators of one sign only; this one cannot stand in a header.
        text, separator = text.replace(separator, _SEPARATOR), _SEPARATOR
    quote = source.options.get("quote", '"')
    lines = io.StringIO(text)
    if quote:
        rows = csv.reader(lines, delimiter=separator or ",", quotechar=quote)
    else:
        rows = csv.reader(lines, delimiter=separator or ",", quoting=csv.QUOTE_NONE)
    record = next((row for row in rows if row), None)
    return None if record is None else tuple(name.strip() for name in record)


def _first_bytes(path: Path) -> bytes:
    if path.suffix == ".gz":
        with gzip.open(path, "rb") as unpacked:
            return unpacked.read(_HEADER_BYTES)
    if path.suffix == ".bz2":
        with bz2.open(path, "rb") as unpacked:
            return unpacked.read(_HEADER_BYTES)
    with path.open("rb") as plain:
        return plain.read(_HEADER_BYTES)


def _refuse_bad_header(source: Source, file: SourceFile, header: tuple[str, ...]) -> None:
    twice = sorted({name for name in header if header.count(name) > 1 and name in source.schema})
    if twice:
        raise SourceError(
            f"source {source.name}: the header of {file.name} has {', '.join(twice)} more than once, so it is not "
            "known which one is meant. Nothing of this run was ingested."
        )
    missing = [name for name in source.schema if name not in header]
    if not missing:
        return
    shown = ", ".join(header[:12]) + (", …" if len(header) > 12 else "")
    hint = ""
    other = next((mark for mark in (";", "\t", "|", ",") if len(header) == 1 and mark in header[0]), None)
    if other is not None:
        hint = f" The fields seem to be divided by {other!r}: declare `options: {{sep: {other!r}}}`."
    raise SourceError(
        f"source {source.name}: {file.name} has no column {', '.join(missing)}. Its header has: {shown}.{hint} "
        "Mend the file, or `schema` in metadata/sources.yml. Nothing of this run was ingested."
    )


def _rows(
    spark: SparkSession,
    source: Source,
    base: str,
    header: tuple[str, ...],
    files: Sequence[SourceFile],
    has_header: bool,
) -> DataFrame:
    # A name that is there twice and not declared would be ambiguous: columns are named by their place while reading.
    names = [name if name in source.schema else f"_{place}" for place, name in enumerate(header)]
    schema = ", ".join([*(f"`{name}` string" for name in names), f"{RAW} string"])
    options = {**_DEFAULTS, **{key: value for key, value in source.options.items() if key not in _OURS}}
    texts = (
        spark.read.schema(schema)
        .options(**options)
        .option("header", str(has_header).lower())
        .option("mode", "PERMISSIVE")
        .option("columnNameOfCorruptRecord", RAW)
        # Without this Spark counts the fields of a row only as far as columns are used.
        .option("columnPruning", "false")
        .csv([spark_path(file) for file in files])
        .select("*", file_name(base).alias(FILE))
    )
    broken = F.when(F.col(RAW).isNotNull(), F.lit(f"not {len(header)} fields, as the header has"))
    raw = F.coalesce(F.col(RAW), F.to_csv(F.struct(*[quoted_name(name) for name in names])))
    return conformed(texts, source.schema, formats=source.options, raw=raw, broken=broken)
