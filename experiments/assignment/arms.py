"""Arms by cumulative shares: the points of an experiment, cut in the arms' order.

Arm k has the points from the sum of the shares before it up to, but without, that sum and its own.
An arm without a share has no point. Where shares change, a unit keeps its arm unless a cut passed
over its point: two arms move as few units as any method could, half the sum of the changes; with
more arms at most (n_arms - 1) times as many move.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from experiments.assignment.buckets import N_BUCKETS, threshold
from experiments.assignment.errors import SettingsError

SUM_TOLERANCE = 1e-9


def arm_thresholds(weights: Sequence[float]) -> tuple[int, ...]:
    """Return the exclusive upper end of each arm's buckets.

    Parameters
    ----------
    weights : sequence of float, length n_arms
        In [0, 1], and of sum 1 up to 1e-9. Added from the left in binary64, each sum times 2**64
        is rounded up to a whole number; from the last arm with a share on it is 2**64.

    Raises
    ------
    SettingsError
        They are not so.
    """
    for place, weight in enumerate(weights):
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= 1:
            raise SettingsError(f"weights[{place}] is {str(weight)[:40]}, not a number in [0, 1].")
    total = float(sum(weights))
    if abs(total - 1.0) > SUM_TOLERANCE:
        raise SettingsError(f"The weights sum to {total:.6g}; they must sum to 1.")
    last = max(place for place, weight in enumerate(weights) if weight > 0)
    ends, end = [], 0.0
    for place, weight in enumerate(weights):
        end += weight
        ends.append(N_BUCKETS if place >= last else threshold(min(end, 1.0)))
    return tuple(ends)


def arm_position(bucket: int, thresholds: Sequence[int]) -> int:
    """Return the position of the arm that a bucket belongs to: the first whose end is above it."""
    return bisect_right(thresholds, bucket)


def arm_positions(buckets: NDArray[np.uint64], thresholds: Sequence[int]) -> NDArray[np.int64]:
    """Return the positions of the arms that buckets belong to.

    Parameters
    ----------
    buckets : uint64 array, shape (n_units,)
    thresholds : sequence of int, length n_arms
        Of `arm_thresholds`.

    Returns
    -------
    int64 array, shape (n_units,)
    """
    inner = np.array([end for end in thresholds if end < N_BUCKETS], dtype=np.uint64)
    return np.searchsorted(inner, buckets, side="right").astype(np.int64)


def least_moved_share(before: Sequence[float], after: Sequence[float]) -> float:
    """Return the share of units that must change their arm, whatever the method.

    Raises
    ------
    SettingsError
        The two have different numbers of arms.

    Notes
    -----
    The total variation distance, ``sum(|after - before|) / 2``.
    """
    if len(before) != len(after):
        raise SettingsError(f"{len(before)} arms before, {len(after)} after.")
    return sum(abs(new - old) for old, new in zip(before, after, strict=True)) / 2.0


def moved_share(before: Sequence[float], after: Sequence[float]) -> float:
    """Return the share of units whose arm another set of weights changes.

    Raises
    ------
    SettingsError
        The two have different numbers of arms, or weights that are none.
    """
    if len(before) != len(after):
        raise SettingsError(f"{len(before)} arms before, {len(after)} after.")
    old, new = arm_thresholds(before), arm_thresholds(after)
    cuts = sorted({0, *old, *new, N_BUCKETS})
    moved = sum(
        stop - start
        for start, stop in pairwise(cuts)
        if arm_position(start, old) != arm_position(start, new)
    )
    return moved / N_BUCKETS
