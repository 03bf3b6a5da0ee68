"""Sample ratios that are looked at often, and Sharpe ratios of autocorrelated returns."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.statistics.dependent import sharpe_difference
from experiments.statistics.srm import anytime_sample_ratio, sample_ratio

N_LOOKS, UNITS_A_LOOK = 200, 50
N_RETURNS, N_BURNT, RHO, CORRELATION = 500, 100, 0.2, 0.5


@dataclass(frozen=True, slots=True)
class Rate:
    """How often a method raised a false alarm.

    Attributes
    ----------
    name : str
    rate : float
    n : int
        Experiments.
    """

    name: str
    rate: float
    n: int

    @property
    def error(self) -> float:
        """Binomial standard error."""
        return math.sqrt(self.rate * (1.0 - self.rate) / self.n)


def sample_ratio_rates(n_experiments: int, seed: int) -> list[Rate]:
    """Return false alarms over 200 looks at two equal arms, 50 more units at each."""
    rng = np.random.default_rng([seed, 1])
    first = np.cumsum(rng.binomial(UNITS_A_LOOK, 0.5, (n_experiments, N_LOOKS)), axis=1)
    units = UNITS_A_LOOK * np.arange(1, N_LOOKS + 1)
    repeated = anytime = 0
    for path in first:
        counts = np.column_stack([path, units - path])
        repeated += any(sample_ratio(c, [0.5, 0.5], level=0.05).is_mismatch for c in counts)
        anytime += any(anytime_sample_ratio(c, [0.5, 0.5], level=0.01).is_mismatch for c in counts)
    return [
        Rate("chi-square at 5 %, repeated", repeated / n_experiments, n_experiments),
        Rate("anytime-valid multinomial at 1 %", anytime / n_experiments, n_experiments),
    ]


def sharpe_rates(n_experiments: int, seed: int) -> list[Rate]:
    """Return how often equal Sharpe ratios of correlated AR(1) 0.2 returns are called different."""
    rng = np.random.default_rng([seed, 2])
    found = np.zeros(3)
    for _ in range(n_experiments):
        pair = _autoregressions(rng)
        found[0] += abs(_jobson_korkie(pair)) > 1.959964
        for at, is_prewhitened in ((1, False), (2, True)):
            estimate = sharpe_difference(pair[:, 0], pair[:, 1], is_prewhitened=is_prewhitened)
            found[at] += estimate.p_value <= 0.05
    names = ("Jobson–Korkie", "HAC (Ledoit–Wolf)", "HAC, prewhitened")
    rates = found / n_experiments
    return [Rate(name, float(r), n_experiments) for name, r in zip(names, rates, strict=True)]


def _autoregressions(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return two correlated series with a Sharpe ratio of 0.05 a period."""
    shocks = rng.standard_normal((N_RETURNS + N_BURNT, 2))
    shocks[:, 1] = CORRELATION * shocks[:, 0] + math.sqrt(1 - CORRELATION**2) * shocks[:, 1]
    series = np.empty_like(shocks)
    last = np.zeros(2)
    for t, shock in enumerate(shocks):
        last = RHO * last + shock
        series[t] = last
    return 0.05 + series[N_BURNT:] * math.sqrt(1.0 - RHO * RHO)


def _jobson_korkie(pair: NDArray[np.float64]) -> float:
    """Return the statistic of Jobson and Korkie (1981) with Memmel's (2003) correction."""
    one, other = pair.mean(axis=0) / pair.std(axis=0, ddof=1)
    rho = float(np.corrcoef(pair.T)[0, 1])
    spread = (one**2 + other**2 - 2.0 * one * other * rho**2) / 2.0
    return float((one - other) / math.sqrt((2.0 - 2.0 * rho + spread) / pair.shape[0]))
