"""Results come in order, however many are worked out at once, and nothing is left behind a failure."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest

from feature_mart.runner.ahead import worked_ahead


@pytest.mark.parametrize("at_once", [1, 2, 7])
def test_results_come_in_order_and_none_is_dropped(at_once: int) -> None:
    dropped: list[int] = []
    assert list(worked_ahead(range(5), lambda item: item * item, dropped.append, at_once=at_once)) == [0, 1, 4, 9, 16]
    assert dropped == []


def test_one_at_a_time_begins_none_before_it_is_asked_for() -> None:
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        return item

    found = worked_ahead([1, 2], work, lambda result: None, at_once=1)
    assert (next(found), begun) == (1, [1])


def test_several_run_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=20)
    assert len(list(worked_ahead([1, 2], lambda item: both.wait(), lambda result: None, at_once=2))) == 2


def test_no_more_run_than_are_allowed() -> None:
    running, most, lock = 0, 0, threading.Lock()

    def work(item: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        threading.Event().wait(0.01)
        with lock:
            running -= 1
        return item

    assert list(worked_ahead(range(12), work, lambda result: None, at_once=3)) == list(range(12))
    assert most <= 3


def test_behind_a_failure_all_that_ran_is_dropped() -> None:
    begun: list[int] = []
    dropped: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        if item == 1:
            raise ValueError("the second")
        return item

    taken: list[int] = []
    with pytest.raises(ValueError, match="the second"):
        for result in worked_ahead(range(9), work, dropped.append, at_once=2):
            taken.append(result)
    assert taken == [0]
    assert sorted([*taken, 1, *dropped]) == sorted(begun)
    assert max(begun) <= 3


def test_a_caller_that_stops_leaves_nothing_behind() -> None:
    begun: list[int] = []
    dropped: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        return item

    with closing(worked_ahead(range(9), work, dropped.append, at_once=3)) as found:
        assert next(found) == 0
    assert sorted([0, *dropped]) == sorted(begun)
    assert len(begun) <= 4
