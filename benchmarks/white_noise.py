"""How often searches among strategies without skill are believed, and one with skill is found.

Every study is drawn from its own seed, (SEED, study), so that any one can be looked at again.
"""

import math
import time

import numpy as np

from backtests.validation import (
    TrialSummaries,
    deflated_sharpe_ratio,
    probability_of_backtest_overfitting,
    superior_predictive_ability,
)
from benchmarks.measure import table
from numerics.multiplicity import bonferroni, holm

SEED, DAYS_A_YEAR, LEVEL, N_RESAMPLES = 20261127, 252, 0.05, 500
METHODS = ("naive Sharpe", "Bonferroni", "Holm", "SPA", "deflated Sharpe")


def main() -> None:
    """Print the share of studies that each method accepts, with and without skill."""
    _print("no skill", 200, 1_000, 10, 0.0)
    _print("no skill", 1_000, 100, 5, 0.0)
    _print("one true Sharpe ratio of 2", 1_000, 100, 5, 2.0)


def judge(study: int, n_strategies: int, years: int, skill: float) -> tuple[list[bool], float]:
    """Return which methods accept the best strategy of a study, and its PBO.

    Parameters
    ----------
    study : int
        Number, for the seed.
    n_strategies, years : int
        Independent normal daily returns.
    skill : float
        True annual Sharpe ratio of the first strategy; the others have none.
    """
    rng = np.random.default_rng([SEED, study])
    returns = rng.standard_normal((years * DAYS_A_YEAR, n_strategies))
    returns[:, 0] += skill / math.sqrt(DAYS_A_YEAR)
    trials = TrialSummaries.of_returns(returns)
    sharpe, p = trials.sharpe, trials.p_values()
    best = int(np.argmax(sharpe))
    deflated = deflated_sharpe_ratio(
        float(sharpe[best]),
        returns.shape[0],
        n_trials=n_strategies,
        trial_sharpe_variance=float(sharpe.var(ddof=1)),
        skewness=float(trials.skewness[best]),
        excess_kurtosis=float(trials.excess_kurtosis[best]),
    )
    tested = superior_predictive_ability(returns, n_resamples=N_RESAMPLES, seed=study)
    accepted = [
        p[best] <= LEVEL,
        bonferroni(p)[best] <= LEVEL,
        holm(p)[best] <= LEVEL,
        tested.p_value <= LEVEL,
        deflated > 1.0 - LEVEL,
    ]
    overfitting = probability_of_backtest_overfitting(returns, n_blocks=16)
    return [bool(one) for one in accepted], overfitting.probability


def _print(name: str, n_studies: int, n_strategies: int, years: int, skill: float) -> None:
    begun = time.perf_counter()
    found = [judge(study, n_strategies, years, skill) for study in range(n_studies)]
    shares = np.array([accepted for accepted, _ in found]).mean(axis=0)
    overfitting = np.array([probability for _, probability in found])
    print(
        f"{n_studies} studies of {n_strategies} strategies over {years} years of {DAYS_A_YEAR} "
        f"days, {name}; seed {SEED}, SPA with {N_RESAMPLES} resamples"
    )
    rows: list[tuple[str, ...]] = [("method", "accepts the best", "binomial error")]
    for method, share in zip(METHODS, shares, strict=True):
        error = math.sqrt(max(share * (1.0 - share), 1e-12) / n_studies)
        rows.append((method, f"{share:.1%}", f"{error:.1%}"))
    table(rows)
    print(
        f"PBO, 16 blocks: mean {overfitting.mean():.3f}, sd {overfitting.std(ddof=1):.3f}; "
        f"{time.perf_counter() - begun:.0f} s\n"
    )
