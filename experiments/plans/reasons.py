"""Why a verdict is given, in sentences: differences with their intervals, in the metric's unit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from experiments.plans.findings import UNSURE, Comparison, MetricFindings
from experiments.plans.winning import ArmResult, improvement
from experiments.plans.wording import (
    write_confidence,
    write_difference,
    write_interval,
    write_share,
)


@dataclass(frozen=True, slots=True)
class Written:
    """How the values of a metric are written."""

    kind: str
    unit: str


def written(metric: MetricFindings, units: Mapping[str, str]) -> Written:
    """Return how the values of a metric are written."""
    return Written(metric.kind, units.get(metric.name, ""))


def why_it_wins(
    primaries: Sequence[MetricFindings], result: ArmResult, units: Mapping[str, str], *,
    is_mix: bool,
) -> str:  # fmt: skip
    """Return on which primary metrics a challenger is better, and what of the others is shown."""
    parts = []
    for metric in primaries:
        one = next(one for one in metric.comparisons if one.arm == result.arm)
        if metric.name in result.better:
            about = f" on {metric.name}" if len(primaries) > 1 else ""
            said = _better(metric, one, units, is_mix=is_mix)
            parts.append(f"{said}{_rivals(metric, one, about)}")
    parts += [
        f"No difference of {metric.name} is shown: {_interval(metric, one, units)}."
        for metric in primaries for one in metric.comparisons
        if one.arm == result.arm and metric.name not in result.better
    ]  # fmt: skip
    return " ".join(parts)


def why_control_wins(
    primaries: Sequence[MetricFindings], results: Sequence[ArmResult], control: str
) -> str:
    """Return on which primary metrics the challengers are worse."""
    if len(primaries) == 1:
        more = " by more than the margin" if primaries[0].margin is not None else ""
        return f"Every challenger is worse than {control} on {primaries[0].name}{more}."
    each = "; ".join(f"{one.arm} on {' and '.join(one.worse)}" for one in results)
    return f"Every challenger is worse than {control}, and on no primary metric better: {each}."


def why_divided(results: Sequence[ArmResult], control: str) -> str:
    """Return which challengers are better on one primary metric and worse on another."""
    return " ".join(
        f"{one.arm} is better than {control} on {' and '.join(one.better)} and worse on "
        f"{' and '.join(one.worse)}: that makes no winner."
        for one in results
        if one.better and one.worse
    )


def _better(
    metric: MetricFindings, best: Comparison, units: Mapping[str, str], *, is_mix: bool
) -> str:
    seen = " over the periods that were seen" if is_mix else ""
    word = "more" if metric.direction == "increase" else "less"
    said = f"{best.arm} has {word} {metric.name} than {best.against}"
    found = improvement(metric, best)
    if metric.margin is not None and found is not None and found.lower <= 0.0:
        least = write_difference(written(metric, units), metric.margin)
        said = f"{best.arm} is no worse than {best.against} on {metric.name} by {least} or more"
    return f"{said}{seen}: {_interval(metric, best, units)}."


def _interval(metric: MetricFindings, one: Comparison, units: Mapping[str, str]) -> str:
    how = written(metric, units)
    return (
        f"{write_difference(how, one.estimate)}, {write_confidence(one.confidence)} interval "
        f"{write_interval(how, one.lower, one.upper)}"
    )


def _rivals(metric: MetricFindings, best: Comparison, about: str) -> str:
    """Return a sentence on challengers that may be better still; empty where none is.

    Of several primary metrics the winner may be beaten for sure on one of those it has won.
    """
    rivals = metric.may_be_best(best.arm)
    if not rivals:
        return ""
    chances = {one.arm: one.probability_best for one in metric.standing}
    told = [arm for arm in chances if arm in {best.arm, *rivals}]
    likely = [arm for arm in told if chances[arm] >= UNSURE]
    if len(likely) == 1:
        return f" The best of all{about} is {likely[0]} ({write_share(chances[likely[0]])})."
    shares = ", ".join(f"{arm} {write_share(chances[arm])}" for arm in told)
    named = " or ".join([best.arm, *rivals])
    return f" Which is the best of all{about}, {named}, the data do not tell: {shares}."
