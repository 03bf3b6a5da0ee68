"""A missing bar is not an opinion: what an instrument was worth at its last bar stays so."""

import numpy as np
from numpy.typing import NDArray

from strategies.signals.scores import Scores

_DAY_NS = 86_400_000_000_000
STALE_BARS = 10
STALE_DAYS = 31


def last_live_row(ts: NDArray[np.int64], printed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return, for every row, the row of each instrument's last bar while that is not stale.

    Parameters
    ----------
    ts : int64 array, shape (n_bars,)
        Strictly increasing stamps [ns UTC].
    printed : bool array, shape (n_bars, n_assets)
        Whether the instrument has a bar in that row.

    Returns
    -------
    int64 array, shape (n_bars, n_assets)
        -1 before the first bar, and once no bar has come for the longer of 31 days and ten bars of
        the instrument's own clock.

    Notes
    -----
    The instrument's clock is the mean distance of its latest ten bars (of as many as there are),
    known at its last bar: nothing here depends on later rows.
    """
    rows = np.arange(ts.size, dtype=np.int64)
    last = np.maximum.accumulate(np.where(printed, rows[:, None], -1), axis=0)
    for column in np.flatnonzero(~printed.all(axis=0)):
        bars = np.flatnonzero(printed[:, column])
        if bars.size == 0:
            continue
        until = np.zeros(ts.size, np.int64)
        until[bars] = ts[bars] + _patience(ts[bars])
        last[ts > until[last[:, column]], column] = -1
    return last


def _patience(stamps: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how long after each of its bars an instrument may be silent [ns]."""
    at = np.arange(stamps.size)
    n_gaps = np.minimum(at, STALE_BARS)
    own_clock = (stamps - stamps[at - n_gaps]) // np.maximum(n_gaps, 1) * STALE_BARS
    patience: NDArray[np.int64] = np.maximum(own_clock, STALE_DAYS * _DAY_NS)
    return patience


def carried(scores: Scores, live_row: NDArray[np.int64]) -> Scores:
    """Return the opinion of each instrument's last bar; none where it has no live bar.

    Parameters
    ----------
    scores : Scores
        Opinions at the rows in which the instruments have bars.
    live_row : int64 array, shape (n_bars, n_assets)
        As `last_live_row` returns it.
    """
    at = np.maximum(live_row, 0)
    gone = live_row < 0
    score = np.take_along_axis(scores.score, at, axis=0)
    side = np.take_along_axis(scores.side, at, axis=0)
    return Scores(np.where(gone, np.nan, score), np.where(gone, np.int8(0), side))
