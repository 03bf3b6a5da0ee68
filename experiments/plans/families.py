"""Several comparisons at once: how sure each must be, so that the whole is as sure as was asked.

What is corrected for together is a family: the challengers of a metric, of all primary metrics, or
of these and the secondary ones. Where a challenger must be better on *every* primary metric, they
count as one: it wins by chance only if it is found better on the one on which it is not.

References
----------
.. [1] Holm (1979), "A simple sequentially rejective multiple test procedure", Scandinavian Journal
   of Statistics 6(2).
.. [2] Benjamini and Hochberg (1995), "Controlling the false discovery rate", Journal of the Royal
   Statistical Society B 57(1).
.. [3] Benjamini and Yekutieli (2005), "False discovery rate-adjusted multiple confidence intervals
   for selected parameters", Journal of the American Statistical Association 100.
.. [4] Wang and Ramdas (2022), "False discovery rate control with e-values", JRSS B 84(3).
.. [5] Xu, Wang and Ramdas (2024), "Post-selection inference for e-value based confidence
   intervals", Electronic Journal of Statistics 18(1).
.. [6] Berger (1982), "Multiparameter hypothesis testing and acceptance sampling", Technometrics
   24(4): intersection-union tests.
"""

from collections.abc import Sequence

from experiments.plans.document import ExperimentPlan
from experiments.plans.findings import Comparison, MetricFindings
from experiments.plans.sections import MetricSpec

_ANSWER = "primary metrics"  # no metric's name: it has a space


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

    Notes
    -----
    Before any outcome is known: corrections that look at outcomes leave more than this, or as much.
    """
    size = 1 if plan.analysis.correction == "none" else _size(plan, metric or plan.primary)
    return 1.0 - (1.0 - plan.analysis.confidence) / (size - n_settled)


def confidence_of_metric(plan: ExperimentPlan, metric: MetricSpec) -> float:
    """Return what the challengers of a metric share: the confidence of all of its intervals."""
    return 1.0 - (1.0 - confidence_of(plan, metric)) * (len(plan.arms) - 1)


def tuned_for(plan: ExperimentPlan, metric: MetricSpec) -> float | None:
    """Return the confidence for which a sequence is narrowest; None: its own.

    E-values are of one bet, whatever they are held against.
    """
    return confidence_of(plan, metric) if plan.analysis.is_by_evidence else None


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
    that all of these hold for ever has a chance of ``1 - a``. Where a winner takes all primary
    metrics, a challenger is settled once it is on all of them, the same way [6]_: settled on one
    alone it still may win by chance on another.
    """
    settled = _counted(plan, found)
    whole = _settled_on_all(plan, found)
    return {
        metric.name: [
            one.confidence if metric.role == "guardrail" or _is_done(plan, metric, one, whole)
            else confidence_of(plan, metric, n_settled=settled[_family(plan, metric)])
            for one in findings.comparisons
        ]
        for metric, findings in zip(plan.metrics, found, strict=True)
    }  # fmt: skip


def stepped_up(plan: ExperimentPlan, found: Sequence[MetricFindings]) -> dict[str, list[float]]:
    """Return the confidences as Benjamini and Hochberg have them after what was found at others.

    Parameters
    ----------
    plan : ExperimentPlan
    found : sequence of MetricFindings
        In the order of the plan's metrics, each family at one confidence: first at the plan's own.

    Notes
    -----
    The largest k of m such that k intervals at ``1 - k a / m`` leave 0 out: p-values of at most
    ``k a / m`` [2]_, or e-values of at least ``m / (k a)``, whatever their dependence [4]_. These
    intervals are those that are right for what was selected [3]_ [5]_. No fewer are found at a
    lower confidence, so that k comes from above: as many as were found at the one before.
    """
    settled = _counted(plan, found)
    return {
        metric.name: [
            one.confidence if not _may_step(metric)
            else 1.0 - max(1, settled[_family(plan, metric)]) * (1.0 - confidence_of(plan, metric))
            for one in findings.comparisons
        ]
        for metric, findings in zip(plan.metrics, found, strict=True)
    }  # fmt: skip


def highest_step(plan: ExperimentPlan, metric: MetricSpec) -> float:
    """Return the confidence at which stepping up begins: as if all differences were found."""
    return plan.analysis.confidence if _may_step(metric) else confidence_of(plan, metric)


def _may_step(metric: MetricSpec) -> bool:
    return metric.role != "guardrail" and metric.kind != "quantile"


def _counted(plan: ExperimentPlan, found: Sequence[MetricFindings]) -> dict[str, int]:
    """Return how many comparisons of each family are settled."""
    whole = _settled_on_all(plan, found)
    settled: dict[str, int] = {}
    for metric, findings in zip(plan.metrics, found, strict=True):
        family = _family(plan, metric)
        n = sum(_is_settled(metric, one) for one in findings.comparisons)
        if _counts_once(plan, metric):
            n = len(whole) if metric == plan.primary else 0
        settled[family] = settled.get(family, 0) + n
    return settled


def _is_done(
    plan: ExperimentPlan, metric: MetricSpec, one: Comparison, whole: Sequence[str]
) -> bool:
    """Whether a comparison keeps the confidence at which it was settled."""
    if _counts_once(plan, metric):
        return one.arm in whole
    return _is_settled(metric, one)


def _settled_on_all(plan: ExperimentPlan, found: Sequence[MetricFindings]) -> list[str]:
    """Return the challengers that are better on every primary metric, or on every one worse."""
    ways: dict[str, set[bool | None]] = {}
    for metric, findings in zip(plan.metrics, found, strict=True):
        for one in findings.comparisons if metric.role == "primary" else ():
            way = _is_more(metric, one) if _is_settled(metric, one) else None
            is_better = None if way is None else way is (metric.direction == "increase")
            ways.setdefault(one.arm, set()).add(is_better)
    return [arm for arm, seen in ways.items() if len(seen) == 1 and None not in seen]


def _counts_once(plan: ExperimentPlan, metric: MetricSpec) -> bool:
    """Whether a metric is one of several that a winner takes together."""
    return plan.analysis.winner_needs == "all" and metric.role == "primary"


def _is_together(plan: ExperimentPlan, metric: MetricSpec) -> bool:
    """Whether a metric is corrected for with all others; a quantile's interval never decides."""
    return plan.analysis.correction_over == "plan" and _may_step(metric)


def _family(plan: ExperimentPlan, metric: MetricSpec) -> str:
    if metric.role == "primary" or _is_together(plan, metric):
        return _ANSWER
    return metric.name


def _size(plan: ExperimentPlan, metric: MetricSpec) -> int:
    """Return the comparisons that are corrected for together."""
    family = _family(plan, metric)
    members = [one for one in plan.metrics if _family(plan, one) == family]
    n_once = sum(_counts_once(plan, one) for one in members)
    return (len(members) - max(0, n_once - 1)) * (len(plan.arms) - 1)


def _is_more(metric: MetricSpec, one: Comparison) -> bool:
    return one.lower is not None and one.lower > metric.edge


def _is_settled(metric: MetricSpec, one: Comparison) -> bool:
    """Whether a difference has been found; a guardrail is asked about its margin alone."""
    if metric.role == "guardrail" or one.is_withheld or one.lower is None or one.upper is None:
        return False
    return one.lower > metric.edge or one.upper < metric.edge
