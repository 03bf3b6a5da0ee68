import math

import pytest
from scipy import stats

from backtests.validation.errors import NotComputedError, SettingsError
from backtests.validation.haircut import haircut_sharpe_ratio

# Figures of Haircut_SR.m (people.duke.edu/~charvey/backtesting), obtained and published by others
# from a transcription of the authors' program. Days are 1/360 of its year. Bonferroni is
# exact; Holm and BHY are medians of 2,000 random sets there and here.
CASES = [  # ratio, returns, a year, tests, r, correlation | p, Bonferroni, Holm, BHY
    ((1.0, 240, 12, 100, 0.0, 0.2), (1.1975058908264558e-05, 0.7331736399018519, 0.7372, 0.7606)),
    ((1.0, 240, 12, 315, 0.0, 0.2), (1.1975058908264558e-05, 0.6541227192699938, 0.6588, 0.7394)),
    ((0.75, 120, 12, 315, 0.0, 0.2), (0.019310820496796444, 0.0, 0.0, 0.1511)),
    ((1.5, 2520, 360, 200, 0.0, 0.4), (0.00015291570299047486, 0.8315392511067888, 0.8446, 0.9958)),
    ((1.0, 240, 12, 100, 0.1, 0.2), (6.148219093260465e-05, 0.6181278107351466, 0.6236, 0.6578)),
    ((0.3, 240, 12, 315, 0.0, 0.2), (0.18098583978783234, 0.0, 0.0, 0.0009)),
]


def cut(case, **options):
    sharpe, n, per_year, tests, r, correlation = case
    return haircut_sharpe_ratio(
        sharpe, n, periods_per_year=per_year, n_tests=tests, autocorrelation=r,
        average_correlation=correlation, **options,
    )  # fmt: skip


class TestHaircutSharpeRatio:
    @pytest.mark.parametrize(("case", "published"), CASES)
    def test_reproduces_the_program_of_the_authors(self, case, published):
        p, bonferroni, holm, bhy = published

        found = cut(case, seed=1)

        assert found.p_value == pytest.approx(p, rel=1e-9)
        assert found.bonferroni.sharpe == pytest.approx(bonferroni, rel=1e-9, abs=1e-12)
        assert found.holm.sharpe == pytest.approx(holm, abs=0.02)
        assert found.bhy.sharpe == pytest.approx(bhy, abs=0.02)

    def test_reproduces_the_example_of_the_paper(self):
        found = cut((1.0, 120, 12, 100, 0.1, 0.2), n_simulations=100)

        assert found.sharpe == pytest.approx(0.912, abs=5e-4)
        assert found.bonferroni.p_value == pytest.approx(0.465, abs=5e-4)
        assert found.bonferroni.sharpe == pytest.approx(0.232, abs=5e-4)
        assert found.bonferroni.haircut == pytest.approx(1 - 0.232 / 0.912, abs=2e-3)

    def test_turns_each_p_value_back_into_its_ratio(self):
        found = cut(CASES[0][0], n_simulations=50)

        for adjusted in (found.bonferroni, found.holm, found.bhy):
            t = adjusted.sharpe * math.sqrt(20)
            assert 2 * stats.t.sf(t, 239) == pytest.approx(adjusted.p_value, rel=1e-9)

    def test_repeats_with_its_seed(self):
        assert cut(CASES[0][0], seed=3, n_simulations=50) == cut(
            CASES[0][0], seed=3, n_simulations=50
        )

    def test_says_how_many_sets_were_drawn_for_very_many_tests(self):
        found = cut((3.0, 240, 12, 1_000_000, 0.0, 0.2), n_simulations=2_000)

        beyond = cut((3.0, 240, 12, 10**9, 0.0, 0.2))

        assert found.n_simulations == 10
        assert beyond.holm is None
        assert beyond.bonferroni.p_value < 1.0

    @pytest.mark.parametrize("case", [(0.0, 120, 12, 9, 0.0, 0.2), (1.0, 2, 12, 9, 0.0, 0.2)])
    def test_says_why_there_is_none(self, case):
        with pytest.raises(NotComputedError):
            cut(case)

    @pytest.mark.parametrize(
        "case",
        [
            (1.0, 120, 12, 0, 0.0, 0.2),
            (1.0, 120, 12, 9, 1.0, 0.2),
            (1.0, 120, 12, 9, 0.0, 0.9),
            (math.nan, 120, 12, 9, 0.0, 0.2),
            (1.0, 120, 0.5, 9, 0.0, 0.2),
        ],
    )
    def test_refuses_what_is_outside_its_domain(self, case):
        with pytest.raises(SettingsError):
            cut(case)
