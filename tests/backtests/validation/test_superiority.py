import numpy as np
import pytest

from backtests.validation.errors import NotComputedError, SampleError, SettingsError, ShapeError
from backtests.validation.superiority import (
    model_confidence_set,
    superior_predictive_ability,
    superior_strategies,
)


@pytest.fixture(scope="module")
def returns():
    """Twelve strategies of 250 bars that share a market; the third has some skill."""
    rng = np.random.default_rng(4)
    market = 0.01 * rng.standard_normal((250, 1))
    found = 0.5 * market + 0.01 * rng.standard_normal((250, 12))
    found[:, 2] += 0.0015
    found[:, 7] -= 0.004
    return found


class TestSuperiorPredictiveAbility:
    def test_agrees_with_arch_where_means_are_plain(self, returns):
        from arch.bootstrap import SPA

        ours = superior_predictive_ability(
            returns, mean_block=4.0, n_resamples=4_000, studentized=False
        )

        theirs = SPA(np.zeros(250), -returns, block_size=4, reps=4_000, seed=1)
        theirs.compute()
        expected = theirs.pvalues
        assert ours.p_lower == pytest.approx(expected["lower"], abs=0.035)
        assert ours.p_value == pytest.approx(expected["consistent"], abs=0.035)
        assert ours.p_upper == pytest.approx(expected["upper"], abs=0.035)

    def test_finds_the_skilled_strategy(self, returns):
        found = superior_predictive_ability(returns)

        assert found.best == 2
        assert found.p_lower <= found.p_value <= found.p_upper
        assert found.resampling.mean_block >= 1.0
        assert "Politis-White" in found.resampling.block_rule

    def test_holds_against_the_benchmark_given(self, returns):
        found = superior_predictive_ability(returns, returns[:, 2])

        assert found.n_strategies == 11
        assert found.n_still == 1
        assert found.p_value > 0.2

    def test_does_not_depend_on_the_currency_or_on_chunks(self, returns, monkeypatch):
        plain = superior_predictive_ability(returns, n_resamples=200)
        scaled = superior_predictive_ability(returns * 4.0, n_resamples=200)
        monkeypatch.setattr("backtests.validation.superiority._CELLS", 1_000)
        chunked = superior_predictive_ability(returns, n_resamples=200)

        assert scaled.p_value == plain.p_value
        assert chunked.p_value == pytest.approx(plain.p_value, abs=1e-12)
        assert chunked.best == plain.best

    def test_is_one_where_every_strategy_loses(self, returns):
        found = superior_predictive_ability(returns - 0.01)

        assert found.statistic == 0.0
        assert found.p_value == 1.0

    @pytest.mark.slow
    def test_rejects_noise_about_as_often_as_it_says(self):
        rng = np.random.default_rng(0)
        p = [
            superior_predictive_ability(
                rng.standard_normal((200, 20)), n_resamples=300, seed=study
            ).p_value
            for study in range(400)
        ]

        assert 0.01 <= np.mean(np.array(p) <= 0.05) <= 0.085  # 5 % and three binomial errors

    @pytest.mark.parametrize(
        ("returns", "options", "error"),
        [
            (np.full((20, 2), np.nan), {}, SampleError),
            (np.ones(20), {}, ShapeError),
            (np.eye(20), {"benchmark": np.zeros(19)}, ShapeError),
            (np.eye(20), {"mean_block": 0.5}, SettingsError),
            (np.eye(20), {"mean_block": 21.0}, SettingsError),
            (np.eye(20), {"n_resamples": 0}, SettingsError),
            (np.eye(7), {}, NotComputedError),
            (np.zeros((20, 2)), {}, NotComputedError),
            (np.hstack([np.eye(20), np.ones((20, 1))]), {}, NotComputedError),
        ],
    )
    def test_refuses_what_cannot_be(self, returns, options, error):
        with pytest.raises(error):
            superior_predictive_ability(returns, **options)


class TestSuperiorStrategies:
    def test_agrees_with_arch_where_means_are_plain(self, returns):
        from arch.bootstrap import StepM

        skilled = returns.copy()
        skilled[:, [4, 9]] += 0.005

        ours = superior_strategies(skilled, mean_block=4.0, studentized=False)

        theirs = StepM(np.zeros(250), -skilled, block_size=4, seed=1)
        theirs.compute()
        assert list(ours.superior) == [int(at) for at in theirs.superior_models]
        assert {4, 9} <= set(ours.superior)

    def test_has_a_member_just_where_the_test_rejects(self, returns):
        for lift in (0.0, 0.001, 0.002):
            found = superior_strategies(returns + lift, n_resamples=399)
            tested = superior_predictive_ability(returns + lift, n_resamples=399)

            assert bool(found.superior) == (tested.p_value <= 0.05)

    def test_can_take_all(self, returns):
        assert superior_strategies(returns + 0.02).superior == tuple(range(12))

    def test_refuses_an_impossible_size(self, returns):
        with pytest.raises(SettingsError):
            superior_strategies(returns, size=0.0)


class TestModelConfidenceSet:
    def test_keeps_the_best_and_drops_the_worst(self, returns):
        skilled = returns.copy()
        skilled[:, 2] += 0.004

        found = model_confidence_set(skilled)

        assert 2 in found.included
        assert 7 not in found.included
        assert found.p_values[2] == 1.0
        assert found.method == "R"

    def test_takes_the_cheaper_method_for_a_large_family(self, returns, monkeypatch):
        monkeypatch.setattr("backtests.validation.superiority._MOST_PAIRS", 10)

        assert model_confidence_set(returns, n_resamples=100).method == "max"

    def test_says_when_two_strategies_are_one(self, returns):
        with pytest.raises(NotComputedError, match="constant"):
            model_confidence_set(np.hstack([returns, returns[:, :1] + 0.1]))
        with pytest.raises(NotComputedError, match="two strategies"):
            model_confidence_set(returns[:, :1])
