"""What other shares of the arms would have made of an experiment's units."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crowetrade_site.core.errors import Conflict, InvalidInput, translating
from experiments.models import Experiment
from experiments.plans import ExperimentPlan
from experiments.selectors.records import list_allocations, list_analyses, plan_of
from experiments.selectors.statistics import exposed_by_allocation, period_table, unit_table

if TYPE_CHECKING:
    from experiments.statistics.estimates import Estimate
    from experiments.statistics.policies import PolicyValue
    from experiments.statistics.summaries import PeriodTable

_KINDS = ("mean", "proportion")


class NoPolicyValue(Conflict):
    """The outcomes of the experiment do not say what another policy would have made."""

    slug, title = "no-policy-value", "The outcomes do not say what other shares would have made"


@dataclass(frozen=True, slots=True)
class PolicyEvaluation:
    """What a policy would have made, and the arms beside each other as its allocation allows.

    Attributes
    ----------
    metric : str
        The primary one.
    shares : mapping of str to float
        Of the policy, by arm.
    value : PolicyValue
    compared : mapping of str to Estimate
        Each challenger less the control, by AIPW: with weights that keep variance constant, or,
        where shares depend on a context, over all units alike.
    not_compared : mapping of str to str
        Why there is none, of the other challengers.
    """

    metric: str
    shares: Mapping[str, float]
    value: "PolicyValue"
    compared: Mapping[str, "Estimate"]
    not_compared: Mapping[str, str]


def evaluate_policy(
    experiment: Experiment, shares: Mapping[str, float], confidence: float = 0.95
) -> PolicyEvaluation:
    """Return what fixed shares would have made of the periods that the last analysis looked at.

    A challenger that cannot be compared is named with the reason: nobody need have asked about it.

    Raises
    ------
    InvalidInput
        Shares that are none, or a plan whose arms or metric have no probabilities (422).
    NoPolicyValue
        No analysis yet, too few periods, or units that report again and again (409).
    """
    # numeric libraries, loaded by whoever asks
    from experiments.statistics.adaptive import aipw_difference_by_period
    from experiments.statistics.errors import NotComputedError, SampleError, SettingsError
    from experiments.statistics.policies import policy_value

    plan = plan_of(experiment)
    names = [arm.name for arm in plan.ordered_arms]
    if unknown := sorted(set(shares) - set(names)):
        raise InvalidInput(f"{experiment} has no arm {unknown[0]}; it has {', '.join(names)}.")
    table, probabilities = _seen(experiment, plan)
    policy = [float(shares.get(name, 0.0)) for name in names]
    try:
        with translating((SettingsError, SampleError), InvalidInput):
            value = policy_value(table, probabilities, policy, confidence=confidence)
    except NotComputedError as error:
        raise NoPolicyValue(_named(error, names)) from error
    compared, not_compared = {}, {}
    for at, name in enumerate(names[1:], start=1):
        try:
            compared[name] = aipw_difference_by_period(
                table, probabilities, arm=at, confidence=confidence,
                is_stabilized=plan.allocation.context is None,
            )  # fmt: skip
        except NotComputedError as error:
            not_compared[name] = _named(error, names)
    by_arm = dict(zip(names, policy, strict=True))
    return PolicyEvaluation(plan.primary.name, by_arm, value, compared, not_compared)


def _named(error: Exception, names: Sequence[str]) -> str:
    """Return what an error says of arms by their positions as a sentence with their names."""
    from experiments.plans.telling import sentence

    return sentence(
        ValueError(re.sub(r"\barm (\d+)", lambda found: names[int(found[1])], str(error)))
    )


def _seen(
    experiment: Experiment, plan: ExperimentPlan
) -> tuple["PeriodTable", dict[int, Sequence[float]]]:
    """Return the sums that the last analysis looked at, and the chances by allocation."""
    from experiments.plans.observed import Observed
    from experiments.plans.units import is_repeated

    if plan.design != "assigned":
        raise InvalidInput(f"{experiment} is a shadow experiment: every arm has every outcome.")
    if plan.primary.kind not in _KINDS:
        kind = plan.primary.kind
        raise InvalidInput(f"{plan.primary.name} is a {kind}, and no mean of outcomes.")
    last = list_analyses(experiment).exclude(watermark=None).first()
    if last is None or last.watermark is None:
        raise NoPolicyValue(f"No period of {experiment} has been analyzed yet.")
    pk = experiment.metrics.get(name=plan.primary.name).pk
    units = unit_table(pk)
    observed = Observed(
        tables={plan.primary.name: period_table(pk)},
        units={} if units is None else {plan.primary.name: units},
        exposed=exposed_by_allocation(experiment),
    )
    if is_repeated(plan, plan.primary, observed):
        raise NoPolicyValue(
            f"Units of {experiment} report in period after period: which of them an arm got by "
            "chance would be in no interval."
        )
    watermark_ns = int(last.watermark.timestamp()) * 1_000_000_000
    table = observed.tables[plan.primary.name].ended(watermark_ns, plan.period_ns)
    return table, {one.number: one.weights for one in list_allocations(experiment)}
