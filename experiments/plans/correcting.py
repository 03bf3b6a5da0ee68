"""All metrics of a plan, each interval as sure as the plan's correction asks."""

from experiments.plans.comparing import in_time, metric_findings
from experiments.plans.document import ExperimentPlan
from experiments.plans.families import (
    confidence_of,
    confidence_of_metric,
    highest_step,
    stepped_down,
    stepped_up,
)
from experiments.plans.findings import MetricFindings
from experiments.plans.observed import Observed
from experiments.plans.sections import MetricSpec
from experiments.plans.together import dunnett_confidence
from experiments.plans.units import is_repeated

_STEPPED = {"holm": stepped_down, "benjamini_hochberg": stepped_up}


def corrected_findings(plan: ExperimentPlan, observed: Observed) -> list[MetricFindings]:
    """Return what is known of each metric, at the confidences that the plan's correction gives.

    Parameters
    ----------
    plan : ExperimentPlan
    observed : Observed

    Returns
    -------
    list of MetricFindings
        In the order of the plan.
    """
    sure = _first_confidences(plan, observed)
    found = [metric_findings(plan, metric, observed, sure[metric.name]) for metric in plan.metrics]
    stepped = _STEPPED.get(plan.analysis.correction)
    while stepped is not None:
        after = stepped(plan, found)
        if after == sure:
            break
        found = [
            metric_findings(plan, metric, observed, after[metric.name])
            if after[metric.name] != sure[metric.name] else one
            for metric, one in zip(plan.metrics, found, strict=True)
        ]  # fmt: skip
        sure = after
    return found


def _first_confidences(plan: ExperimentPlan, observed: Observed) -> dict[str, list[float]]:
    """Return the confidences of all intervals by metric, before any of them is known."""
    correction, first = plan.analysis.correction, {}
    for metric in plan.metrics:
        confidence = confidence_of(plan, metric)
        if correction == "benjamini_hochberg":
            confidence = highest_step(plan, metric)
        if correction == "dunnett" and metric.kind != "quantile" and metric.role != "guardrail":
            confidence = _dunnett(plan, metric, observed) or confidence
        first[metric.name] = [confidence] * (len(plan.arms) - 1)
    return first


def _dunnett(plan: ExperimentPlan, metric: MetricSpec, observed: Observed) -> float | None:
    """Return the confidence of each challenger that Dunnett leaves; None where it is not known.

    Units that report again are compared over all periods at once, which have no series.
    """
    table = in_time(plan, observed.tables[metric.name], observed.watermark)
    if is_repeated(plan, metric, observed):
        return None
    return dunnett_confidence(plan, metric, table, observed, confidence_of_metric(plan, metric))
