"""The checks that a pipeline sets on a feature view."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from feature_mart.definitions.files.base import Column, Duration, Listed, Model, Share, Text
from feature_mart.definitions.problems import Invalid, listed

KINDS = ("unique", "row_count", "row_count_change", "null_share", "freshness", "sql")
ROW_KINDS = ("unique", "sql")


class RowCountEntry(Model):
    """How many rows a view has."""

    minimum: int | None = Field(default=None, description="At least so many rows.", examples=[1], ge=0)
    maximum: int | None = Field(default=None, description="At most so many rows.", examples=[1000000], ge=0)

    @model_validator(mode="after")
    def _bounded(self) -> RowCountEntry:
        if self.minimum is None and self.maximum is None:
            raise Invalid("has no bound", allowed="minimum, maximum or both", fix="write {minimum: 1}")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise Invalid("has a minimum above its maximum", allowed="minimum <= maximum", fix="exchange the two")
        return self


class RowCountChangeEntry(Model):
    """How much the number of rows may change against the version before."""

    maximum: float = Field(
        description="The largest change, as a share of the rows of the previous version: 0.5 bears half as many more "
        "or fewer.",
        examples=[0.5],
        ge=0,
    )


class NullShareEntry(Model):
    """How many values of a feature may be missing."""

    feature: Column = Field(description="The feature.", examples=["country"])
    maximum: Share = Field(description="The largest share of rows in which it is null.", examples=[0.1])


class CheckEntry(Model):
    """One check: exactly one kind, and what happens when it fails."""

    unique: Listed[Column] | None = Field(
        default=None,
        description="No two rows have equal values in all of these columns.",
        examples=[["customer_id", "invoice_no"]],
        min_length=1,
    )
    row_count: RowCountEntry | None = Field(
        default=None,
        description="Bounds on the number of rows of the whole view, as it will be.",
        examples=[{"minimum": 1}],
    )
    row_count_change: RowCountChangeEntry | None = Field(
        default=None,
        description="A bound on the change in the number of rows against the previous version.",
        examples=[{"maximum": 0.5}],
    )
    null_share: NullShareEntry | None = Field(
        default=None,
        description="A bound on the share of nulls of one feature.",
        examples=[{"feature": "country", "maximum": 0.1}],
    )
    freshness: Duration | None = Field(
        default=None,
        description="The newest event timestamp is at most so old when the view is built.",
        examples=["2d"],
    )
    sql: Text | None = Field(
        default=None,
        description="A condition in SQL on the columns of the view that each row must meet; a row for which it is "
        "null passes.",
        examples=["order_value < 1e7"],
    )
    severity: Literal["error", "warn", "quarantine"] = Field(
        default="error",
        description="What a failure does. `error`: nothing is published. `warn`: it is recorded. `quarantine`: the "
        "failing rows are set aside, "
        "the rest is published; for checks that speak of single rows (`unique`, `sql`).",
        examples=["warn"],
    )

    @model_validator(mode="after")
    def _one_kind(self) -> CheckEntry:
        kinds = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(kinds) != 1:
            found = f"has {len(kinds)} kinds of check ({listed(kinds)})" if kinds else "names no kind of check"
            raise Invalid(
                found, allowed=f"one of {listed(KINDS)}, and severity", fix="write one check per item of the list"
            )
        if self.severity == "quarantine" and kinds[0] not in ROW_KINDS:
            raise Invalid(
                f"sets rows aside for {kinds[0]}, which speaks of the table as a whole",
                allowed=f"severity error or warn; quarantine for {listed(ROW_KINDS)}",
                fix="write severity: error",
            )
        return self

    @property
    def kind(self) -> str:
        """Which kind of check this is."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)
