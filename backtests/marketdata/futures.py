"""Other futures: the same bars up to a cut, other valid ones after it."""

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


class Futures:
    """Other futures of one panel, each written over the one before it, in memory taken once.

    Parameters
    ----------
    panel : Panel
        Shape (n_bars, n_assets).
    """

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self._fields = {name: np.array(values) for name, values in panel.fields.items()}
        self._first_other = len(panel)  # rows from here on are another future's

    def after(
        self, cut: int, rng: np.random.Generator, *,
        signs: NDArray[np.float64] | None = None, gone: int | None = None,
    ) -> Panel:  # fmt: skip
        """Return the panel with other bars after a cut; it holds until the next one is asked for.

        Parameters
        ----------
        cut : int
            Last bar that stays as it is, in [0, n_bars - 1).
        rng : numpy.random.Generator
        signs : float64 array, shape (n_assets,), optional
            1 where prices leap up, -1 where down; drawn by default.
        gone : int, optional
            Column of an instrument that has no bar after the cut; by default each keeps its bars.

        Returns
        -------
        Panel
            Up to the cut the same bits. After it the prices of an instrument leap up by 5 to 65 %
            or down by 5 to 39 %, and wander round that; volumes are drawn by themselves. One
            factor multiplies all prices of a bar, and rounding keeps their order, so that valid
            bars stay valid. Stamps, splits and delistings stay.

        Notes
        -----
        A factor is bounded in probability whatever the length, so that no price overflows.
        """
        shape = (len(self._panel) - cut - 1, len(self._panel.symbols))
        prices = _factors(rng, shape, draw_signs(rng, shape[1]) if signs is None else signs)
        counts = _factors(rng, shape, draw_signs(rng, shape[1]))
        for name, field in self._fields.items():
            own = self._panel.fields[name]
            field[self._first_other : cut + 1] = own[self._first_other : cut + 1]
            if name in UNTOUCHED:
                field[cut + 1 :] = own[cut + 1 :]
            else:
                factors = counts if name in COUNTED else prices
                np.multiply(own[cut + 1 :], factors, out=field[cut + 1 :])
            if gone is not None:
                field[cut + 1 :, gone] = np.nan
        self._first_other = cut + 1
        return replace(self._panel, fields={n: _read_only(f) for n, f in self._fields.items()})


def bytes_needed(panel: Panel) -> int:
    """Return what the other futures of a panel take beside it [bytes]: a copy, and two draws."""
    return panel.n_bytes + 2 * 8 * len(panel) * len(panel.symbols)


def draw_signs(rng: np.random.Generator, n_assets: int) -> NDArray[np.float64]:
    """Return 1 or -1 for each instrument, by chance: which way its prices leap."""
    return rng.choice([-1.0, 1.0], n_assets)


def _factors(
    rng: np.random.Generator, shape: tuple[int, int], signs: NDArray[np.float64]
) -> NDArray[np.float64]:
    leap = signs * rng.uniform(SMALLEST, LARGEST, shape[1])
    drawn = rng.normal(0.0, NOISE, shape)
    drawn += leap
    return np.exp(drawn, out=drawn)


def _read_only(values: NDArray[np.float64]) -> NDArray[np.float64]:
    view = values.view()
    view.flags.writeable = False
    return view


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
