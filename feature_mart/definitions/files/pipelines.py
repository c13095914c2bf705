"""``pipelines/<pipeline>.yml``."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, PlainValidator, WithJsonSchema, model_validator

from feature_mart.definitions.durations import ALLOWED as DURATION_ALLOWED
from feature_mart.definitions.durations import parse_duration
from feature_mart.definitions.files.base import Column, Duration, DurationOrZero, Listed, Model, Name, TableName, Text
from feature_mart.definitions.files.checks import CheckEntry
from feature_mart.definitions.files.windows import WindowsEntry
from feature_mart.definitions.problems import Invalid, nearest
from feature_mart.definitions.schedules import checked_schedule

AVAILABLE_AT_CREATION = "created_timestamp"


def _available_after(value: object) -> timedelta | str:
    if value == AVAILABLE_AT_CREATION:
        return AVAILABLE_AT_CREATION
    try:
        return parse_duration(value, zero_allowed=True)
    except Invalid as wrong:
        allowed = f"{DURATION_ALLOWED}; or created_timestamp"
        raise Invalid(
            wrong.message, allowed=allowed, nearest=nearest(value, [AVAILABLE_AT_CREATION]), fix=wrong.fix
        ) from None


def _online(value: object) -> bool | tuple[str, ...]:
    if isinstance(value, bool):
        return value
    features = value.get("features") if isinstance(value, dict) and set(value) == {"features"} else None
    if isinstance(features, list) and features and all(isinstance(feature, str) for feature in features):
        return tuple(features)
    raise Invalid(
        "says not what goes online",
        allowed="true, false or {features: [...]}",
        fix="write online: true for all features",
    )


AvailableAfter = Annotated[
    timedelta | Literal["created_timestamp"], PlainValidator(_available_after), WithJsonSchema({"type": "string"})
]
Online = Annotated[
    bool | tuple[str, ...],
    PlainValidator(_online),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "boolean"},
                {
                    "type": "object",
                    "properties": {"features": {"type": "array", "items": {"type": "string"}, "minItems": 1}},
                    "required": ["features"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]
Schedule = Annotated[str, PlainValidator(checked_schedule), WithJsonSchema({"type": "string"})]


class MaterializeEntry(Model):
    """How a view's table is made."""

    mode: Literal["full", "interval"] = Field(
        default="full",
        description="`full`: each build that finds changed inputs makes the whole table anew. `interval`: the "
        "definition is run over ranges "
        "of time, and only ranges that can have changed are made anew.",
        examples=["interval"],
    )
    every: Duration = Field(
        default=timedelta(days=1),
        description="For `interval`: the length of an interval; boundaries count from midnight UTC.",
        examples=["1d"],
    )
    lookback: DurationOrZero = Field(
        default=timedelta(0),
        description="For `interval`: how far before its interval the definition looks at its inputs.",
        examples=["7d"],
    )
    lookahead: DurationOrZero = Field(
        default=timedelta(0),
        description="For `interval`: how far after its interval the definition looks at its inputs.",
        examples=["0d"],
    )

    @model_validator(mode="after")
    def _intervals_only(self) -> MaterializeEntry:
        extra = sorted(self.model_fields_set - {"mode"})
        if self.mode == "full" and extra:
            raise Invalid(
                f"gives {', '.join(extra)} to a view that is made as a whole",
                allowed="every, lookback and lookahead with mode: interval only",
                fix="write mode: interval, or remove them",
            )
        return self


class FeatureViewEntry(Model):
    """One feature view: which logic makes it, what it is keyed by, when, how checked, served where."""

    name: TableName = Field(
        description="The view's name; its table and its metadata file are called so.", examples=["invoice_totals"]
    )
    definition: Text | None = Field(
        default=None,
        description="The file with the logic, relative to the mart's folder: a `.sql` file with one SELECT, or a "
        "`.py` file with a function "
        "`transform`. Either this or `input`.",
        examples=["features/retail/invoice_totals.sql"],
    )
    input: TableName | None = Field(
        default=None,
        description="A source or feature view that is taken as it is. Either this or `definition`.",
        examples=["invoice_totals"],
    )
    entities: Listed[Name] = Field(
        description="What the features describe. The keys of these entities are columns of the view.",
        examples=[["customer"]],
        min_length=1,
    )
    event_timestamp: Column | None = Field(
        default=None,
        description="The column that says when the facts of a row were true. Needed unless the view is `static`.",
        examples=["invoice_timestamp"],
    )
    created_timestamp: Column | None = Field(
        default=None,
        description="The column that says when a row became known; of equal event timestamps the latest wins.",
        examples=["loaded_at"],
    )
    static: bool = Field(
        default=False,
        description="The view has no event timestamp, on purpose: attributes that never change. One row per key.",
        examples=[True],
    )
    ttl: Duration | None = Field(
        default=None,
        description="A value older than this at the moment asked for counts as missing, in training and online alike.",
        examples=["365d"],
    )
    available_after: AvailableAfter | None = Field(
        default=None,
        description="How long after its event timestamp a row is known in production, or `created_timestamp`: from "
        "then on. Training sets see "
        "no row before that.",
        examples=["3h", "created_timestamp"],
    )
    materialize: MaterializeEntry = Field(
        default=MaterializeEntry.model_construct(
            mode="full", every=timedelta(days=1), lookback=timedelta(0), lookahead=timedelta(0)
        ),
        description="How the table is made.",
        examples=[{"mode": "interval", "every": "1d"}],
    )
    freshness: Duration | None = Field(default=None, description="A view older than this is stale.", examples=["26h"])
    retention: Duration | None = Field(
        default=None,
        description="How long versions of the table are kept; versions that training sets pin are kept longer.",
        examples=["400d"],
    )
    checks: Listed[CheckEntry] = Field(
        default=(),
        description="Checks on what a build made, before it is published.",
        examples=[[{"unique": ["customer_id"]}]],
    )
    online: Online = Field(
        default=False,
        description="Whether `mart sync` pushes the view to the online store: all features, or those named.",
        examples=[True],
    )
    windows: WindowsEntry | None = Field(
        default=None,
        description="Aggregations of the input's events over windows of time.",
        examples=[
            {
                "every": "1d",
                "aggregations": [{"input": "order_value", "functions": ["sum"], "over": ["7d", "30d"]}],
            }
        ],
    )
    derived: dict[Column, Text] = Field(
        default={},
        description="Further features, each computed by a SQL expression from columns of the same row.",
        examples=[{"mean_price": "order_value / nullif(items, 0)"}],
    )


class PipelineFile(Model):
    """A pipeline: feature views that are built together, on one schedule."""

    pipeline: Name = Field(description="The pipeline's name.", examples=["retail_daily"])
    description: Text = Field(description="What it is for.", examples=["Customer features from invoices, every night."])
    owner: Text | None = Field(
        default=None,
        description="Whom to call when it fails. Also the owner of its views that name none.",
        examples=["growth-data@example.com"],
    )
    tags: Listed[Text] = Field(default=(), description="Words to find it by.", examples=[["nightly"]])
    schedule: Schedule | None = Field(
        default=None,
        description="When it runs, in UTC: a cron expression of five fields, or a preset such as `@daily`.",
        examples=["0 3 * * *"],
    )
    feature_views: Listed[FeatureViewEntry] = Field(
        description="The feature views that it builds. Their order does not matter.",
        examples=[
            [{"name": "invoice_totals", "definition": "features/retail/invoice_totals.sql", "entities": ["customer"]}]
        ],
        min_length=1,
    )
