"""What pauses an experiment, and what of it a person who resumed it knew already.

Alarms are read from an analysis as it is kept, by workers, who pause, and by whoever resumes. That
takes an alarm back: the same one pauses no more until there is more behind it than there was. Of a
guardrail that is an interval shown to be worse than the *estimate* was: its near end alone moves
with every period, and a false alarm would be back at the next look. Of the mix of units it is as
much evidence again as an alarm takes, so that a false one comes again with its chance alone.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from experiments.plans.document import ExperimentPlan
from experiments.plans.wording import write_difference

_LEAST_P = 5e-324  # of a mix that cannot be
_MOST_WRITTEN = 700.0  # evidence whose p-value is a number still
_BREACHED = "breached"


@dataclass(frozen=True, slots=True)
class Alarm:
    """A guardrail that is breached for an arm, or units that did not come as allocated.

    Attributes
    ----------
    metric : str
        Empty of the mix of units.
    arm : str
        Of a guardrail, or one that units came to while it had no share; empty of the mix of others.
    shown : float
        How much worse the arm is at the least [unit of the metric]; of units the logarithm of the
        e-value, or how many came to an arm without a share.
    tolerated : float
        Up to where `shown` may get before it pauses a resumed experiment again.
    """

    metric: str
    arm: str
    shown: float
    tolerated: float

    @property
    def is_of_units(self) -> bool:
        """Whether it is about the mix of units."""
        return not self.metric

    def is_known(self, acknowledged: Iterable["Alarm"]) -> bool:
        """Return whether a person went on despite this alarm, and it is no worse since."""
        return any(
            (one.metric, one.arm) == (self.metric, self.arm) and self.shown <= one.tolerated
            for one in acknowledged
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the alarm as a document of plain values."""
        return asdict(self)


def alarms_of(
    plan: ExperimentPlan, findings: Mapping[str, Any], decision: Mapping[str, Any]
) -> list[Alarm]:
    """Return the alarms of an analysis, from its findings and decision as documents."""
    found = _of_units(plan, findings.get("mismatch") or {})
    breached = {
        (one["metric"], one["arm"])
        for one in decision.get("guardrails", ()) if one["status"] == _BREACHED
    }  # fmt: skip
    for metric in findings["metrics"]:
        is_less_worse = metric["direction"] == "increase"
        for one in metric["comparisons"]:
            if (metric["name"], one["arm"]) in breached:
                shown = -one["upper"] if is_less_worse else one["lower"]
                estimate = -one["estimate"] if is_less_worse else one["estimate"]
                found.append(Alarm(metric["name"], one["arm"], shown, max(shown, estimate)))
    return found


def _of_units(plan: ExperimentPlan, mix: Mapping[str, Any]) -> list[Alarm]:
    """Return the alarms about units: their mix, and each arm that had no share."""
    if not mix.get("is_mismatch"):
        return []
    # Analyses that were kept before there was evidence have a p-value alone.
    evidence = mix["evidence"] if "evidence" in mix else -math.log(max(mix["p_value"], _LEAST_P))
    takes = -math.log(plan.stopping.mismatch_alpha)
    found = [Alarm("", arm, n, n) for arm, n in mix.get("impossible", {}).items()]
    if evidence is not None and evidence > takes:
        found.append(Alarm("", "", evidence, evidence + takes))
    return found


def pausing(plan: ExperimentPlan, alarms: Iterable[Alarm]) -> list[Alarm]:
    """Return the alarms on which the plan pauses."""
    rule = plan.stopping
    return [
        one for one in alarms
        if (rule.on_mismatch if one.is_of_units else rule.on_guardrail) == "pause"
    ]  # fmt: skip


def acknowledge(before: Iterable[Alarm], now: Iterable[Alarm]) -> list[Alarm]:
    """Return what is acknowledged once a person goes on despite the alarms there are now."""
    return list({(one.metric, one.arm): one for one in [*before, *now]}.values())


def written(plan: ExperimentPlan, alarm: Alarm) -> str:
    """Return an acknowledged alarm in a sentence, with what would pause the experiment again."""
    if alarm.is_of_units and alarm.arm:
        return (
            f"Resumed despite units that came to {alarm.arm} while it had no share: that pauses it "
            f"again once there are more than {alarm.tolerated:,.0f}."
        )
    if alarm.is_of_units:
        least = f"{math.exp(-alarm.tolerated):.2g}"
        if alarm.tolerated > _MOST_WRITTEN:
            least = f"1e{-alarm.tolerated / math.log(10.0):.0f}"
        return (
            "Resumed despite units that did not come as allocated: that pauses it again below "
            f"p = {least}."
        )
    metric = next(one for one in plan.metrics if one.name == alarm.metric)
    return (
        f"Resumed despite {alarm.metric} of {alarm.arm}: that pauses it again once it is shown to "
        f"be worse by more than {write_difference(metric, alarm.tolerated)}."
    )
