"""Simple weights: equal shares of the strongest, or shares that were given."""

import numpy as np
from numpy.typing import NDArray


def equal_weights(
    score: NDArray[np.float64],
    side: NDArray[np.int8],
    *,
    n_holdings: int | None,
    gross: float,
) -> NDArray[np.float64]:
    """Return equal weights for the strongest instruments of every bar.

    Parameters
    ----------
    score : float64 array, shape (n_bars, n_assets)
        Strength; NaN = not eligible.
    side : int8 array, shape (n_bars, n_assets)
        1 long, 0 flat, -1 short.
    n_holdings : int or None
        Most instruments held, >= 1; None = all. Trusted.
    gross : float
        Sum of absolute weights when every slot is taken, > 0. Trusted.

    Returns
    -------
    float64 array, shape (n_bars, n_assets)
        ``side * gross / n_slots`` for the instruments with the largest ``side * score`` that are
        not flat (ties: lower column first), else 0. There are as many slots as eligible
        instruments, at most `n_holdings`; a slot nobody takes stays in cash.
    """
    n_eligible = np.sum(~np.isnan(score), axis=1)
    n_slots = n_eligible if n_holdings is None else np.minimum(n_eligible, n_holdings)
    share = gross / np.maximum(n_slots, 1)
    weights = side * share[:, None]
    if n_holdings is None or n_holdings >= score.shape[1]:
        return np.where(side == 0, 0.0, weights)
    strength = np.where(side == 0, np.inf, -side * score)
    order = np.argsort(strength, axis=1, kind="stable")[:, :n_holdings]
    chosen = np.zeros(score.shape, bool)
    np.put_along_axis(chosen, order, True, axis=1)
    return np.where(chosen & (side != 0), weights, 0.0)


def given_weights(side: NDArray[np.int8], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return given weights, times the side of the signals, in every bar.

    Parameters
    ----------
    side : int8 array, shape (n_bars, n_assets)
        1 as given, 0 flat, -1 reversed.
    weights : float64 array, shape (n_assets,)
        Fractions of equity, finite.

    Returns
    -------
    float64 array, shape (n_bars, n_assets)
    """
    return np.where(side == 0, 0.0, side * weights)
