"""Effects of arms, with what they share taken off."""

import numpy as np
import pytest
from statsmodels.api import OLS

from experiments.plans.analysis import analyze
from experiments.plans.differences import arm_effects, beyond_factor
from experiments.plans.observed import Observed
from experiments.statistics.sequential import planned_sequence
from experiments.statistics.summaries import PeriodTable
from experiments.statistics.variance import market_adjusted_difference
from tests.experiments.plans.test_analysis import planned

DAY = 86_400 * 10**9


def outcomes(shares, *, effect=1.0, seed=0, n_units=400, noise=0.1):
    """Return period, arm, allocation and value of units whose shares move with the periods."""
    rng = np.random.default_rng(seed)
    period = np.repeat(np.arange(len(shares)), n_units)
    arm = (rng.random(period.size) < np.repeat(shares, n_units)).astype(int)
    shock = rng.normal(0.0, 5.0, len(shares))[period]
    value = shock + effect * arm + noise * rng.standard_normal(period.size)
    return period, arm, period + 1, value


class TestArmEffects:
    @pytest.mark.parametrize("shares", [[0.5] * 8, [0.1, 0.9] * 4, [0.5, 0.9, 0.95, 0.05]])
    def test_a_difference_is_whole_however_the_shares_moved(self, shares):
        period, arm, allocation, value = outcomes(shares)
        table = PeriodTable.of_outcomes(period * DAY, arm, value, allocation=allocation)

        effects = arm_effects(table, 2)

        assert effects[1] - effects[0] == pytest.approx(1.0, abs=0.02)
        assert effects.sum() == pytest.approx(0.0, abs=1e-12)

    def test_is_least_squares_on_arm_and_period(self):
        period, arm, allocation, value = outcomes([0.2, 0.7, 0.4, 0.9], n_units=60, noise=1.0)
        table = PeriodTable.of_outcomes(period * DAY, arm, value, allocation=allocation)
        dummies = np.column_stack([arm, period[:, None] == np.arange(4)]).astype(float)

        expected = OLS(value, dummies).fit().params[0]

        effects = arm_effects(table, 2)
        assert effects[1] - effects[0] == pytest.approx(expected, rel=1e-9)

    def test_an_arm_that_was_never_beside_another_has_none(self):
        table = PeriodTable.of_outcomes([0, 0, DAY], [0, 1, 2], [1.0, 3.0, 9.0])

        effects = arm_effects(table, 3)

        np.testing.assert_allclose(effects, [-1.0, 1.0, 0.0], atol=1e-12)

    def test_old_periods_count_less(self):
        period, arm, allocation, value = outcomes([0.5, 0.5], noise=0.0)
        value = np.where(period == 0, value - 2.0 * arm, value)  # it was worse, and is better
        table = PeriodTable.of_outcomes(period * DAY, arm, value, allocation=allocation)

        whole, recent = arm_effects(table, 2), arm_effects(table, 2, discount=0.1)

        assert whole[1] - whole[0] == pytest.approx(0.0, abs=0.02)
        assert recent[1] - recent[0] == pytest.approx((1.0 - 0.1) / 1.1, abs=0.02)


class TestBeyondFactor:
    """Arms that differ in their exposure to the market by 0.5, and by 4 basis points a day."""

    @staticmethod
    def series(n: int = 500, seed: int = 6, lift: float = 0.0004):
        rng = np.random.default_rng(seed)
        market = 0.0005 + 0.01 * rng.standard_t(5, n)
        own = 0.001 * rng.standard_normal((n, 2))
        return market, market[:, None] * [1.0, 1.5] + own + [0.0, lift]

    @staticmethod
    def found(returns, x, **metric):
        n, n_arms = returns.shape
        rows = np.repeat(np.arange(n) * DAY, n_arms), np.tile(np.arange(n_arms), n)
        table = PeriodTable.of_outcomes(*rows, returns.ravel(), covariate=np.ravel(x))
        plan = planned(
            metrics=[{"name": "return", "role": "primary", "unit": "return"} | metric],
            analysis={"horizon_periods": n},
        )
        return analyze(plan, Observed({"return": table}))

    def test_gives_the_estimate_of_the_pure_function(self):
        market, returns = self.series(2_000)
        differences = returns[:, 1] - returns[:, 0]
        pure = market_adjusted_difference(
            returns[:, 0], returns[:, 1], market, expected_market=0.0005
        )

        adjusted = beyond_factor(differences, market, 0.0005)

        assert adjusted.mean() == pytest.approx(pure.estimate.difference, abs=5e-5)
        assert adjusted.var() / differences.var() == pytest.approx(pure.variance_ratio, rel=0.2)

    def test_uses_no_period_that_was_still_to_come(self):
        market, returns = self.series()
        differences = returns[:, 1] - returns[:, 0]
        other = differences.copy()
        other[300:] += 1.0

        one, two = (beyond_factor(d, market, 0.0) for d in (differences, other))

        np.testing.assert_array_equal(one[:300], two[:300])
        np.testing.assert_array_equal(one[:10], differences[:10])
        assert (one[10:] != differences[10:]).all()

    def test_keeps_the_mean_where_the_factor_has_the_expected_one(self):
        means = []
        for seed in range(200):
            market, returns = self.series(200, seed)
            means.append(beyond_factor(returns[:, 1] - returns[:, 0], market, 0.0005).mean())

        true = 0.0004 + 0.5 * 0.0005
        assert np.mean(means) == pytest.approx(true, abs=4 * np.std(means) / 200**0.5)

    def test_gives_a_sequence_that_holds(self):
        n_missed, true = 0, 0.0004 + 0.5 * 0.0005
        for seed in range(200):
            market, returns = self.series(500, seed)
            adjusted = beyond_factor(returns[:, 1] - returns[:, 0], market, 0.0005)
            found = planned_sequence(adjusted, horizon=500)
            n_missed += bool(((found.lower > true) | (found.upper < true)).any())

        assert n_missed <= 18  # 5 % of 200, and 2.6 binomial errors

    def test_makes_the_interval_of_a_plan_several_times_narrower(self):
        market, returns = self.series(seed=7)
        x = np.repeat(market[:, None], 2, axis=1)

        plain, adjusted = (self.found(returns, x, **more) for more in ({}, {"factor_mean": 0.0005}))

        width = [one.primary.comparisons[0].upper - one.primary.comparisons[0].lower
                 for one in (plain, adjusted)]  # fmt: skip
        assert width[1] < width[0] / 2.5
        one = adjusted.primary.comparisons[0]
        assert one.lower < 0.0004 + 0.5 * 0.0005 < one.upper
        assert any("expected value of 0.05 %" in note for note in adjusted.notes)

    def test_leaves_out_periods_in_which_the_arms_report_different_factors(self):
        market, returns = self.series()
        x = np.repeat(market[:, None], 2, axis=1)
        x[:30, 1] *= 1.1

        found = self.found(returns, x, factor_mean=0.0)

        assert found.n_periods == 470
        assert any("In 30 periods challenger reports another x" in one for one in found.notes)

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"design": "assigned"}, "factor_mean is of the design shadow"),
            ({"kind": "ratio"}, "factor_mean is of a mean"),
            ({"bound": 1.0}, "without a bound"),
        ],
        ids=str,
    )
    def test_is_refused_where_it_says_nothing(self, changes, says):
        design = {key: changes[key] for key in changes if key == "design"}
        metric = {key: changes[key] for key in changes if key != "design"}
        with pytest.raises(ValueError, match=says):
            planned(
                metrics=[{"name": "r", "role": "primary", "factor_mean": 0.0} | metric], **design
            )
