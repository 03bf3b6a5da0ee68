"""One opinion out of several signals."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from strategies.signals.scores import Scores


def combine(parts: Sequence[Scores]) -> Scores:
    """Return the joint opinion of one or more signals.

    Parameters
    ----------
    parts : sequence of Scores
        At least one, of equal shape.

    Returns
    -------
    Scores
        One signal passes through. Of several, each score is replaced by its centered rank among
        the instruments eligible for all of them, and the ranks are averaged; the side is the one
        all signals share, otherwise flat. An instrument not eligible for one is not eligible.
    """
    if len(parts) == 1:
        return parts[0]
    missing = np.logical_or.reduce([np.isnan(part.score) for part in parts])
    total = np.zeros(missing.shape)
    for part in parts:
        total += centered_ranks(np.where(missing, np.nan, part.score))
    side = np.where(missing, np.int8(0), parts[0].side)
    for part in parts[1:]:
        side = np.where(part.side == side, side, np.int8(0))
    return Scores(total / len(parts), side)


def centered_ranks(score: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each row's ranks scaled to [-1, 1]; ties share their mean rank.

    Parameters
    ----------
    score : float64 array, shape (n_bars, n_assets)
        NaN = not ranked.

    Returns
    -------
    float64 array, shape (n_bars, n_assets)
        ``(2 rank - n - 1) / (n - 1)`` with ranks 1..n; 0 for a single one; NaN stays NaN.
    """
    n_ranked = np.sum(~np.isnan(score), axis=1, keepdims=True)
    order = np.argsort(score, axis=1, kind="stable")  # NaN last
    ordered = np.take_along_axis(score, order, axis=1)
    column = np.arange(score.shape[1])
    is_first = np.ones(score.shape, bool)
    is_first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    is_last = np.ones(score.shape, bool)
    is_last[:, :-1] = is_first[:, 1:]
    lowest = np.maximum.accumulate(np.where(is_first, column, 0), axis=1)
    reverse = np.where(is_last, column, score.shape[1])[:, ::-1]
    highest = np.minimum.accumulate(reverse, axis=1)[:, ::-1]
    ranks = np.empty(score.shape)
    np.put_along_axis(ranks, order, 0.5 * (lowest + highest) + 1.0, axis=1)
    centered: NDArray[np.float64] = (2.0 * ranks - n_ranked - 1.0) / np.maximum(n_ranked - 1, 1)
    centered[np.isnan(score)] = np.nan
    return centered
