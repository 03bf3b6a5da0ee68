"""Ratios of sums: what is compared, whatever the shares, and that noise is no difference."""

import numpy as np
import pytest

from experiments.plans.analysis import analyze
from experiments.plans.observed import Observed
from experiments.statistics.clusters import UnitTable
from experiments.statistics.summaries import PeriodTable
from tests.experiments.plans.test_analysis import DAY, planned

RATIO = [{"name": "return", "role": "primary", "kind": "ratio"}]
OF_UNITS = {"design": "assigned", "metrics": RATIO, "analysis": {"horizon_periods": 200}}


def units(seed, *, share=0.1, size=20, n_periods=200, growth=0.0, lift=0.0):
    """Return outcomes whose ratio is 1 in both arms, numerators apart from denominators."""
    rng = np.random.default_rng(seed)
    period = np.repeat(np.arange(n_periods), size)
    arm = (rng.random(period.size) < share).astype(np.int64)
    x = rng.exponential(size=period.size) * (1.0 + growth * period / n_periods)
    y = 1.0 + growth * period / n_periods + 0.5 * rng.standard_normal(period.size) + lift * arm
    return period, arm, y, x


def seen(period, arm, y, x):
    table = PeriodTable.of_outcomes(
        period * DAY, arm, y, covariate=x, allocation=np.ones(period.size, int)
    )
    return Observed({"return": table})


class TestRatiosOfUnits:
    def test_are_those_of_the_means_of_the_periods(self):
        """The mean of the periods' ratios was 3.8 in the arm of two units, 1.06 in the other."""
        period, arm, y, x = units(4)
        n, ys, xs = (
            np.bincount(period * 2 + arm, column, 400).reshape(200, 2)
            for column in (np.ones(y.size), y, x)
        )
        both = (n > 0.0).all(axis=1)
        above, below = ((sums[both] / n[both]) for sums in (ys, xs))
        ratio = above.mean(axis=0) / below.mean(axis=0)
        parts = (above - ratio * below) / below.mean(axis=0)

        found = analyze(planned(**OF_UNITS), seen(period, arm, y, x)).primary

        one = found.comparisons[0]
        whole = (parts[:, 1] - parts[:, 0]).std(ddof=1) / np.sqrt(both.sum())
        assert one.estimate == pytest.approx(ratio[1] - ratio[0])
        assert one.posterior_deviation == pytest.approx(whole, rel=0.2)  # of batches, a twentieth
        assert found.arms[1].mean == pytest.approx(ratio[1], rel=1e-9)
        assert one.p_value is None

    @pytest.mark.parametrize("growth", [0.0, 9.0])
    def test_differ_by_chance_alone_where_arms_have_unequal_shares(self, growth):
        """Of 200 such experiments 56 % had a winner."""
        found = [
            analyze(planned(**OF_UNITS), seen(*units(seed, growth=growth))).primary.comparisons[0]
            for seed in range(60)
        ]

        n_wrong = sum(one.lower > 0.0 or one.upper < 0.0 for one in found)
        assert n_wrong <= 7  # more by chance: one in 65 at 5 %

    @pytest.mark.parametrize("growth", [0.0, 9.0])
    def test_at_a_look_are_of_the_periods_until_then(self, growth):
        period, arm, y, x = units(5, growth=growth, lift=0.2)
        early = period < 120
        plan = planned(**OF_UNITS)

        then = analyze(plan, seen(period[early], arm[early], y[early], x[early]))
        now = analyze(plan, seen(period, arm, y, x))

        was, path = then.primary.comparisons[0].path, now.primary.comparisons[0].path
        assert path.lower[: len(was.lower)] == pytest.approx(was.lower)
        assert path.estimate[: len(was.estimate)] == pytest.approx(was.estimate)

    def test_agree_with_those_by_unit(self):
        """The same outcomes, of units that report once: compared by their means over all."""
        period, arm, y, x = units(6, share=0.3, size=60, lift=0.3)
        table = seen(period, arm, y, x)
        by_unit = UnitTable.of_outcomes(
            period * DAY, arm, np.arange(y.size), y, covariate=x, allocation=np.ones(y.size, int)
        )

        once = analyze(planned(**OF_UNITS, units="once"), table).primary.comparisons[0]
        again = analyze(
            planned(**OF_UNITS, units="repeated"),
            Observed(table.tables, units={"return": by_unit}),
        ).primary.comparisons[0]

        assert once.estimate == pytest.approx(again.estimate, rel=0.05)
        assert once.posterior_deviation == pytest.approx(again.posterior_deviation, rel=0.3)


class TestRatiosOfShadowArms:
    def test_take_a_period_without_a_denominator(self):
        """An arm that trades nothing in a period reports zeros; that is no other ratio."""
        rng = np.random.default_rng(3)
        x = rng.uniform(1.0, 2.0, (80, 2))
        x[7, 1] = 0.0
        y = x * 0.5 + 0.01 * rng.standard_normal((80, 2))
        y[7, 1] = 0.0
        period, arm = np.repeat(np.arange(80), 2), np.tile([0, 1], 80)

        found = analyze(planned(metrics=RATIO), seen(period, arm, y.ravel(), x.ravel())).primary

        ratio = y.sum(axis=0) / x.sum(axis=0)
        assert found.comparisons[0].path.n[-1] == 80
        assert found.comparisons[0].estimate == pytest.approx(ratio[1] - ratio[0])

    def test_are_not_computed_where_all_denominators_are_0(self):
        period, arm = np.repeat(np.arange(80), 2), np.tile([0, 1], 80)

        one = analyze(
            planned(metrics=RATIO), seen(period, arm, np.ones(160), np.zeros(160))
        ).primary.comparisons[0]

        assert one.estimate is None
        assert one.because == "No period has outcomes of both arms yet."
