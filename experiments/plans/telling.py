"""How a comparison is told: an interval by what was seen so far, or why there is none."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.plans.analysis_spec import AnalysisSpec
from experiments.plans.differences import ContextDifferences
from experiments.plans.document import ExperimentPlan
from experiments.plans.findings import Comparison, Path
from experiments.plans.methods import RARE, futile_looks, p_value_of
from experiments.plans.priors import prior_of
from experiments.plans.sections import MetricSpec
from experiments.plans.verdicts import nothing_yet
from experiments.statistics.bayesian import normal_effect
from experiments.statistics.errors import StatisticsError
from experiments.statistics.sequential import Sequence as Intervals

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

MOST_POINTS = 400  # of a path that is kept
STILL = "The differences do not vary: there is no interval."
# Of a guardrail: what never happened in either arm may be rare, so that it is not shown to hold.
_UNSURE = (
    "how large it could be is not computed, because differences that do not vary have no error."
)
ALIKE = f"Both arms were alike in all compared periods, so that no harm was seen; {_UNSURE}"
APART = f"The difference was the same in all compared periods; {_UNSURE}"
DIVIDED = f"In each context the difference was the same in all compared periods; {_UNSURE}"


def told_by_intervals(
    plan: ExperimentPlan, metric: MetricSpec, arm: int, plain: Intervals, ends: IntArray,
    effect: tuple[float, float] | None, *, n: int, lacks: str = "", moves: bool,
) -> Comparison:  # fmt: skip
    """Return a comparison by intervals at some looks.

    A guardrail is asked how things stand now; the primary metric what fits all looks so far, so
    that an answer of yesterday is one today, whoever looked. Over contexts what is asked `moves`
    with what came: each interval is of its own time, and is not cut to those before it; nor is one
    by an e-value, of which the newest counts and not the largest.
    """
    is_now = moves or metric.role == "guardrail" or plan.analysis.is_by_evidence
    seen = plain if is_now else plain.running()
    known = np.isfinite(seen.lower) & np.isfinite(seen.upper)
    fits = known & (seen.lower <= seen.upper)
    at = int(np.flatnonzero(fits)[-1]) if fits.any() else None
    told = list(seen.warnings)
    if at is None:
        told.insert(0, lacks or nothing_yet(n, _first_look(plan, metric)))
    elif known[at + 1 :].any():
        told.insert(
            0, "No one difference fits all looks: it changed while the experiment ran; shown is "
            "the last interval that fits those before it.",
        )  # fmt: skip
    shown = float(seen.mean[-1 if at is None else at]) if seen.mean.size else None
    return Comparison(
        plan.ordered_arms[arm].name, plan.control.name, plain.confidence,
        estimate=shown if shown is not None and math.isfinite(shown) else None,
        lower=None if at is None else float(seen.lower[at]),
        upper=None if at is None else float(seen.upper[at]),
        **_bayesian(plan.analysis, metric, None if at is None else effect),
        because=" ".join(told),
        path=_path(ends, seen),
        p_value=None if metric.margin is not None else p_value_of(plain),
        is_futile=metric.role == "primary" and bool(futile_looks(plan.analysis, plain)[-1:].any()),
    )  # fmt: skip


def told_as_still(
    plan: ExperimentPlan, metric: MetricSpec, found: ContextDifferences, arm: int,
    confidence: float,
) -> Comparison:  # fmt: skip
    """Return a comparison of what is the same in every period, whose error nobody knows."""
    differences = found.by_period()[1]
    n, first = differences.size, _first_look(plan, metric)
    estimate = float(np.mean(differences))
    if abs(estimate) <= 2.0 * found.rounding:
        estimate = 0.0
    still = _how_still(found) if metric.role == "guardrail" else STILL
    return Comparison(
        plan.ordered_arms[arm].name, plan.control.name, confidence, estimate=estimate,
        because=nothing_yet(n, first) if n < first else still,
    )  # fmt: skip


def _how_still(found: ContextDifferences) -> str:
    """Return what was seen of a guardrail; of contexts each has a difference of its own."""
    there = found.differences[found.is_compared]
    if np.abs(there).max() <= 2.0 * found.rounding:
        return ALIKE
    return APART if np.ptp(there) <= 2.0 * found.rounding else DIVIDED


def unless(why: str | None, one: Comparison) -> Comparison:
    """Return a comparison, or one that decides nothing where there is a reason.

    Neither does it give up: what is missing may be where the difference is.
    """
    if why is None or not one.is_known:
        return one
    because = f"{why} {one.because}".strip()
    return replace(one, because=because, is_withheld=True, is_futile=False)


def is_watched(plan: ExperimentPlan, metric: MetricSpec) -> bool:
    """Say whether a metric is looked at all the time, though the plan's method looks rarely."""
    return metric.role == "guardrail" and plan.analysis.method in RARE


def _first_look(plan: ExperimentPlan, metric: MetricSpec) -> int:
    """Return the periods after which a metric has its first interval."""
    return plan.analysis.start if is_watched(plan, metric) else plan.analysis.first_look


def _bayesian(
    asked: AnalysisSpec, metric: MetricSpec, found: tuple[float, float] | None
) -> dict[str, Any]:
    """Return the chance that the challenger is better, and what choosing it would cost if not."""
    if found is None:
        return {}
    try:
        effect = normal_effect(*found, prior=prior_of(asked, metric.name))
    except StatisticsError:
        return {}
    is_more = metric.direction == "increase"
    return {
        "probability_better": effect.chance_to_win if is_more else 1.0 - effect.chance_to_win,
        "expected_loss": effect.risk_of_shipping if is_more else effect.risk_of_keeping,
        "posterior_mean": effect.posterior.mean,
        "posterior_deviation": effect.posterior.deviation,
    }


def _path(ends: IntArray, seen: Intervals) -> Path:
    """Return an interval's way, thinned to what can be told apart; the last look always stays."""
    n_looks = seen.mean.size
    kept = np.unique(np.linspace(0, n_looks - 1, min(n_looks, MOST_POINTS)).astype(int))
    return Path(
        at=[int(value) for value in ends[kept]],
        n=[int(value) for value in seen.periods[kept]],
        estimate=_plain(seen.mean[kept]),
        lower=_plain(seen.lower[kept]),
        upper=_plain(seen.upper[kept]),
    )


def _plain(values: FloatArray) -> list[float | None]:
    return [float(value) if math.isfinite(value) else None for value in values]


def sentence(error: Exception) -> str:
    """Return what an error says as a sentence."""
    text = str(error).rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."
