"""What the bootstrap says of a search's leaders, against the same tests over all of its trials."""

import numpy as np
import pytest

from backtests.validation import (
    SelectionSettings,
    SettingsError,
    choose_leaders,
    leader_report,
    superior_predictive_ability,
    superior_strategies,
)

QUICK = SelectionSettings(n_resamples=300, mean_block=3.0, seed=4)
HOW = {"n_resamples": 300, "mean_block": 3.0, "seed": 4}


def sorted_trials(n_bars: int, n_trials: int, *, skill: float = 0.0, seed: int = 0):
    """Return trials of noise, some with skill, from the largest Sharpe ratio on."""
    rng = np.random.default_rng(seed)
    returns = rng.normal(0.0, 0.01, (n_bars, n_trials)) * rng.uniform(0.5, 2.0, n_trials)
    returns[:, :4] += skill * returns[:, :4].std(axis=0)
    return returns[:, np.argsort(-returns.mean(axis=0) / returns.std(axis=0))]


class TestLeaderReport:
    @pytest.mark.parametrize("seed", range(3))
    def test_says_what_would_be_if_the_leaders_alone_had_been_tried(self, seed):
        trials = sorted_trials(400, 120, skill=0.1 * seed, seed=seed)
        leaders = trials[:, :30]

        report = leader_report(leaders, n_trials=500, n_searched=120, settings=QUICK)

        assert not report.is_whole
        assert report.spa_p_value.value == superior_predictive_ability(leaders, **HOW).p_value
        assert report.superior.superior == superior_strategies(leaders, **HOW).superior
        said = report.spa_p_value.definition
        assert "had these 30 alone been tried" in said
        assert "best of 120, which it does not know" in said
        assert (report.n_searched, report.n_trials) == (120, 500)

    def test_is_the_test_itself_where_all_trials_are_there(self):
        trials = sorted_trials(400, 30)

        report = leader_report(trials, n_trials=30, settings=QUICK)

        assert report.is_whole
        assert report.spa_p_value.value == superior_predictive_ability(trials, **HOW).p_value
        assert "none of all 30 trials" in report.spa_p_value.definition

    def test_says_which_leaders_cannot_be_told_apart(self):
        trials = sorted_trials(600, 40)
        trials[:, 12] -= 0.02

        report = leader_report(trials, n_trials=40, settings=QUICK)

        assert report.n_compared == 20
        assert 12 not in report.confidence_set.included
        assert 0 in report.confidence_set.included

    def test_sums_very_many_bars(self):
        trials = sorted_trials(16_001, 5)

        report = leader_report(trials, n_trials=5, settings=QUICK)

        assert (report.n_observations, report.bars_each) == (5_333, 3)
        assert report.spa_p_value.is_computed

    def test_says_why_there_is_nothing(self):
        few = leader_report(sorted_trials(249, 5), n_trials=9, settings=QUICK)
        equal = leader_report(np.repeat(sorted_trials(300, 1), 3, axis=1), n_trials=9)

        assert few.spa_p_value.reason.startswith("not computed, because 249 returns are fewer")
        assert (few.superior, few.confidence_set) == (None, None)
        assert set(few.reasons) == {"spa_p_value", "superior", "confidence_set"}
        assert equal.reasons == {
            "confidence_set": "not computed, because two strategies differ by no more than a "
            "constant"
        }

    def test_is_json(self):
        import json

        report = leader_report(sorted_trials(300, 6), n_trials=60).to_dict()

        assert json.loads(json.dumps(report)) == report | {
            name: json.loads(json.dumps(report[name])) for name in report
        }

    def test_refuses_more_leaders_than_trials(self):
        with pytest.raises(SettingsError, match="only 3 trials"):
            leader_report(sorted_trials(300, 6), n_trials=3)
        with pytest.raises(SettingsError, match="only 8 trials were ever made"):
            leader_report(sorted_trials(300, 6), n_trials=8, n_searched=9)
        with pytest.raises(SettingsError, match="n_searched must be"):
            leader_report(sorted_trials(300, 6), n_trials=8, n_searched=5)


def with_sharpe(returns, sharpe):
    """Return series with exactly that Sharpe ratio."""
    off = returns - returns.mean(axis=0)
    return off / off.std(axis=0, ddof=1) + sharpe


class TestChooseLeaders:
    def test_finds_the_best_behind_trials_that_depend_on_their_past(self):
        """Fifty with autocorrelation lead by a little; one without is best by far for its error."""
        rng = np.random.default_rng(2)
        noise = rng.standard_normal((1_200, 51))
        for at in range(1, len(noise)):
            noise[at, :50] += 0.6 * noise[at - 1, :50]
        trials = with_sharpe(noise, np.r_[np.linspace(0.105, 0.1, 50), 0.099])
        sums = trials.reshape(16, -1, 51).sum(axis=1)
        sharpe = trials.mean(axis=0) / trials.std(axis=0)
        block_ratio = sums.mean(axis=0) / sums.std(axis=0)

        chosen = choose_leaders(sharpe, block_ratio, 50)

        whole = superior_predictive_ability(trials, **HOW)
        first = superior_predictive_ability(trials[:, :50], **HOW)
        report = leader_report(trials[:, chosen], n_trials=51, settings=QUICK)
        assert whole.best == chosen[-1] == 50
        assert whole.p_value < 0.02
        assert first.p_value > 0.05
        assert report.spa_p_value.value == pytest.approx(whole.p_value, abs=0.01)

    def test_takes_turns_and_leaves_out_those_without_a_ratio(self):
        sharpe = np.array([1.0, 4.0, np.nan, 3.0, 2.0, 0.5])
        blocks = np.array([9.0, 1.0, 8.0, np.nan, 2.0, 7.0])

        assert choose_leaders(sharpe, blocks, 2).tolist() == [1, 0]
        assert choose_leaders(sharpe, blocks, 9).tolist() == [1, 3, 4, 0, 5]
        assert choose_leaders(np.full(3, np.nan), np.ones(3), 2).size == 0
