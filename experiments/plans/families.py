"""Several comparisons at once: how sure each must be, so that the whole is as sure as was asked.

References
----------
.. [1] Holm (1979), "A simple sequentially rejective multiple test procedure", Scandinavian Journal
   of Statistics 6(2).
"""

from collections.abc import Sequence

from experiments.plans.document import ExperimentPlan
from experiments.plans.findings import Comparison, MetricFindings
from experiments.plans.sections import MetricSpec


def confidence_of(
    plan: ExperimentPlan, metric: MetricSpec | None = None, *, n_settled: int = 0
) -> float:
    """Return the confidence of a single interval that is open.

    Parameters
    ----------
    plan : ExperimentPlan
    metric : MetricSpec, optional
        Of the interval; the primary one by default.
    n_settled : int
        Comparisons of its family that are settled, which the correction of Holm leaves out.
    """
    size = 1 if plan.analysis.correction == "none" else _size(plan, metric or plan.primary)
    return 1.0 - (1.0 - plan.analysis.confidence) / (size - n_settled)


def stepped_down(plan: ExperimentPlan, found: Sequence[MetricFindings]) -> dict[str, list[float]]:
    """Return the confidences of all intervals by metric, as Holm has them after what is settled.

    Parameters
    ----------
    plan : ExperimentPlan
    found : sequence of MetricFindings
        In the order of the plan's metrics.

    Notes
    -----
    Of m comparisons of which k are settled the open ones need ``1 - a / (m - k)`` [1]_. Intervals
    that hold at every look make this right whenever one looks: the first comparison without a
    difference that is settled all the same was at ``1 - a / m0`` or more, m0 those without one, and
    that all of these hold for ever has a chance of ``1 - a``.
    """
    settled: dict[str, int] = {}
    for metric, findings in zip(plan.metrics, found, strict=True):
        n = sum(_is_settled(metric, one) for one in findings.comparisons)
        family = _family(plan, metric)
        settled[family] = settled.get(family, 0) + n
    return {
        metric.name: [
            one.confidence if metric.role == "guardrail" or _is_settled(metric, one)
            else confidence_of(plan, metric, n_settled=settled[_family(plan, metric)])
            for one in findings.comparisons
        ]
        for metric, findings in zip(plan.metrics, found, strict=True)
    }  # fmt: skip


def _is_together(plan: ExperimentPlan, metric: MetricSpec) -> bool:
    """Whether a metric is corrected for with others; a quantile's interval never decides."""
    is_answer = metric.role != "guardrail" and metric.kind != "quantile"
    return plan.analysis.correction_over == "plan" and is_answer


def _family(plan: ExperimentPlan, metric: MetricSpec) -> str:
    return "" if _is_together(plan, metric) else metric.name


def _size(plan: ExperimentPlan, metric: MetricSpec) -> int:
    """Return the comparisons that are corrected for together."""
    n_metrics = 1
    if _is_together(plan, metric):
        n_metrics = sum(_is_together(plan, one) for one in plan.metrics)
    return n_metrics * (len(plan.arms) - 1)


def _is_settled(metric: MetricSpec, one: Comparison) -> bool:
    """Whether a difference has been found; a guardrail is asked about its margin alone."""
    if metric.role == "guardrail" or one.is_withheld or one.lower is None or one.upper is None:
        return False
    return one.lower > metric.edge or one.upper < metric.edge
