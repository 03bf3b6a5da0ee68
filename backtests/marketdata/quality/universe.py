"""Checks of a panel as a whole."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backtests.marketdata.findings import Ledger

MIN_INSTRUMENTS, MIN_YEARS = 5, 3.0
YEAR_NS = 365.25 * 86_400e9
END_BARS = 5


def check_survivors(ts: NDArray[np.int64], last_bar: NDArray[np.int64], ledger: Ledger) -> bool:
    """Say whether no instrument of a long panel ever stops being quoted.

    Parameters
    ----------
    ts : int64 array, shape (T,)
        Stamps of the panel [ns UTC].
    last_bar : int64 array, shape (N,)
        Position of each instrument's last bar.
    ledger : Ledger

    Notes
    -----
    Real universes lose members every year: of the S&P 500 about one in twenty-five. A panel of
    five or more instruments over three or more years in which all reach the last five bars was
    chosen with hindsight, unless it is an index's own history.

    References
    ----------
    .. [1] Brown, Goetzmann, Ibbotson and Ross (1992), "Survivorship Bias in Performance
       Studies", Review of Financial Studies 5(4).
    """
    years = (ts[-1] - ts[0]) / YEAR_NS
    if last_bar.size < MIN_INSTRUMENTS or years < MIN_YEARS:
        return False
    survivors = bool((last_bar >= ts.size - END_BARS).all())
    if survivors:
        ledger.note("survivors", int(last_bar.size))
        ledger.report.survivors = True
    return survivors
