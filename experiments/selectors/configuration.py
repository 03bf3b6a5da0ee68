"""What assignment and outcomes read of an experiment: kept by the process until it changes.

Each request asks the database for the experiment's revision, which every change of what is kept
here raises; so a process never acts by a plan, a status or shares that are past.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import numpy as np
from django.db import connection
from django.db.models import QuerySet
from numpy.typing import NDArray

from crowetrade_site.core.errors import Conflict, NotFound
from experiments.assignment import (
    AssignmentSettings,
    Context,
    Ramp,
    RampStep,
    Range,
    read_targeting,
)
from experiments.intake.terms import Terms, terms_of
from experiments.lifecycle import ExperimentStatus
from experiments.models import Experiment, Exposure
from experiments.plans import ExperimentPlan
from experiments.selectors.records import allocations_in_force, plan_of

MOST_KEPT: Final = 256
LIVE: Final = frozenset({ExperimentStatus.RUNNING, ExperimentStatus.PAUSED})
_KEPT: dict[UUID, "Configuration"] = {}
_KEEPING = threading.Lock()
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Batches of one experiment go on beside each other, and wait while its sums are made anew.
_FEEDING: Final = 0x0C20_FEED
_STATE = (
    "SELECT id, revision, status, pg_try_advisory_xact_lock_shared(%s, id::int4) "
    "FROM experiments_experiment WHERE public_id = %s"
)


class NotRunning(Conflict):
    """The experiment does not run: it has not started, is paused, or is over."""

    slug, title = "not-running", "The experiment does not run"


@dataclass(frozen=True, slots=True)
class Configuration:
    """An experiment as the fast paths see it.

    Attributes
    ----------
    arm_ids, metric_ids : int64 arrays
        Row numbers, by position in the plan.
    started_ns : int
        [UTC ns]
    allocations : mapping of str to int
        Numbers of the shares in force, by context; under the empty name where shares depend on
        none. Empty before the start.
    assignment : AssignmentSettings or None
        None of a shadow experiment.
    """

    pk: int
    revision: int
    name: str
    terms: Terms
    arm_ids: NDArray[np.int64]
    metric_ids: NDArray[np.int64]
    started_ns: int
    allocations: Mapping[str, int]
    assignment: AssignmentSettings | None

    def arm_id(self, name: str) -> int:
        """Return the row number of an arm."""
        return int(self.arm_ids[self.terms.arms.index(name)])

    def allocation(self, context: str | None) -> int:
        """Return the number of the shares in force in a context; None: of the newest.

        Whoever meets an arm by an override was drawn by no shares: which are in force does not
        matter then.
        """
        newest = max(self.allocations.values(), default=0)
        return self.allocations.get(context or "", newest)

    def arm_name(self, arm_id: int) -> str:
        """Return the name of the arm of a row number."""
        return self.terms.arms[self.arm_ids.tolist().index(arm_id)]


def configuration_of_live(experiment_id: UUID) -> Configuration:
    """Return what outcomes of an experiment need; it runs, or is paused.

    Raises
    ------
    NotFound
        There is no such experiment (404).
    NotRunning
        It has not started, or is over (409).
    """
    revision, status = _state_to_feed(experiment_id)
    if status not in LIVE:
        when = "once it runs" if status == ExperimentStatus.DRAFT else "no more"
        raise NotRunning(f"The experiment is {status}; outcomes are taken {when}.")
    return configuration(experiment_id, revision)


def _state_to_feed(experiment_id: UUID) -> tuple[int, str]:
    """Return the revision and the status; the experiment's sums are not made anew meanwhile.

    A statement sees what was there when it began. One that waited for the lock would return a
    status from before the wait, so that who has to wait reads it again.
    """
    with connection.cursor() as cursor:
        cursor.execute(_STATE, [_FEEDING, experiment_id])
        row = cursor.fetchone()
        if row is not None and not row[3]:
            cursor.execute("SELECT pg_advisory_xact_lock_shared(%s, %s)", [_FEEDING, row[0]])
            cursor.execute(_STATE, [_FEEDING, experiment_id])
            row = cursor.fetchone()
    if row is None:
        raise NotFound(f"There is no experiment {experiment_id}.")
    return row[1], row[2]


def keep_batches_out(pk: int) -> None:
    """Wait for the batches of an experiment that are being added; new ones wait for the COMMIT."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_FEEDING, pk])


def kept_configuration(experiment_id: UUID) -> Configuration | None:
    """Return an experiment as this process last read it, which may be past."""
    return _KEPT.get(experiment_id)


def configuration(experiment_id: UUID, revision: int) -> Configuration:
    """Return an experiment as it stands at a revision, or at a later one."""
    found = _KEPT.get(experiment_id)
    if found is None or found.revision < revision:
        found = _read(experiment_id)
        with _KEEPING:
            _KEPT.pop(experiment_id, None)
            _KEPT[experiment_id] = found
            if len(_KEPT) > MOST_KEPT:
                del _KEPT[next(iter(_KEPT))]
    return found


def _read(experiment_id: UUID) -> Configuration:
    experiment = Experiment.objects.with_parts().get(public_id=experiment_id)
    plan = plan_of(experiment)
    arms = sorted(experiment.arms.all(), key=lambda arm: arm.position)
    metrics = sorted(experiment.metrics.all(), key=lambda metric: metric.position)
    started = experiment.started_at or _EPOCH
    shares = allocations_in_force(experiment, plan)
    return Configuration(
        pk=experiment.pk,
        revision=experiment.revision,
        name=experiment.name,
        terms=terms_of(plan),
        arm_ids=np.array([arm.pk for arm in arms]),
        metric_ids=np.array([metric.pk for metric in metrics]),
        started_ns=ns_of(started),
        allocations={context: one.number for context, one in shares.items()},
        assignment=_settings(
            experiment, plan, {context: one.weights for context, one in shares.items()}
        ),
    )


def _settings(
    experiment: Experiment, plan: ExperimentPlan, shares: Mapping[str, list[float]]
) -> AssignmentSettings | None:
    if plan.design != "assigned":
        return None
    asked, layer = plan.assignment, experiment.layer
    by_context = plan.allocation.context
    held = layer.holdout if layer else 0.0
    return AssignmentSettings(
        salt=experiment.salt,
        arms=tuple(arm.name for arm in plan.ordered_arms),
        weights=tuple(shares.get("", plan.weights)),
        layer_salt=layer.salt if layer else None,
        ranges=tuple(Range(*pair) for pair in experiment.ranges or [(0.0, asked.share)]),
        holdout=(Range(round(1.0 - held, 6), 1.0),) if held else (),
        ramp=Ramp(tuple(RampStep(step.at, step.share) for step in asked.ramp)),
        targeting=None if asked.targeting is None else read_targeting(asked.targeting),
        overrides=asked.overrides,
        context=None if by_context is None else Context(
            by_context.attribute,
            {value: tuple(shares.get(value, plan.weights)) for value in by_context.values},
            by_context.otherwise,
        ),
    )  # fmt: skip


def ns_of(moment: datetime) -> int:
    """Return a moment as an integer [UTC ns]."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1_000


def exposures_of(experiment: Experiment) -> QuerySet[Exposure]:
    """Return the units of an experiment, each with its arm."""
    return Exposure.objects.filter(experiment=experiment).select_related("arm")
