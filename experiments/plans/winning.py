"""Who wins by the primary metrics of a plan: one of them, any of them, or all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from experiments.plans.findings import Comparison, MetricFindings

Needs = Literal["any", "all"]


@dataclass(frozen=True, slots=True)
class Improvement:
    """The interval of what a challenger is better by, more being better."""

    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class ArmResult:
    """What is shown of a challenger on the primary metrics.

    Attributes
    ----------
    better, worse : tuple of str
        Metrics on which it is shown to be better than the control, or worse; where the question is
        whether it is no worse by more than a margin, to be that, or not.
    n_metrics : int
        Primary metrics.
    is_judged : bool
        Each of them has an interval that may decide.
    """

    arm: str
    better: tuple[str, ...]
    worse: tuple[str, ...]
    n_metrics: int
    is_judged: bool

    def wins(self, needs: Needs) -> bool:
        """Whether it wins: worse on none, and better on one at least or on all."""
        least = self.n_metrics if needs == "all" else 1
        return self.is_judged and len(self.better) >= least and not self.worse

    def loses(self, needs: Needs) -> bool:
        """Whether the control wins against it, by the same rule."""
        least = self.n_metrics if needs == "all" else 1
        return self.is_judged and len(self.worse) >= least and not self.better


def results_of(primaries: Sequence[MetricFindings]) -> list[ArmResult]:
    """Return what is shown of each challenger, in the order of the plan."""
    by_arm: dict[str, list[tuple[MetricFindings, Comparison]]] = {}
    for metric in primaries:
        for one in metric.comparisons:
            by_arm.setdefault(one.arm, []).append((metric, one))
    return [_result(arm, pairs, len(primaries)) for arm, pairs in by_arm.items()]


def improvement(metric: MetricFindings, comparison: Comparison) -> Improvement | None:
    """Return the interval of what a challenger is better by; None where none may decide."""
    if comparison.lower is None or comparison.upper is None or comparison.is_withheld:
        return None
    if metric.direction == "increase":
        return Improvement(comparison.lower, comparison.upper)
    return Improvement(-comparison.upper, -comparison.lower)


def _result(
    arm: str, pairs: Sequence[tuple[MetricFindings, Comparison]], n_metrics: int
) -> ArmResult:
    better, worse, n_judged = [], [], 0
    for metric, one in pairs:
        found = improvement(metric, one)
        if found is None:
            continue
        n_judged += 1
        least = -(metric.margin or 0.0)
        better += [metric.name] if found.lower > least else []
        worse += [metric.name] if found.upper < least else []
    return ArmResult(arm, tuple(better), tuple(worse), n_metrics, n_judged == n_metrics)
