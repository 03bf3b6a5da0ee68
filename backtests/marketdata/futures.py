"""Other futures: the same bars up to a cut, other valid ones after it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from backtests.marketdata.panel import Panel

# Left as they are: what is announced, and a flag.
UNTOUCHED = frozenset({"split", "delisted"})
COUNTED = frozenset({"volume", "bid_size", "ask_size"})
# What mirrored prices are taken from: turned upside down, the high is the low and the bid the ask.
MIRRORED = {
    **{name: name for name in ("open", "close", "adj_close")},
    "high": "low", "low": "high", "bid": "ask", "ask": "bid",
}  # fmt: skip
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
        signs: NDArray[np.float64] | None = None, gone: NDArray[np.intp] | None = None,
        is_mirrored: bool = False,
    ) -> Panel:  # fmt: skip
        """Return the panel with other bars after a cut; it holds until the next one is asked for.

        Parameters
        ----------
        cut : int
            Last bar that stays as it is, in [0, n_bars - 1).
        rng : numpy.random.Generator
        signs : float64 array, shape (n_assets,), optional
            1 where prices leap up, -1 where down; drawn by default.
        gone : int array, optional
            Columns of instruments that have no bar after the cut; by default each keeps its bars.
        is_mirrored : bool
            Whether prices after the cut are turned upside down about the last one before it: what
            rose falls by the same share. Other levels alone would leave the order of instruments
            by their returns, and the shape of each bar.

        Returns
        -------
        Panel
            Up to the cut the same bits. After it the prices of an instrument leap up by 5 to 65 %
            or down by 5 to 39 %, and wander round that, those of the bars or their mirror images;
            volumes are drawn by themselves. One factor multiplies all prices of a bar, and
            rounding keeps their order, so that valid bars stay valid. Stamps, splits and delistings
            stay.

        Notes
        -----
        A factor is bounded in probability whatever the length, and a mirror image by the prices
        that were, so that no price overflows.
        """
        own = self._panel.fields
        shape = (len(self._panel) - cut - 1, len(self._panel.symbols))
        prices = _factors(rng, shape, draw_signs(rng, shape[1]) if signs is None else signs)
        counts = _factors(rng, shape, draw_signs(rng, shape[1]))
        mirror = _Mirror(self._panel, cut) if is_mirrored else None
        for name, field in self._fields.items():
            field[self._first_other : cut + 1] = own[name][self._first_other : cut + 1]
            later = field[cut + 1 :]
            if name in UNTOUCHED:
                later[:] = own[name][cut + 1 :]
            elif name in COUNTED:
                np.multiply(own[name][cut + 1 :], counts, out=later)
            elif mirror is None:
                np.multiply(own[name][cut + 1 :], prices, out=later)
            else:
                mirror.write(name, later)
                later *= prices
            if gone is not None:
                later[:, gone] = np.nan
        self._first_other = cut + 1
        return replace(self._panel, fields={n: _read_only(f) for n, f in self._fields.items()})


class _Mirror:
    """Prices after a cut, turned upside down about the last ones before it.

    A price p becomes c^2 / p, per unit of before the cut: splits stay as they are.
    """

    def __init__(self, panel: Panel, cut: int) -> None:
        self._panel, self._cut = panel, cut
        self._later = {name: values[cut + 1 :] for name, values in panel.fields.items()}
        split = self._later.get("split")
        self._units: NDArray[np.float64] | float = 1.0
        if split is not None:
            self._units = np.cumprod(np.where(np.isnan(split), 1.0, split), axis=0) ** 2

    def write(self, name: str, out: NDArray[np.float64]) -> None:
        """Write the mirror image of a field; spreads and dividends keep their share of a price."""
        partner = MIRRORED.get(name)
        if partner is not None:
            source = partner if partner in self._later else name
            np.divide(self._squared(name), self._later[source], out=out)
            if name != "adj_close":  # which is of units of today throughout
                out /= self._units
            return
        price = self._later.get("open") if name.endswith("_open") else None
        price = _priced(self._panel)[self._cut + 1 :] if price is None else price
        np.divide(self._squared("close"), price, out=out)
        out /= price * self._units
        np.copyto(out, 1.0, where=np.isnan(out))
        out *= self._later[name]

    def _squared(self, name: str) -> NDArray[np.float64]:
        """Return the square of the last price up to the cut, of a later instrument its first."""
        priced = self._panel.fields[name] if name == "adj_close" else _priced(self._panel)
        before, after = (~np.isnan(part) for part in np.split(priced, [self._cut + 1]))
        last = self._cut - np.argmax(before[::-1], axis=0)
        first = self._cut + 1 + np.argmax(after, axis=0)
        rows = np.where(before.any(axis=0), last, first)
        squared: NDArray[np.float64] = priced[rows, np.arange(priced.shape[1])] ** 2
        return squared


def bytes_needed(panel: Panel) -> int:
    """Return what the other futures of a panel take beside it [bytes]: a copy, and five draws."""
    return panel.n_bytes + 5 * 8 * len(panel) * len(panel.symbols)


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
    printed = ~np.isnan(_priced(panel)[cut + 1 :])
    others = printed.sum(axis=1)[:, None] - printed
    stays = np.all(others > 0, axis=0)
    if (delisted := panel.fields.get("delisted")) is not None:
        stays &= ~np.any(delisted[cut + 1 :] == 1.0, axis=0)
    return np.flatnonzero(stays)


def may_go_together(panel: Panel, cut: int, columns: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return those of some columns, taken in their order, that leave a price in every bar."""
    printed = ~np.isnan(_priced(panel)[cut + 1 :])
    left = printed.sum(axis=1)
    going = []
    for column in columns:
        if np.all(left - printed[:, column] > 0):
            left = left - printed[:, column]
            going.append(column)
    return np.array(going, np.intp)


def _priced(panel: Panel) -> NDArray[np.float64]:
    return next(panel.fields[n] for n in ("close", "adj_close", "bid") if n in panel.fields)
