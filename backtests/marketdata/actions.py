"""Splits and dividends: the return an investor had, and what adjusted closes should be."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def total_return_index(
    close: FloatArray, split: FloatArray | None = None, dividend: FloatArray | None = None
) -> FloatArray:
    """Chain closes, splits and reinvested dividends into one index per instrument.

    Parameters
    ----------
    close : float64 array, shape (T, N)
        Raw closes [currency per share]; NaN = no bar.
    split : float64 array, shape (T, N), optional
        New shares per old share, effective at that bar; NaN or 0 counts as 1.
    dividend : float64 array, shape (T, N), optional
        Cash per (new) share on the ex-date bar [currency]; NaN counts as 0.

    Returns
    -------
    float64 array, shape (T, N)
        Starts at the first close of each instrument. NaN where `close` is NaN; the return over
        a gap, with the actions inside it, is booked at the next bar.

    Notes
    -----
    ``I[t] = I[s] * (close[t] + dividends) * splits / close[s]`` with s the bar before t. Built
    forwards, so ``total_return_index(close[:t]) == total_return_index(close)[:t]``: history
    known at t never changes, unlike back-adjusted closes. One cumulative product, O(T N).

    References
    ----------
    .. [1] CRSP (2023), "Data Definitions: RET, holding period total return".
    """
    close = np.atleast_2d(np.asarray(close, dtype=np.float64))
    present = ~np.isnan(close)
    splits = _filled(split, close.shape, 1.0)
    splits[splits == 0.0] = 1.0
    cash = _filled(dividend, close.shape, 0.0)
    shares, income = _since_last_bar(present, splits, cash)
    previous = _previous(close, present)
    with np.errstate(invalid="ignore", divide="ignore"):
        growth = (close * shares + income) / previous
    started = present & ~np.isnan(previous)
    growth = np.where(started, growth, 1.0)
    first = np.where(present.any(axis=0), _first(close, present), np.nan)
    index = first * np.cumprod(growth, axis=0)
    return np.where(present, index, np.nan)


def _filled(values: FloatArray | None, shape: tuple[int, ...], neutral: float) -> FloatArray:
    if values is None:
        return np.full(shape, neutral)
    plain = np.array(np.broadcast_to(values, shape), dtype=np.float64)
    plain[np.isnan(plain)] = neutral
    return plain


def _since_last_bar(
    present: NDArray[np.bool_], splits: FloatArray, cash: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Shares held now per share at the last bar, and the cash they paid on the way."""
    if present.all() or not ((splits != 1.0) | (cash != 0.0))[~present].any():
        return splits, cash * splits
    shares, income = splits.copy(), cash * splits
    for t in range(1, present.shape[0]):
        waiting = ~present[t - 1]
        # An action inside a gap waits for the next bar; a dividend is paid per new share.
        income[t, waiting] = income[t - 1, waiting] + shares[t - 1, waiting] * income[t, waiting]
        shares[t, waiting] *= shares[t - 1, waiting]
    return shares, income


def _previous(close: FloatArray, present: NDArray[np.bool_]) -> FloatArray:
    """Last close strictly before each bar."""
    rows = np.arange(close.shape[0])[:, None]
    last = np.maximum.accumulate(np.where(present, rows, -1), axis=0)
    shifted = np.vstack([np.full((1, close.shape[1]), -1), last[:-1]])
    return np.where(shifted >= 0, np.take_along_axis(close, shifted.clip(0), axis=0), np.nan)


def _first(close: FloatArray, present: NDArray[np.bool_]) -> FloatArray:
    return np.asarray(close[present.argmax(axis=0), np.arange(close.shape[1])])


def adjustment_gap(
    close: FloatArray,
    adj_close: FloatArray,
    split: FloatArray | None = None,
    dividend: FloatArray | None = None,
) -> FloatArray:
    """Compare the moves of an adjustment factor with what splits and dividends ask for.

    Parameters
    ----------
    close, adj_close, split, dividend : float64 arrays, shape (T,)
        One instrument, bars without NaN; `split` only where `close` is not adjusted for it.

    Returns
    -------
    float64 array, shape (T,)
        ``ln(k[t] / k[t-1]) - ln(split[t]) + ln(1 - d[t] split[t] / close[t-1])`` with
        ``k = adj_close / close``; 0 where the two agree, 0 at the first bar.
    """
    gap = np.zeros(close.size)
    if close.size < 2:
        return gap
    shares = np.ones(close.size) if split is None else split
    cash = np.zeros(close.size) if dividend is None else dividend
    factor = np.log(adj_close / close)
    kept = np.maximum(1.0 - cash[1:] * shares[1:] / close[:-1], 1e-6)
    gap[1:] = np.diff(factor) - np.log(shares[1:]) + np.log(kept)
    return gap
