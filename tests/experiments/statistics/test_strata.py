"""Means over contexts whose effects differ, at looks: the target is what was seen so far."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.statistics.errors import ShapeError
from experiments.statistics.sequential import planned_sequence
from experiments.statistics.sequential.boundaries import PlannedBoundary
from experiments.statistics.sequential.running import RunningMean, student_reach
from experiments.statistics.strata import stratified_looks


def of_one_each(context, values):
    """Return differences and traffic of periods that have one context each."""
    differences = np.full((context.size, 2), np.nan)
    differences[np.arange(context.size), context] = values
    return differences, np.isfinite(differences) * 40.0


def contexts_of(stay, n, rng):
    """Return contexts that stay for so long on average, come anew (1) or change once (0)."""
    if stay == 0:
        return (np.arange(n) >= rng.integers(n // 4, 3 * n // 4)).astype(int)
    leaves = rng.random(n) < (0.5 if stay == 1 else 1.0 / stay)
    return (rng.integers(2) + np.cumsum(leaves)) % 2


class TestStratifiedLooks:
    def test_a_mean_worked_by_hand(self):
        """The third period has half its traffic in the other context, which lacks an arm there."""
        differences = np.array([[1.0, np.nan], [np.nan, 5.0], [3.0, np.nan], [np.nan, 7.0]])
        traffic = np.array([[4.0, 0.0], [0.0, 9.0], [2.0, 2.0], [0.0, 1.0]])

        found = stratified_looks(differences, traffic, np.array([2, 3, 4]), batch=1)

        # Shares of the first: 1/2, 1/2 and 3/8. Its means: 1, then (1 + 3/2) / (3/2).
        first = (1.0 + 1.5) / 1.5
        assert found.looks.mean == pytest.approx(
            [3.0, 0.5 * first + 0.5 * 5.0, 0.375 * first + 0.625 * 6.0]
        )
        assert found.rows.tolist() == [1, 2, 3]

    @given(st.integers(0, 100), st.integers(1, 3))
    def test_is_the_plain_mean_of_one_context(self, seed, batch):
        values = np.random.default_rng(seed).standard_normal(30)
        looks = np.array([20, 30])

        found = stratified_looks(values[:, np.newaxis], np.ones((30, 1)), looks, batch=batch)

        plain = RunningMean(batch, 1).extend(values)
        np.testing.assert_allclose(found.looks.mean, plain.mean[looks - 1])
        n_batches = np.ceil(looks / batch)
        wide = np.sqrt(n_batches / (n_batches - 1.0))
        np.testing.assert_allclose(found.looks.error, plain.error[looks - 1] * wide)

    @given(st.integers(0, 100), st.floats(-5.0, 5.0))
    def test_is_no_less_sure_the_further_contexts_are_apart(self, seed, apart):
        rng = np.random.default_rng(seed)
        context, values = np.arange(40) // 10 % 2, rng.standard_normal(40)
        looks = np.array([30, 40])

        alike = stratified_looks(*of_one_each(context, values), looks, batch=2)
        moved = stratified_looks(*of_one_each(context, values + apart * context), looks, batch=2)

        np.testing.assert_allclose(moved.looks.error, alike.looks.error, rtol=1e-9)

    def test_takes_a_context_of_a_single_batch_about_the_mean_of_all(self):
        context = np.repeat([0, 1], [50, 3])
        values = np.random.default_rng(1).standard_normal(53) + 9.0 * context
        plain = RunningMean(1, 1).extend(values)

        found = stratified_looks(*of_one_each(context, values), np.array([51, 53]), batch=1)

        assert found.looks.error[0] == pytest.approx(plain.error[50], rel=0.05)
        assert found.looks.error[1] < 0.5 * plain.error[52]

    def test_refuses_what_does_not_fit(self):
        with pytest.raises(ShapeError):
            stratified_looks(np.zeros((3, 2)), np.ones((3, 1)), np.array([3]), batch=1)

    @pytest.mark.slow
    @pytest.mark.parametrize("stay", [1, 10, 100, 200, 0])
    @pytest.mark.parametrize(
        ("n", "batch", "memory"), [(80, 1, 0.0), (220, 10, 0.0), (220, 10, 0.5)]
    )
    def test_covers_what_was_seen_however_long_contexts_last(self, stay, n, batch, memory):
        """Effects of 1 and -1 with noise of 1 and 2; every look; 5 % and its error."""
        start = max(-(-n // 8), 10 * batch)
        looks, missed = np.arange(start, n + 1), 0
        reach = PlannedBoundary(0.95, n, start).reach(looks)
        for seed in range(200):
            rng = np.random.default_rng([20261128, seed])
            context, noise = contexts_of(stay, n, rng), rng.standard_normal(n)
            for at in range(1, n):
                noise[at] += memory * noise[at - 1]
            effect = 1.0 - 2.0 * context
            given = of_one_each(context, effect + noise * (1.0 + 0.5 * context))
            found = stratified_looks(*given, looks, batch=batch).looks
            target = (np.cumsum(effect) / np.arange(1, n + 1))[looks - 1]
            half = student_reach(reach, found.freedom) * found.error
            missed += bool(np.any(np.abs(found.mean - target) > half))

        assert missed / 200 <= 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / 200)

    def test_no_one_mean_would_cover_it(self):
        """Differences cut to what fits all looks leave the average behind as contexts change."""
        context = np.repeat([0, 1], 110)
        values = 0.1 * np.random.default_rng(1).standard_normal(220) + 1.0 - 2.0 * context

        cut = planned_sequence(values, horizon=220, batch=10, start=100).running()

        assert cut.lower[-1] > 0.5 > abs(values.mean())
