from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_mart.definitions import names
from feature_mart.definitions.problems import Invalid


@given(st.text(max_size=200))
def test_what_is_suggested_may_be_used(text: str) -> None:
    assert names.checked_name(names.suggested_name(text)) == names.suggested_name(text)
    assert names.checked_column(names.suggested_column(text)) == names.suggested_column(text)


@pytest.mark.parametrize("name", ["customer_spend", "a", "v2", "x" * 128])
def test_names(name: str) -> None:
    assert names.checked_table_name(name) == name


@pytest.mark.parametrize("name", ["", "Customer", "2nd", "_x", "a-b", "a b", "é", "x" * 129, "a\n"])
def test_no_names(name: str) -> None:
    with pytest.raises(Invalid, match="is no name"):
        names.checked_name(name)


@pytest.mark.parametrize(
    ("name", "suggested"),
    [("Order-Totals", "order_totals"), ("customerID", "customer_id"), ("2nd", "n_2nd"), ("", "n"), ("_x_", "x")],
)
def test_suggested_names(name: str, suggested: str) -> None:
    assert names.suggested_name(name) == suggested


@pytest.mark.parametrize("name", ["mart_runs", "a__b"])
def test_reserved_names(name: str) -> None:
    with pytest.raises(Invalid, match="reserved for tables of the engine"):
        names.checked_table_name(name)


@pytest.mark.parametrize("name", ["customer_id", "CustomerID", "a1"])
def test_columns(name: str) -> None:
    assert names.checked_column(name) == name


@pytest.mark.parametrize(
    ("name", "message", "fix"),
    [
        ("max amount", "is no column name", "write max_amount"),
        ("1st", "is no column name", "write c_1st"),
        ("_period", "begins with _, as the engine's own columns do", "write period"),
    ],
)
def test_no_columns(name: str, message: str, fix: str) -> None:
    with pytest.raises(Invalid) as raised:
        names.checked_column(name)
    assert (raised.value.message, raised.value.fix) == (message, fix)


def test_columns_of_sources() -> None:
    assert names.checked_source_column("Größe-1.5%") == "Größe-1.5%"
    for name in ("", "a b", "a,b", "a;b", "{a}", "(a)", "a\nb", "a\tb", "a=b"):
        with pytest.raises(Invalid, match="cannot hold"):
            names.checked_source_column(name)
    with pytest.raises(Invalid, match="begins with _"):
        names.checked_source_column("_file")
