"""Priors from experiments that are over: read once, at the start, and pinned in the plan."""

from typing import Any

from crowetrade_site.core import canonical
from crowetrade_site.core.errors import Conflict, translating
from experiments import selectors
from experiments.plans import ExperimentPlan, PlanError
from experiments.plans.prior_spec import PinnedPrior
from experiments.plans.priors import pinned_prior


def pin_priors(plan: ExperimentPlan) -> list[PinnedPrior]:
    """Return the priors of a plan's primary metrics; none of one that asks for none.

    What is concluded later changes nothing: the plan has the effects, their digest and the law.

    Raises
    ------
    Conflict
        Too few experiments are concluded, or one that the plan names is not alike (409).
    """
    asked = plan.analysis.prior
    if asked is None:
        return []
    pinned = []
    for metric in plan.primaries:
        effects = selectors.list_past_effects(plan, metric, asked)
        digest = canonical.digest([one.model_dump(mode="json") for one in effects])
        with translating(PlanError, Conflict):
            pinned.append(pinned_prior(metric.name, effects, digest))
    return pinned


def told_of(priors: list[PinnedPrior]) -> dict[str, Any]:
    """Return what the audit trail says of them; nothing where there are none."""
    if not priors:
        return {}
    whole = [one.model_dump(mode="json", exclude={"effects"}) for one in priors]
    return {"priors": whole}
