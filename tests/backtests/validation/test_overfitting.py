import itertools
import math

import numpy as np
import pytest
from scipy import stats

from backtests.validation.errors import (
    NotComputedError,
    SampleError,
    SettingsError,
    ShapeError,
)
from backtests.validation.halves import pass_halves
from backtests.validation.overfitting import (
    overfitting_of_blocks,
    probability_of_backtest_overfitting,
)


def plainly(returns, n_blocks):
    """Return logits and scores the way the paper describes them, with scipy's ranks."""
    blocks = np.array_split(np.arange(len(returns)), n_blocks)
    logits, pairs = [], []
    for picked in itertools.combinations(range(n_blocks), n_blocks // 2):
        rows = np.concatenate([blocks[b] for b in picked])
        rest = np.setdiff1d(np.arange(len(returns)), rows)
        inside, outside = (
            returns[r].mean(axis=0) / returns[r].std(axis=0, ddof=1) for r in (rows, rest)
        )
        best = np.argmax(inside)
        w = stats.rankdata(outside)[best] / (returns.shape[1] + 1)
        logits.append(math.log(w / (1 - w)))
        pairs.append((inside[best], outside[best]))
    return np.array(logits), np.array(pairs)


@pytest.fixture(scope="module")
def returns():
    return np.random.default_rng(0).normal(0.0002, 0.01, (400, 15))


class TestProbabilityOfBacktestOverfitting:
    def test_agrees_with_the_paper_step_by_step(self, returns):
        found = probability_of_backtest_overfitting(returns, n_blocks=8)

        logits, pairs = plainly(returns, 8)
        np.testing.assert_allclose(found.logits, logits, atol=1e-12)
        np.testing.assert_allclose(found.in_sample, pairs[:, 0], rtol=1e-9)
        np.testing.assert_allclose(found.out_of_sample, pairs[:, 1], rtol=1e-9, atol=1e-12)
        line = stats.linregress(pairs[:, 0], pairs[:, 1])
        assert found.probability == np.mean(logits <= 0)
        assert found.probability_of_loss == np.mean(pairs[:, 1] < 0)
        assert found.slope == pytest.approx(line.slope, rel=1e-8)
        assert found.intercept == pytest.approx(line.intercept, rel=1e-8)
        assert found.r_squared == pytest.approx(line.rvalue**2, rel=1e-8)
        assert found.n_splits == 70

    def test_compiled_agrees_with_plain_python(self, returns):
        halves = np.array(list(itertools.combinations(range(4), 2)))
        cut = returns.reshape(4, 100, 15)
        mean, kept = returns.mean(axis=0), np.arange(15)
        blocks = (mean, cut.sum(axis=1), np.square(cut).sum(axis=1), np.full(4, 100.0), False)
        compiled, plain = (np.full((6, 3), [-np.inf, 0.0, 0.0]) for _ in range(2))

        for is_ranking in (False, True):
            for written, run in ((compiled, pass_halves), (plain, pass_halves.py_func)):
                run(
                    0, 3, is_ranking, halves, *blocks, kept, 0, True, written, np.empty(6, np.int64)
                )

        np.testing.assert_array_equal(compiled, plain)

    def test_agrees_with_the_paper_where_trials_go_by_in_many_tiles(self):
        many = np.random.default_rng(5).normal(0.0002, 0.01, (120, 700))

        found = probability_of_backtest_overfitting(many, n_blocks=6)

        logits, pairs = plainly(many, 6)
        np.testing.assert_allclose(found.logits, logits, atol=1e-12)
        np.testing.assert_allclose(found.out_of_sample, pairs[:, 1], rtol=1e-9, atol=1e-12)

    def test_shares_the_ranks_of_equal_trials(self):
        alone = np.random.default_rng(1).normal(size=(64, 1))

        found = probability_of_backtest_overfitting(np.tile(alone, 7), n_blocks=8)

        np.testing.assert_allclose(found.logits, 0.0, atol=1e-12)  # the middle of seven
        assert found.probability == 1.0
        assert set(found.best) == {0}

    def test_does_not_depend_on_the_currency_or_the_order_of_trials(self, returns):
        plain = probability_of_backtest_overfitting(returns, n_blocks=8)

        scaled = probability_of_backtest_overfitting(returns * 8.0, n_blocks=8)
        turned = probability_of_backtest_overfitting(returns[:, ::-1], n_blocks=8)

        np.testing.assert_array_equal(scaled.logits, plain.logits)
        np.testing.assert_array_equal(turned.logits, plain.logits)

    def test_is_low_where_one_trial_is_skilled(self, returns):
        skilled = returns.copy()
        skilled[:, 3] += 0.004

        found = probability_of_backtest_overfitting(skilled, n_blocks=8)

        assert found.probability == 0.0
        assert set(found.best) == {3}

    def test_compares_means_when_asked(self, returns):
        found = probability_of_backtest_overfitting(returns, n_blocks=8, score="mean")

        first = np.arange(200)
        assert found.in_sample[0] == pytest.approx(returns[first].mean(axis=0).max())

    def test_drops_what_straddles_two_blocks(self, returns):
        found = probability_of_backtest_overfitting(returns, n_blocks=8, purge_bars=5)

        rows = np.concatenate([np.arange(b * 50 + (5 if b else 0), b * 50 + 50) for b in range(4)])
        ratio = returns[rows].mean(axis=0) / returns[rows].std(axis=0, ddof=1)
        assert found.in_sample[0] == pytest.approx(ratio.max())

    def test_scores_cash_with_nothing_and_leaves_out_what_never_moves(self, returns):
        lazy = returns.copy()
        lazy[:200, 2] = 0.0
        lazy[:, 5] = 0.0

        found = probability_of_backtest_overfitting(lazy, n_blocks=8)

        assert found.n_trials == 14
        assert found.n_still == 1
        assert np.isfinite(found.logits).all()

    def test_says_when_a_half_has_a_constant_return(self, returns):
        strange = returns.copy()
        strange[:200, 2] = 0.01

        with pytest.raises(NotComputedError, match="constant"):
            probability_of_backtest_overfitting(strange, n_blocks=8)

    def test_says_when_nothing_can_be_compared(self, returns):
        with pytest.raises(NotComputedError, match="fewer than two"):
            probability_of_backtest_overfitting(np.full((80, 3), 0.1), n_blocks=8)
        with pytest.raises(NotComputedError, match="fewer than two"):
            probability_of_backtest_overfitting(returns[:, :1], n_blocks=8)

    @pytest.mark.parametrize(
        ("returns", "options", "error"),
        [
            (np.full((80, 3), np.nan), {}, SampleError),
            (np.ones(80), {}, ShapeError),
            (np.ones((80, 3)), {"n_blocks": 7}, SettingsError),
            (np.ones((80, 3)), {"n_blocks": 2}, SettingsError),
            (np.ones((80, 3)), {"n_blocks": 22}, SettingsError),
            (np.ones((10, 3)), {"n_blocks": 16}, SettingsError),
            (np.ones((80, 3)), {"purge_bars": -1}, SettingsError),
            (np.ones((80, 3)), {"purge_bars": 5}, SettingsError),
            (np.ones((80, 3)), {"score": "omega"}, SettingsError),
        ],
    )
    def test_refuses_what_cannot_be(self, returns, options, error):
        with pytest.raises(error):
            probability_of_backtest_overfitting(returns, **options)

    @pytest.mark.slow
    def test_scatters_about_a_half_without_skill_and_falls_with_it(self):
        noise, skilled = [], []
        for seed in range(300):
            r = np.random.default_rng(seed).standard_normal((1_000, 20))
            noise.append(probability_of_backtest_overfitting(r, n_blocks=10).probability)
            r[:, 0] += 2.0 / math.sqrt(252)
            skilled.append(probability_of_backtest_overfitting(r, n_blocks=10).probability)

        assert np.mean(noise) == pytest.approx(0.5, abs=0.04)
        assert np.std(noise) == pytest.approx(0.2, abs=0.04)
        assert np.mean(skilled) < 0.2

    def test_has_a_slope_only_where_scores_differ(self):
        wave = np.tile([[1.0, -1.0], [-1.0, 1.0]], (32, 1))

        assert probability_of_backtest_overfitting(wave, n_blocks=8).slope is None


class TestOverfittingOfBlocks:
    def test_is_exact_with_sums_and_squares(self, returns):
        blocks = returns.reshape(8, 50, 15)

        found = overfitting_of_blocks(
            blocks.sum(axis=1).T,
            block_squares=np.square(blocks).sum(axis=1).T,
            block_bars=np.full(8, 50.0),
        )

        expected = probability_of_backtest_overfitting(returns, n_blocks=8)
        np.testing.assert_allclose(found.logits, expected.logits, atol=1e-12)
        np.testing.assert_allclose(found.in_sample, expected.in_sample, rtol=1e-9)

    def test_takes_block_returns_as_observations_without_squares(self, returns):
        sums = returns.reshape(8, 50, 15).sum(axis=1)

        found = overfitting_of_blocks(sums.T)

        expected = probability_of_backtest_overfitting(sums, n_blocks=8)
        np.testing.assert_allclose(found.logits, expected.logits, atol=1e-12)

    def test_refuses_what_does_not_fit(self):
        with pytest.raises(SettingsError):
            overfitting_of_blocks(np.ones((3, 8)), block_squares=np.ones((3, 8)))
        with pytest.raises(ShapeError):
            overfitting_of_blocks(
                np.ones((3, 8)), block_squares=np.ones((3, 8)), block_bars=np.ones(7)
            )
        with pytest.raises(SettingsError):
            overfitting_of_blocks(np.ones((3, 7)))
