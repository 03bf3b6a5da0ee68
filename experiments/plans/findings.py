"""What an analysis found: figures of arms, comparisons with the control, checks.

Plain frozen records that write themselves as a document, so that the page, the report, the API and
the decision read one and the same thing. A figure that is not computed is None, and `because` says
why; no neutral number stands in for it.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

UNSURE = 0.05  # chance to be the best that is not nothing


@dataclass(frozen=True, slots=True)
class ArmFigures:
    """One arm on one metric.

    Attributes
    ----------
    n : float
        Observations: periods of a shadow experiment, outcomes of an assigned one.
    mean, standard_error : float or None
        In the metric's unit, per observation.
    """

    arm: str
    n: float
    mean: float | None
    standard_error: float | None = None


@dataclass(frozen=True, slots=True)
class Path:
    """An estimate with its interval as it went, at some of its looks.

    Attributes
    ----------
    at : sequence of int
        Ends of the periods [UTC ns].
    n : sequence of int
        Periods seen by then.
    estimate, lower, upper : sequence of float or None
        None where the interval has not begun.
    """

    at: Sequence[int]
    n: Sequence[int]
    estimate: Sequence[float | None]
    lower: Sequence[float | None]
    upper: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A challenger less the control on one metric.

    Attributes
    ----------
    estimate, lower, upper : float or None
        Absolute difference in the metric's unit, and its interval.
    confidence : float
        Of this interval, correction for several included.
    probability_better, expected_loss : float or None
        Bayesian, with the plan's prior, at looks that the method allows; they never end an
        experiment. The loss is what one gives up per observation by choosing the challenger on
        average, ``E[max(-d, 0)]``, nothing where it is better.
    posterior_mean, posterior_deviation : float or None
        Of the normal posterior of the difference.
    p_value : float or None
        Against no difference, of this comparison alone; None where the question is a margin, over
        several contexts, of ratios, by unit, and where the method or the time has none.
        Anytime-valid where the intervals hold at every look (planned_sequence, asymptotic): the
        chance that it ever falls to p is at most p.
    is_futile : bool
        The newest look makes an answer unlikely by the end.
    because : str
        Why something is missing; empty otherwise.
    is_withheld : bool
        There are outcomes enough, but nothing may be concluded, for the reason in `because`. Where
        there is an interval all the same it is of the periods that were seen.
    """

    arm: str
    against: str
    confidence: float
    estimate: float | None = None
    lower: float | None = None
    upper: float | None = None
    probability_better: float | None = None
    expected_loss: float | None = None
    posterior_mean: float | None = None
    posterior_deviation: float | None = None
    because: str = ""
    is_withheld: bool = False
    path: Path | None = None
    p_value: float | None = None
    is_futile: bool = False

    @property
    def is_known(self) -> bool:
        """Whether there is an interval to decide by."""
        return self.lower is not None and self.upper is not None


@dataclass(frozen=True, slots=True)
class ArmStanding:
    """One of several arms beside all others.

    Attributes
    ----------
    probability_best : float
        Bayesian, with the plan's prior.
    expected_loss : float
        What one gives up per observation by choosing it rather than the best, >= 0 [unit of the
        metric].
    """

    arm: str
    probability_best: float
    expected_loss: float


@dataclass(frozen=True, slots=True)
class MetricFindings:
    """All that is known of one metric.

    Attributes
    ----------
    role : str
        ``primary``, ``secondary`` or ``guardrail``.
    direction : str
        ``increase`` or ``decrease``: which way is better.
    margin : float or None
        Of a guardrail, and of a primary metric that asks for no more than being no worse: how much
        worse is still tolerated [unit of the metric].
    standing : sequence of ArmStanding
        Of a primary metric with several challengers, control first; empty where it is not known.
    """

    name: str
    role: str
    kind: str
    direction: str
    method: str
    arms: Sequence[ArmFigures] = field(default=())
    comparisons: Sequence[Comparison] = field(default=())
    margin: float | None = None
    standing: Sequence[ArmStanding] = field(default=())

    def may_be_best(self, arm: str) -> list[str]:
        """Return the other challengers that the data do not tell from the best of all."""
        challengers = {one.arm for one in self.comparisons} - {arm}
        return [
            one.arm for one in self.standing
            if one.arm in challengers and one.probability_best >= UNSURE
        ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Whether units came to the arms as the allocation says.

    Attributes
    ----------
    p_value : float or None
        Anytime-valid: looking again does not use it up. 0 where units came to an arm that had no
        share.
    evidence : float or None
        Logarithm of the e-value, of units in arms that had a share: it goes on to tell more where
        the p-value is as small as numbers get.
    impossible : dict of str to int
        Units by arm that had no share.
    """

    p_value: float | None
    observed: dict[str, int] = field(default_factory=dict)
    expected: dict[str, float] = field(default_factory=dict)
    is_mismatch: bool = False
    because: str = ""
    evidence: float | None = None
    impossible: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cost:
    """What trying cost: what the best arm would have made of all outcomes, by today's means.

    Attributes
    ----------
    at : sequence of int
        Ends of the periods [UTC ns].
    total : sequence of float
        Cumulative estimate [unit of the primary metric times outcomes], >= 0.
    """

    at: Sequence[int]
    total: Sequence[float]


@dataclass(frozen=True, slots=True)
class ContextFindings:
    """The primary metric among the units that came in one context: explored, never a winner.

    Attributes
    ----------
    n_periods : int
        Periods of this context in which a challenger was compared with the control.
    n_left_out : int
        Periods with outcomes in it in which none was.
    n_exposed : int
        Units that met an arm in it.
    shares : mapping of str to float
        In force, by arm.
    comparisons : sequence of Comparison
        Each with the plan's confidence, by itself: corrected neither for the other contexts nor for
        the other challengers.
    """

    context: str
    n_periods: int
    n_left_out: int
    n_exposed: int
    shares: dict[str, float]
    arms: Sequence[ArmFigures]
    comparisons: Sequence[Comparison]


@dataclass(frozen=True, slots=True)
class AssumptionCheck:
    """One assumption of a plan beside what came.

    Attributes
    ----------
    name : str
        As in the plan. `units_per_period` are those that take part and report.
    assumed, seen, lower, upper : float
        What came with an interval of 95 %.
    is_off : bool
        The assumption lies outside of it, and by more than would matter.
    """

    name: str
    assumed: float
    seen: float
    lower: float
    upper: float
    is_off: bool


@dataclass(frozen=True, slots=True)
class AssumedFindings:
    """What the plan assumes of the first primary metric, held against what came.

    Attributes
    ----------
    n_periods : int
        That were looked at.
    arm : str
        Of several challengers of a shadow experiment the one that takes longest; empty of others.
    periods, periods_assumed : int or None
        That the effect takes by what came, and by what was assumed; on the clock, those without
        outcomes included.
    power_at_horizon, detectable_effect : float or None
        In the planned periods, by what came.
    sentence : str
        The same in words.
    """

    n_periods: int
    arm: str
    checks: Sequence[AssumptionCheck]
    periods: int | None
    periods_assumed: int
    power_at_horizon: float | None
    detectable_effect: float | None
    sentence: str

    @property
    def is_off(self) -> bool:
        """Whether some assumption is off."""
        return any(one.is_off for one in self.checks)


@dataclass(frozen=True, slots=True)
class Findings:
    """One analysis of an experiment, whole.

    Attributes
    ----------
    n_periods, horizon : int
        Periods in which a challenger was compared with the control (of several primary metrics on
        that with the fewest), and those planned.
    n_seen : int
        Periods with outcomes of any arm.
    first_look : int
        Compared periods after which the primary metric has its first interval.
    watermark : int or None
        Outcomes up to here are in [UTC ns].
    contexts : sequence of ContextFindings
        Of a plan whose shares depend on a context.
    gives_up : bool
        The plan ends where every comparison is futile, and that is so.
    assumed : AssumedFindings or None
        Of a plan with assumptions, once enough has come.
    """

    n_periods: int
    horizon: int
    watermark: int | None
    metrics: Sequence[MetricFindings]
    mismatch: Mismatch | None = None
    cost: Cost | None = None
    method: str = ""
    n_seen: int = 0
    first_look: int = 0
    n_late: int = 0
    notes: Sequence[str] = field(default=())
    contexts: Sequence[ContextFindings] = field(default=())
    gives_up: bool = False
    assumed: AssumedFindings | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the findings as a document of plain values.

        What a plan may ask for since is left out where it has not: its document, and its digest,
        are then what they always were.
        """
        whole = asdict(self)
        if not self.contexts:
            del whole["contexts"]
        if not self.gives_up:
            del whole["gives_up"]
        if self.assumed is None:
            del whole["assumed"]
        return whole

    @property
    def primary(self) -> MetricFindings:
        """The metric that decides; of several the first."""
        return self.primaries[0]

    @property
    def primaries(self) -> list[MetricFindings]:
        """The metrics that decide."""
        return [metric for metric in self.metrics if metric.role == "primary"]

    @property
    def is_early(self) -> bool:
        """Whether the first look at the primary metrics is yet to come."""
        return self.n_periods < self.first_look and not any(
            one.is_known or one.is_withheld
            for metric in self.primaries
            for one in metric.comparisons
        )

    @property
    def guardrails(self) -> list[MetricFindings]:
        """The metrics that may not get worse than their margins."""
        return [metric for metric in self.metrics if metric.role == "guardrail"]
