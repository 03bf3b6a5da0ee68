"""The doors to the kernels: `compute_metrics()` and `compute_metrics_table()`."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backtests.engine.dtypes import FloatArray
from backtests.engine.errors import SettingsError, ShapeError
from backtests.engine.metrics.calendar import build_calendar
from backtests.engine.metrics.conventions import Conventions, Trials, build_settings
from backtests.engine.metrics.curve import measure_curves
from backtests.engine.metrics.definitions import DEFINITIONS, describe
from backtests.engine.metrics.frequency import infer_periods_per_year
from backtests.engine.metrics.metric import Metric, Metrics
from backtests.engine.metrics.reasons import sentence_of
from backtests.engine.metrics.row import N_COLUMNS
from backtests.engine.metrics.sample import (
    NO_ACTIVITY,
    NO_TRADES,
    Activity,
    RoundTrips,
    Trades,
    TradingActivity,
    build_market,
    build_workspace,
)

_BLOCK = 64  # curves laid out at a time
_PER_BAR = ("traded_notional", "costs", "gross_exposure", "net_exposure")
_HOUSE = Conventions()


class MetricsTable(NamedTuple):
    """Metrics of many curves.

    Attributes
    ----------
    values : float64 array, shape (n_curves, n_metrics)
        Finite, or NaN where there is a reason.
    reasons : int8 array, shape (n_curves, n_metrics)
        0, or a code that `reasons.sentence_of` puts into words.
    names : tuple of str
        Name of each column, as in `DEFINITIONS`.
    """

    values: FloatArray
    reasons: NDArray[np.int8]
    names: tuple[str, ...]


def compute_metrics(
    equity: ArrayLike,
    ts: NDArray[np.int64],
    *,
    activity: TradingActivity | None = None,
    trades: RoundTrips | None = None,
    periods_per_year: float | None = None,
    benchmark: ArrayLike | None = None,
    conventions: Conventions = _HOUSE,
    trials: Trials | None = None,
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
    trades : RoundTrips, optional
        Without it the metrics of trades are not computed.
    periods_per_year : float, optional
        Bars per year, > 0; otherwise inferred by `infer_periods_per_year`.
    benchmark : float64 array, shape (n_bars,), optional
        Levels (not returns) of a benchmark at the same stamps.
    conventions : Conventions, optional
        Where libraries differ.
    trials : Trials, optional
        Without it the deflated Sharpe ratio is not computed.

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
    curve: FloatArray = np.asarray(equity, dtype=np.float64)
    if curve.ndim != 1:
        raise ShapeError(f"equity has shape {curve.shape}, not one dimension.")
    periods, rule = _periods(ts, periods_per_year)
    values, reasons = _measure(
        curve[:, np.newaxis],
        ts,
        math.nan if periods is None else periods,
        benchmark,
        None if activity is None else [activity],
        None if trades is None else [trades],
        conventions,
        trials,
    )
    by_name = {
        name: Metric(
            name,
            float(values[0, at]) if reasons[0, at] == 0 else None,
            sentence_of(int(reasons[0, at])),
            spec.unit,
            describe(name, conventions),
        )
        for at, (name, spec) in enumerate(DEFINITIONS.items())
    }
    return Metrics(by_name, periods, rule)


def compute_metrics_table(
    equity: ArrayLike,
    ts: NDArray[np.int64],
    *,
    activity: Sequence[TradingActivity] | None = None,
    trades: Sequence[RoundTrips] | None = None,
    periods_per_year: float | None = None,
    benchmark: ArrayLike | None = None,
    conventions: Conventions = _HOUSE,
    trials: Trials | None = None,
) -> MetricsTable:
    """Return every metric of many curves on one clock, bit for bit as `compute_metrics` has them.

    Parameters
    ----------
    equity : float64 array, shape (n_bars, n_curves)
        One curve per column; read without a copy where it is laid out in Fortran order.
    ts : int64 array, shape (n_bars,)
        Strictly increasing stamps [ns UTC].
    activity, trades : sequence of TradingActivity, RoundTrips, optional
        One per curve.
    periods_per_year, benchmark, conventions, trials
        As `compute_metrics` has them, for all curves.

    Returns
    -------
    MetricsTable
        ``(values, reasons, names)``.

    Raises
    ------
    ShapeError, SettingsError
        As `compute_metrics`.
    """
    curves: FloatArray = np.asarray(equity, dtype=np.float64)
    if curves.ndim != 2:
        raise ShapeError(f"equity has shape {curves.shape}, not two dimensions.")
    periods, _ = _periods(ts, periods_per_year)
    per_year = math.nan if periods is None else periods
    values, reasons = _measure(
        curves, ts, per_year, benchmark, activity, trades, conventions, trials
    )
    return MetricsTable(values, reasons, tuple(DEFINITIONS))


def _periods(ts: NDArray[np.int64], periods_per_year: float | None) -> tuple[float | None, str]:
    if periods_per_year is None:
        return infer_periods_per_year(ts)
    if math.isfinite(periods_per_year) and periods_per_year > 0.0:
        return float(periods_per_year), "given"
    raise SettingsError(f"periods_per_year must be positive, not {periods_per_year!r}.")


def _measure(
    curves: FloatArray,
    ts: NDArray[np.int64],
    periods: float,
    benchmark: ArrayLike | None,
    activity: Sequence[TradingActivity] | None,
    trades: Sequence[RoundTrips] | None,
    conventions: Conventions,
    trials: Trials | None,
) -> tuple[FloatArray, NDArray[np.int8]]:
    n_bars, n_curves = curves.shape
    levels = None if benchmark is None else np.array(benchmark, dtype=np.float64)
    _require_shape("ts", ts, (n_bars,))
    if levels is not None:
        _require_shape("benchmark", levels, (n_bars,))
    for name, given in (("activity", activity), ("trades", trades)):
        if given is not None and len(given) != n_curves:
            raise ShapeError(f"There are {n_curves} curves and {len(given)} of {name}.")
    calendar, market = build_calendar(ts), build_market(levels, n_bars)
    settings = build_settings(periods, conventions, trials)
    values = np.full((n_curves, N_COLUMNS), np.nan)
    reasons = np.zeros((n_curves, N_COLUMNS), np.int8)
    for begin in range(0, n_curves, _BLOCK):
        rows = slice(begin, min(begin + _BLOCK, n_curves))
        size = rows.stop - begin
        block = _lay_out_curves(curves[:, rows])
        done, fill_starts = _lay_out_activity(activity and activity[rows], n_bars, size)
        closed, trade_starts = _lay_out_trades(trades and trades[rows], size)
        most_fills, most_trades = np.diff(fill_starts).max(), np.diff(trade_starts).max()
        workspace = build_workspace(n_bars, int(most_trades), int(most_fills))
        measure_curves(
            block,
            calendar,
            market,
            done,
            fill_starts,
            closed,
            trade_starts,
            settings,
            workspace,
            values[rows],
            reasons[rows],
        )
    return values, reasons


def _lay_out_curves(curves: FloatArray) -> FloatArray:
    """Return one curve per row; kernels are compiled for arrays that can be written to."""
    if curves.flags.f_contiguous and curves.flags.writeable:
        return curves.T
    # Copied before it is turned: columns read straight from a wide table miss every cache.
    return np.ascontiguousarray(curves.copy(order="K").T)


def _lay_out_activity(
    activity: Sequence[TradingActivity] | None, n_bars: int, n_curves: int
) -> tuple[Activity, NDArray[np.int64]]:
    if activity is None:
        return NO_ACTIVITY, np.zeros(n_curves + 1, np.int64)
    for one in activity:
        for name in _PER_BAR:
            _require_shape(name, getattr(one, name), (n_bars,))
    per_bar = {name: _joined([getattr(one, name) for one in activity]) for name in _PER_BAR}
    fills = [np.empty(0) if one.participation is None else one.participation for one in activity]
    joined = _joined(fills)
    if np.any(joined < 0.0):
        raise SettingsError("A participation may not be negative.")
    return Activity(is_given=True, **per_bar, participation=joined), _starts(fills)


def _lay_out_trades(
    trades: Sequence[RoundTrips] | None, n_curves: int
) -> tuple[Trades, NDArray[np.int64]]:
    if trades is None:
        return NO_TRADES, np.zeros(n_curves + 1, np.int64)
    for one in trades:
        for name in ("return_", "holding_ns"):
            _require_shape(name, getattr(one, name), one.pnl.shape)
    holding = np.concatenate([one.holding_ns for one in trades]).astype(np.int64)
    pnl, returns = (_joined([getattr(one, name) for one in trades]) for name in ("pnl", "return_"))
    return Trades(True, pnl, returns, holding), _starts([one.pnl for one in trades])


def _joined(parts: Sequence[FloatArray]) -> FloatArray:
    joined: FloatArray = np.concatenate(parts).astype(np.float64)
    return joined


def _starts(parts: Sequence[FloatArray]) -> NDArray[np.int64]:
    sizes = np.array([part.size for part in parts], np.int64)
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])


def _require_shape(
    name: str, array: NDArray[np.float64] | NDArray[np.int64], shape: tuple[int, ...]
) -> None:
    if array.shape != shape:
        raise ShapeError(f"{name} has shape {array.shape}, not {shape} as equity asks for.")
