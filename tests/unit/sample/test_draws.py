from random import Random

from feature_mart.sample.draws import STREAMS, Draws, Weighted


def test_draws_are_those_of_random_random_which_every_python_keeps() -> None:
    expected = Random(7 * len(STREAMS) + STREAMS.index("products"))

    assert [Draws(7, "products").random() for _ in range(1)] == [expected.random()]


def test_streams_of_one_seed_and_neighbouring_seeds_are_different() -> None:
    firsts = {Draws(seed, stream).random() for seed in range(20) for stream in STREAMS}

    assert len(firsts) == 20 * len(STREAMS)


def test_between_reaches_both_ends_and_nothing_beyond() -> None:
    draws = Draws(1, "cards")

    assert {draws.between(3, 5) for _ in range(200)} == {3, 4, 5}


def test_weighted_draws_follow_the_weights() -> None:
    draws = Draws(1, "cards")
    weighted = Weighted([("often", 9.0), ("never", 0.0), ("seldom", 1.0)])

    drawn = [weighted.draw(draws) for _ in range(5_000)]

    assert "never" not in drawn
    assert 0.08 < drawn.count("seldom") / len(drawn) < 0.12
