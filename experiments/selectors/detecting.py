"""What the planned time can show: told before an experiment starts, and ever after."""

from dataclasses import dataclass

from experiments.plans import ExperimentPlan, duration
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
        five cases, at 5 %.
    years_for_ratio_of_1, years_for_ratio_of_2 : float
        That such ratios take, whatever the length of a period.
    """

    years: float
    information_ratio: float
    years_for_ratio_of_1: float
    years_for_ratio_of_2: float

    @property
    def sentence(self) -> str:
        """The same in words."""
        return (
            f"{self.years:.2g} years of planned periods show an annual information ratio (of the "
            f"difference) of {self.information_ratio:.2g} or more in four of five cases. A ratio "
            f"of 1 takes {self.years_for_ratio_of_1:.1f} years, 2 takes "
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
    return Detectability(
        years, detectable_information_ratio(years), years_to_detect(1.0), years_to_detect(2.0)
    )
