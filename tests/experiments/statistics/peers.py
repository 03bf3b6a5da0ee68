"""Write what gbstats and spotify-confidence find for fixed sums, into tests/golden.

They are no requirement of the project. In an environment of their own::

    pip install gbstats==0.8.0 spotify-confidence==4.1.0
    python tests/experiments/statistics/peers.py
"""

import json
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "experiment_peers.json"


def sums_of(y, x):
    """Return what both libraries take: sums, not values."""
    return {
        "n": y.size, "total": y.sum(), "squares": y @ y,
        "x_total": x.sum(), "x_squares": x @ x, "x_product": x @ y,
    }  # fmt: skip


def samples():
    """Return the sums of two arms, and two proportions."""
    rng = np.random.default_rng(20261128)
    arms = []
    for n, lift in ((420, 0.0), (510, 0.15)):
        x = rng.normal(3.0, 1.0, n)
        arms.append(sums_of(0.7 * x + rng.normal(lift, 0.8, n), x))
    return arms, [(131, 1_210), (168, 1_190)]


def growthbook(arms):
    """Return the results of gbstats."""
    from gbstats.bayesian.tests import EffectBayesianABTest, EffectBayesianConfig, GaussianPrior
    from gbstats.frequentist.tests import FrequentistConfig, TwoSidedTTest
    from gbstats.models.statistics import (
        RatioStatistic,
        RegressionAdjustedStatistic,
        SampleMeanStatistic,
    )
    from gbstats.utils import check_srm

    def mean(arm, of="y"):
        total, squares = ("total", "squares") if of == "y" else ("x_total", "x_squares")
        return SampleMeanStatistic(n=arm["n"], sum=arm[total], sum_squares=arm[squares])

    def ratio(arm):
        return RatioStatistic(
            n=arm["n"], m_statistic=mean(arm), d_statistic=mean(arm, "x"),
            m_d_sum_of_products=arm["x_product"],
        )  # fmt: skip

    def adjusted(arm):
        return RegressionAdjustedStatistic(
            n=arm["n"], post_statistic=mean(arm), pre_statistic=mean(arm, "x"),
            post_pre_sum_of_products=arm["x_product"], theta=0,
        )  # fmt: skip

    def tested(kind, difference):
        config = FrequentistConfig(difference_type=difference)
        found = TwoSidedTTest(kind(arms[0]), kind(arms[1]), config).compute_result()
        return {"difference": found.expected, "interval": found.ci, "p_value": found.p_value}

    prior = GaussianPrior(mean=0.05, variance=0.04, proper=True)
    config = EffectBayesianConfig(
        difference_type="absolute", prior_effect=prior, prior_type="absolute"
    )
    bayes = EffectBayesianABTest(mean(arms[0]), mean(arms[1]), config).compute_result()
    return {
        "welch": tested(mean, "absolute"),
        "relative_lift": tested(mean, "relative"),
        "ratio_difference": tested(ratio, "absolute"),
        "cuped": tested(adjusted, "absolute"),
        "normal_effect": {
            "chance_to_win": bayes.chance_to_win,
            "mean": bayes.expected,
            "interval": bayes.ci,
            "risk": bayes.risk,
        },
        "sample_ratio": check_srm([1_000, 1_100, 2_050], [0.25, 0.25, 0.5]),
    }


def spotify(arms, proportions):
    """Return the results of spotify-confidence."""
    import pandas as pd
    from spotify_confidence import ChiSquared, StudentsTTest

    def of(test):
        row = test.difference("a", "b").iloc[0]
        return {"difference": row["difference"], "p_value": row["p-value"]}

    shares = pd.DataFrame(
        {"arm": ["a", "b"], "s": [s for s, _ in proportions], "n": [n for _, n in proportions]}
    )
    means = pd.DataFrame(
        {
            "arm": ["a", "b"],
            "s": [arm["total"] for arm in arms],
            "q": [arm["squares"] for arm in arms],
            "n": [arm["n"] for arm in arms],
        }
    )
    return {
        "two_proportions": of(ChiSquared(shares, "s", "n", "arm")),
        "welch": of(StudentsTTest(means, "s", "q", "n", "arm")),
    }


def main():
    warnings.simplefilter("ignore")
    arms, proportions = samples()
    document = {
        "generator": "tests/experiments/statistics/peers.py",
        "gbstats": version("gbstats"),
        "spotify-confidence": version("spotify-confidence"),
        "arms": arms,
        "proportions": proportions,
        "growthbook": growthbook(arms),
        "spotify": spotify(arms, proportions),
    }
    GOLDEN.write_text(json.dumps(document, indent=1, default=float) + "\n")


if __name__ == "__main__":
    main()
