"""What the planned time can show: told before an experiment starts, and ever after."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from experiments.lifecycle import ExperimentStatus
from experiments.models import Experiment
from experiments.plans import ExperimentPlan, duration
from experiments.plans.families import confidence_of
from experiments.plans.sizing import size_of, why_unsized
from experiments.plans.wording import write_share
from experiments.statistics.power import detectable_information_ratio, years_to_detect

_LEAST_YEARS = 1.0 / 12.0
_YEAR_SECONDS = 365.25 * 86_400.0


@dataclass(frozen=True, slots=True)
class Detectability:
    """How large a difference of returns the planned periods can show.

    Attributes
    ----------
    years : float
        That the planned periods take, > 0.
    information_ratio : float
        Least annual information ratio of the difference that a test at their end finds in four of
        five cases.
    level : float
        Of that test: what the plan's confidence and correction leave to a single comparison.
    years_for_ratio_of_1, years_for_ratio_of_2 : float
        That such ratios take, whatever the length of a period.
    """

    years: float
    information_ratio: float
    level: float
    years_for_ratio_of_1: float
    years_for_ratio_of_2: float

    @property
    def sentence(self) -> str:
        """The same in words."""
        return (
            f"{self.years:.2g} years of planned periods show an annual information ratio (of the "
            f"difference) of {self.information_ratio:.3g} or more in four of five cases, at a "
            f"level of {write_share(self.level)} of each comparison. A ratio of 1 "
            f"takes {self.years_for_ratio_of_1:.1f} years, 2 takes "
            f"{self.years_for_ratio_of_2:.1f}, whatever the length of a period; to look all the "
            "time takes somewhat more."
        )


def detectability(plan: ExperimentPlan) -> Detectability | None:
    """Return how large a difference the planned time can show; None where that is not said.

    An information ratio is of returns: nothing is said of units, nor of less than a month.

    Notes
    -----
    A day is a trading day, 252 of them a year; any other period is counted on the clock.
    """
    seconds = duration(plan.period).total_seconds() * plan.analysis.horizon_periods
    is_daily = duration(plan.period).total_seconds() == 86_400.0
    years = plan.analysis.horizon_periods / 252.0 if is_daily else seconds / _YEAR_SECONDS
    if plan.design != "shadow" or plan.primary.kind != "mean" or years < _LEAST_YEARS:
        return None
    level = 1.0 - confidence_of(plan)
    return Detectability(
        years, detectable_information_ratio(years, level=level), level,
        years_to_detect(1.0, level=level), years_to_detect(2.0, level=level),
    )  # fmt: skip


def what_it_shows(plan: ExperimentPlan) -> str:
    """Return in words what the planned time can show; empty where nothing can be said."""
    parts = (size_of(plan), detectability(plan))
    said = [why_unsized(plan), *(part.sentence for part in parts if part is not None)]
    return " ".join(filter(None, said))


def when_first_interval(
    experiment: Experiment, plan: ExperimentPlan, findings: Mapping[str, Any], *, now: datetime
) -> str:
    """Return in words when the first interval comes at the earliest, or could have come.

    Empty of what does not run or cannot be analyzed, and once as many periods were compared as the
    method takes. What was analyzed last may be older than `now`: no worker looked since, or no
    outcomes came. Which of the two it is cannot be told from here.
    """
    left = plan.analysis.first_look - int(findings.get("n_periods", 0))
    if experiment.status != ExperimentStatus.RUNNING or experiment.analysis_problem:
        return ""
    if experiment.started_at is None or left <= 0:
        return ""
    seconds = int(duration(plan.period).total_seconds())
    watermark = findings.get("watermark")
    known = experiment.started_at.timestamp() if watermark is None else watermark // 10**9
    at = datetime.fromtimestamp((int(known) // seconds + left) * seconds, tz=UTC)
    if at > now:
        return f"It comes at {at:%Y-%m-%d %H:%M} UTC at the earliest."
    said = f"It could have come at {at:%Y-%m-%d %H:%M} UTC"
    if not findings:
        return f"{said}, but nothing was analyzed yet."
    if watermark is None:
        return f"{said}, but too few periods were compared when it was last analyzed."
    seen = datetime.fromtimestamp(watermark // 10**9, tz=UTC)
    return f"{said}, but what was analyzed last ends at {seen:%Y-%m-%d %H:%M} UTC."
