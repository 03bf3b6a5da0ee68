"""Steps that persons' and workers' verbs share, each inside the transaction of its caller."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db.models import F

from crowetrade_site.core import audit
from crowetrade_site.core.errors import StaleState
from experiments.lifecycle import EXPERIMENTS, ExperimentStatus
from experiments.models import Allocation, Experiment


def move(
    experiment: Experiment, target: ExperimentStatus, *, actor: User | None, at: datetime,
    reason: str, verb: str, changes: dict[str, Any] | None = None, **told: Any,
) -> None:  # fmt: skip
    """Compare and set an experiment's status, and record it.

    Raises
    ------
    IllegalTransition, StaleState
        There is no such move, or somebody else made one first (409).
    """
    before = ExperimentStatus(experiment.status)
    EXPERIMENTS.check(before, target)
    won = Experiment.objects.filter(pk=experiment.pk, status=before).update(
        status=target, status_changed_at=at, status_reason=reason, updated_at=at,
        revision=F("revision") + 1, **(changes or {}),
    )  # fmt: skip
    if not won:
        raise StaleState(f"{experiment} has left {before}.")
    audit.record(
        f"experiments.experiment.{verb}", experiment, actor=actor, at=at, reason=reason,
        before={"status": before}, after={"status": target, **told},
    )  # fmt: skip
    experiment.refresh_from_db()


def allocate(
    experiment: Experiment, weights: Sequence[float], *, at: datetime, cause: str,
    in_force: Mapping[str, Allocation], context: str = "", actor: User | None = None,
    reason: str = "",
) -> Allocation:  # fmt: skip
    """Write shares beside those in force, or after those of their context, and record it.

    Numbers run through all contexts, so that of two changes at once, whichever they are of, one
    fails.

    Raises
    ------
    IntegrityError
        Others have come since `in_force` was read.
    """
    last = in_force.get(context)
    number = 1 + max((one.number for one in in_force.values()), default=0)
    made: Allocation = experiment.allocations.create(
        number=number, context=context, at=at, weights=list(weights), cause=cause, reason=reason
    )
    if last is not None:  # the first ones are part of the start
        Experiment.objects.filter(pk=experiment.pk).update(
            revision=F("revision") + 1, updated_at=at
        )
        names = list(experiment.arms.order_by("position").values_list("name", flat=True))
        was, became = (dict(zip(names, one.weights, strict=True)) for one in (last, made))
        where = {"context": context} if context else {}
        audit.record(
            "experiments.experiment.reallocated", experiment, actor=actor, at=at, reason=reason,
            before={"shares": was, "allocation": last.number},
            after={"shares": became, "allocation": made.number, "cause": cause} | where,
        )  # fmt: skip
    return made
