"""Checks of a panel as a whole."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backtests.marketdata.findings import Ledger

MIN_INSTRUMENTS, MIN_YEARS = 5, 1.0
YEAR_NS = 365.25 * 86_400e9
END_BARS = 5
STUB_SHARE = 0.05
YEARS_PER_EXIT = 25.0
EXIT_SHARE = 0.25

Int64Array = NDArray[np.int64]


def check_survivors(
    ts: Int64Array, first_bar: Int64Array, last_bar: Int64Array, ledger: Ledger
) -> bool:
    """Say whether too few instruments of a long panel ever stop being quoted.

    Parameters
    ----------
    ts : int64 array, shape (T,)
        Stamps of the panel [ns UTC].
    first_bar, last_bar : int64 arrays, shape (N,)
        Positions of each instrument's first and last bar; last -1 where there is none.
    ledger : Ledger

    Notes
    -----
    Real universes lose members every year: of the S&P 500 about one in twenty-five. With N
    instruments over a span of Y years ``N * Y / 25`` exits are expected; a panel of five or more
    in which that is at least one and less than a quarter of it happened was chosen with
    hindsight. An exit is a last bar before the panel's last five. Instruments that cover less
    than 5 % of the span count neither way, so a stub cannot hide the bias.

    References
    ----------
    .. [1] Brown, Goetzmann, Ibbotson and Ross (1992), "Survivorship Bias in Performance
       Studies", Review of Financial Studies 5(4).
    """
    years = float(ts[-1] - ts[0]) / YEAR_NS
    lasting = last_bar - first_bar + 1 >= STUB_SHARE * ts.size
    n = int(lasting.sum())
    expected = n * years / YEARS_PER_EXIT
    if n < MIN_INSTRUMENTS or years < MIN_YEARS or expected < 1.0:
        return False
    exits = int((last_bar[lasting] < ts.size - END_BARS).sum())
    survivors = exits < EXIT_SHARE * expected
    if survivors:
        ledger.note("survivors", n, exits=exits, expected=f"{min(expected, n):.0f}")
        ledger.report.survivors = True
    return survivors
