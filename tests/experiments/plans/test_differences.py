"""Effects of arms, with what they share taken off."""

import numpy as np
import pytest
from statsmodels.api import OLS

from experiments.plans.differences import arm_effects
from experiments.statistics.summaries import PeriodTable

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
