import json
import math

import numpy as np
import pytest

from backtests.validation.errors import SettingsError, ShapeError
from backtests.validation.overfitting import probability_of_backtest_overfitting
from backtests.validation.selection import selection_report
from backtests.validation.settings import SelectionSettings
from backtests.validation.sharpe import deflated_sharpe_ratio, probabilistic_sharpe_ratio
from backtests.validation.trials import TrialSummaries

QUICK = SelectionSettings(n_resamples=200)


@pytest.fixture(scope="module")
def returns():
    found = np.random.default_rng(0).normal(0.0, 0.01, (640, 30))
    found[:, 4] += 0.002
    return found


@pytest.fixture(scope="module")
def blocks(returns):
    cut = returns.reshape(16, 40, 30)
    return {
        "block_returns": cut.sum(axis=1).T,
        "block_squares": np.square(cut).sum(axis=1).T,
        "block_bars": np.full(16, 40.0),
    }


@pytest.fixture(scope="module")
def trials(returns):
    return TrialSummaries.of_returns(returns)


class TestSelectionReport:
    def test_has_every_figure_where_everything_is_given(self, trials, returns, blocks):
        found = selection_report(
            trials, periods_per_year=252, returns=returns, **blocks, settings=QUICK
        )

        assert found.best == 4
        assert found.is_accepted
        assert all(figure.is_computed for figure in found.figures.values())
        assert found["n_accepted"].value == 1.0
        assert found["spa_p_value"].value < 0.05

    def test_has_the_figures_of_the_functions(self, trials, returns, blocks):
        found = selection_report(trials, periods_per_year=252, **blocks, settings=QUICK)

        sharpe = returns[:, 4].mean() / returns[:, 4].std(ddof=1)
        law = {
            "skewness": trials.skewness[4],
            "excess_kurtosis": trials.excess_kurtosis[4],
        }
        p = 1.0 - probabilistic_sharpe_ratio(sharpe, 640, **law)
        assert found["best_sharpe"].value == pytest.approx(sharpe * math.sqrt(252))
        assert found["p_value"].value == pytest.approx(p)
        assert found["holm_p_value"].value == pytest.approx(30 * p)
        assert found["bonferroni_p_value"].value == pytest.approx(30 * p)
        assert found["deflated_sharpe_all"].value == pytest.approx(
            deflated_sharpe_ratio(
                sharpe,
                640,
                n_trials=30,
                trial_sharpe_variance=trials.sharpe.var(ddof=1),
                **law,
            )
        )
        expected = probability_of_backtest_overfitting(returns)
        assert found["pbo"].value == expected.probability
        assert found["performance_degradation"].value == pytest.approx(expected.slope)

    def test_judges_the_trial_that_was_chosen(self, trials, returns, blocks):
        found = selection_report(trials, periods_per_year=252, chosen=7, **blocks, settings=QUICK)

        sharpe = returns[:, 7].mean() / returns[:, 7].std(ddof=1)
        law = {
            "skewness": trials.skewness[7],
            "excess_kurtosis": trials.excess_kurtosis[7],
        }
        assert found.best == 7
        assert not found.is_accepted
        assert found["best_sharpe"].value == pytest.approx(sharpe * math.sqrt(252))
        assert found["probabilistic_sharpe"].value == pytest.approx(
            probabilistic_sharpe_ratio(sharpe, 640, **law)
        )
        assert found["n_accepted"].value == 1.0  # trial 4 still would pass
        with pytest.raises(SettingsError, match="There is no trial 30 of 30 to judge"):
            selection_report(trials, periods_per_year=252, chosen=30)

    def test_is_json(self, trials, returns, blocks):
        found = selection_report(
            trials, periods_per_year=252, returns=returns, **blocks, settings=QUICK
        ).to_dict()

        text = json.dumps(found, allow_nan=False)
        assert json.loads(text) == found
        assert sum(found["logits"]["counts"]) == 12_870

    def test_works_from_the_best_trial_and_a_count(self, trials):
        best = TrialSummaries(
            640, trials.mean[4:5], trials.deviation[4:5], trials.skewness[4:5],
            trials.excess_kurtosis[4:5],
        )  # fmt: skip
        whole = selection_report(trials, periods_per_year=252, n_trials=1_000)

        found = selection_report(
            best,
            periods_per_year=252,
            n_trials=1_000,
            trial_sharpe_variance=trials.sharpe.var(ddof=1),
        )

        for name in ("holm_p_value", "deflated_sharpe_all", "minimum_backtest_years"):
            assert found[name].value == pytest.approx(whole[name].value)

    def test_says_why_a_figure_is_missing(self, trials, returns, blocks):
        found = selection_report(
            trials, periods_per_year=252, block_returns=blocks["block_returns"]
        )
        bare = selection_report(trials, periods_per_year=252)
        partly = selection_report(trials, periods_per_year=252, returns=returns[:, :9])

        assert "16 blocks are too few" in found["spa_p_value"].reason
        assert found["pbo"].is_computed
        assert "by block are not given" in bare["pbo"].reason
        assert "by block are not given" in bare["deflated_sharpe"].reason
        assert "only 9 of 30" in partly["spa_p_value"].reason
        for report in (found, bare, partly):
            for figure in report.figures.values():
                assert figure.is_computed != figure.reason.startswith("not computed, because")

    def test_counts_a_billion_trials(self, trials):
        found = selection_report(trials, periods_per_year=252, n_trials=10**9)

        assert found.is_accepted is False
        assert found["haircut_sharpe_bonferroni"].is_computed
        assert "cannot be drawn" in found["haircut_sharpe_holm"].reason

    def test_survives_a_search_in_which_nothing_traded(self):
        still = TrialSummaries.of_returns(np.zeros((64, 5)))

        found = selection_report(still, periods_per_year=252, block_returns=np.zeros((5, 16)))

        assert found.best is None
        assert found.is_accepted is None
        assert found.n_without_sharpe == 5
        assert "no trial has a Sharpe ratio" in found["best_sharpe"].reason
        json.dumps(found.to_dict(), allow_nan=False)

    def test_survives_a_best_trial_that_loses(self, returns, blocks):
        losing = returns - 0.05

        found = selection_report(
            TrialSummaries.of_returns(losing), periods_per_year=252, settings=QUICK
        )

        assert found.is_accepted is False
        for name in ("haircut_sharpe_bhy", "minimum_backtest_years", "minimum_track_record_bars"):
            assert not found[name].is_computed

    def test_bootstraps_very_many_blocks_and_merges_them_for_halves(self, trials, returns):
        found = selection_report(
            trials,
            periods_per_year=252,
            block_returns=returns.reshape(320, 2, 30).sum(axis=1).T,
            settings=QUICK,
        )

        assert found["spa_p_value"].value < 0.05
        assert found.overfitting.n_blocks == 16

    def test_leaves_out_rows_that_failed_but_counts_them(self, trials, blocks):
        block_returns = blocks["block_returns"].copy()
        block_returns[3] = np.nan

        found = selection_report(trials, periods_per_year=252, block_returns=block_returns)

        assert found.overfitting.n_trials == 29
        assert found["n_effective"].value <= 30.0

    def test_follows_the_convention_of_2025(self, trials):
        found = selection_report(
            trials,
            periods_per_year=252,
            settings=SelectionSettings(convention="2025", autocorrelation=0.2),
        )

        expected = probabilistic_sharpe_ratio(
            trials.sharpe[4], 640, skewness=trials.skewness[4],
            excess_kurtosis=trials.excess_kurtosis[4], convention="2025", autocorrelation=0.2,
        )  # fmt: skip
        assert found["probabilistic_sharpe"].value == pytest.approx(expected)

    @pytest.mark.parametrize(
        ("wrong", "error"),
        [
            ({"n_trials": 29}, SettingsError),
            ({"periods_per_year": 0.0}, SettingsError),
            ({"trial_sharpe_variance": -1.0}, SettingsError),
            ({"block_returns": np.ones(4)}, ShapeError),
            ({"block_returns": np.eye(4), "block_squares": np.eye(4)}, SettingsError),
            (
                {"block_returns": np.eye(4), "block_squares": np.eye(3), "block_bars": np.ones(4)},
                ShapeError,
            ),
        ],
    )
    def test_refuses_what_cannot_be(self, trials, wrong, error):
        with pytest.raises(error):
            selection_report(trials, **({"periods_per_year": 252} | wrong))

    @pytest.mark.parametrize("wrong", [{"confidence": 1.0}, {"benchmark_sharpe": math.inf}])
    def test_refuses_settings_outside_their_domain(self, wrong):
        with pytest.raises(SettingsError):
            SelectionSettings(**wrong)
