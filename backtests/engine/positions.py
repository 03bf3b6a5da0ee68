"""Positions between their changes: units and gross exposure at every bar."""

import math

import numpy as np
from numpy.typing import NDArray

from backtests.engine.dtypes import FloatArray, RecordArray
from numerics.compilation import njit

Changes = tuple[NDArray[np.int64], NDArray[np.int64], FloatArray]


def changes_of(fills: RecordArray, actions: RecordArray) -> Changes:
    """Return bar, instrument and new position of every change, in the order they happened."""
    bar = np.concatenate([actions["bar"], fills["bar"]])
    order = np.argsort(bar, kind="stable")  # within a bar, actions come before fills
    instrument = np.concatenate([actions["instrument"], fills["instrument"]])
    position = np.concatenate([actions["position"], fills["position"]])
    return bar[order], instrument[order], position[order]


@njit(cache=True, error_model="numpy")
def expand(
    bar: NDArray[np.int64],
    instrument: NDArray[np.int64],
    position: FloatArray,
    n_bars: int,
    n_assets: int,
) -> FloatArray:
    """Return the units held at each close, shape (n_bars, n_assets), from the changes alone."""
    held = np.zeros(n_assets)
    table = np.empty((n_bars, n_assets))
    at = 0
    for row in range(n_bars):
        while at < bar.size and bar[at] == row:
            held[instrument[at]] = position[at]
            at += 1
        table[row] = held
    return table


@njit(cache=True, error_model="numpy")
def gross_exposure(
    bar: NDArray[np.int64],
    instrument: NDArray[np.int64],
    position: FloatArray,
    close: FloatArray,
    split: FloatArray,
) -> FloatArray:
    """Return the sum of ``abs(position) * close`` at each close [currency], shape (n_bars,).

    Notes
    -----
    An instrument that does not trade in a bar counts at its last close, adjusted for splits.
    """
    n_bars, n_assets = close.shape
    held = np.zeros(n_assets)
    mark = np.zeros(n_assets)
    out = np.empty(n_bars)
    at = 0
    for row in range(n_bars):
        while at < bar.size and bar[at] == row:
            held[instrument[at]] = abs(position[at])
            at += 1
        total = 0.0
        for asset in range(n_assets):
            price = close[row, asset]
            if not math.isnan(price):
                mark[asset] = price
            elif split.size > 0 and not math.isnan(split[row, asset]):
                mark[asset] /= split[row, asset]
            total += held[asset] * mark[asset]
        out[row] = total
    return out
