import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from backtests.validation.comparison import compare_strategies, pareto_front
from backtests.validation.differences import sharpe_difference
from backtests.validation.errors import NotComputedError, SampleError, SettingsError, ShapeError


@pytest.fixture(scope="module")
def returns():
    rng = np.random.default_rng(0)
    found = 0.006 * rng.standard_normal((500, 1)) + 0.008 * rng.standard_normal((500, 4))
    found[:, 1] += 0.0025
    return found


class TestCompareStrategies:
    def test_places_the_better_strategy_first(self, returns):
        found = compare_strategies(returns, names=["a", "b", "c", "d"], benchmark=0)

        assert found.names == ("a", "b", "c", "d")
        assert found.mean_rank.argmin() == 1
        assert found.sharpe_differences.lower[1, 0] > 0.0
        assert found.superiority.best == 1
        assert found.superior.superior == (1,)
        assert found.holm_p_values[1] < 0.05

    def test_has_the_figures_of_the_functions(self, returns):
        found = compare_strategies(returns, benchmark=2)

        np.testing.assert_allclose(found.correlation, np.corrcoef(returns.T))
        np.testing.assert_allclose(found.sharpe, returns.mean(0) / returns.std(0, ddof=1))
        expected = sharpe_difference(returns[:, 0], returns[:, 2]).p_value
        assert found.sharpe_p_values[0] == expected
        assert np.isnan(found.sharpe_p_values[2])

    def test_has_tables_that_hang_together(self, returns):
        found = compare_strategies(returns)

        np.testing.assert_allclose(found.rank_probabilities.sum(axis=0), 1.0)
        np.testing.assert_allclose(found.rank_probabilities.sum(axis=1), 1.0)
        for table in (found.mean_differences, found.sharpe_differences):
            np.testing.assert_allclose(table.estimate, -table.estimate.T)
            np.testing.assert_allclose(table.lower, -table.upper.T, atol=1e-12)
            assert np.all(table.lower <= table.upper)
        assert found.superiority is None
        because = "not computed, because no benchmark is named among the strategies"
        assert found.reasons == {"superiority": because, "superior": because}

    def test_adjusts_for_every_pair_where_the_sample_chose_the_reference(self, returns):
        alone, held = compare_strategies(returns), compare_strategies(returns, benchmark=1)

        assert alone.reference == held.reference == 1
        raw = np.sort(alone.sharpe_p_values[[0, 2, 3]])
        expected = np.maximum.accumulate(np.minimum(1.0, raw * [6, 5, 4]))
        np.testing.assert_allclose(np.sort(alone.holm_p_values[[0, 2, 3]]), expected)
        assert np.all(held.holm_p_values[[0, 2, 3]] <= alone.holm_p_values[[0, 2, 3]])

    def test_seldom_tells_noise_apart(self):
        rng = np.random.default_rng(5)
        found = [
            np.nanmin(compare_strategies(noise, n_resamples=1, mean_block=1.0).holm_p_values)
            for noise in rng.standard_normal((200, 250, 10))
        ]

        assert np.mean(np.array(found) <= 0.05) <= 0.07

    def test_does_not_test_superiority_over_too_few_bars(self, returns):
        few = compare_strategies(returns[:249], benchmark=0)
        enough = compare_strategies(returns[:250], benchmark=0)

        because = "not computed, because 249 bars are fewer than the 250 that the bootstrap needs"
        assert few.reasons == {"superiority": because, "superior": because}
        assert (few.superiority, few.superior) == (None, None)
        assert np.isfinite(few.holm_p_values[1:]).all()
        assert enough.superiority is not None
        assert enough.superior is not None

    def test_says_among_which_the_best_is(self, returns):
        apart = compare_strategies(returns)
        twice = compare_strategies(np.column_stack([returns, returns[:, 0]]))

        assert apart.confidence_set.included == (1,)
        assert json.loads(json.dumps(apart.to_dict()))["confidence_set"]["included"] == [1]
        assert twice.confidence_set is None
        assert "differ by no more than a constant" in twice.reasons["confidence_set"]

    def test_has_resamples_that_are_the_returns_drawn_again(self, returns):
        from numerics.resampling import stationary_indices

        found = compare_strategies(returns, n_resamples=60, mean_block=5.0, seed=3)

        drawn = returns[stationary_indices(500, 60, 5.0, np.random.default_rng(3))]
        sharpe = drawn.mean(axis=1) / drawn.std(axis=1, ddof=1)
        apart = sharpe[:, 1] - sharpe[:, 3]
        assert found.sharpe_differences.lower[1, 3] == pytest.approx(np.quantile(apart, 0.025))
        first = np.mean(sharpe.argmax(axis=1) == 1)
        assert found.rank_probabilities[1, 0] == pytest.approx(first)

    @pytest.mark.slow
    def test_has_intervals_that_cover_the_truth(self):
        covered = []
        for seed in range(300):
            rng = np.random.default_rng(seed)
            r = rng.standard_normal((400, 1)) + rng.standard_normal((400, 2)) + [0.1, 0.0]
            table = compare_strategies(r, n_resamples=300, seed=seed).mean_differences
            covered.append(table.lower[0, 1] <= 0.1 <= table.upper[0, 1])

        assert 0.90 <= np.mean(covered) <= 0.98

    def test_is_json_also_where_a_strategy_is_there_twice(self, returns):
        twice = np.hstack([returns, returns[:, :1]])

        found = compare_strategies(twice, benchmark=0, n_resamples=50).to_dict()

        text = json.dumps(found, allow_nan=False)
        assert json.loads(text)["sharpe_p_values"][4] is None

    @pytest.mark.parametrize(
        ("returns", "options", "error"),
        [
            (np.ones((20, 2)), {}, NotComputedError),
            (np.eye(20)[:, :1], {}, NotComputedError),
            (np.eye(9), {}, NotComputedError),
            (np.full((20, 2), np.nan), {}, SampleError),
            (np.eye(20), {"names": ["a"]}, ShapeError),
            (np.eye(20), {"benchmark": 20}, SettingsError),
            (np.eye(20), {"confidence": 1.0}, SettingsError),
            (np.eye(20), {"n_resamples": 0}, SettingsError),
        ],
    )
    def test_refuses_what_cannot_be(self, returns, options, error):
        with pytest.raises(error):
            compare_strategies(returns, **options)


class TestParetoFront:
    def test_keeps_what_nothing_beats(self):
        values = [[1.0, 0.2], [2.0, 0.3], [1.5, 0.3], [0.5, 0.1], [2.0, 0.3], [0.4, 0.1]]

        found = pareto_front(values, maximize=[True, False])

        assert found.tolist() == [True, True, False, True, True, False]

    @given(arrays(np.float64, st.tuples(st.integers(1, 12), st.integers(1, 3)),
                  elements=st.integers(0, 4).map(float)))  # fmt: skip
    @settings(deadline=None)
    def test_agrees_with_every_pair_compared(self, values):
        found = pareto_front(values, maximize=[True] * values.shape[1])

        for row, kept in zip(values, found, strict=True):
            beaten = np.any(np.all(values >= row, axis=1) & np.any(values > row, axis=1))
            assert kept == (not beaten)

    def test_refuses_what_does_not_fit(self):
        with pytest.raises(ShapeError):
            pareto_front([[1.0, 2.0]], maximize=[True])
        with pytest.raises(SampleError):
            pareto_front([[np.nan]], maximize=[True])
