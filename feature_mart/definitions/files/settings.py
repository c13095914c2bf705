"""``conf/base.yml`` and ``conf/<env>.yml``."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, PlainValidator, WithJsonSchema

from feature_mart.definitions.files.base import Model, Name, ScalarText, Text
from feature_mart.definitions.online_store import OnlineStore, parse_online_store
from feature_mart.definitions.problems import Invalid

_CATALOG = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z_][A-Za-z0-9_-]*)*")


def _checked_catalog(value: object) -> str:
    if not isinstance(value, str) or not _CATALOG.fullmatch(value):
        raise Invalid(
            "is no schema of a catalog",
            allowed="schema or catalog.schema",
            fix="write it without quotes, as in main.feature_mart",
        )
    return value


StoreAddress = Annotated[
    OnlineStore,
    PlainValidator(parse_online_store),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]
Catalog = Annotated[str, PlainValidator(_checked_catalog), WithJsonSchema({"type": "string"})]


class SparkEntry(Model):
    """How the mart's own Spark session is made. Not used where a session is handed in, as on Databricks."""

    master: Text = Field(
        default="local[*]",
        description="The Spark master. `local[*]` runs Spark on all cores of this machine.",
        examples=["local[*]", "spark://host:7077", "yarn"],
    )
    conf: dict[str, ScalarText] = Field(
        default={},
        description="Settings of the Spark session. They win over those that the engine chooses.",
        examples=[{"spark.driver.memory": "4g"}],
    )


class SettingsFile(Model):
    """Where a mart keeps its tables and how it computes.

    `conf/base.yml` holds what is right for a laptop; `conf/<env>.yml` is laid over it, key by key, for the environment
    that `--env` or `MART_ENV` names.
    """

    mart: Name = Field(
        description="The mart's name: its name in the catalog, and the prefix of its keys in the online store.",
        examples=["retail"],
    )
    warehouse: Text | None = Field(
        default=None,
        description="Folder or URI that holds the Delta tables; a relative one is relative to the mart's folder. "
        "Either this or "
        "`catalog`; an environment's file that gives one of the two replaces the other.",
        examples=[
            "warehouse",
            "s3a://bucket/feature-mart",
            "abfss://container@account.dfs.core.windows.net/feature-mart",
        ],
    )
    catalog: Catalog | None = Field(
        default=None,
        description="A Spark `catalog.schema` that holds the tables, which are then addressed by name. Either this "
        "or `warehouse`.",
        examples=["main.feature_mart"],
    )
    online_store: StoreAddress = Field(
        default=OnlineStore.embedded(),
        description="Where features are published for lookup: `embedded` (no server), the URL of a Redis server, or "
        "a list of the "
        "nodes of a Redis cluster.",
        examples=["embedded", "redis://${REDIS_HOST}:6379/0", ["redis://redis-1:6379", "redis://redis-2:6379"]],
    )
    spark: SparkEntry = Field(
        default=SparkEntry.model_construct(master="local[*]", conf={}),
        description="The Spark session.",
        examples=[{"master": "local[*]"}],
    )
