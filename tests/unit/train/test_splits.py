"""Splits that leak nothing."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pandas as pd
import pytest

from feature_mart import UsageError, split_by_entity, split_by_time

FIRST = datetime(2011, 1, 1, tzinfo=timezone.utc)
FRAME = pd.DataFrame(
    {
        "customer_id": [number % 50 for number in range(500)],
        "event_timestamp": [FIRST + timedelta(days=number % 10) for number in range(500)],
    }
)


def test_no_row_to_learn_from_is_as_late_as_one_to_judge_by() -> None:
    learn, judge = split_by_time(FRAME, FIRST + timedelta(days=7))
    assert learn["event_timestamp"].max() == pd.Timestamp("2011-01-07", tz="UTC")
    assert judge["event_timestamp"].min() == pd.Timestamp("2011-01-08", tz="UTC")
    assert len(learn) + len(judge) == len(FRAME)


def test_rows_whose_label_looks_into_the_time_to_judge_by_are_in_neither_part() -> None:
    learn, judge = split_by_time(FRAME, FIRST + timedelta(days=7), gap=timedelta(days=3))
    assert learn["event_timestamp"].max() == pd.Timestamp("2011-01-04", tz="UTC")
    assert len(judge) == 150


def test_an_entity_is_on_one_side_and_always_on_the_same() -> None:
    learn, judge = split_by_entity(FRAME, ["customer_id"], test_share=0.3)
    assert set(learn["customer_id"]) & set(judge["customer_id"]) == set()
    assert len(learn) + len(judge) == len(FRAME)
    assert 0.1 < len(judge) / len(FRAME) < 0.5
    shuffled = FRAME.sample(frac=1, random_state=1)
    assert set(split_by_entity(shuffled, ["customer_id"], test_share=0.3)[1]["customer_id"]) == set(
        judge["customer_id"]
    )


def test_rows_without_an_entity_are_to_learn_from() -> None:
    frame = pd.DataFrame({"k": pd.array([1, None], "Int64")})
    learn, judge = split_by_entity(frame, ["k"], test_share=0.999999)
    assert learn["k"].isna().tolist() == [True]
    assert len(judge) == 1


@pytest.mark.parametrize(
    ("split", "text"),
    [
        (lambda: split_by_time(FRAME, FIRST, time="customer_id"), "no column customer_id of instants"),
        (lambda: split_by_time(FRAME, FIRST, gap=timedelta(days=-1)), "the gap is negative"),
        (lambda: split_by_entity(FRAME, ["customer"]), "no column customer; it has: customer_id, event_timestamp"),
        (lambda: split_by_entity(FRAME, []), "no column"),
        (lambda: split_by_entity(FRAME, ["customer_id"], test_share=1.5), "test_share is 1.5"),
    ],
)
def test_what_cannot_be_split_by_is_named(split: object, text: str) -> None:
    assert callable(split)
    with pytest.raises(UsageError, match=text):
        split()
