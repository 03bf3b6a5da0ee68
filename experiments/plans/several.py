"""What a plan of several primary metrics may ask: nothing that would name winners by chance."""

from collections.abc import Sequence

from experiments.plans.analysis_spec import AnalysisSpec
from experiments.plans.sections import AllocationSpec, MetricSpec


def require_one_answer(
    analysis: AnalysisSpec, allocation: AllocationSpec, primaries: Sequence[MetricSpec]
) -> None:
    """Refuse what is not defined, or not valid, for the primary metrics of a plan.

    Raises
    ------
    ValueError
        It says what to do instead.
    """
    if analysis.correction in {"dunnett", "benjamini_hochberg"} and allocation.context is not None:
        raise ValueError(
            f"correction {analysis.correction} is of one series of differences a challenger, and "
            "with allocation.context there are several: take holm"
        )
    if len(primaries) == 1:
        if analysis.winner_needs == "all":
            raise ValueError("winner_needs: all is of several primary metrics, and there is one")
        return
    _require_no_single(analysis, allocation, len(primaries))
    if analysis.winner_needs == "all":
        _require_each_by_itself(analysis)
    elif any(one.margin is not None for one in primaries):
        raise ValueError(
            "with winner_needs: any an arm that is like the control would win by being no worse on "
            "one metric: with question non_inferior take winner_needs: all, or a guardrail"
        )
    elif analysis.correction == "none":
        raise ValueError(
            f"correction none would find a winner by chance on any of {len(primaries)} primary "
            "metrics: take holm or bonferroni, or winner_needs: all, which needs no correction "
            "for them"
        )


def _require_no_single(analysis: AnalysisSpec, allocation: AllocationSpec, n: int) -> None:
    """Refuse what is of one primary metric alone."""
    asked = {
        "analysis.region_of_equivalence is in the unit": analysis.region_of_equivalence is not None,
        "an allocation.policy follows the outcomes": allocation.policy != "fixed",
        "allocation.context compares within each by the differences": (
            allocation.context is not None
        ),
    }
    named = next((said for said, is_asked in asked.items() if is_asked), None)
    if named is not None:
        raise ValueError(
            f"{named} of one primary metric, not of {n}: leave it out, or make the others secondary"
        )


def _require_each_by_itself(analysis: AnalysisSpec) -> None:
    """Refuse corrections within a metric that do not carry over to winning on all of them.

    What is gained within one metric may be lost by another challenger on another: of two that are
    each better on one metric alone, either may be found on its other one.
    """
    if analysis.correction in {"dunnett", "benjamini_hochberg"}:
        raise ValueError(
            f"correction {analysis.correction} bounds errors within a metric, not those of being "
            "better on all: with winner_needs: all take holm or bonferroni"
        )
