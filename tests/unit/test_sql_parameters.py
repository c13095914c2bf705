"""Named parameters in SQL: only what is one is replaced."""

from __future__ import annotations

import pytest

from feature_mart.build.sql import with_parameters

VALUES = {"interval_start": "START", "interval_end": "END"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("t < :interval_end", "t < END"),
        ("t < :INTERVAL_END and t >= :Interval_Start", "t < END and t >= START"),
        ("(:interval_start,:interval_end)", "(START,END)"),
        ("date(:interval_end)::string", "date(END)::string"),
        (":interval_end::date", "END::date"),
        ("a::interval_end", "a::interval_end"),
        ("':interval_end'", "':interval_end'"),
        ('":interval_end"', '":interval_end"'),
        ("`:interval_end`", "`:interval_end`"),
        ("'it''s :interval_end' || :interval_end", "'it''s :interval_end' || END"),
        (r"'it\'s :interval_end' || :interval_end", r"'it\'s :interval_end' || END"),
        (r"'\\' || :interval_end", r"'\\' || END"),
        ('"a \' b" || :interval_end || "c \' d"', '"a \' b" || END || "c \' d"'),
        ("1 -- :interval_end isn't\n + :interval_end", "1 -- :interval_end isn't\n + END"),
        ("1 /* :interval_end\n isn't */ + :interval_end", "1 /* :interval_end\n isn't */ + END"),
        ("1 -- last line :interval_end", "1 -- last line :interval_end"),
        ("`a``:interval_end` + :interval_end", "`a``:interval_end` + END"),
        (":interval_ends", ":interval_ends"),
        ("a:interval_end", "a:interval_end"),
        ("a[0]:interval_end", "a[0]:interval_end"),
        ("case when t<:interval_end then 1 end", "case when t<END then 1 end"),
        ("r'\\' || :interval_end", "r'\\' || END"),
        ("t >= :interval_end - interval 1 day", "t >= END - interval 1 day"),
        ("", ""),
    ],
)
def test_only_parameters_are_replaced(text: str, expected: str) -> None:
    assert with_parameters(text, VALUES) == expected


def test_a_parameter_without_a_value_stays() -> None:
    assert with_parameters("t < :interval_end", {"interval_start": "START"}) == "t < :interval_end"


def test_a_value_with_special_signs_is_taken_as_it_is() -> None:
    assert with_parameters("t < :interval_end", {"interval_end": r"\1 :interval_start"}) == r"t < \1 :interval_start"
