"""``metadata/sources.yml``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from feature_mart.definitions.files.base import (
    Duration,
    Listed,
    Model,
    ScalarText,
    Share,
    SourceColumn,
    SparkType,
    TableName,
    Text,
)

Format = Literal["csv", "json", "parquet", "delta", "table", "jdbc"]


class QuarantineEntry(Model):
    """What happens where rows do not fit the schema."""

    maximum_share: Share = Field(
        description="The largest share of malformed rows that is borne; more of them fail the build. Malformed rows "
        "are set aside in the "
        "source's quarantine table either way.",
        examples=[0.01],
    )


class SourceEntry(Model):
    """One source: raw data as somebody else makes it."""

    description: Text = Field(
        description="What one row is, for people.", examples=["One line of an invoice, as the till exports it."]
    )
    owner: Text | None = Field(
        default=None, description="Whom to ask about it.", examples=["sales-systems@example.com"]
    )
    tags: Listed[Text] = Field(default=(), description="Words to find it by.", examples=[["sales"]])
    format: Format = Field(
        description="`csv`, `json` and `parquet` files are ingested into a Delta table of the mart; `delta` is a "
        "Delta table at a path, `table` "
        "a table of Spark's catalog, both read in place at a pinned version; `jdbc` is a table of, or a query on, a "
        "database.",
        examples=["csv"],
    )
    path: Text | None = Field(
        default=None,
        description="For csv, json, parquet and delta: file, folder or pattern, or a URI; relative to the mart's "
        "folder.",
        examples=["${RETAIL_DATA:-data/invoice_lines}/*.csv.gz"],
    )
    table: Text | None = Field(
        default=None,
        description="For `format: table`: the table's name in Spark's catalog.",
        examples=["main.sales.invoice_lines"],
    )
    options: dict[str, ScalarText] = Field(
        default={},
        description="Options of Spark's reader for the format. For jdbc: `url`, and `dbtable` or `query`; take "
        "passwords from the environment.",
        examples=[{"header": True, "sep": ";"}],
    )
    schema_: dict[SourceColumn, SparkType] | None = Field(
        default=None,
        alias="schema",
        description="Column name to Spark SQL type. Needed for csv and json; elsewhere it says which columns must be "
        "there.",
        examples=[{"InvoiceNo": "string", "Quantity": "int", "InvoiceDate": "timestamp"}],
        min_length=1,
    )
    event_timestamp: Text | None = Field(
        default=None, description="The column that says when the fact was true.", examples=["InvoiceDate"]
    )
    created_timestamp: Text | None = Field(
        default=None, description="The column that says when the fact became known.", examples=["recorded_at"]
    )
    freshness: Duration | None = Field(
        default=None, description="A source whose data is older than this is reported.", examples=["36h"]
    )
    clock_skew: Duration | None = Field(
        default=None,
        description="How far after the run's clock an event timestamp may lie. Rows of files beyond it are set aside "
        "until their time comes; of other sources they are counted and told.",
        examples=["10m"],
    )
    quarantine: QuarantineEntry | None = Field(
        default=None, description="How many malformed rows are borne.", examples=[{"maximum_share": 0.01}]
    )
    deleted_files: Literal["keep", "drop"] = Field(
        default="keep",
        description="What happens to the rows of a file that is gone: they stay, or they go too.",
        examples=["keep"],
    )


class SourcesFile(Model):
    """The sources of the mart: the raw data that features are computed from."""

    sources: dict[TableName, SourceEntry] = Field(
        description="Each source by the name that SQL and Python definitions use for it.",
        examples=[
            {"countries": {"description": "Countries we sell to.", "format": "parquet", "path": "data/countries"}}
        ],
    )
