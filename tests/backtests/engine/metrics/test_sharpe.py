import math

import numpy as np
import pytest

from backtests.engine.errors import SettingsError
from backtests.engine.metrics import Conventions, Trials, compute_metrics
from backtests.engine.metrics.definitions import AFFECTED


class TestMeasureSharpe:
    def test_needs_a_track_record_as_long_as_gives_the_confidence(self, sample):
        metrics = compute_metrics(
            sample.equity,
            sample.ts,
            periods_per_year=252,
            conventions=Conventions(sharpe_benchmark=0.5, confidence=0.9),
        )
        needed = metrics["minimum_track_record"].value
        z = 1.2815515655446004  # of 90 %
        held = metrics["probabilistic_sharpe"].value

        # PSR at n bars is Phi(z sqrt((n - 1) / (needed - 1))).
        expected = 0.5 * math.erfc(-z * math.sqrt(755 / (needed - 1)) / math.sqrt(2))
        assert held == pytest.approx(expected, rel=1e-12)

    def test_deflates_by_the_trials_given(self, sample):
        def deflated(trials):
            found = compute_metrics(sample.equity, sample.ts, periods_per_year=252, trials=trials)
            return found["deflated_sharpe"], found["probabilistic_sharpe"]

        none, plain = deflated(None)
        one, _ = deflated(Trials(1, 0.5))
        many, _ = deflated(Trials(100, 0.5))

        assert none.value is None
        assert "trials" in none.reason
        assert one.value == plain.value
        assert many.value < one.value

    def test_offers_compound_growth_over_volatility(self, sample):
        found = compute_metrics(
            sample.equity, sample.ts, periods_per_year=252, conventions=Conventions(sharpe="cagr")
        )

        expected = found["cagr"].value / found["annual_volatility"].value
        assert found["sharpe"].value == pytest.approx(expected, rel=1e-12)

    def test_has_a_standard_error_that_covers_the_truth(self):
        rng = np.random.default_rng(3)
        covered = []
        for _ in range(200):
            returns = 0.001 + 0.01 * rng.standard_normal(1_000)
            equity = np.concatenate([[1.0], np.cumprod(1.0 + returns)])
            found = compute_metrics(equity, np.arange(1_001) * 10**12, periods_per_year=1)
            error = found["sharpe_standard_error"].value
            covered.append(abs(found["sharpe"].value - 0.1) <= 1.96 * error)

        assert 0.90 <= np.mean(covered) <= 0.99


class TestTrials:
    @pytest.mark.parametrize(("n", "variance"), [(0, 1.0), (2, -1.0), (math.inf, 1.0)])
    def test_refuses_what_is_impossible(self, n, variance):
        with pytest.raises(SettingsError):
            Trials(n, variance)


class TestConventions:
    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("risk_free_rate", 0.03),
            ("target_return", 0.03),
            ("ddof", 0),
            ("tail_probability", 0.01),
            ("annualization", "geometric"),
            ("sharpe", "cagr"),
            ("moments", "sample"),
            ("sharpe_benchmark", 0.5),
            ("confidence", 0.9),
        ],
    )
    def test_change_what_they_say_and_the_definition_tells(
        self, sample, everything, complete, option, value
    ):
        found = compute_metrics(
            sample.equity,
            sample.long_ts,
            conventions=Conventions(**{option: value}),
            **everything,
        )

        changed = {name for name in found if found[name].value != complete[name].value}
        told = {name for name in found if f"Here with {option} {value}." in found[name].definition}
        assert changed == told == set(AFFECTED[option])

    @pytest.mark.parametrize(
        "option",
        [
            {"risk_free_rate": -1.0},
            {"target_return": math.nan},
            {"ddof": 2},
            {"tail_probability": 0.5},
            {"annualization": "log"},
            {"sharpe": "sum"},
            {"moments": "central"},
            {"sharpe_benchmark": math.inf},
            {"confidence": 0.5},
        ],
    )
    def test_refuse_what_is_impossible(self, option):
        with pytest.raises(SettingsError):
            Conventions(**option)

    def test_divide_by_n_when_asked(self, sample):
        found = compute_metrics(
            sample.equity, sample.ts, periods_per_year=252, conventions=Conventions(ddof=0)
        )

        expected = sample.returns.std() * math.sqrt(252)
        assert found["annual_volatility"].value == pytest.approx(expected, rel=1e-12)

    def test_put_compound_growth_above_when_asked(self, sample):
        found = compute_metrics(
            sample.equity,
            sample.ts,
            periods_per_year=252,
            benchmark=sample.benchmark,
            conventions=Conventions(annualization="geometric"),
        )
        figures = found.values_by_name()
        market = (sample.benchmark[-1] / sample.benchmark[0]) ** (252 / 756) - 1.0

        assert figures["sortino"] == pytest.approx(
            figures["cagr"] / figures["downside_volatility"], rel=1e-12
        )
        assert figures["treynor"] == pytest.approx(figures["cagr"] / figures["beta"], rel=1e-12)
        assert figures["information_ratio"] == pytest.approx(
            (figures["cagr"] - market) / figures["tracking_error"], rel=1e-10
        )
