"""Whether one account beats another, against the functions it is made of and by simulation."""

import json
import math

import numpy as np
import pytest

from backtests.validation import (
    SelectionSettings,
    SettingsError,
    ShapeError,
    excess_report,
    probabilistic_sharpe_ratio,
    superior_predictive_ability,
)

QUICK = SelectionSettings(n_resamples=200, mean_block=3.0, seed=4)


def pair(n_bars=500, *, skill=0.0, seed=0):
    """Return an account and the market it follows, which it beats by some of its own noise."""
    rng = np.random.default_rng(seed)
    market = rng.normal(0.0005, 0.01, n_bars)
    own = rng.normal(0.0, 0.004, n_bars)
    return market + own + skill * 0.004, market


class TestExcessReport:
    def test_has_the_figures_of_the_functions_on_the_difference(self):
        account, market = pair(skill=0.3)
        excess = account - market

        report = excess_report(account, market, periods_per_year=252, n_trials=7, settings=QUICK)

        sharpe = excess.mean() / excess.std(ddof=1)
        off = excess - excess.mean()
        psr = probabilistic_sharpe_ratio(
            sharpe, 500, skewness=np.mean(off**3) / np.mean(off**2) ** 1.5,
            excess_kurtosis=np.mean(off**4) / np.mean(off**2) ** 2 - 3,
        )  # fmt: skip
        ability = superior_predictive_ability(
            excess[:, None], n_resamples=200, mean_block=3.0, seed=4
        )
        assert report["excess_sharpe"].value == pytest.approx(sharpe * math.sqrt(252))
        assert report["probabilistic_sharpe"].value == pytest.approx(psr)
        assert report["p_value"].value == pytest.approx(1.0 - psr)
        assert report["adjusted_p_value"].value == pytest.approx(7 * (1.0 - psr))
        assert report["bootstrap_p_value"].value == ability.p_value
        assert (report.n_trials, report.n_observations) == (7, 500)
        json.dumps(report.to_dict(), allow_nan=False)

    def test_sees_a_lead_that_the_market_hides(self):
        account, market = pair(skill=0.15)

        over_market = excess_report(account, market, periods_per_year=252, settings=QUICK)
        over_cash = excess_report(account - 0.0006, periods_per_year=252, settings=QUICK)

        assert over_market.is_accepted
        assert not over_cash.is_accepted

    def test_does_not_take_the_market_for_skill(self):
        account, market = pair(5000)

        assert excess_report(account, periods_per_year=252, settings=QUICK).is_accepted
        assert not excess_report(account, market, periods_per_year=252, settings=QUICK).is_accepted

    def test_does_not_depend_on_what_both_earn(self):
        account, market = pair(skill=0.05)
        shock = np.random.default_rng(9).normal(0.01, 0.05, 500)

        plain = excess_report(account, market, periods_per_year=252, settings=QUICK)
        moved = excess_report(account + shock, market + shock, periods_per_year=252, settings=QUICK)

        for name, figure in plain.figures.items():
            assert moved[name].value == pytest.approx(figure.value, rel=1e-6)

    def test_holds_its_size_whichever_of_the_trials_was_chosen(self):
        rng = np.random.default_rng(20261127)
        n_accepted = 0
        for _ in range(400):
            trials = rng.normal(0.0, 0.01, (252, 20))
            best = trials[:, np.argmax(trials.mean(axis=0))]
            figures = excess_report(best, periods_per_year=252, n_trials=20, settings=QUICK)
            n_accepted += bool(figures.is_accepted)

        assert n_accepted / 400 < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)

    def test_says_why_there_is_nothing_to_say(self):
        account, _ = pair(100)

        same = excess_report(account, account, periods_per_year=252, settings=QUICK)
        short = excess_report(account, periods_per_year=252, settings=QUICK)

        assert same.is_accepted is None
        assert same["excess_sharpe"].reason == (
            "not computed, because the excess return does not vary"
        )
        assert "100 returns are fewer than the 250" in short["bootstrap_p_value"].reason
        assert short["adjusted_p_value"].is_computed

    @pytest.mark.parametrize(
        ("arguments", "error"),
        [
            ({"benchmark": np.zeros(3)}, ShapeError),
            ({"periods_per_year": 0.5}, SettingsError),
            ({"n_trials": 0}, SettingsError),
        ],
    )
    def test_refuses_what_cannot_be(self, arguments, error):
        with pytest.raises(error):
            excess_report(pair(50)[0], **{"periods_per_year": 252} | arguments)
