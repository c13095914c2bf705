"""``tests/mart/<view>.yml``."""

from __future__ import annotations

from pydantic import Field, model_validator

from feature_mart.definitions.files.base import Instant, Listed, Model, Row, TableName, Text
from feature_mart.definitions.problems import Invalid
from feature_mart.records import parse_instant


class UnitTestEntry(Model):
    """One test: given rows of the inputs, the rows that the definition must make of them."""

    name: Text = Field(description="What the test shows, as a sentence.", examples=["a cancellation lowers the total"])
    interval: Listed[Instant] | None = Field(
        default=None,
        description="Start (included) and end (excluded) of the range that is built; if left out, everything.",
        examples=[["2011-01-01", "2011-01-02"]],
    )
    given: dict[TableName, Listed[Row]] = Field(
        description="Rows of the inputs. Inputs that are left out are empty, columns that are left out are null.",
        examples=[{"invoice_lines": [{"InvoiceNo": "1", "Quantity": 2, "UnitPrice": 3.0, "CustomerID": 7}]}],
    )
    expect: Listed[Row] = Field(
        description="The rows that must come out, in any order. Columns that are left out are not compared.",
        examples=[[{"customer_id": 7, "invoice_no": "1", "order_value": 6.0}]],
    )

    @model_validator(mode="after")
    def _start_before_end(self) -> UnitTestEntry:
        if self.interval is None:
            return self
        if len(self.interval) != 2 or parse_instant(self.interval[0]) >= parse_instant(self.interval[1]):
            raise Invalid(
                "has an interval that is no start and later end",
                allowed="interval: [start, end]",
                fix="write interval: [2011-01-01, 2011-01-02]",
            )
        return self


class UnitTestsFile(Model):
    """Unit tests of one feature view, run by `mart test`."""

    feature_view: TableName = Field(description="The view that is tested.", examples=["invoice_totals"])
    tests: Listed[UnitTestEntry] = Field(
        description="The tests.",
        examples=[[{"name": "no lines, no invoices", "given": {"invoice_lines": []}, "expect": []}]],
        min_length=1,
    )
