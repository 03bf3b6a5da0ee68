"""Shares of the arms, changed by a person while an experiment runs."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from crowetrade_site.core.errors import Conflict, InvalidInput, StaleState
from crowetrade_site.core.hints import LONGEST, nearest
from experiments import selectors
from experiments.jobs.steps import allocate
from experiments.lifecycle import ExperimentStatus
from experiments.models import Allocation, Experiment
from experiments.plans import ExperimentPlan
from experiments.services.steps import require_may_run

_TOLERANCE = 1e-9


@transaction.atomic(durable=True)
def reallocate(
    *, experiment_id: UUID, weights: Mapping[str, float], actor: User, at: datetime, reason: str,
    context: str = "",
) -> Allocation:  # fmt: skip
    """Give the arms other shares from now on; who met an arm before stays with it.

    Where shares depend on a context they are of one: the others keep theirs.

    Raises
    ------
    NotFound, Forbidden
        There is no such experiment (404), or it belongs to somebody else (403).
    InvalidInput
        No reason, an unknown arm, shares that do not sum to 1 or break the plan's limits, a context
        that the plan does not have, or none where it has some (422).
    Conflict, StaleState
        It does not run or is a shadow one, or another allocation was faster (409).
    """
    experiment = selectors.lock_experiment(experiment_id)  # it is not concluded meanwhile
    require_may_run(experiment, actor)
    if experiment.design != "assigned":
        raise Conflict("The arms of a shadow experiment all see every period: they have no shares.")
    if experiment.status not in {ExperimentStatus.RUNNING, ExperimentStatus.PAUSED}:
        raise Conflict(f"{experiment} is {experiment.status}; shares change while it runs.")
    if not reason.strip():
        raise InvalidInput("Other shares need a reason.")
    plan = selectors.plan_of(experiment)
    _require_context(experiment, plan, context)
    shares = _ordered(experiment, weights)
    _require_limits(plan, shares)
    try:
        with transaction.atomic():
            made = allocate(
                experiment, shares, at=at, cause="person", actor=actor, reason=reason,
                in_force=selectors.allocations_in_force(experiment, plan), context=context,
            )  # fmt: skip
    except IntegrityError:
        raise StaleState(f"{experiment} was given other shares just now; look again.") from None
    return made


def _require_context(experiment: Experiment, plan: ExperimentPlan, context: str) -> None:
    """Refuse shares of a context that is none, and those that do not say of which they are."""
    if context in plan.contexts:
        return
    asked = plan.allocation.context
    if asked is None:
        raise InvalidInput.at("context", f"the plan of {experiment} has none: leave it out.")
    known = ", ".join(plan.contexts)
    if not context:
        raise InvalidInput.at(
            "context", f"shares depend on {asked.attribute}: say of which, {known}."
        )
    told = f"{context[:LONGEST]!r}{nearest(context, plan.contexts)}"
    raise InvalidInput.at("context", f"the plan of {experiment} has no {told}")


def _ordered(experiment: Experiment, weights: Mapping[str, float]) -> list[float]:
    """Return shares in the order of the arms."""
    names = [arm.name for arm in sorted(experiment.arms.all(), key=lambda arm: arm.position)]
    unknown = sorted(set(weights) - set(names))
    if unknown:
        raise InvalidInput(f"{experiment} has no arm {unknown[0]!r}; it has {', '.join(names)}.")
    missing = [name for name in names if name not in weights]
    if missing:
        raise InvalidInput(f"Nothing is said of the arm {missing[0]!r}; 0 is a share.")
    shares = [float(weights[name]) for name in names]
    if any(not 0.0 <= share <= 1.0 for share in shares) or abs(sum(shares) - 1.0) > _TOLERANCE:
        raise InvalidInput(f"The shares sum to {sum(shares):.6g}; they are 0 to 1 and sum to 1.")
    return shares


def _require_limits(plan: ExperimentPlan, shares: Sequence[float]) -> None:
    """Refuse what the frozen plan does not allow: its cap, and its floor where a policy learns.

    Nothing is compared with a control that has no share. Its largest step is for policies: a person
    who goes further says why.
    """
    asked = plan.allocation
    names = [arm.name for arm in plan.ordered_arms]
    floor = asked.floor if asked.policy != "fixed" else 0.0
    if not shares[0]:
        raise InvalidInput(
            f"The control {names[0]} has no share: nothing would be compared with it. Conclude "
            "the experiment to give all units another arm."
        )
    for at, (name, share) in enumerate(zip(names, shares, strict=True)):
        if at and share > asked.cap + _TOLERANCE:
            raise InvalidInput(
                f"The plan caps a challenger at {asked.cap:g}; {name} has {share:g}."
            )
        if share < floor - _TOLERANCE:
            raise InvalidInput(
                f"The plan gives every arm at least {floor:g}; {name} has {share:g}."
            )
