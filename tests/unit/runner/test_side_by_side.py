"""Steps run after those that they need, independent ones at once, and nothing goes on behind a failure."""

from __future__ import annotations

import threading

import pytest

from feature_mart.runner.side_by_side import run_side_by_side


@pytest.mark.parametrize("at_once", [1, 2, 8])
def test_each_step_runs_once_and_after_those_that_it_needs(at_once: int) -> None:
    steps = {"c": ["a", "b"], "d": ["c", "elsewhere"], "a": [], "b": ["a"], "e": []}
    order: list[str] = []
    done: dict[str, str] = {}

    def work(name: str) -> str:
        order.append(name)
        return name.upper()

    run_side_by_side(steps, work, done, at_once=at_once)

    assert done == {name: name.upper() for name in steps}
    assert sorted(order) == sorted(steps)
    assert all(order.index(need) < order.index(name) for name in steps for need in steps[name] if need in steps)


def test_one_at_a_time_keeps_the_given_order() -> None:
    order: list[str] = []
    run_side_by_side({"b": [], "a": [], "c": ["b"]}, order.append, {}, at_once=1)
    assert order == ["b", "a", "c"]


def test_independent_steps_run_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=20)
    run_side_by_side({"a": [], "b": []}, lambda name: both.wait(), {}, at_once=2)
    assert not both.broken


def test_after_a_failure_nothing_is_begun_and_what_runs_is_waited_for() -> None:
    failed = threading.Event()
    done: dict[str, str] = {}

    def work(name: str) -> str:
        if name == "broken":
            failed.set()
            raise ValueError("the data is bad")
        assert failed.wait(20)
        return name

    with pytest.raises(ValueError, match="the data is bad"):
        run_side_by_side({"slow": [], "broken": [], "later": []}, work, done, at_once=2)
    assert done == {"slow": "slow"}


def test_of_several_failures_the_first_in_order_is_told() -> None:
    both = threading.Barrier(2, timeout=20)

    def work(name: str) -> None:
        both.wait()
        raise ValueError(name)

    with pytest.raises(ValueError, match=r"^a$"):
        run_side_by_side({"a": [], "b": []}, work, {}, at_once=2)


def test_steps_that_wait_for_each_other_are_an_error() -> None:
    with pytest.raises(ValueError, match="steps that wait for each other: a, b"):
        run_side_by_side({"a": ["b"], "b": ["a"]}, lambda name: name, {}, at_once=2)
