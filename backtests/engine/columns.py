"""The columns of a run that bars and settings give together: spreads, impact, rates and costs."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtests.engine.checks import rows_with_action
from backtests.engine.config import Account, Costs, LinearImpact, Number, SquareRootImpact
from backtests.engine.dtypes import (
    LINEAR_IMPACT,
    NO_IMPACT,
    SQUARE_ROOT_IMPACT,
    FloatArray,
    IntArray,
)
from backtests.engine.errors import SettingsError
from backtests.engine.estimates import known_half_spread, trailing_impact_inputs
from backtests.engine.inputs import Bars

_YEAR_NS = 365.0 * 86_400e9
BASIS_POINT = 1e-4


def _absent(*shape: int) -> FloatArray:
    array = np.empty(shape)
    array.flags.writeable = False
    return array


NO_TABLE, NO_COLUMN = _absent(0, 0), _absent(0)
_NO_NUMBERS = np.empty(0, np.int64)


def action_bars(bars: Bars) -> IntArray:
    """Return the rows with a split, a dividend or a delisting."""
    split, dividend, delisted = (
        NO_TABLE if (given := getattr(bars, name)) is None else given
        for name in ("split", "dividend", "delisted")
    )
    if not (split.size or dividend.size or delisted.size):
        return _NO_NUMBERS
    return np.flatnonzero(rows_with_action(split, dividend, delisted, bars.n_bars))


def prices(bars: Bars) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return open, high, low and close, with what is missing read off what is there."""
    opened = bars.close if bars.open is None else bars.open
    if bars.high is None or bars.low is None:
        if bars.open is None:
            return opened, opened, opened, bars.close
        high, low = np.fmax(opened, bars.close), np.fmin(opened, bars.close)
        return opened, _read_only(high), _read_only(low), bars.close
    return opened, bars.high, bars.low, bars.close


def _read_only(array: FloatArray) -> FloatArray:
    array.flags.writeable = False
    return array


def spreads(bars: Bars, costs: Costs) -> tuple[FloatArray, FloatArray]:
    """Return the half spreads at the open and at the close, NaN where none is known."""
    at_close = bars.half_spread
    if costs.half_spread_bps == "corwin_schultz":
        if bars.high is None or bars.low is None:
            raise SettingsError("Costs.half_spread_bps='corwin_schultz' needs highs and lows.")
        estimated = known_half_spread(bars.high, bars.low, bars.close, bars.split)
        at_close = (
            estimated if at_close is None else np.where(np.isnan(at_close), estimated, at_close)
        )
        at_close = _read_only(at_close)
    if at_close is None:
        at_close = NO_TABLE
    at_open = bars.half_spread_open
    if at_open is None:
        return at_close, at_close
    if at_close.size:
        at_open = _read_only(np.where(np.isnan(at_open), at_close, at_open))
    return at_open, at_close


def impact(costs: Costs) -> tuple[int, float, float]:
    """Return the kind of impact, its factor, and the part of it that stays."""
    if isinstance(costs.impact, SquareRootImpact):
        return SQUARE_ROOT_IMPACT, float(costs.impact.y), 0.0
    if isinstance(costs.impact, LinearImpact):
        return LINEAR_IMPACT, float(costs.impact.temporary), float(costs.impact.permanent)
    return NO_IMPACT, 0.0, 0.0


def impact_inputs(bars: Bars, costs: Costs) -> tuple[FloatArray, FloatArray]:
    """Return sigma and volume as known before each bar."""
    if costs.impact is None:
        return NO_TABLE, NO_TABLE
    if bars.sigma is not None and bars.adv is not None:
        return _shifted(bars.sigma), _shifted(bars.adv)
    if bars.volume is None:
        raise SettingsError("Costs.impact needs bars with volumes, or with adv and sigma.")
    sigma, volume = trailing_impact_inputs(bars.close, bars.volume, bars.split)
    return _read_only(sigma), _read_only(volume)


def _shifted(table: FloatArray) -> FloatArray:
    shifted = np.full_like(table, np.nan)
    shifted[1:] = table[:-1]
    return _read_only(shifted)


def facts(bars: Bars, costs: Costs, currency: IntArray) -> dict[str, NDArray[Any]]:
    """Return what holds of each instrument in all bars, by name, shape (n_assets,) each."""
    borrow = bars.fact("borrow_rate")
    assumed = float(costs.borrow_bps_per_year) * BASIS_POINT
    return {
        "multiplier": np.ascontiguousarray(bars.fact("multiplier")),
        "lot": np.ascontiguousarray(bars.fact("lot_size")),
        "tick": np.ascontiguousarray(bars.fact("tick_size")),
        "borrow_rate": np.where(np.isnan(borrow), assumed, borrow),
        "half_spread_rate": _spread_rates(bars, costs),
        "currency": currency,
    }


def _spread_rates(bars: Bars, costs: Costs) -> FloatArray:
    given = costs.half_spread_bps
    if isinstance(given, str):
        return np.zeros(bars.n_assets)
    if isinstance(given, Number):
        return np.full(bars.n_assets, float(given) * BASIS_POINT)
    if len(given) != bars.n_assets:
        raise SettingsError(
            f"Costs.half_spread_bps names {len(given)} instruments, the bars have {bars.n_assets}."
        )
    return np.asarray(given, dtype=np.float64) * BASIS_POINT


def rates(bars: Bars, account: Account) -> tuple[FloatArray, IntArray]:
    """Return exchange rates by currency, the account's own first, and each column's currency."""
    names = [account.currency]
    for name in bars.currency_of():
        if name not in names:
            names.append(name)
    column = np.array([names.index(name) for name in bars.currency_of()], dtype=np.int64)
    if len(names) == 1:
        return NO_TABLE, column
    known = bars.rates or {}
    missing = [name for name in names[1:] if name not in known]
    if missing:
        raise SettingsError(
            f"The bars are in {', '.join(missing)}, the account in {account.currency}: "
            f"Bars.rates needs the rate of {missing[0]}."
        )
    columns = [np.ones(bars.n_bars), *(known[name] for name in names[1:])]
    return _read_only(np.ascontiguousarray(np.column_stack(columns))), column


def years(bars: Bars) -> FloatArray:
    """Return the time since the bar before [years of 365 days], shape (n_bars,)."""
    years = np.zeros(bars.n_bars)
    years[1:] = np.diff(bars.ts) / _YEAR_NS
    return years


def months(bars: Bars) -> IntArray:
    """Return the calendar month of each bar, counted from 1970; midnight closes the old one."""
    months: IntArray = (bars.ts - 1).view("datetime64[ns]").astype("datetime64[M]").astype(np.int64)
    return months


def tiers(costs: Costs) -> FloatArray:
    """Return the volume from which each commission holds, and its rate, shape (n_tiers, 2)."""
    table: FloatArray = np.array(costs.commission_tiers, dtype=np.float64).reshape(-1, 2)
    return np.ascontiguousarray(table * np.array([1.0, BASIS_POINT]))
