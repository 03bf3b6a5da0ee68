import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.statistics.errors import NotComputedError, SampleError, SettingsError
from experiments.statistics.sequential import (
    asymptotic_sequence,
    asymptotic_stream,
    group_sequential,
    msprt,
    msprt_stream,
    planned_sequence,
    planned_stream,
    schedule,
)

seeds = st.integers(0, 2**32 - 1)

METHODS = {
    "planned": lambda x: planned_sequence(x, horizon=400, batch=5),
    "asymptotic": lambda x: asymptotic_sequence(x, best_at=300, start=30),
    "batches": lambda x: asymptotic_sequence(x, best_at=300, batch=10, start=100),
    "hac": lambda x: asymptotic_sequence(x, best_at=300, lag=10, start=100),
    "msprt": lambda x: msprt(x, variance=2.0, prior_variance=0.01),
}
STREAMS = {
    "planned": lambda: planned_stream(horizon=400, batch=5),
    "asymptotic": lambda: asymptotic_stream(best_at=300, start=30),
    "batches": lambda: asymptotic_stream(best_at=300, batch=10, start=100),
    "hac": lambda: asymptotic_stream(best_at=300, lag=10, start=100),
    "msprt": lambda: msprt_stream(variance=2.0, prior_variance=0.01),
}


def differences(seed, n=450):
    return np.random.default_rng(seed).standard_t(4, n) + 0.1


class TestEverySequence:
    @pytest.mark.parametrize("name", METHODS)
    @given(seeds)
    @settings(max_examples=15, deadline=None)
    def test_contains_its_mean(self, name, seed):
        sequence = METHODS[name](differences(seed))

        assert np.all(sequence.lower <= sequence.mean)
        assert np.all(sequence.mean <= sequence.upper)
        assert not sequence.is_open

    @pytest.mark.parametrize("name", METHODS)
    @given(seeds, st.floats(-50.0, 50.0))
    @settings(max_examples=15, deadline=None)
    def test_moves_with_the_mean(self, name, seed, shift):
        sequence, moved = (METHODS[name](differences(seed) + by) for by in (0.0, shift))

        np.testing.assert_allclose(moved.lower, sequence.lower + shift, rtol=1e-7, atol=1e-7)

    @pytest.mark.parametrize("name", ["planned", "asymptotic", "batches", "hac"])
    @given(seeds, st.sampled_from([1e-6, 0.3, 7.0, 1e6]))
    @settings(max_examples=15, deadline=None)
    def test_scales_with_the_unit(self, name, seed, scale):
        sequence, scaled = (METHODS[name](differences(seed) * by) for by in (1.0, scale))

        np.testing.assert_allclose(scaled.lower, sequence.lower * scale, rtol=1e-7)
        np.testing.assert_allclose(scaled.upper, sequence.upper * scale, rtol=1e-7)
        np.testing.assert_allclose(scaled.p_values, sequence.p_values, rtol=1e-7)

    @pytest.mark.parametrize("name", METHODS)
    @given(seeds, st.lists(st.integers(0, 150), max_size=5))
    @settings(max_examples=15, deadline=None)
    def test_in_parts_gives_what_it_gives_at_once(self, name, seed, parts):
        values = differences(seed)
        cuts = np.minimum(np.cumsum(parts, dtype=np.int64), values.size)
        stream = STREAMS[name]()

        pieces = [stream.extend(piece) for piece in np.split(values, cuts)]

        whole = METHODS[name](values)
        for field in ("periods", "mean", "lower", "upper", "p_values"):
            joined = np.concatenate([getattr(piece, field) for piece in pieces])
            np.testing.assert_array_equal(joined, getattr(whole, field))

    @pytest.mark.parametrize("name", METHODS)
    @given(seeds)
    @settings(max_examples=15, deadline=None)
    def test_rejects_exactly_when_the_interval_excludes_zero(self, name, seed):
        sequence = METHODS[name](differences(seed) + 0.15)

        excluded = np.maximum.accumulate((sequence.lower > 0) | (sequence.upper < 0))
        clear = np.abs(sequence.p_values - 0.05) > 2e-4  # p of the planned one is interpolated
        np.testing.assert_array_equal((sequence.p_values < 0.05)[clear], excluded[clear])

    @pytest.mark.parametrize("name", METHODS)
    @given(seeds)
    @settings(max_examples=15, deadline=None)
    def test_has_a_running_intersection_that_only_shrinks(self, name, seed):
        sequence = METHODS[name](differences(seed))

        running = sequence.running()

        assert np.all(np.diff(running.lower[np.isfinite(running.lower)]) >= 0)
        assert np.all(np.diff(running.upper[np.isfinite(running.upper)]) <= 0)
        assert np.all(running.lower >= sequence.lower)
        assert running.excludes(0.0) == sequence.excludes(0.0)

    @pytest.mark.parametrize("name", ["planned", "asymptotic", "batches", "hac"])
    def test_is_open_for_a_constant(self, name):
        sequence = METHODS[name](np.full(450, 0.1))

        assert sequence.is_open
        assert np.isnan(sequence.p_values).all()
        assert sequence.excludes(0.0) is None

    @pytest.mark.parametrize("name", ["planned", "asymptotic", "batches", "hac"])
    def test_is_open_where_squares_vanish(self, name):
        sequence = METHODS[name](differences(3) * 1e-250)

        assert sequence.is_open
        assert not np.isnan(sequence.lower).any()

    @pytest.mark.parametrize("name", METHODS)
    def test_refuses_values_that_are_missing(self, name):
        with pytest.raises(SampleError):
            METHODS[name]([0.1, math.nan])

    @pytest.mark.parametrize("name", METHODS)
    def test_is_empty_of_nothing(self, name):
        assert METHODS[name]([]).periods.size == 0


class TestPlannedSequence:
    def test_starts_after_an_eighth_of_the_horizon_or_ten_batches(self):
        values = differences(0, 2_000)

        long = planned_sequence(values, horizon=2_000)
        short = planned_sequence(values, horizon=400)

        assert long.periods[np.isfinite(long.lower)][0] == 250
        assert short.periods[np.isfinite(short.lower)][0] == 100

    def test_is_narrower_at_the_horizon_than_a_sequence_for_ever(self):
        values = differences(1, 2_000)

        planned = planned_sequence(values, horizon=2_000)
        for_ever = asymptotic_sequence(values, best_at=2_000, batch=10, start=250)

        width = planned.upper[-1] - planned.lower[-1]
        assert width < 0.85 * (for_ever.upper[-1] - for_ever.lower[-1])

    def test_goes_on_after_the_horizon(self):
        sequence = planned_sequence(differences(2, 3_000), horizon=1_000)

        assert np.isfinite(sequence.lower[1_000:]).all()
        assert sequence.upper[2_999] - sequence.lower[2_999] < (
            sequence.upper[1_001] - sequence.lower[1_001]
        )

    def test_warns_when_batches_are_too_short(self):
        rng = np.random.default_rng(3)
        walk = np.convolve(rng.standard_normal(2_100), np.ones(60), "valid")[:2_000]

        assert "longer batches" in planned_sequence(walk, horizon=2_000).warnings[0]
        assert planned_sequence(differences(3, 2_000), horizon=2_000).warnings == ()

    @pytest.mark.parametrize(
        "plan",
        [
            {"horizon": 100},
            {"horizon": 1_000, "start": 99},
            {"horizon": 1_000, "start": 1_000},
            {"horizon": 1_000, "batch": 0},
            {"horizon": 1_000, "confidence": 95},
        ],
    )
    def test_refuses_plans_that_cannot_be(self, plan):
        with pytest.raises(SettingsError):
            planned_sequence(differences(0), **plan)

    def test_takes_milliseconds_for_20_000_periods(self):
        values = differences(4, 20_000)
        planned_sequence(values, horizon=20_000)

        took = []
        for _ in range(5):
            begun = time.perf_counter()
            planned_sequence(values, horizon=20_000)
            took.append(time.perf_counter() - begun)

        assert min(took) < 0.020


class TestAsymptoticSequence:
    def test_has_the_published_formula(self):
        values, alpha, best_at = differences(5), 0.05, 300
        n = values.size
        q2 = (-2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha))) / best_at
        inner = 2 * (n * q2 + 1) / (n * n * q2) * math.log(math.sqrt(n * q2 + 1) / alpha)

        sequence = asymptotic_sequence(values, best_at=best_at)

        half = values.std(ddof=1) * math.sqrt(inner)
        assert sequence.upper[-1] == pytest.approx(values.mean() + half)

    def test_over_batches_is_the_sequence_of_batch_means(self):
        values = differences(6, 400)
        means = values.reshape(40, 10).mean(axis=1)

        of_periods = asymptotic_sequence(values, best_at=300, batch=10)
        of_means = asymptotic_sequence(means, best_at=30)

        np.testing.assert_allclose(of_periods.upper[19::10], of_means.upper[1:], rtol=1e-9)


class TestMsprt:
    def test_has_the_published_likelihood_ratio(self):
        values, s2, t2 = differences(7), 2.0, 0.01
        n, mean = values.size, values.mean()
        ratio = math.sqrt(s2 / (s2 + n * t2)) * math.exp(
            n**2 * t2 * mean**2 / (2 * s2 * (s2 + n * t2))
        )

        sequence = msprt(values, variance=s2, prior_variance=t2)

        assert sequence.log_e_values[-1] == pytest.approx(math.log(ratio))

    def test_needs_a_variance_to_plan_with(self):
        with pytest.raises(SettingsError, match="planning_variance"):
            msprt([1.0, 2.0], prior_variance=0.1)

    def test_estimates_the_variance_as_it_goes(self):
        values = differences(8)

        sequence = msprt(values, prior_variance=0.01, planning_variance=2.0, start=30)

        assert np.isinf(sequence.lower[:29]).all()
        assert np.isfinite(sequence.lower[29:]).all()


class TestGroupSequential:
    def test_has_intervals_at_the_looks_that_have_come(self):
        boundary = schedule(np.arange(1, 6) / 5).boundary(500)

        sequence = group_sequential(differences(9, 350), boundary, is_student=False)

        assert sequence.periods.tolist() == [100, 200, 300]
        values = differences(9, 350)[:200]
        half = boundary.bounds[1] * values.std(ddof=1) / math.sqrt(200)
        assert sequence.upper[1] == pytest.approx(values.mean() + half)

    def test_says_so_before_the_first_look(self):
        boundary = schedule([0.5, 1.0]).boundary(500)

        with pytest.raises(NotComputedError, match="no scheduled look"):
            group_sequential(differences(0, 100), boundary)
