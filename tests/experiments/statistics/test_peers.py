"""Agreement with gbstats and spotify-confidence, where they and we mean the same."""

import json
from pathlib import Path

import pytest

from experiments.statistics.bayesian import normal_effect
from experiments.statistics.frequentist import ratio_difference, relative_lift, welch
from experiments.statistics.posteriors import Normal, credible_interval
from experiments.statistics.proportions import Proportion, two_proportions
from experiments.statistics.srm import sample_ratio
from experiments.statistics.summaries import Moments
from experiments.statistics.variance import cuped

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "experiment_peers.json"
PEERS = json.loads(GOLDEN.read_text())
ARMS = [Moments.of_sums(**sums) for sums in PEERS["arms"]]


class TestGrowthbook:
    @pytest.mark.parametrize(
        ("name", "test"),
        [
            ("welch", welch), ("relative_lift", relative_lift),
            ("ratio_difference", ratio_difference),
        ],
    )  # fmt: skip
    def test_agrees(self, name, test):
        expected, found = PEERS["growthbook"][name], test(*ARMS)

        assert found.difference == pytest.approx(expected["difference"])
        # gbstats takes the degrees of freedom of a lift from the variances before it is a ratio.
        assert [found.lower, found.upper] == pytest.approx(expected["interval"], rel=1e-3)
        assert found.p_value == pytest.approx(expected["p_value"], rel=1e-2)

    def test_agrees_about_cuped_but_for_the_slope(self):
        # gbstats pools the slope about the common mean, which lets the effect into it, and counts
        # it as known.
        expected, found = PEERS["growthbook"]["cuped"], cuped(*ARMS).estimate

        assert found.difference == pytest.approx(expected["difference"], rel=5e-3)
        assert [found.lower, found.upper] == pytest.approx(expected["interval"], rel=1e-2)

    def test_agrees_about_the_posterior(self):
        expected = PEERS["growthbook"]["normal_effect"]
        estimate = welch(*ARMS)

        found = normal_effect(estimate.difference, estimate.standard_error, prior=Normal(0.05, 0.2))

        assert found.posterior.mean == pytest.approx(expected["mean"])
        assert credible_interval(found.posterior) == pytest.approx(tuple(expected["interval"]))
        assert found.chance_to_win == pytest.approx(expected["chance_to_win"])
        assert [found.risk_of_keeping, found.risk_of_shipping] == pytest.approx(expected["risk"])

    def test_agrees_about_the_sample_ratio(self):
        found = sample_ratio([1_000, 1_100, 2_050], [0.25, 0.25, 0.5])

        assert found.p_value == pytest.approx(PEERS["growthbook"]["sample_ratio"])


class TestSpotify:
    def test_agrees(self):
        expected = PEERS["spotify"]
        a, b = (Proportion(*counts) for counts in PEERS["proportions"])

        for name, found in (("welch", welch(*ARMS)), ("two_proportions", two_proportions(a, b))):
            assert found.difference == pytest.approx(expected[name]["difference"])
            assert found.p_value == pytest.approx(expected[name]["p_value"])
