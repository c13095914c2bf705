"""Exact sums, against Python's own fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_mart.windows.exact_sums import of_doubles, of_integers, of_words

ANY_DOUBLE = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300)
MONEY = st.integers(-(10**9), 10**9).map(lambda cents: cents / 100)
AWKWARD = st.sampled_from([1e16, -1e16, 1.0, 1e-16, 5e-324, -5e-324, 2.0**53, 1.5, 0.0, -0.0, 2.0**-1022])


def cut(values: list[float], data: st.DataObject) -> tuple[int, int]:
    low = data.draw(st.integers(0, len(values)))
    return low, data.draw(st.integers(low, len(values)))


@settings(max_examples=300, deadline=None)
@given(st.one_of(*(st.lists(kind, max_size=40) for kind in (ANY_DOUBLE, MONEY, AWKWARD))), st.data())
def test_the_sum_of_any_stretch_is_the_nearest_double(values: list[float], data: st.DataObject) -> None:
    low, high = cut(values, data)
    sums = of_doubles(np.array(values, dtype=np.float64)).running()
    found = sums.between(np.array([low]), np.array([high])).to_doubles()[0]
    assert found == float(sum(map(Fraction, values[low:high])))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(ANY_DOUBLE, AWKWARD), max_size=30), st.data())
def test_an_expansion_is_the_same_whatever_the_order_and_adds_up_to_the_sum(
    values: list[float], data: st.DataObject
) -> None:
    def expansion(numbers: list[float]) -> list[float]:
        sums = of_doubles(np.array(numbers, dtype=np.float64)).running()
        counts, parts = sums.between(np.array([0]), np.array([len(numbers)])).to_expansions()
        assert counts.tolist() == [len(parts)]
        return list(map(float, parts))

    parts = expansion(values)
    assert sum(map(Fraction, parts), Fraction(0)) == sum(map(Fraction, values), Fraction(0))
    assert parts == expansion(data.draw(st.permutations(values)))
    assert parts[:1] == [] or parts[0] == float(sum(map(Fraction, values)))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=30))
def test_whole_numbers_add_up_beyond_64_bits_and_say_when_they_no_longer_fit(values: list[int]) -> None:
    sums = of_integers(np.array(values, dtype=np.int64)).running()
    whole = sums.between(np.array([0]), np.array([len(values)]))
    total = sum(values)
    integers, too_large = whole.to_integers()
    assert too_large[0] == (not -(2**63) <= total < 2**63)
    assert too_large[0] or integers[0] == total
    low, high, beyond = whole.to_words()
    assert not beyond[0]
    assert int(low[0]) + (int(high[0]) << 64) == total
    again = of_words(low, high)
    assert again.to_words()[0].tolist() == low.tolist()
    assert math.isclose(again.to_doubles()[0], total, rel_tol=1e-15)


def test_sums_beyond_128_bits_are_told() -> None:
    largest = of_words(np.array([2**64 - 1] * 2, dtype=np.uint64), np.array([2**63 - 1] * 2))
    assert largest.grouped(np.array([0])).to_words()[2].tolist() == [True]


def test_a_sum_beyond_the_largest_double_is_infinite() -> None:
    total = of_doubles(np.array([1.7e308, 1.7e308])).grouped(np.array([0]))
    assert total.to_doubles().tolist() == [math.inf]


@pytest.mark.parametrize("values", [[], [0.0], [-0.0, 0.0], [1.0, -1.0]])
def test_nothing_is_a_plain_zero(values: list[float]) -> None:
    sums = of_doubles(np.array(values, dtype=np.float64)).running()
    found = sums.between(np.array([0]), np.array([len(values)])).to_doubles()[0]
    assert str(found) == "0.0"
