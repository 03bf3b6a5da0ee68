"""Before the start: how long it takes, what can be seen by then, and whether the setup is sound.

References
----------
.. [1] Cohen (1988), "Statistical power analysis for the behavioral sciences", second edition.
.. [2] Fleiss, Levin and Paik (2003), "Statistical methods for rates and proportions", third
   edition, chapter 4.
.. [3] Grinold and Kahn (1999), "Active portfolio management", second edition: the information
   ratio.
.. [4] Clopper and Pearson (1934), "The use of confidence or fiducial limits illustrated in the case
   of the binomial", Biometrika 26(4).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv, kolmogorov, nctdtr, ndtr, ndtri, stdtrit

from experiments.statistics.checks import (
    require,
    require_count,
    require_finite,
    require_fraction,
    require_positive,
    vector_of,
)
from experiments.statistics.errors import SampleError, SettingsError

_NORMAL = 1_000.0  # degrees of freedom from which the Student law is the normal one here
_MOST = 1e15


def power_of_means(
    effect: float,
    deviation: float,
    *,
    n_control: float,
    n_treatment: float,
    level: float = 0.05,
) -> float:
    """Return the chance that a two-sided t-test of two means sees an effect.

    Parameters
    ----------
    effect : float
        True difference [unit of the metric].
    deviation : float
        Of single outcomes, of either arm, > 0.
    n_control, n_treatment : float
        Units, >= 2.
    level : float
        0 < a < 1.

    Notes
    -----
    Noncentral t [1]_; normal from 1,000 degrees of freedom on.
    """
    require_finite(effect=effect)
    require_positive(deviation=deviation)
    require_fraction(level=level)
    if not (2.0 <= n_control < math.inf and 2.0 <= n_treatment < math.inf):
        raise SettingsError(f"Arms need two units, not {n_control!r} and {n_treatment!r}.")
    away = abs(effect) / (deviation * math.sqrt(1.0 / n_control + 1.0 / n_treatment))
    return _power(away, n_control + n_treatment - 2.0, level)


def power_of_mean(effect: float, deviation: float, *, n: float, level: float = 0.05) -> float:
    """Return the chance that a two-sided t-test of one mean, as of paired differences, sees it.

    Parameters
    ----------
    effect, deviation, level
        As `power_of_means`, of the paired differences.
    n : float
        Differences, or what they are worth where they depend on each other, >= 2.
    """
    require_finite(effect=effect)
    require_positive(deviation=deviation)
    require_fraction(level=level)
    if not 2.0 <= n < math.inf:
        raise SettingsError(f"A mean needs two differences, not {n!r}.")
    return _power(abs(effect) / deviation * math.sqrt(n), n - 1.0, level)


def _power(away: float, freedom: float, level: float) -> float:
    """Return the chance that a two-sided test rejects, of a mean so many errors away from 0."""
    if freedom >= _NORMAL:
        z = float(ndtri(1.0 - level / 2.0))
        return float(ndtr(away - z) + ndtr(-away - z))
    if away > 30.0:
        return 1.0
    t = float(stdtrit(freedom, 1.0 - level / 2.0))
    return float(1.0 - nctdtr(freedom, away, t) + nctdtr(freedom, away, -t))


def sample_size_of_means(
    effect: float,
    deviation: float,
    *,
    ratio: float = 1.0,
    level: float = 0.05,
    power: float = 0.8,
) -> int:
    """Return how many units the control needs.

    Parameters
    ----------
    effect, deviation, level
        As `power_of_means`; the effect is not 0.
    ratio : float
        Units of the treatment per unit of the control, > 0.
    power : float
        Chance of seeing the effect, ``level < power < 1``.

    Raises
    ------
    SettingsError
    NotComputedError
        It would take more than 10^15.
    """
    require_positive(ratio=ratio, effect=abs(effect))
    _require_power(level, power)

    def reached(n: float) -> bool:
        n_treatment = max(2.0, n * ratio)
        return power >= 1.0 or power <= power_of_means(
            effect, deviation, n_control=max(2.0, n), n_treatment=n_treatment, level=level
        )

    return _smallest(reached)


def minimum_detectable_effect(
    deviation: float,
    *,
    n_control: float,
    n_treatment: float,
    level: float = 0.05,
    power: float = 0.8,
) -> float:
    """Return the smallest effect that is seen with a chance of `power`; as `power_of_means`."""
    sizes = {"n_control": n_control, "n_treatment": n_treatment}
    return _least(
        lambda effect: power_of_means(effect, deviation, level=level, **sizes),
        deviation, level, power,
    )  # fmt: skip


def minimum_detectable_mean(
    deviation: float, *, n: float, level: float = 0.05, power: float = 0.8
) -> float:
    """Return the smallest mean that is seen with a chance of `power`; as `power_of_mean`."""
    return _least(
        lambda effect: power_of_mean(effect, deviation, n=n, level=level), deviation, level, power
    )


def _least(
    power_of: Callable[[float], float], deviation: float, level: float, power: float
) -> float:
    """Return the smallest effect that is seen with a chance."""
    _require_power(level, power)
    require_positive(deviation=deviation)
    low, high = 0.0, deviation
    while power_of(high) < power:
        low, high = high, 2.0 * high
    for _ in range(100):
        middle = 0.5 * (low + high)
        if power_of(middle) < power:
            low = middle
        else:
            high = middle
    return high


def sample_size_of_proportions(
    baseline: float,
    treated: float,
    *,
    level: float = 0.05,
    power: float = 0.8,
    method: Literal["pooled", "arcsine", "baseline"] = "pooled",
) -> int:
    """Return how many units each arm needs to tell two proportions apart.

    Parameters
    ----------
    baseline, treated : float
        Strictly between 0 and 1, and different.
    level, power : float
    method : str
        "pooled": the variance is that of both together if there is no effect, and each one's own
        if there is [2]_, what `proportions.two_proportions` does. "arcsine": Cohen's h [1]_.
        "baseline": the baseline's variance twice, too few units where the treated share is nearer
        to one half.
    """
    require_fraction(baseline=baseline, treated=treated)
    _require_power(level, power)
    if baseline == treated:
        raise SettingsError("The proportions must differ.")
    a, b = float(ndtri(1.0 - level / 2.0)), float(ndtri(power))
    own = baseline * (1.0 - baseline) + treated * (1.0 - treated)
    if method == "pooled":
        middle = 0.5 * (baseline + treated)
        root = a * math.sqrt(2.0 * middle * (1.0 - middle)) + b * math.sqrt(own)
        return math.ceil((root / (treated - baseline)) ** 2)
    if method == "arcsine":
        h = 2.0 * (math.asin(math.sqrt(treated)) - math.asin(math.sqrt(baseline)))
        return math.ceil(2.0 * ((a + b) / h) ** 2)
    if method == "baseline":
        return math.ceil(2.0 * baseline * (1.0 - baseline) * ((a + b) / (treated - baseline)) ** 2)
    raise SettingsError(f"There is no method {method!r}.")


def deviation_of_difference(control: float, treatment: float, correlation: float) -> float:
    """Return the deviation of paired differences, ``sqrt(a^2 + b^2 - 2 rho a b)``.

    Parameters
    ----------
    control, treatment : float
        Deviations of the two series, > 0.
    correlation : float
        -1 <= rho < 1. At 0.9 pairing cuts the periods needed tenfold.
    """
    require_positive(control=control, treatment=treatment)
    if not -1.0 <= correlation <= 1.0:
        raise SettingsError(f"correlation must lie between -1 and 1, not {correlation!r}.")
    square = control**2 + treatment**2 - 2.0 * correlation * control * treatment
    require(square > 0.0, "the difference does not vary")
    return math.sqrt(square)


def periods_needed(
    effect: float,
    deviation: float,
    *,
    autocorrelation: float = 0.0,
    level: float = 0.05,
    power: float = 0.8,
) -> int:
    """Return how many periods a mean paired difference takes to be seen.

    Parameters
    ----------
    effect : float
        Mean difference a period, not 0.
    deviation : float
        Of the differences (`deviation_of_difference`), > 0.
    autocorrelation : float
        First, of the differences, -1 < rho < 1.

    Notes
    -----
    ``(z_a + z_b)^2 s^2 / d^2 (1 + rho) / (1 - rho)``: the last factor is how much more the mean of
    a first-order autoregression scatters.
    """
    require_positive(effect=abs(effect), deviation=deviation)
    _require_power(level, power)
    if not -1.0 < autocorrelation < 1.0:
        raise SettingsError(f"autocorrelation must lie between -1 and 1, not {autocorrelation!r}.")
    inflation = (1.0 + autocorrelation) / (1.0 - autocorrelation)
    n = (_quantiles(level, power) * deviation / abs(effect)) ** 2 * inflation
    require(n < _MOST, "it would take more than 10^15 periods")
    return math.ceil(n)


def years_to_detect(information_ratio: float, *, level: float = 0.05, power: float = 0.8) -> float:
    """Return how many years an annual information ratio takes to be seen: 7.85 / IR^2.

    Parameters
    ----------
    information_ratio : float
        Annual mean of the paired differences over their annual deviation [3]_, not 0.
    level, power : float
        Two-sided level, and chance of seeing it.

    Notes
    -----
    ``((z_a + z_b) / IR)^2``, whatever the length of a period: looking more often shows the
    deviation sooner, never the mean. An information ratio of 1 takes 7.8 years, of 2 two, of 0.5
    thirty-one. A confidence sequence takes about half as long again for the same chance.
    """
    require_positive(information_ratio=abs(information_ratio))
    _require_power(level, power)
    years = (_quantiles(level, power) / information_ratio) ** 2
    require(math.isfinite(years), "the information ratio is too small")
    return years


def detectable_information_ratio(years: float, *, level: float = 0.05, power: float = 0.8) -> float:
    """Return the annual information ratio that is seen within so many years."""
    require_positive(years=years)
    _require_power(level, power)
    return _quantiles(level, power) / math.sqrt(years)


def expected_duration(n_units: float, units_per_period: float | ArrayLike) -> int:
    """Return after how many periods so many units have met an arm.

    Parameters
    ----------
    n_units : float
        Needed of all arms together, > 0.
    units_per_period : float or float array, shape (n_periods,)
        Units that arrive, times the share that takes part: one number, or one for each period of a
        ramp, the last of which goes on.

    Raises
    ------
    SettingsError, SampleError
    NotComputedError
        Nobody arrives.
    """
    require_positive(n_units=n_units)
    given = [units_per_period] if isinstance(units_per_period, int | float) else units_per_period
    arriving = vector_of(given, "units_per_period")
    if bool(np.any(arriving < 0.0)):
        raise SampleError("Arrivals must not be negative.")
    total = np.cumsum(arriving)
    if total[-1] >= n_units:
        return int(np.searchsorted(total, n_units)) + 1
    require(arriving[-1] > 0.0, "no more units arrive")
    return int(arriving.size) + math.ceil(float((n_units - total[-1]) / arriving[-1]))


@dataclass(frozen=True, slots=True)
class NullCheck:
    """How often an analysis saw a difference where there was none.

    Attributes
    ----------
    false_alarms : float
        Share of p-values at most the level.
    lower, upper : float
        Clopper and Pearson's 99 % interval of it.
    is_sound : bool
        Whether the level is not below the interval: the analysis does not alarm too often.
    uniformity : float
        Kolmogorov's p-value of "they are uniform"; below 0.001 an analysis judged once is wrong
        somewhere, one that is valid at every look is not uniform, and need not be.
    """

    false_alarms: float
    lower: float
    upper: float
    is_sound: bool
    uniformity: float


def check_null(p_values: ArrayLike, *, level: float = 0.05) -> NullCheck:
    """Judge an analysis by its p-values of A/A experiments, whose arms are the same.

    Parameters
    ----------
    p_values : float array, shape (n_runs,), n_runs >= 100
        0 <= p <= 1.
    level : float

    Raises
    ------
    SampleError
        A value that is no probability.
    NotComputedError
        Fewer than a hundred runs.
    """
    require_fraction(level=level)
    p = vector_of(p_values, "p_values")
    if not bool(np.all((p >= 0.0) & (p <= 1.0))):
        raise SampleError("A p-value does not lie between 0 and 1.")
    n = p.size
    require(n >= 100, f"{n} runs are fewer than a hundred")
    k = int(np.sum(p <= level))
    lower = 0.0 if k == 0 else float(betaincinv(k, n - k + 1, 0.005))  # [4]
    upper = 1.0 if k == n else float(betaincinv(k + 1, n - k, 0.995))
    ordered, steps = np.sort(p), np.arange(n + 1) / n
    distance = max(float(np.max(steps[1:] - ordered)), float(np.max(ordered - steps[:-1])))
    uniformity = float(kolmogorov(math.sqrt(n) * distance))
    return NullCheck(k / n, lower, upper, level >= lower, uniformity)


def _require_power(level: float, power: float) -> None:
    require_fraction(level=level, power=power)
    if power <= level:
        raise SettingsError(f"power must exceed the level: {power!r} and {level!r}.")


def _quantiles(level: float, power: float) -> float:
    return float(ndtri(1.0 - level / 2.0) + ndtri(power))


def _smallest(reached: Callable[[float], bool]) -> int:
    """Return the smallest whole number that reaches a goal, which larger ones reach too."""
    high = 2
    while not reached(high):
        require(high < _MOST, "it would take more than 10^15 units")
        high *= 2
    low = require_count("low", high // 2, 1)
    while high - low > 1:
        middle = (low + high) // 2
        if reached(middle):
            high = middle
        else:
            low = middle
    return max(2, high)
