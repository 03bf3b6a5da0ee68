"""The life of an experiment: started once, paused, resumed, concluded, archived."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction

from crowetrade_site.core import canonical
from crowetrade_site.core.errors import Conflict, IllegalTransition, InvalidInput, Unconfirmed
from experiments import selectors, tasks
from experiments.jobs.steps import allocate, move
from experiments.lifecycle import EXPERIMENTS, ExperimentStatus
from experiments.models import Allocation, Experiment
from experiments.models.definitions import ANSWERS
from experiments.plans import ExperimentPlan, Verdict, alarms
from experiments.services.layers import take_ranges
from experiments.services.priors import pin_priors, told_of
from experiments.services.steps import require_may_run
from registry import selectors as registry


class SameArms(Unconfirmed):
    """Arms of an experiment are the same bytes."""


@transaction.atomic(durable=True)
def start_experiment(
    *, experiment_id: UUID, actor: User, at: datetime, reason: str = "",
    allow_same_arms: bool = False,
) -> Experiment:  # fmt: skip
    """Freeze the plan, pin what its arms are, and begin.

    Aliases of models are resolved to versions here, once: what `@champion` means next week is
    another model, and another experiment. So are priors from what is concluded by now. Arms that
    turn out to be the same bytes are what a mistyped number or an alias that was moved makes: they
    start where that is said to be meant.

    Raises
    ------
    NotFound, Forbidden
        There is no such experiment, or no such model (404); it belongs to somebody else (403).
    IllegalTransition, StaleState
        It has started, or somebody started it just now (409).
    Conflict
        A model's version may not be used, its layer has no room left, or too few experiments are
        concluded for the prior that it asks for (409).
    SameArms
        Arms are the same bytes, and nobody has said that it is meant (409).
    """
    experiment = selectors.lock_experiment(experiment_id)  # its plan is not revised meanwhile
    require_may_run(experiment, actor)
    if experiment.started_at is not None:
        raise IllegalTransition(
            f"{experiment} has started already and is {experiment.status}; an experiment starts "
            "once. A paused one is resumed."
        )
    EXPERIMENTS.check(ExperimentStatus(experiment.status), ExperimentStatus.RUNNING)
    plan = selectors.plan_of(experiment)
    priors = pin_priors(plan)
    frozen = _pin_arms(experiment, plan)
    if priors:
        frozen["analysis"]["prior"]["pinned"] = [one.model_dump(mode="json") for one in priors]
    alike = _require_meant(experiment, is_meant=allow_same_arms)
    changes = {"plan": frozen, "plan_digest": canonical.digest(frozen), "started_at": at}
    changes |= take_ranges(experiment, plan)
    move(
        experiment, ExperimentStatus.RUNNING, actor=actor, at=at, reason=reason, verb="started",
        changes=changes, plan_digest=changes["plan_digest"], **told_of(priors), **alike,
    )  # fmt: skip
    first: dict[str, Allocation] = {}
    for context in plan.contexts:
        first[context] = allocate(
            experiment, plan.weights, at=at, cause="start", in_force=first, context=context
        )
    return selectors.get_experiment(experiment_id)


@transaction.atomic(durable=True)
def pause_experiment(*, experiment_id: UUID, actor: User, at: datetime, reason: str) -> Experiment:
    """Stop assigning; outcomes of what was assigned still come in.

    Raises
    ------
    NotFound, Forbidden, InvalidInput, IllegalTransition, StaleState
        None such (404), not the actor's (403), no reason (422), it does not run (409).
    """
    experiment = selectors.get_experiment(experiment_id)
    require_may_run(experiment, actor)
    _require_reason(reason, "pause")
    move(
        experiment, ExperimentStatus.PAUSED, actor=actor, at=at, reason=reason, verb="paused"
    )  # fmt: skip
    return selectors.get_experiment(experiment_id)


@transaction.atomic(durable=True)
def resume_experiment(*, experiment_id: UUID, actor: User, at: datetime, reason: str) -> Experiment:
    """Go on after a pause, with the same plan, despite the alarms of the last analysis.

    These pause it no more until there is more behind them; see `experiments.plans.alarms`.

    Raises
    ------
    NotFound, Forbidden, InvalidInput, IllegalTransition, StaleState
        None such (404), not the actor's (403), no reason (422), it is not paused (409).
    """
    experiment = selectors.get_experiment(experiment_id)
    require_may_run(experiment, actor)
    _require_reason(reason, "resume")
    if experiment.status != ExperimentStatus.PAUSED:
        EXPERIMENTS.check(ExperimentStatus(experiment.status), ExperimentStatus.PAUSED)
        raise Conflict(f"{experiment} is {experiment.status}; only a paused one is resumed.")
    last = selectors.list_analyses(experiment).first()
    plan = selectors.plan_of(experiment)
    taken = alarms.alarms_of(plan, last.findings, last.decision) if last else []
    known = alarms.acknowledge(selectors.acknowledged(experiment), taken)
    move(
        experiment, ExperimentStatus.RUNNING, actor=actor, at=at, reason=reason, verb="resumed",
        changes={"acknowledged": [one.to_dict() for one in known]},
        acknowledged=[alarms.written(plan, one) for one in taken],
    )  # fmt: skip
    tasks.analyze_experiment.delay_on_commit(experiment_id=str(experiment_id))
    return selectors.get_experiment(experiment_id)


@transaction.atomic(durable=True)
def conclude_experiment(
    *, experiment_id: UUID, verdict: Verdict, actor: User, at: datetime, reason: str,
    winner: str = "",
) -> Experiment:  # fmt: skip
    """End an experiment with an answer, by a person; the last analysis stays beside it.

    Raises
    ------
    NotFound, Forbidden
        None such (404), not the actor's (403).
    InvalidInput
        No reason, no verdict that ends, or a winner that is no arm (422).
    IllegalTransition, StaleState
        It neither runs nor is paused (409).
    """
    experiment = selectors.get_experiment(experiment_id)
    require_may_run(experiment, actor)
    _require_reason(reason, "conclude")
    if verdict not in ANSWERS:
        raise InvalidInput(f"{verdict!r} is no answer: {', '.join(ANSWERS)}.")
    names = [arm.name for arm in experiment.arms.all()]
    if (verdict == Verdict.WINNER) is not (winner in names):
        raise InvalidInput(
            f"A winner is one of the arms {', '.join(names)}, and only the verdict winner has one."
        )
    move(
        experiment, ExperimentStatus.CONCLUDED, actor=actor, at=at, reason=reason,
        verb="concluded", verdict=verdict, winner=winner,
        changes={"concluded_at": at, "verdict": verdict, "winner": winner},
    )  # fmt: skip
    tasks.analyze_experiment.delay_on_commit(experiment_id=str(experiment_id))
    return selectors.get_experiment(experiment_id)


@transaction.atomic(durable=True)
def archive_experiment(
    *, experiment_id: UUID, actor: User, at: datetime, reason: str = ""
) -> Experiment:
    """Put a concluded experiment, or a draft that never ran, out of sight; nothing is deleted.

    Raises
    ------
    NotFound, Forbidden, IllegalTransition, StaleState
        None such (404), not the actor's (403), it runs still (409).
    """
    experiment = selectors.get_experiment(experiment_id)
    require_may_run(experiment, actor)
    move(
        experiment, ExperimentStatus.ARCHIVED, actor=actor, at=at, reason=reason, verb="archived"
    )  # fmt: skip
    return selectors.get_experiment(experiment_id)


def _require_reason(reason: str, verb: str) -> None:
    if not reason.strip():
        raise InvalidInput(f"To {verb} an experiment needs a reason.")


def _require_meant(experiment: Experiment, *, is_meant: bool) -> dict[str, list[str]]:
    """Return which arms are the same, for the trail, if there are any and it is meant."""
    alike = selectors.arms_alike(experiment)
    if alike and not is_meant:
        raise SameArms(
            selectors.told_alike(*alike[0]),
            "name another version, or say allow_same_arms to start an A/A test",
        )
    return {"same_arms": [" and ".join(names) for _, names in alike]} if alike else {}


def _pin_arms(experiment: Experiment, plan: ExperimentPlan) -> dict[str, Any]:
    """Resolve the models of all arms; return the plan with the versions they stand for."""
    document = plan.document()
    pinned: dict[str, str] = {}
    for arm in experiment.arms.all():
        if not arm.model_uri:
            continue
        version = registry.resolve(arm.model_uri)
        if version.compromised_at is not None or not registry.is_loadable(version):
            raise Conflict(f"{version} may not be used; choose another for the arm {arm.name}.")
        pinned[arm.name] = f"models:/{version.registered_model.name}/{version.number}"
        arm.version_id, arm.version_digest = version.public_id, version.digest
        arm.save(update_fields=["version_id", "version_digest"])
    for one in document["arms"]:
        one["model"] = pinned.get(one["name"], one["model"])
    return document
