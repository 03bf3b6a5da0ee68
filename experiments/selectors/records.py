"""Rows of experiments, and their plans as documents."""

from collections.abc import Sequence
from uuid import UUID

from django.db.models import QuerySet

from crowetrade_site.core import hints
from crowetrade_site.core.errors import NotFound
from experiments.models import Allocation, Analysis, Experiment
from experiments.plans import ExperimentPlan
from experiments.plans.alarms import Alarm, written
from experiments.plans.prior_notes import prior_notes
from experiments.plans.ramps import ramp_note
from experiments.plans.verdicts import nothing_yet
from experiments.querysets import ExperimentQuerySet
from experiments.selectors.sameness import alike_notes

MOST_COMPARED = 1_000  # names, the newest, with one that is unknown
N_KEPT = 20  # newest analyses, beside the last before each change of verdict and of each day


def list_experiments() -> ExperimentQuerySet:
    """Return every experiment, with its owner, layer, arms and metrics."""
    return Experiment.objects.with_parts()


def get_experiment(experiment_id: UUID) -> Experiment:
    """Return an experiment by public id.

    Raises
    ------
    NotFound
        There is none (404).
    """
    found = list_experiments().filter(public_id=experiment_id).first()
    if found is None:
        raise NotFound(f"There is no experiment {experiment_id}.")
    return found


def lock_experiment(experiment_id: UUID) -> Experiment:
    """Return an experiment whose row stays as it is until the end of the transaction.

    Raises
    ------
    NotFound
        There is none (404).
    """
    Experiment.objects.select_for_update(no_key=True).filter(public_id=experiment_id).first()
    return get_experiment(experiment_id)


def find_experiment(name_or_id: str) -> Experiment:
    """Return an experiment by its name, or by its public id as text.

    Raises
    ------
    NotFound
        There is none (404).
    """
    found = list_experiments().filter(name=name_or_id).first()
    if found is not None:
        return found
    try:
        return get_experiment(UUID(name_or_id))
    except ValueError:
        known = Experiment.objects.order_by("-created_at").values_list("name", flat=True)
        near = hints.nearest(name_or_id, known[:MOST_COMPARED])
        raise NotFound(f"There is no experiment {hints.shown(name_or_id)!r}{near}") from None


def plan_of(experiment: Experiment) -> ExperimentPlan:
    """Return the plan of an experiment; it was checked when it was stored."""
    document = experiment.plan
    if experiment.started_at is not None:  # before plans said it, outcomes counted by themselves
        document = {"counted_by": "outcome"} | document
    return ExperimentPlan.model_validate(document)


def acknowledged(experiment: Experiment) -> list[Alarm]:
    """Return the alarms that an experiment was resumed despite."""
    return [Alarm(**one) for one in experiment.acknowledged]


def plan_notes(experiment: Experiment, plan: ExperimentPlan) -> list[str]:
    """Return what is to be known before any analysis.

    Arms that are the same bytes, alarms that were taken back, what the ramp costs, on what a prior
    rests.
    """
    notes = alike_notes(experiment)
    notes += [written(plan, one) for one in acknowledged(experiment)]
    notes += filter(None, [ramp_note(plan, experiment.started_at)])
    return notes + prior_notes(plan)


def list_allocations(experiment: Experiment) -> QuerySet[Allocation]:
    """Return all shares that were ever in force, the newest first."""
    return Allocation.objects.filter(experiment=experiment).order_by("-number")


def allocations_in_force(experiment: Experiment, plan: ExperimentPlan) -> dict[str, Allocation]:
    """Return the shares in force by context, in the plan's order; none of a draft.

    Where the plan has no context they are under the empty name. One query, which reads the newest
    of each context alone, however often shares have moved.
    """
    newest = [list_allocations(experiment).filter(context=context)[:1] for context in plan.contexts]
    found = newest[0].union(*newest[1:], all=True) if newest[1:] else newest[0]
    by_context = {one.context: one for one in found}
    return {value: by_context[value] for value in plan.contexts if value in by_context}


def list_analyses(experiment: Experiment) -> QuerySet[Analysis]:
    """Return all looks at an experiment, the newest first."""
    return Analysis.objects.filter(experiment=experiment).order_by("-number")


def get_analysis(experiment: Experiment, number: int | None = None) -> Analysis:
    """Return one look at an experiment, by default the newest.

    Raises
    ------
    NotFound
        There is none (404).
    """
    found = list_analyses(experiment)
    one = found.first() if number is None else found.filter(number=number).first()
    if one is not None:
        one.experiment = experiment  # with what is known of later looks
        return one
    if number is not None:
        raise NotFound(
            f"The experiment {experiment} has no analysis {number}{_gone(found, number)}."
        )
    first_look = plan_of(experiment).analysis.first_look
    more = failure_of(experiment) or nothing_yet(0, first_look)
    raise NotFound(f"The experiment {experiment} has no analysis yet. {more}")


def _gone(analyses: QuerySet[Analysis], number: int) -> str:
    """Return what a refusal adds where there was a look of a number; empty where there was none."""
    newest = analyses.first()
    if newest is None or number > newest.number:
        return ""
    return (
        f" any more: kept are the newest {N_KEPT}, the last before each change of the verdict and "
        "the last of each day"
    )


def failure_of(experiment: Experiment) -> str:
    """Return why the newest look at an experiment failed; empty if it did not."""
    problem = experiment.analysis_problem
    return f"{problem['title']}: {problem['detail']}" if problem else ""


def last_reasons(experiments: Sequence[Experiment]) -> dict[int, str]:
    """Return what the newest look at each of some experiments says, by primary key.

    Of a look that failed, why: what was found before it is past.
    """
    newest = Analysis.objects.filter(experiment__in=experiments).order_by("experiment", "-number")
    rows = newest.distinct("experiment").values_list("experiment_id", "decision__reason")
    failed = {one.pk: why for one in experiments if (why := failure_of(one))}
    return dict(rows) | failed
