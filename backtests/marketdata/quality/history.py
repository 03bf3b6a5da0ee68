"""One instrument's bars, as the checks along time see them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backtests.marketdata.findings import Marks, example

FloatArray = NDArray[np.float64]

SPLIT_FACTORS = {
    "2": 2.0, "3": 3.0, "4": 4.0, "5": 5.0, "6": 6.0, "7": 7.0, "8": 8.0, "10": 10.0,
    "15": 15.0, "20": 20.0, "25": 25.0, "30": 30.0, "40": 40.0, "50": 50.0, "3/2": 1.5,
    "5/2": 2.5, "5/3": 5.0 / 3.0,
}  # fmt: skip


@dataclass(slots=True)
class Series:
    """One instrument's bars without its absences.

    Attributes
    ----------
    symbol : str
    marks : Marks
        Of the n bars.
    values : dict of field name to float64 array, shape (n,)
        Has ``close``; splits are 1 and dividends 0 where nothing happened.
    prices : {"raw", "split", "adjusted"}
    """

    symbol: str
    marks: Marks
    values: dict[str, FloatArray]
    prices: str = "raw"

    def example(self, i: int, value: object = None) -> dict[str, object]:
        """Return bar i as an example of a finding, by default with the move into it."""
        if value is None:
            close = self.values["close"]
            value = f"{close[i - 1]:.6g} -> {close[i]:.6g}"
        return example(int(self.marks.rows[i]), int(self.marks.stamps[i]), value)


def split_name(move: float) -> tuple[str, float]:
    """Return the split nearest to a log move of the price, and its factor's logarithm.

    Parameters
    ----------
    move : float
        Log return; a fall is a split such as "2" or "3/2", a rise its reverse ("1/2", "2/3").

    Returns
    -------
    name : str
    factor : float
        Log of the shares per old share, without its sign.
    """
    size = abs(move)
    name, factor = min(SPLIT_FACTORS.items(), key=lambda f: abs(size - np.log(f[1])))
    if move > 0:
        name = f"1/{name}" if "/" not in name else "/".join(reversed(name.split("/")))
    return name, float(np.log(factor))
