"""The table of metrics and `compute_metrics()`."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backtests.engine.dtypes import FloatArray
from backtests.engine.errors import SettingsError, ShapeError
from backtests.engine.metrics import growth, relative, risk, trading
from backtests.engine.metrics.frequency import infer_periods_per_year
from backtests.engine.metrics.metric import Metric, Metrics, NotComputedError, checked
from backtests.engine.metrics.sample import Sample, TradingActivity


class Definition(NamedTuple):
    """How one metric is computed and described."""

    compute: Callable[[Sample], float]
    unit: str
    sentence: str


DEFINITIONS: dict[str, Definition] = {
    "total_return": Definition(
        lambda sample: sample.total_return, "fraction", "Last equity over first, less one."
    ),
    "cagr": Definition(
        lambda sample: sample.cagr,
        "per year",
        "(last / first)^(1 / years) - 1, years = returns / bars per year.",
    ),
    "annual_return": Definition(
        growth.annual_return, "per year", "Arithmetic mean return times bars per year."
    ),
    "annual_volatility": Definition(
        growth.volatility, "per year", "Standard deviation (ddof 1) times sqrt(bars per year)."
    ),
    "downside_volatility": Definition(
        growth.downside_volatility,
        "per year",
        "sqrt(mean of min(r, 0)^2 over all returns) times sqrt(bars per year).",
    ),
    "sharpe": Definition(
        growth.sharpe,
        "ratio",
        "Arithmetic mean over standard deviation (ddof 1), times sqrt(bars per year); "
        "no risk-free rate.",
    ),
    "sharpe_standard_error": Definition(
        growth.sharpe_standard_error,
        "ratio",
        "Delta method on Newey-West moments, lag floor(4 (n/100)^(2/9)), annual.",
    ),
    "probabilistic_sharpe": Definition(
        growth.probabilistic_sharpe,
        "probability",
        "Probability that the true Sharpe ratio exceeds 0 (Bailey and Lopez de Prado 2012).",
    ),
    "sortino": Definition(
        growth.sortino, "ratio", "Annual mean return over downside volatility, target 0."
    ),
    "calmar": Definition(risk.calmar, "ratio", "CAGR over maximum drawdown."),
    "omega": Definition(growth.omega, "ratio", "Sum of gains over sum of losses, threshold 0."),
    "profit_factor": Definition(
        growth.omega, "ratio", "Sum of gains over sum of losses, counted in bars; Omega at 0."
    ),
    "gain_to_pain": Definition(
        growth.gain_to_pain, "ratio", "Sum of all returns over sum of losses."
    ),
    "max_drawdown": Definition(
        risk.max_drawdown,
        "fraction",
        "Deepest fall of compounded equity, starting at 1, from its running peak; >= 0.",
    ),
    "average_drawdown": Definition(
        risk.average_drawdown, "fraction", "Mean of the deepest points of all drawdowns."
    ),
    "longest_drawdown_days": Definition(
        risk.longest_drawdown_days,
        "days",
        "Longest calendar time from a peak to the bar that regains it, or to the end.",
    ),
    "time_under_water": Definition(
        risk.time_under_water, "fraction", "Share of bars below an earlier peak."
    ),
    "ulcer_index": Definition(
        risk.ulcer, "fraction", "sqrt(mean squared drawdown), denominator n bars."
    ),
    "ulcer_performance": Definition(risk.ulcer_performance, "ratio", "CAGR over the Ulcer index."),
    "recovery_factor": Definition(risk.recovery, "ratio", "Total return over maximum drawdown."),
    "value_at_risk_95": Definition(
        risk.value_at_risk, "fraction", "5 % quantile of the returns per bar (type 7); a loss < 0."
    ),
    "conditional_value_at_risk_95": Definition(
        risk.conditional_value_at_risk,
        "fraction",
        "Mean of the returns per bar at or below that quantile.",
    ),
    "tail_ratio": Definition(
        risk.tail_ratio, "ratio", "abs(95 % quantile) over abs(5 % quantile) of the returns."
    ),
    "skewness": Definition(risk.skew, "ratio", "Population skewness of the returns per bar."),
    "excess_kurtosis": Definition(
        risk.kurtosis, "ratio", "Population kurtosis of the returns per bar, less 3."
    ),
    "autocorrelation": Definition(
        risk.autocorrelation, "ratio", "First-order autocorrelation of the returns per bar."
    ),
    "best_day": Definition(risk.best_day, "fraction", "Largest compounded return of a UTC day."),
    "worst_day": Definition(risk.worst_day, "fraction", "Smallest compounded return of a UTC day."),
    "best_month": Definition(
        risk.best_month, "fraction", "Largest compounded return of a calendar month (UTC)."
    ),
    "worst_month": Definition(
        risk.worst_month, "fraction", "Smallest compounded return of a calendar month (UTC)."
    ),
    "positive_months": Definition(
        risk.positive_months, "fraction", "Share of calendar months with a gain."
    ),
    "hit_rate": Definition(
        growth.hit_rate, "fraction", "Gains over gains and losses, counted in bars."
    ),
    "payoff": Definition(growth.payoff, "ratio", "Mean gain over mean loss, per bar."),
    "turnover": Definition(
        trading.turnover, "per year", "Bought plus sold notional over mean equity, per year."
    ),
    "exposure_time": Definition(
        trading.exposure_time, "fraction", "Share of bars with a position at the close."
    ),
    "average_gross_exposure": Definition(
        trading.average_gross_exposure, "ratio", "Mean over bars of gross exposure / equity."
    ),
    "average_net_exposure": Definition(
        trading.average_net_exposure, "ratio", "Mean over bars of net exposure / equity."
    ),
    "max_leverage": Definition(
        trading.max_leverage, "ratio", "Largest gross exposure / equity at a close."
    ),
    "total_costs": Definition(trading.total_costs, "currency", "Sum of all costs."),
    "cost_drag": Definition(trading.cost_drag, "per year", "All costs over mean equity, per year."),
    "average_cost_bps": Definition(
        trading.average_cost_bps, "bps", "All costs per traded notional."
    ),
    "break_even_cost_bps": Definition(
        trading.break_even_cost_bps,
        "bps",
        "(Profit + costs) per traded notional: the cost at which the same trades earn nothing.",
    ),
    "alpha": Definition(
        relative.alpha, "per year", "Least-squares intercept per bar times bars per year."
    ),
    "beta": Definition(relative.beta, "ratio", "Least-squares slope on the benchmark's returns."),
    "correlation": Definition(
        relative.correlation, "ratio", "Pearson correlation with the benchmark's returns."
    ),
    "r_squared": Definition(relative.r_squared, "fraction", "Squared correlation."),
    "tracking_error": Definition(
        relative.tracking_error, "per year", "Annual standard deviation (ddof 1) of r - b."
    ),
    "information_ratio": Definition(
        relative.information_ratio, "ratio", "Annual mean of r - b over the tracking error."
    ),
    "up_capture": Definition(
        relative.up_capture, "ratio", "Compounded r over compounded b on bars with b > 0."
    ),
    "down_capture": Definition(
        relative.down_capture, "ratio", "Compounded r over compounded b on bars with b < 0."
    ),
}


def compute_metrics(
    equity: ArrayLike,
    ts: NDArray[np.int64],
    *,
    activity: TradingActivity | None = None,
    periods_per_year: float | None = None,
    benchmark: ArrayLike | None = None,
) -> Metrics:
    """Return every metric of `DEFINITIONS`; none is left out, none is inf or nan.

    Parameters
    ----------
    equity : float64 array, shape (n_bars,)
        Account value at each close; the first value is the base of all returns.
    ts : int64 array, shape (n_bars,)
        Strictly increasing stamps [ns UTC].
    activity : TradingActivity, optional
        Without it turnover, exposure and cost metrics are not computed.
    periods_per_year : float, optional
        Bars per year, > 0; otherwise inferred by `infer_periods_per_year`.
    benchmark : float64 array, shape (n_bars,), optional
        Levels (not returns) of a benchmark at the same stamps.

    Returns
    -------
    Metrics
        Mapping from name to `Metric`. A metric the inputs do not determine has value None and a
        reason; a missing or non-positive equity value makes all return metrics so.

    Raises
    ------
    ShapeError
        Lengths differ.
    SettingsError
        `periods_per_year` is not a positive finite number.
    """
    curve, levels = _checked_inputs(equity, ts, activity, benchmark)
    if periods_per_year is None:
        periods, rule = infer_periods_per_year(ts)
    elif math.isfinite(periods_per_year) and periods_per_year > 0.0:
        periods, rule = float(periods_per_year), "given"
    else:
        raise SettingsError(f"periods_per_year must be positive, not {periods_per_year!r}.")
    sample = Sample(curve, ts, periods, activity, levels)
    computed = {name: _measure(name, spec, sample) for name, spec in DEFINITIONS.items()}
    return Metrics(computed, periods, rule)


def _measure(name: str, spec: Definition, sample: Sample) -> Metric:
    try:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            value: float | None = checked(spec.compute(sample))
        reason = ""
    except NotComputedError as error:
        value, reason = None, f"not computed, because {error}"
    except OverflowError:
        value, reason = None, "not computed, because the result is not a finite number"
    return Metric(name, value, reason, spec.unit, spec.sentence)


def _checked_inputs(
    equity: ArrayLike,
    ts: NDArray[np.int64],
    activity: TradingActivity | None,
    benchmark: ArrayLike | None,
) -> tuple[FloatArray, FloatArray | None]:
    curve: FloatArray = np.asarray(equity, dtype=np.float64)
    levels = None if benchmark is None else np.asarray(benchmark, dtype=np.float64)
    named: dict[str, NDArray[np.float64] | NDArray[np.int64]] = {"ts": ts}
    if levels is not None:
        named["benchmark"] = levels
    if activity is not None:
        named.update(vars(activity))
    for name, array in named.items():
        if curve.ndim != 1 or array.shape != curve.shape:
            raise ShapeError(f"equity has shape {curve.shape}, {name} has {array.shape}.")
    return curve, levels
