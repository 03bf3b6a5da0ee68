"""Confidence sequences: an interval after every period, all right at once.

`planned_sequence` is the default for returns. The others are there for what they are known for;
`docs/experiments.md` says where each fails.

References
----------
.. [1] Johari, Koomen, Pekelis and Walsh (2022), "Always valid inference: continuous monitoring of
   A/B tests", Operations Research 70(3).
.. [2] Howard, Ramdas, McAuliffe and Sekhon (2021), "Time-uniform, nonparametric, nonasymptotic
   confidence sequences", Annals of Statistics 49(2).
.. [3] Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2021), "Time-uniform central limit theory
   and asymptotic confidence sequences", arXiv 2103.06476.
.. [4] Jennison and Turnbull (2000), "Group sequential methods", chapter 9 (repeated confidence
   intervals).
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics.checks import FloatArray, IntArray, require, require_count
from experiments.statistics.errors import SettingsError
from experiments.statistics.sequential.boundaries import (
    PLANNED_RESERVE,
    PLANNED_SHAPE,
    PLANNED_START,
    Boundary,
    MixtureBoundary,
    PlannedBoundary,
    ScheduledBoundary,
)
from experiments.statistics.sequential.running import Looks, RunningMean, student_reach

LEAST_BATCHES = 10  # before the first interval of a planned sequence
_CORRELATED = 3.0  # standard errors of the correlation of neighboring batches


@dataclass(frozen=True, slots=True)
class Sequence:
    """An interval after each of some periods; with the stated confidence, none misses the mean.

    Attributes
    ----------
    method : str
        How it was found, for people.
    confidence : float
        That all intervals hold the true mean at once.
    periods : int64 array, shape (n_looks,)
        Number of periods seen at each look.
    mean, lower, upper : float64 arrays, shape (n_looks,)
        In the unit of the metric; -inf and inf while there is no interval.
    p_values : float64 array, shape (n_looks,)
        Always valid: the chance that it ever falls to p is at most p if the true mean is 0. Never
        rises; NaN where the method or the time has none.
    log_e_values : float64 array, shape (n_looks,), or None
        Logarithm of the evidence against a mean of 0, where the method has it.
    warnings : tuple of str
        What the reader must know before he believes it.
    """

    method: str
    confidence: float
    periods: IntArray
    mean: FloatArray
    lower: FloatArray
    upper: FloatArray
    p_values: FloatArray
    log_e_values: FloatArray | None = None
    warnings: tuple[str, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether no look has an interval yet."""
        return not bool(np.isfinite(self.lower).any() or np.isfinite(self.upper).any())

    def running(self) -> "Sequence":
        """Return the sequence in which each interval is cut to all those before it.

        Just as sure, never wider; where the mean drifts it may become empty (lower above upper),
        which says that there is no one mean.
        """
        return replace(
            self,
            lower=np.maximum.accumulate(self.lower),
            upper=np.minimum.accumulate(self.upper),
        )

    def excludes(self, value: float = 0.0) -> int | None:
        """Return the number of periods after which the interval first excludes a value."""
        outside = np.flatnonzero((self.lower > value) | (self.upper < value))
        return int(self.periods[outside[0]]) if outside.size else None


class SequenceStream:
    """A confidence sequence that grows; fed in parts it gives what it gives fed at once.

    Parameters
    ----------
    method : str
    boundary : Boundary
    running : RunningMean
        Fresh; the stream owns it.
    start : int
        Periods before the first interval.
    is_student : bool
        Whether the degrees of freedom of the error widen the interval.
    """

    def __init__(
        self,
        method: str,
        boundary: Boundary,
        running: RunningMean,
        *,
        start: int = 1,
        is_student: bool = False,
    ) -> None:
        self.method = method
        self.boundary = boundary
        self.mean = running
        self.start = start
        self.is_student = is_student
        self._least_p = math.nan

    def extend(self, values: ArrayLike) -> Sequence:
        """Take in the next periods and return the looks after each of them.

        Parameters
        ----------
        values : float array, shape (n,)
            The metric's difference, treatment less control, of each period in time order; finite.

        Raises
        ------
        SampleError
            Values that are missing or infinite.
        """
        looks = self.mean.extend(values)
        is_ready = (looks.periods >= self.start) & np.isfinite(looks.error)
        reach = self.boundary.reach(looks.periods)
        if self.is_student:
            reach = student_reach(reach, looks.freedom)
        is_known = is_ready & np.isfinite(reach) & np.isfinite(looks.mean)
        half = np.where(is_known, reach * looks.error, math.inf)
        p_values, evidence = self._tested(looks, is_ready)
        return Sequence(
            self.method,
            self.boundary.confidence,
            looks.periods,
            looks.mean,
            np.where(is_known, looks.mean - half, -math.inf),
            np.where(is_known, looks.mean + half, math.inf),
            p_values,
            evidence,
            self._warnings(),
        )

    def _tested(
        self, looks: Looks, is_ready: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
    ) -> tuple[FloatArray, FloatArray | None]:
        scores = looks.scores(is_student=self.is_student)
        p = np.where(is_ready, self.boundary.p_values(looks.periods, scores), math.nan)
        p = np.fmin.accumulate(np.concatenate([[self._least_p], p]))
        self._least_p = float(p[-1])
        if not isinstance(self.boundary, MixtureBoundary):
            return p[1:], None
        evidence = self.boundary.log_e_values(looks.periods, scores)
        return p[1:], np.where(is_ready, evidence, math.nan)

    def _warnings(self) -> tuple[str, ...]:
        correlation = self.mean.neighbor_correlation
        surprising = _CORRELATED / math.sqrt(max(self.mean.n_batches, 1))
        if self.mean.batch == 1 or not correlation > surprising:
            return ()
        warning = (
            f"Neighboring batches of {self.mean.batch} periods have a correlation of "
            f"{correlation:.2f}: the intervals are too narrow; choose longer batches."
        )
        return (warning,)


def planned_stream(
    *,
    horizon: int,
    confidence: float = 0.95,
    batch: int = 10,
    lag: int = 1,
    start: int | None = None,
    shape: float = PLANNED_SHAPE,
    reserve: float = PLANNED_RESERVE,
) -> SequenceStream:
    """Return the stream of `planned_sequence`, whose parameters these are."""
    require_count("horizon", horizon, 2)
    require_count("batch", batch, 1)
    least = LEAST_BATCHES * batch
    first = max(math.ceil(PLANNED_START * horizon), least) if start is None else start
    if first < least or first >= horizon:
        raise SettingsError(
            f"A planned sequence with batches of {batch} periods needs {least} of them before its "
            f"first look and a horizon beyond that; it has a first look after {first} and a "
            f"horizon of {horizon}."
        )
    return SequenceStream(
        "planned sequence",
        PlannedBoundary(confidence, horizon, first, shape, reserve),
        RunningMean(batch, lag),
        start=first,
        is_student=True,
    )


def planned_sequence(
    differences: ArrayLike,
    *,
    horizon: int,
    confidence: float = 0.95,
    batch: int = 10,
    lag: int = 1,
    start: int | None = None,
    shape: float = PLANNED_SHAPE,
    reserve: float = PLANNED_RESERVE,
) -> Sequence:
    """Return intervals for the mean of dependent, heavy-tailed differences, right at every look.

    Parameters
    ----------
    differences : float array, shape (n,)
        Of each period in time order, treatment less control; finite.
    horizon : int
        Periods that the plan gives the experiment. One may look after every one of them, stop at
        any, and go on after the horizon.
    confidence : float
        0 < c < 1.
    batch : int
        Periods of a batch, longer than the dependence reaches: the longest holding period, or 10.
    lag : int
        Furthest batches whose covariance counts.
    start : int, optional
        Periods before the first interval, at least 10 batches; an eighth of the horizon or 10
        batches, whichever is more, when not given.
    shape : float
        0 <= shape <= 0.45: how much of the error may be spent early; see `PlannedBoundary`.
    reserve : float
        0 <= reserve < 1: share of the error kept for after the horizon.

    Returns
    -------
    Sequence

    Raises
    ------
    SettingsError
        A setting outside its domain, or a horizon that has no room for the first look.
    SampleError
        Values that are missing or infinite.

    Notes
    -----
    The boundary's crossing probability is that of Brownian motion at all times, so it holds for
    any number of looks. It is asymptotic: the error is that of batch means with the covariance of
    neighbors, and its degrees of freedom widen the interval as Student's law would. Measured in
    docs/experiments.md; why in docs/adr/0018-sequences.md.
    """
    stream = planned_stream(
        horizon=horizon,
        confidence=confidence,
        batch=batch,
        lag=lag,
        start=start,
        shape=shape,
        reserve=reserve,
    )
    return stream.extend(differences)


def asymptotic_stream(
    *, best_at: float, confidence: float = 0.95, batch: int = 1, lag: int = 0, start: int = 1,
    tuned_for: float | None = None,
) -> SequenceStream:  # fmt: skip
    """Return the stream of `asymptotic_sequence`, whose parameters these are."""
    require_count("start", start, 1)
    boundary = MixtureBoundary.tuned(tuned_for or confidence, best_at)
    boundary = replace(boundary, confidence=confidence)
    return SequenceStream(
        "asymptotic confidence sequence", boundary, RunningMean(batch, lag), start=start
    )


def asymptotic_sequence(
    differences: ArrayLike,
    *,
    best_at: float,
    confidence: float = 0.95,
    batch: int = 1,
    lag: int = 0,
    start: int = 1,
    tuned_for: float | None = None,
) -> Sequence:
    """Return the asymptotic confidence sequence [3]_: for ever, with no horizon.

    Parameters
    ----------
    differences : float array, shape (n,)
        Of each period in time order; finite.
    best_at : float
        Number of periods at which it shall be narrowest.
    batch, lag : int
        1 and 0 for independent periods. For returns batches of 10, or a lag of 10, with a start
        of 250: an ordinary error makes one A/A test in eight a discovery under autocorrelation 0.2.
    start : int
        Periods before the first interval.
    tuned_for : float, optional
        Confidence for which it is narrowest at `best_at`; its own when not given. Intervals of
        several confidences that are tuned for one are of one e-value: each leaves out what the
        e-value against it is at least ``1 / alpha`` for.

    Notes
    -----
    ``mean +- s sqrt(2 (n q^2 + 1) / (n^2 q^2) ln(sqrt(n q^2 + 1) / alpha))``, ``q^2 = 1 / rho``.
    """
    stream = asymptotic_stream(
        best_at=best_at, confidence=confidence, batch=batch, lag=lag, start=start,
        tuned_for=tuned_for,
    )  # fmt: skip
    return stream.extend(differences)


def msprt_stream(
    *,
    prior_variance: float,
    variance: float | None = None,
    confidence: float = 0.95,
    start: int = 1,
    planning_variance: float | None = None,
) -> SequenceStream:
    """Return the stream of `msprt`, whose parameters these are."""
    scale = planning_variance if variance is None else variance
    if scale is None:
        raise SettingsError("Give the variance, or a planning_variance when it is estimated.")
    if not (0.0 < prior_variance < math.inf and 0.0 < scale < math.inf):
        raise SettingsError("Variances must be finite and above zero.")
    require_count("start", start, 1)
    return SequenceStream(
        "mixture sequential probability ratio test",
        MixtureBoundary(confidence, scale / prior_variance),
        RunningMean(variance=variance),
        start=start,
    )


def msprt(
    differences: ArrayLike,
    *,
    prior_variance: float,
    variance: float | None = None,
    confidence: float = 0.95,
    start: int = 1,
    planning_variance: float | None = None,
) -> Sequence:
    """Return the mixture sequential probability ratio test [1]_ and its intervals.

    Parameters
    ----------
    differences : float array, shape (n,)
        Independent; finite.
    prior_variance : float
        tau^2 of the normal prior of the mean, > 0.
    variance : float, optional
        sigma^2 of one period. Estimated as one goes when not given; the ratio is then about right
        only, and tau^2 is held at ``prior_variance / planning_variance`` times the estimate.
    planning_variance : float, optional
        What sigma^2 was thought to be; needed when the variance is estimated.
    start : int
        Periods before the first interval; 30 or more with an estimated variance.

    Notes
    -----
    ``L_n = sqrt(s^2 / (s^2 + n t^2)) exp(n^2 t^2 mean^2 / (2 s^2 (s^2 + n t^2)))``, p = 1 / L.
    """
    stream = msprt_stream(
        prior_variance=prior_variance,
        variance=variance,
        confidence=confidence,
        start=start,
        planning_variance=planning_variance,
    )
    return stream.extend(differences)


def group_sequential(
    differences: ArrayLike,
    boundary: ScheduledBoundary,
    *,
    batch: int = 1,
    lag: int = 0,
    is_student: bool = True,
) -> Sequence:
    """Return repeated confidence intervals [4]_ at the looks of a schedule that have come.

    Parameters
    ----------
    differences : float array, shape (n,)
        Of each period in time order; finite.
    boundary : ScheduledBoundary
        From `schedules.schedule`.
    batch, lag : int
        As `planned_sequence` has them.

    Raises
    ------
    NotComputedError
        No scheduled look has come yet.
    """
    stream = SequenceStream(
        "group sequential", boundary, RunningMean(batch, lag), is_student=is_student
    )
    whole = stream.extend(differences)
    is_look = np.isin(whole.periods, boundary.looks)
    require(bool(is_look.any()), "no scheduled look has come yet")
    return replace(
        whole,
        periods=whole.periods[is_look],
        mean=whole.mean[is_look],
        lower=whole.lower[is_look],
        upper=whole.upper[is_look],
        p_values=whole.p_values[is_look],
    )
