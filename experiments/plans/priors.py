"""What experiments that are over say of the differences that are to be expected.

For the Bayesian figures alone: no interval and no verdict reads a prior.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.plans.analysis_spec import AnalysisSpec
from experiments.plans.document import ExperimentPlan
from experiments.plans.errors import PlanError
from experiments.plans.prior_spec import PastEffect, PinnedPrior
from experiments.plans.sections import MetricSpec
from experiments.statistics.bayesian import effect_prior
from experiments.statistics.errors import StatisticsError
from experiments.statistics.posteriors import Normal

FEWEST_EXPERIMENTS = 5
CERTAINTY = 0.9  # that differences deviate no more than the prior has it
_LEAST_SHARE = 1e-6  # of a posterior's precision that is the data's


def prior_of(asked: AnalysisSpec, metric: str) -> Normal | None:
    """Return the prior of a metric's differences; None where it is flat."""
    pinned = asked.prior.of(metric) if asked.prior else None
    if pinned is not None:
        return Normal(pinned.mean, pinned.deviation)
    return None if asked.prior_deviation is None else Normal(0.0, asked.prior_deviation)


def why_unlike(plan: ExperimentPlan, metric: MetricSpec, past: ExperimentPlan) -> str | None:
    """Return why differences of a past experiment are none of this metric; None where they are."""
    other = past.metric(metric.name)
    if other is None:
        return f"it has no metric {metric.name}"
    alike: dict[str, tuple[object, object]] = {
        "kind": (metric.kind, other.kind), "unit": (metric.unit, other.unit),
        "direction": (metric.direction, other.direction), "design": (plan.design, past.design),
        "quantile": (metric.quantile, other.quantile), "bound": (metric.bound, other.bound),
        "factor_mean": (metric.factor_mean, other.factor_mean),
    }  # fmt: skip
    if plan.design == "shadow":
        alike["period"] = (plan.period, past.period)
    return next(
        (f"its {name} is {was or 'none'}, and here {now or 'none'}"
         for name, (now, was) in alike.items() if now != was), None,
    )  # fmt: skip


def past_effects(
    past: ExperimentPlan, metric: str, findings: Mapping[str, Any], **told: Any
) -> list[PastEffect]:
    """Return what an experiment found of each challenger on a metric.

    Parameters
    ----------
    past : ExperimentPlan
    metric : str
    findings : mapping
        Document of its last analysis.
    **told
        The experiment's id and name, and the analysis' number and digest.

    Notes
    -----
    The estimate and its error are those of the posterior without its prior: ``1 / se^2 = 1 / s^2 -
    1 / t^2``. Challengers that were never compared, or of which nothing may be concluded, are left
    out.
    """
    own = next((one for one in findings["metrics"] if one["name"] == metric), None)
    effects = []
    for one in own["comparisons"] if own else ():
        mean, deviation = one.get("posterior_mean"), one.get("posterior_deviation")
        if mean is None or not deviation or one.get("is_withheld"):
            continue
        estimate = _without(prior_of(past.analysis, metric), mean, deviation)
        if estimate is not None:
            effects.append(
                PastEffect(
                    arm=one["arm"], difference=estimate[0], standard_error=estimate[1], **told
                )
            )
    return effects


def _without(prior: Normal | None, mean: float, deviation: float) -> tuple[float, float] | None:
    """Return the estimate and its error behind a posterior; None where the prior is all of it."""
    if prior is None:
        return mean, deviation
    precision = deviation**-2.0 - prior.deviation**-2.0
    if precision * deviation**2 < _LEAST_SHARE:
        return None
    difference = (mean / deviation**2 - prior.mean / prior.deviation**2) / precision
    return difference, float(precision**-0.5)


def pinned_prior(metric: str, effects: Sequence[PastEffect], digest: str) -> PinnedPrior:
    """Return the prior that past effects make.

    Parameters
    ----------
    metric : str
    effects : sequence of PastEffect
        Losers included.
    digest : str
        Of the effects.

    Raises
    ------
    PlanError
        Too few experiments, or effects that make no law; it says what to do.
    """
    n = len({one.experiment for one in effects})
    if n < FEWEST_EXPERIMENTS:
        raise PlanError(
            f"A prior of {metric} takes {FEWEST_EXPERIMENTS} concluded experiments with an "
            f"interval of it, and there {'is' if n == 1 else 'are'} {n}: widen the choice, or "
            "state analysis.prior_deviation instead."
        )
    try:
        law = effect_prior(
            [one.difference for one in effects], [one.standard_error for one in effects],
            certainty=CERTAINTY,
        )  # fmt: skip
    except StatisticsError as error:
        raise PlanError(
            f"{n} concluded experiments make no prior of {metric}: {error}. State "
            "analysis.prior_deviation instead."
        ) from error
    return PinnedPrior(
        metric=metric, mean=law.mean, deviation=law.deviation, n_experiments=n,
        effects=list(effects), digest=digest,
    )  # fmt: skip
