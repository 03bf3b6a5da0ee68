"""What an experiment's plan says of its outcomes."""

from collections.abc import Sequence
from dataclasses import dataclass

from experiments.plans import ExperimentPlan
from experiments.plans.document import duration

_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class MetricTerms:
    """One metric, as far as outcomes of it are concerned.

    Attributes
    ----------
    needs_x : bool
        Whether its outcomes carry a covariate, or a ratio's denominator.
    bound : float or None
        Its values are cut at plus and minus this before they are added up [unit of the metric].
    """

    name: str
    is_binary: bool = False
    is_quantile: bool = False
    needs_x: bool = False
    bound: float | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """What outcomes of an experiment must be.

    Attributes
    ----------
    is_assigned : bool
        Whether outcomes are of units; of a shadow experiment they are of arms.
    counts_by_exposure : bool
        Whether an outcome belongs to the period of its unit's exposure, not to that of its own.
    arms : sequence of str
        By position, the control first.
    period_ns, lateness_ns : int
        [ns]
    """

    is_assigned: bool
    arms: Sequence[str]
    metrics: Sequence[MetricTerms]
    period_ns: int
    lateness_ns: int
    counts_by_exposure: bool = False

    @property
    def adds_by_unit(self) -> bool:
        """Whether a unit may be in several periods, so that sums over units are kept too."""
        return self.is_assigned and not self.counts_by_exposure


def terms_of(plan: ExperimentPlan) -> Terms:
    """Return what a plan says of outcomes."""
    metrics = [
        MetricTerms(
            name=metric.name,
            is_binary=metric.kind == "proportion",
            is_quantile=metric.kind == "quantile",
            needs_x=metric.covariate or metric.kind == "ratio" or metric.factor_mean is not None,
            bound=metric.bound,
        )
        for metric in plan.metrics
    ]
    return Terms(
        is_assigned=plan.design == "assigned",
        arms=[arm.name for arm in plan.ordered_arms],
        metrics=metrics,
        period_ns=plan.period_ns,
        lateness_ns=int(duration(plan.lateness).total_seconds()) * _S,
        counts_by_exposure=plan.counts_by_exposure,
    )
