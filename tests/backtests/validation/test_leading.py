"""What the bootstrap says of a search's leaders, against the same tests over all of its trials."""

import numpy as np
import pytest

from backtests.validation import (
    SelectionSettings,
    SettingsError,
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
    @pytest.mark.parametrize("seed", range(6))
    def test_bounds_the_p_value_of_the_whole_search_from_below(self, seed):
        trials = sorted_trials(400, 120, skill=0.02 * seed, seed=seed)
        whole = superior_predictive_ability(trials, **HOW)

        report = leader_report(trials[:, :30], n_trials=120, settings=QUICK)

        assert not report.is_whole
        assert report.spa_p_value.value <= whole.p_value
        assert "at least this" in report.spa_p_value.definition

    def test_finds_every_leader_that_all_trials_would(self):
        trials = sorted_trials(600, 120, skill=0.2)
        whole = superior_strategies(trials, **HOW)

        report = leader_report(trials[:, :30], n_trials=120, settings=QUICK)

        assert whole.superior
        assert set(whole.superior) <= set(report.superior.superior)

    def test_is_the_test_itself_where_all_trials_are_there(self):
        trials = sorted_trials(400, 30)

        report = leader_report(trials, n_trials=30, settings=QUICK)

        assert report.is_whole
        assert report.spa_p_value.value == superior_predictive_ability(trials, **HOW).p_value
        assert "over all 30 trials" in report.spa_p_value.definition

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
