"""Where a mart's Delta tables are: in a folder or bucket (`warehouse`), or behind a catalog's schema (`catalog`)."""

from __future__ import annotations

from dataclasses import dataclass

QUARANTINE_SUFFIX = "__quarantine"
RUNS_TABLE = "mart_runs"
# A training set is a table of its own; its newest commit holds a manifest under this key.
TRAINING_SET_PREFIX = "training_set__"
TRAINING_SET_MANIFEST = "training_set"


def quarantine_of(name: str) -> str:
    """The name of the table that holds the rows which were set aside from ``name``."""
    return name + QUARANTINE_SUFFIX


@dataclass(frozen=True)
class TableAddress:
    """One Delta table, addressed by its URI or by its name in a catalog (exactly one of the two is set)."""

    name: str
    uri: str | None = None
    identifier: str | None = None

    @property
    def sql(self) -> str:
        """How Spark SQL refers to the table."""
        return self.identifier if self.identifier is not None else f"delta.`{self.uri}`"

    @property
    def log_uri(self) -> str | None:
        """The URI in the spelling of Spark-free readers, or None where only Spark can find the table."""
        if self.uri is None or self.uri.startswith(("dbfs:", "hdfs:")):
            return None
        for spark_scheme, plain_scheme in (("s3a://", "s3://"), ("s3n://", "s3://"), ("file://", "")):
            if self.uri.startswith(spark_scheme):
                return plain_scheme + self.uri[len(spark_scheme) :]
        return self.uri


@dataclass(frozen=True)
class Location:
    """The place of all tables of one mart."""

    warehouse: str | None = None
    catalog: str | None = None

    def table(self, name: str) -> TableAddress:
        """The address of the table of that name."""
        if self.catalog is not None:
            return TableAddress(name, identifier=f"{self.catalog}.{name}")
        assert self.warehouse is not None
        return TableAddress(name, uri=f"{self.warehouse.rstrip('/')}/{name}")
