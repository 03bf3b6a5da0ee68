"""Random draws and Latin hypercubes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtests.search import SpaceError, build_space
from backtests.search.dimensions import Choices, Range
from backtests.search.expressions import parse
from backtests.search.methods import short_seed, stream
from backtests.search.sampling import LatinHypercube, RandomSearch

PLAIN = build_space(
    {
        "x": Range(low=0.0, high=1.0),
        "n": Range(low=1, high=10, step=1),
        "kind": Choices(values=["a", "b"]),
    }
)


class TestStream:
    def test_differs_from_place_to_place_and_seed_to_seed(self):
        places = [(5,), (5, 0), (5, 0, 0), (5, 7), (5 + (7 << 32),), (7 << 32, 5), (0,), (0, 5)]

        draws = {stream(*place).random() for place in places}

        assert len(draws) == len(places)
        assert len({short_seed(*place) for place in places}) == len(places)


class TestRandomSearch:
    def test_covers_every_dimension_evenly(self):
        method = RandomSearch(PLAIN, n_trials=4000, seed=1)

        drawn = [method.at(number) for number in range(4000)]

        assert np.mean([p["x"] for p in drawn]) == pytest.approx(0.5, abs=0.02)
        assert np.std([p["x"] for p in drawn]) == pytest.approx(12**-0.5, abs=0.01)
        counts = np.bincount([p["n"] for p in drawn])[1:]
        assert counts.min() > 330
        assert counts.max() < 470
        assert 0.47 < np.mean([p["kind"] == "a" for p in drawn]) < 0.53


class TestLatinHypercube:
    @given(st.integers(1, 60), st.integers(0, 2**63 - 1))
    def test_has_one_trial_in_every_part_of_every_dimension(self, n_trials, seed):
        method = LatinHypercube(PLAIN, n_trials=n_trials, seed=seed)

        parts = np.sort(np.floor(method.design * n_trials), axis=0)

        np.testing.assert_array_equal(parts, np.tile(np.arange(n_trials)[:, None], (1, 3)))

    def test_replaces_what_breaks_a_constraint(self):
        space = build_space({"x": Range(low=0.0, high=1.0)}, [parse("x > 0.5")])
        method = LatinHypercube(space, n_trials=20, seed=0)

        drawn = [method.at(number)["x"] for number in range(20)]

        assert min(drawn) > 0.5
        assert sum(x in space.decode(point).values() for x, point in zip(
            drawn, method.design, strict=True
        )) == 10  # fmt: skip

    def test_stays_in_memory(self):
        with pytest.raises(SpaceError, match="at most 20000000 numbers, not 10000000 × 3"):
            LatinHypercube(PLAIN, n_trials=10**7, seed=0)
