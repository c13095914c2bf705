"""A table or query of a database, copied whole: databases keep no versions, so the copy is what stays provable."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from feature_mart.definitions import Source
from feature_mart.definitions.secrets import hidden_values, masked_text
from feature_mart.definitions.widening import is_widening
from feature_mart.delta.canonical import row_text
from feature_mart.delta.errors import SPARK_ERRORS, first_lines
from feature_mart.errors import SourceError
from feature_mart.read.conform import FILE, quoted_name
from feature_mart.records import EPOCH, MICROSECOND

# Which table or driver is missing has to be said; anything else may be a secret or hold one.
_SAID = ("dbtable", "driver")


@dataclass(frozen=True)
class Copied:
    """The rows of a database table, held by Spark until they are unpersisted, with a digest of their content."""

    frame: DataFrame
    rows: int
    inputs: Mapping[str, object]
    earliest: datetime | None
    latest: datetime | None


def read_jdbc(spark: SparkSession, source: Source) -> Copied:
    """Reads the table or query that the source's options name.

    Raises:
        SourceError: the database does not answer, or a declared column is missing or of another type. The text never
            holds the URL or the options, which may carry a password.
    """
    try:
        found = spark.read.format("jdbc").options(**source.options).load()
    except SPARK_ERRORS as error:
        raise _failed(source, error) from None
    kinds = {name.lower(): (name, kind) for name, kind in found.dtypes}
    declared = source.schema or dict(found.dtypes)
    columns = []
    for name, wanted in declared.items():
        if name.lower() not in kinds:
            raise SourceError(
                f"source {source.name}: the table has no column {name}. It has: {', '.join(found.columns)}."
            )
        actual, kind = kinds[name.lower()]
        if not is_widening(kind, wanted):
            raise SourceError(
                f"source {source.name}: column {name} is {kind}, which does not fit {wanted} without loss."
            )
        columns.append(quoted_name(actual).cast(wanted).alias(name))
    frame = found.select(*columns, F.lit("jdbc").alias(FILE)).persist(StorageLevel.MEMORY_AND_DISK)
    time = F.lit(None).cast("bigint") if source.event_timestamp is None else F.unix_micros(source.event_timestamp)
    # A sum of hashes does not depend on the order in which the database gives its rows.
    content = F.xxhash64(row_text(list(declared))).cast("decimal(38,0)")
    try:
        row = frame.agg(
            F.count("*").alias("n"), F.sum(content).alias("d"), F.min(time).alias("a"), F.max(time).alias("z")
        ).first()
    except SPARK_ERRORS as error:
        frame.unpersist()
        raise _failed(source, error) from None
    assert row is not None
    times = [None if row[key] is None else EPOCH + row[key] * MICROSECOND for key in ("a", "z")]
    # Types count as content: a column that is declared in another type must reach the copy.
    facts = [frame.dtypes, source.event_timestamp, str(row["d"]), row["n"]]
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    return Copied(frame, row["n"], {"files": 1, "digest": digest}, times[0], times[1])


def _failed(source: Source, error: BaseException) -> SourceError:
    said = masked_text(first_lines(error, most=1), hidden_values(source.options, shown=_SAID))
    return SourceError(
        f"source {source.name}: the database cannot be read: {said} Check `options` in metadata/sources.yml and that "
        "the driver's jar is in `spark: conf: spark.jars`."
    )
