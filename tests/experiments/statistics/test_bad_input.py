"""Whatever comes in: a typed error, or finite numbers with a p-value that was computed."""

import math

import numpy as np
import pytest

import experiments.statistics as public
from experiments.statistics import StatisticsError

NASTY = {
    "empty": [],
    "one": [1.0],
    "two": [1.0, 2.0],
    "constant": [0.1] * 40,
    "zeros": [0.0] * 40,
    "nearly constant": [0.1] * 39 + [0.1 + 1e-16],
    "nan": [0.5] * 39 + [math.nan],
    "inf": [0.5] * 39 + [math.inf],
    "huge": [1e308, -1e308] * 20,
    "large": [1e160, -1e160, 3e160, 0.0] * 10,
    "tiny": [1e-320, 3e-320, 0.0, 2e-320] * 10,
    "small": [1e-170, 3e-170, 0.0, 2e-170] * 10,
    "far": [1e15 + at for at in range(40)],
    "halves": [0.5] * 20 + [1.0] * 20,
    "binary": [0.0, 1.0] * 20,
    "words": ["a"] * 40,
    "none": [None] * 40,
    "ragged": [[1.0], [1.0, 2.0]],
    "table": np.ones((20, 2)),
    "complex": [1j] * 40,
    "number": 3.0,
}
GOOD = np.random.default_rng(0).normal(size=40)
TWO_ARMS = [
    "welch", "paired_t", "relative_lift", "mann_whitney", "two_proportions", "fisher_exact",
    "mean_difference", "mean_difference_bootstrap", "sharpe_difference",
    "sharpe_difference_bootstrap",
]  # fmt: skip


def judged(test, *arguments, **settings):
    """Call a test; say whether what it answers is finite."""
    try:
        found = test(*arguments, **settings)
    except StatisticsError:
        return
    for one in found if isinstance(found, tuple) else (found,):
        estimate = getattr(one, "estimate", one)
        assert 0.0 < estimate.p_value <= 1.0
        for name in ("difference", "standard_error", "lower", "upper", "statistic"):
            assert math.isfinite(getattr(estimate, name, 0.0))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", NASTY)
class TestEveryTest:
    @pytest.mark.parametrize("name", TWO_ARMS)
    def test_of_two_arms_computes_or_refuses(self, name, kind):
        test, sample = getattr(public, name), NASTY[kind]

        judged(test, sample, GOOD)
        judged(test, GOOD, sample)
        judged(test, sample, sample)

    def test_of_other_shapes_computes_or_refuses(self, kind):
        sample = NASTY[kind]

        judged(public.t_of_differences, sample)
        judged(public.mean_of_series, sample)
        judged(public.quantile_difference, sample, GOOD, 0.5)
        judged(public.market_adjusted_difference, sample, GOOD, GOOD[::-1])
        judged(public.market_adjusted_difference, GOOD, GOOD[::-1], sample)
        judged(public.dunnett, GOOD, [sample, GOOD + 1.0])
        judged(public.chi_square, [sample, sample])
        judged(public.sample_ratio, sample, sample)
        judged(public.anytime_sample_ratio, sample, sample)
        judged(public.aipw_difference, [0, 1] * 20, np.full((40, 2), 0.5), sample, arm=1)

    def test_of_moments_computes_or_refuses(self, kind):
        try:
            one = public.Moments.of(NASTY[kind], GOOD[: len(NASTY[kind])])
        except (StatisticsError, TypeError):
            return
        other = public.Moments.of(GOOD, GOOD**2)

        for test in (public.welch, public.ratio_difference, public.relative_lift, public.cuped):
            judged(test, one, other)
            judged(test, other, one)
        assert one.merged(other).n == one.n + other.n
