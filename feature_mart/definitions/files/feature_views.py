"""``metadata/feature_views/<view>.yml``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from feature_mart.definitions.files.base import Date, Listed, Model, Number, SparkType, TableName, Text, Value
from feature_mart.definitions.problems import Invalid


class DeprecatedEntry(Model):
    """That a feature should no longer be used."""

    since: Date = Field(description="The day since when.", examples=["2026-10-01"])
    replacement: Text | None = Field(
        default=None,
        description="What to use instead, as `view:feature`.",
        examples=["customer_spend:order_value_sum_7d"],
    )


class FeatureEntry(Model):
    """What is known of a feature, and the rules that its values keep."""

    description: Text = Field(description="What the value says, for people.", examples=["Net value of the invoice."])
    unit: Text | None = Field(default=None, description="The unit of the value.", examples=["GBP"])
    type: SparkType | None = Field(
        default=None, description="The Spark SQL type that it has; checked at each build.", examples=["double"]
    )
    nullable: bool = Field(default=True, description="Whether it may be null; checked at each build.", examples=[False])
    minimum: Number | None = Field(
        default=None, description="The smallest value that it may have; checked at each build.", examples=[0]
    )
    maximum: Number | None = Field(
        default=None, description="The largest value that it may have; checked at each build.", examples=[1]
    )
    allowed_values: Listed[Value] | None = Field(
        default=None,
        description="The only values that it may have; checked at each build.",
        examples=[["low", "high"]],
        min_length=1,
    )
    severity: Literal["error", "warn", "quarantine"] = Field(
        default="error",
        description="What a value that breaks `nullable`, `minimum`, `maximum` or `allowed_values` does. `error`: "
        "nothing is published. `warn`: it "
        "is recorded. `quarantine`: the row is set aside, the rest is published.",
        examples=["quarantine"],
    )
    default: Value | None = Field(
        default=None,
        description="What training and lookup give where no value is found or it has expired. A stored null stays "
        "null.",
        examples=[0],
    )
    deprecated: DeprecatedEntry | None = Field(
        default=None, description="Says that it should no longer be used.", examples=[{"since": "2026-10-01"}]
    )
    tags: Listed[Text] = Field(default=(), description="Words to find it by.", examples=[["monetary"]])

    @model_validator(mode="after")
    def _ordered(self) -> FeatureEntry:
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise Invalid(
                f"has the minimum {self.minimum} above the maximum {self.maximum}",
                allowed="minimum <= maximum",
                fix="exchange the two",
            )
        return self


class FeatureViewFile(Model):
    """What people need to know of a feature view and each of its features."""

    feature_view: TableName = Field(
        description="The view. The file is called `<view>.yml`.", examples=["customer_spend"]
    )
    description: Text = Field(
        description="What the view's features are about.", examples=["How much a customer has spent lately."]
    )
    owner: Text | None = Field(
        default=None,
        description="Whom to ask about it; if left out, the pipeline's owner.",
        examples=["growth-data@example.com"],
    )
    tags: Listed[Text] = Field(default=(), description="Words to find it by.", examples=[["monetary"]])
    features: dict[str, FeatureEntry] = Field(
        default={},
        description="Each feature by its name; a name with `*` documents all features that it matches and that have "
        "no entry of their own.",
        examples=[{"order_value_*": {"description": "Net value of invoices in the window.", "unit": "GBP"}}],
    )
