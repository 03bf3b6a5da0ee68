"""Another future: the same bars up to a cut, other valid ones after it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from backtests.marketdata.panel import Panel

# Left as they are: what is announced, and a flag.
UNTOUCHED = frozenset({"split", "delisted"})
COUNTED = frozenset({"volume", "bid_size", "ask_size"})
SMALLEST, LARGEST = 0.05, 0.5  # of the leap of log prices after the cut
NOISE = 0.03  # standard deviation of log prices round it


def other_future(
    panel: Panel, cut: int, rng: np.random.Generator, *, gone: int | None = None
) -> Panel:
    """Return a panel whose bars after a cut are others.

    Parameters
    ----------
    panel : Panel
        Shape (n_bars, n_assets).
    cut : int
        Last bar that stays as it is, in [0, n_bars - 1).
    rng : numpy.random.Generator
    gone : int, optional
        Column of an instrument that has no bar after the cut; by default each keeps its bars.

    Returns
    -------
    Panel
        Up to the cut the same bits. After it the prices of an instrument leap up by 5 to 65 % or
        down by 5 to 39 %, and wander round that; volumes are drawn by themselves. One factor
        multiplies all prices of a bar, and rounding keeps their order, so that valid bars stay
        valid. Stamps, splits and delistings stay.

    Notes
    -----
    A factor is bounded in probability whatever the length, so that no price overflows.
    """
    shape = (len(panel) - cut - 1, len(panel.symbols))
    prices, counts = _factors(rng, shape), _factors(rng, shape)
    fields = {
        name: values
        if name in UNTOUCHED and gone is None
        else _changed(name, values, cut, counts if name in COUNTED else prices, gone)
        for name, values in panel.fields.items()
    }
    return replace(panel, fields=fields)


def _factors(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
    leap = rng.choice([-1.0, 1.0], shape[1]) * rng.uniform(SMALLEST, LARGEST, shape[1])
    return np.exp(leap + rng.normal(0.0, NOISE, shape))


def _changed(
    name: str, values: NDArray[np.float64], cut: int, factors: NDArray[np.float64], gone: int | None
) -> NDArray[np.float64]:
    changed = np.array(values)
    if name not in UNTOUCHED:
        changed[cut + 1 :] *= factors
    if gone is not None:
        changed[cut + 1 :, gone] = np.nan
    changed.flags.writeable = False
    return changed


def may_go(panel: Panel, cut: int) -> NDArray[np.intp]:
    """Return the columns without which every bar after a cut still has a price, and no delisting.

    A delisting is announced: who takes it away changes what may be known.
    """
    priced = next(iter(panel.fields[n] for n in ("close", "adj_close", "bid") if n in panel.fields))
    printed = ~np.isnan(priced[cut + 1 :])
    others = printed.sum(axis=1)[:, None] - printed
    stays = np.all(others > 0, axis=0)
    if (delisted := panel.fields.get("delisted")) is not None:
        stays &= ~np.any(delisted[cut + 1 :] == 1.0, axis=0)
    return np.flatnonzero(stays)
