"""Inference from an allocation that looked at the outcomes.

A bandit drops an arm while it looks bad, so the arm's mean stays bad: means are biased and Welch
rejects 13 % at a nominal 5 %. What repairs it are the probabilities in force at each assignment.
They must have been at least a floor all the time (10 % or more is advised), and they must be the
true ones.

References
----------
.. [1] Hadad, Hirshberg, Zhan, Wager and Athey (2021), "Confidence intervals for policy evaluation
   in adaptive experiments", PNAS 118(15).
.. [2] Zhang, Janson and Murphy (2020), "Inference for batched bandits", NeurIPS.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics.checks import (
    NO_SPREAD,
    FloatArray,
    IntArray,
    integers_of,
    matrix_of,
    require,
    vector_of,
)
from experiments.statistics.errors import SampleError, SettingsError, ShapeError
from experiments.statistics.estimates import Estimate, student_estimate
from experiments.statistics.summaries import PeriodTable

_FEWEST_CLUSTERS = 10
_FEWEST_UNITS = 30
_LOW = 0.05


def aipw_difference(
    arms: ArrayLike,
    probabilities: ArrayLike,
    rewards: ArrayLike,
    *,
    arm: int,
    control: int = 0,
    confidence: float = 0.95,
) -> Estimate:
    """Return the difference of two arms' means from single outcomes of an adaptive allocation.

    Parameters
    ----------
    arms : int array, shape (n,)
        Arm that each unit met, in the order of assignment.
    probabilities : float array, shape (n, n_arms)
        In force at each assignment; rows add up to 1.
    rewards : float array, shape (n,)
        Finite.
    arm, control : int
        Positions.
    confidence : float

    Raises
    ------
    ShapeError, SampleError, SettingsError
        Arrays that do not fit, or a unit in an arm of probability 0.
    NotComputedError
        Fewer than thirty units, an arm that nobody met, or one whose probability was 0 at a time.

    Notes
    -----
    Scores ``G_t(a) = Q_t(a) + 1{A_t = a} (Y_t - Q_t(a)) / e_t(a)`` with Q the arm's mean so far,
    that of all arms until somebody met it, and so from the second unit on: a guess of 0 before made
    errors that grow with how far outcomes are from 0. They are
    weighted by ``h_t = (1 / e_t(arm) + 1 / e_t(control))^(-1/2)``, which holds the variance of the
    scores' difference constant and is ``sqrt(p (1 - p))`` of two arms [1]_. Normal by the central
    limit theorem of martingales. Units that share shocks belong to `aipw_difference_by_period`.
    """
    a, e, y = _checked(arms, probabilities, rewards, (arm, control))
    require(y.size >= _FEWEST_UNITS, f"{y.size} units are fewer than thirty")
    scores = np.array([_scores(a, e, y, at) for at in (arm, control)])
    h = 1.0 / np.sqrt(1.0 / e[1:, arm] + 1.0 / e[1:, control])
    return _weighted(scores[0] - scores[1], h, confidence, "AIPW", scores).warned(
        low_chance(e[:, [arm, control]])
    )


def aipw_mean(
    arms: ArrayLike,
    probabilities: ArrayLike,
    rewards: ArrayLike,
    *,
    arm: int,
    confidence: float = 0.95,
) -> Estimate:
    """Return one arm's mean from an adaptive allocation; as `aipw_difference` otherwise.

    Returns
    -------
    Estimate
        `difference` is the mean, and the p-value is of "the mean is 0".

    Notes
    -----
    Weights ``sqrt(e_t)``. In small samples about half of the plain mean's bias is left, because the
    weights' sum depends on the outcomes; its error is larger, so intervals cover.
    """
    a, e, y = _checked(arms, probabilities, rewards, (arm,))
    require(y.size >= _FEWEST_UNITS, f"{y.size} units are fewer than thirty")
    h = np.sqrt(e[1:, arm])
    scores = _scores(a, e, y, arm)
    found = _weighted(scores, h, confidence, "AIPW, mean of an arm", scores)
    return found.warned(low_chance(e[:, [arm]]))


def aipw_difference_by_period(
    table: PeriodTable,
    probabilities: Mapping[int, ArrayLike],
    *,
    arm: int,
    control: int = 0,
    confidence: float = 0.95,
    is_stabilized: bool = True,
) -> Estimate:
    """Return the difference of two arms' means from the sums by period and allocation.

    Parameters
    ----------
    table : PeriodTable
        Of every arm, not only these two.
    probabilities : mapping of allocation number to float array, shape (n_arms,)
        In force under each allocation; they add up to 1.
    arm, control : int
    confidence : float
    is_stabilized : bool
        Whether units weigh by ``h`` of `aipw_difference`. Where the effect depends on what the
        shares follow, as on a context, that is no mean over the units: those count for less where
        the policy has learned. Without it each counts alike.

    Raises
    ------
    ShapeError, SampleError, SettingsError
        An allocation without probabilities, or an outcome of an arm of probability 0.
    NotComputedError
        Fewer than eleven periods, an arm without outcomes, or one whose probability was 0.

    Notes
    -----
    The scores of `aipw_difference` added up over a period and an allocation need only the sums,
    because probabilities are constant within: ``N Q(a) + (total(a) - n(a) Q(a)) / e(a)``, Q from
    the periods before, so that the first one is left out. A period is one cluster, however many
    units share its shocks; Student law with periods less one degrees of freedom. Where shocks of a
    period dominate `batched_difference` is the sharper.
    """
    cells = cells_of(table, probabilities, (arm, control))
    later, scores = cell_scores(cells, (arm, control))
    e = later.e
    h = np.ones(e.shape[0])
    if is_stabilized:
        h = 1.0 / np.sqrt(1.0 / e[:, arm] + 1.0 / e[:, control])
    totals, units = scores[:, 0] - scores[:, 1], later.n.sum(axis=1)
    return clustered(
        h * totals, h * units, later.period, confidence, "AIPW by period", h[:, np.newaxis] * scores
    ).warned(low_chance(e[:, [arm, control]]))


def batched_difference(
    table: PeriodTable,
    probabilities: Mapping[int, ArrayLike],
    *,
    arm: int,
    control: int = 0,
    confidence: float = 0.95,
) -> Estimate:
    """Return the mean of the differences within each period and allocation.

    Parameters
    ----------
    table, probabilities, arm, control, confidence
        As `aipw_difference_by_period`.

    Notes
    -----
    Within a period under one allocation the assignment did not look at the period's outcomes, so
    the difference of the two arms' means is not biased, and shocks that all units share cancel;
    weighted by ``sqrt(n(a) n(b) / (n(a) + n(b)))`` [2]_, with the period as the cluster. Where the
    effect drifts this is a weighted mean of it over the periods in which both arms had outcomes.
    """
    cells = cells_of(table, probabilities, (arm, control))
    n_a, n_b = cells.n[:, control], cells.n[:, arm]
    both = (n_a > 0.0) & (n_b > 0.0)
    n_a, n_b = n_a[both], n_b[both]
    h = np.sqrt(n_a * n_b / (n_a + n_b))
    means = cells.total[both, arm] / n_b, cells.total[both, control] / n_a
    return clustered(
        h * (means[0] - means[1]),
        h,
        cells.period[both],
        confidence,
        "differences within periods",
        h * np.array(means),
    ).warned(low_chance(cells.e[:, [arm, control]]))


@dataclass(frozen=True, slots=True)
class Cells:
    """Sums by period and allocation: period (n_cells,), the others (n_cells, n_arms)."""

    period: IntArray
    n: FloatArray
    total: FloatArray
    e: FloatArray


def _checked(
    arms: ArrayLike, probabilities: ArrayLike, rewards: ArrayLike, wanted: tuple[int, ...]
) -> tuple[IntArray, FloatArray, FloatArray]:
    a, y = integers_of(arms, "arms"), vector_of(rewards, "rewards")
    e = matrix_of(probabilities, "probabilities")
    if a.size != y.size or e.shape[0] != y.size:
        raise ShapeError(
            f"There are {a.size} arms, {e.shape[0]} rows of probabilities and {y.size} rewards."
        )
    _require_arms(wanted, e.shape[1])
    if bool(np.any(a < 0)) or bool(np.any(a >= e.shape[1])):
        raise SampleError(f"An arm is none of the {e.shape[1]}.")
    _require_shares(e)
    if bool(np.any(np.take_along_axis(e, a[:, np.newaxis], axis=1) <= 0.0)):
        raise SampleError("A unit met an arm whose probability was 0.")
    for at in wanted:
        require(bool(np.any(a == at)), f"nobody met arm {at}")
        require(bool(np.all(e[:, at] > 0.0)), f"the probability of arm {at} was 0 at a time")
    return a, e, y


def cells_of(
    table: PeriodTable, probabilities: Mapping[int, ArrayLike], wanted: tuple[int, ...]
) -> Cells:
    """Return sums and probabilities by period and allocation, checked."""
    require(table.n_rows > 0, "there are no outcomes")
    numbers, allocation_at = np.unique(table.allocation, return_inverse=True)
    known = {int(number): row for number, row in probabilities.items()}
    if missing := [int(number) for number in numbers if int(number) not in known]:
        raise SettingsError(f"Allocation {missing[0]} has no probabilities.")
    rows = [vector_of(known[int(number)], "probabilities") for number in numbers]
    if len({row.size for row in rows}) > 1:
        raise ShapeError("Allocations have different numbers of arms.")
    shares = np.stack(rows)
    _require_shares(shares)
    n_arms = shares.shape[1]
    _require_arms((*wanted, int(table.arm.max())), n_arms)
    keys = np.stack([table.period, allocation_at.astype(np.int64)], axis=1)
    unique, at = np.unique(keys, axis=0, return_inverse=True)
    flat, size = at.ravel() * n_arms + table.arm, unique.shape[0] * n_arms
    n, total = (
        np.bincount(flat, weights=column, minlength=size).astype(np.float64).reshape(-1, n_arms)
        for column in (table.n, table.total)
    )
    e: FloatArray = shares[unique[:, 1]]
    if bool(np.any(n[e <= 0.0])):
        raise SampleError("An outcome came from an arm whose probability was 0.")
    for arm in wanted:
        require(bool(np.any(n[:, arm])), f"nobody met arm {arm}")
        require(bool(np.all(e[:, arm] > 0.0)), f"the probability of arm {arm} was 0 at a time")
    return Cells(unique[:, 0], n, total, e)


def _scores(a: IntArray, e: FloatArray, y: FloatArray, arm: int) -> FloatArray:
    """Return the doubly robust score of an arm at each assignment but the first, (n - 1,)."""
    met = a == arm
    n, total = (np.cumsum(column) for column in (met, np.where(met, y, 0.0)))
    everybody = np.cumsum(y) / np.arange(1, y.size + 1)
    guess = np.divide(total, n, out=everybody, where=n > 0)[:-1]
    scores: FloatArray = guess + np.where(met[1:], (y[1:] - guess) / e[1:, arm], 0.0)
    return scores


def cell_scores(cells: Cells, arms: Sequence[int]) -> tuple[Cells, FloatArray]:
    """Return the cells after the first period, and the sums of arms' scores, (n_cells, n_arms).

    An arm's outcomes are guessed by those of the periods before, or where it had none by all arms'
    then: no guess is made up, so that a shift of all outcomes moves no difference.
    """
    _, at = np.unique(cells.period, return_inverse=True)
    later = cells.period > cells.period.min()
    n, total = (
        np.stack([np.bincount(at, weights=column) for column in sums.T], axis=1)
        for sums in (cells.n, cells.total)
    )
    n, total = n.cumsum(axis=0)[:-1], total.cumsum(axis=0)[:-1]
    everybody = np.broadcast_to((total.sum(axis=1) / n.sum(axis=1))[:, np.newaxis], n.shape).copy()
    guess = np.divide(total, n, out=everybody, where=n > 0.5)[at[later] - 1][:, arms]
    kept = Cells(cells.period[later], cells.n[later], cells.total[later], cells.e[later])
    scores: FloatArray = (
        kept.n.sum(axis=1, keepdims=True) * guess
        + (kept.total[:, arms] - kept.n[:, arms] * guess) / kept.e[:, arms]
    )
    return kept, scores


def _weighted(
    scores: FloatArray, h: FloatArray, confidence: float, method: str, parts: FloatArray
) -> Estimate:
    point = float(h @ scores / h.sum())
    _require_spread(scores - point, parts)
    variance = float(np.sum((h * (scores - point)) ** 2)) / float(h.sum()) ** 2
    return student_estimate(
        point, variance, confidence=confidence,
        method=f"{method}, variance-stabilizing weights",
    )  # fmt: skip


def _require_spread(off: FloatArray, parts: FloatArray) -> None:
    """Refuse outcomes that do not vary: what they are off by is then no more than rounding."""
    most = float(np.max(np.abs(off), initial=0.0))
    size = float(np.max(np.abs(parts), initial=0.0))
    require(most > NO_SPREAD * size, "the outcomes do not vary")


def clustered(
    sums: FloatArray, weights: FloatArray, period: IntArray, confidence: float, method: str,
    parts: FloatArray,
) -> Estimate:  # fmt: skip
    """Return the ratio of two sums over cells, with the periods as clusters.

    `parts` are figures of which the sums are differences: they say what rounding makes.
    """
    periods, at = np.unique(period, return_inverse=True)
    n = periods.size
    require(n >= _FEWEST_CLUSTERS, f"there are {n} of the ten periods that it takes")
    point = float(sums.sum() / weights.sum())
    off = np.bincount(at, weights=sums - point * weights).astype(np.float64)
    _require_spread(off, parts)
    variance = n / (n - 1.0) * float(off @ off) / float(weights.sum()) ** 2
    return student_estimate(
        point, variance, freedom=n - 1.0, confidence=confidence,
        method=f"{method}, {n} periods as clusters",
    )  # fmt: skip


def _require_arms(wanted: tuple[int, ...], n_arms: int) -> None:
    for arm in wanted:
        if not 0 <= arm < n_arms:
            raise SettingsError(f"There is no arm {arm} among {n_arms}.")


def _require_shares(e: FloatArray) -> None:
    if bool(np.any(e < 0.0)) or not np.allclose(e.sum(axis=1), 1.0, rtol=0.0, atol=1e-6):
        raise SettingsError("Probabilities must not be negative, and must add up to 1.")


def low_chance(e: FloatArray) -> str:
    """Return a warning, or nothing."""
    least = float(e.min())
    if least >= _LOW:
        return ""
    return f"A probability was as low as {least:.3g}: the normal law comes late; keep a floor."
