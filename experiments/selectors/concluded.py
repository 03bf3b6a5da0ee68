"""What experiments that are over found, for the priors of later ones."""

from collections.abc import Iterator
from uuid import UUID

from django.db.models import Q

from crowetrade_site.core.errors import Conflict
from experiments.models import Analysis, Experiment
from experiments.plans import ExperimentPlan, MetricSpec
from experiments.plans.prior_spec import PastEffect, PriorSpec
from experiments.plans.priors import past_effects, why_unlike
from experiments.querysets import ExperimentQuerySet
from experiments.selectors.records import plan_of
from experiments.selectors.sameness import arms_alike

MOST_READ = 200  # experiments, those that ended last


def list_past_effects(
    plan: ExperimentPlan, metric: MetricSpec, asked: PriorSpec
) -> list[PastEffect]:
    """Return what concluded experiments found of a metric, those that ended first at the front.

    Three queries, however many there are. Challengers that are the very files of the control are
    left out: that they do not differ was known, and says nothing of those that may.

    Raises
    ------
    Conflict
        One that the plan names is not there, not over, or not alike (409).
    """
    newest_first = _chosen(asked).order_by("-concluded_at", "-pk").prefetch_related("arms")
    experiments = list(newest_first[:MOST_READ])[::-1]
    if asked.experiments is not None:
        _require_all(asked.experiments, experiments)
    newest = Analysis.objects.filter(experiment__in=experiments).order_by("experiment", "-number")
    looks = {one.experiment_id: one for one in newest.distinct("experiment")}
    effects: list[PastEffect] = []
    for one in experiments:
        is_named = asked.experiments is not None
        effects += _effects(plan, metric, one, looks.get(one.pk), is_named=is_named)
    return effects


def _chosen(asked: PriorSpec) -> ExperimentQuerySet:
    chosen = Experiment.objects.filter(concluded_at__isnull=False)
    if asked.tags:
        chosen = chosen.filter(plan__tags__contains=asked.tags)
    if asked.experiments is not None:
        ids = list(_ids(asked.experiments))
        chosen = chosen.filter(Q(name__in=asked.experiments) | Q(public_id__in=ids))
    return chosen


def _ids(names: list[str]) -> Iterator[UUID]:
    for name in names:
        try:
            yield UUID(name)
        except ValueError:
            continue


def _require_all(names: list[str], found: list[Experiment]) -> None:
    known = {one.name for one in found} | {str(one.public_id) for one in found}
    lacking = [name for name in names if name not in known]
    if lacking:
        raise Conflict(
            f"analysis.prior.experiments names {', '.join(lacking[:5])}: there is no such "
            "concluded experiment."
        )


def _effects(
    plan: ExperimentPlan, metric: MetricSpec, experiment: Experiment, last: Analysis | None, *,
    is_named: bool,
) -> list[PastEffect]:  # fmt: skip
    past = plan_of(experiment)
    why = why_unlike(plan, metric, past)
    effects = []
    if why is None and last is not None:
        effects = past_effects(
            past, metric.name, last.findings, experiment=str(experiment.public_id),
            name=experiment.name, analysis=last.number, digest=last.digest,
        )  # fmt: skip
    known = _like_control(past, experiment)
    if known and effects:
        effects = [one for one in effects if one.arm not in known]
        why = None if effects else "its arms are the same files, which is an A/A test"
    if is_named and not effects:
        why = why or f"it ended before there was an interval of {metric.name}"
        raise Conflict(f"analysis.prior.experiments names {experiment.name}: {why}.")
    return effects


def _like_control(past: ExperimentPlan, experiment: Experiment) -> set[str]:
    """Return the arms that are the same files as the control, itself included; empty of none."""
    names = (set(same) for _, same in arms_alike(experiment))
    return next((same for same in names if past.control.name in same), set())
