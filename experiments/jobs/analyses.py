"""Looks at experiments: from their sums to findings, a verdict, and what the plan says of it.

A look is harmless: two workers that look at once find the same, and the number of an analysis is
given once. What follows from it is a compare-and-set with its audit event, as a person's is.
"""

import logging
import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.db.models import Max
from django.utils import timezone

from crowetrade_site.core import canonical, context
from crowetrade_site.core.errors import DomainError
from crowetrade_site.core.snapshots import one_view
from experiments import selectors
from experiments.jobs.steps import allocate, move
from experiments.lifecycle import ExperimentStatus
from experiments.models import Allocation, Analysis, Experiment
from experiments.plans import Decision, ExperimentPlan, Findings, alarms, duration
from experiments.querysets import ExperimentQuerySet
from experiments.selectors.records import N_KEPT

if TYPE_CHECKING:
    from experiments.plans.observed import Observed

logger = logging.getLogger(__name__)
LEAST_BETWEEN = timedelta(seconds=2)  # looks at one experiment
_LIVE = (ExperimentStatus.RUNNING, ExperimentStatus.PAUSED)
# A batch says when it began and is seen when it ends, so a look overlaps the one before. What has
# something is looked at every minute besides: a period may be over by the clock alone.
_OVERLAP, _IDLE = timedelta(seconds=10), timedelta(seconds=60)
_DUE = """
SELECT e.public_id FROM experiments_experiment e
WHERE e.status = ANY(%s) AND (e.analyzed_at IS NULL OR e.analyzed_at < %s)
  AND (
    EXISTS (
      SELECT 1 FROM experiments_periodstatistic s
      WHERE s.experiment_id = e.id
        AND (e.analyzed_at < %s
             OR s.changed_at >= coalesce(e.analyzed_at, '-infinity') - %s::interval)
    )
    OR coalesce(e.analyzed_at, '-infinity') < %s AND EXISTS (
      SELECT 1 FROM experiments_exposure x WHERE x.experiment_id = e.id
    )
  )
ORDER BY e.analyzed_at NULLS FIRST LIMIT 200
"""
_THIN = """
DELETE FROM experiments_analysis a
WHERE a.experiment_id = %s AND a.number <= %s AND EXISTS (
    SELECT 1 FROM experiments_analysis b
    WHERE b.experiment_id = a.experiment_id AND b.number = a.number + 1
      AND b.verdict = a.verdict
) AND EXISTS (
    SELECT 1 FROM experiments_analysis b
    WHERE b.experiment_id = a.experiment_id AND b.number > a.number
      AND date_trunc('day', b.at) = date_trunc('day', a.at)
)
"""


class AnalysisFailed(DomainError):
    """An analysis ended with an error that nobody expected."""

    slug, status, title = "analysis-failed", 500, "The analysis failed unexpectedly"


def list_due() -> list[UUID]:
    """Return the experiments that have something new, those not looked at longest first."""
    with connection.cursor() as cursor:
        now = timezone.now()
        overlap = f"{_OVERLAP.total_seconds():g} s"
        idle = now - _IDLE
        cursor.execute(_DUE, [list(_LIVE), now - LEAST_BETWEEN, idle, overlap, idle])
        return [row[0] for row in cursor.fetchall()]


def analyze_experiment(*, experiment_id: UUID) -> Analysis | None:
    """Look at an experiment, record what is new, and act as its plan says.

    Idempotent: the same sums give the same findings, which are recorded once.
    """
    experiment = selectors.get_experiment(experiment_id)
    if experiment.started_at is None:
        return None
    with context.acting(run=experiment.name):
        looked_at = timezone.now()  # what changes from here on is the next look's
        try:
            found = _look(experiment, looked_at)
        except DomainError as error:
            _note_problem(experiment, looked_at, error)
            return None
        except Exception:
            failed = AnalysisFailed(f"The analysis of {experiment} failed; its outcomes are kept.")
            _note_problem(experiment, looked_at, failed)
            raise
    return found


def _look(experiment: Experiment, at: datetime) -> Analysis | None:
    """Compute outside any transaction, record in one, act in another."""
    from experiments.plans.analysis import analyze  # numeric libraries, loaded by workers alone
    from experiments.plans.decisions import decide

    began = time.perf_counter()
    plan = selectors.plan_of(experiment)
    with one_view():  # sums by unit and by period of other moments would not fit each other
        observed = _observed(experiment, plan)
    findings = analyze(plan, observed)
    decision = decide(
        findings, control=plan.control.name,
        region_of_equivalence=plan.analysis.region_of_equivalence,
        goes_on_after_breach=plan.stopping.on_guardrail == "notify",
        units={metric.name: metric.unit for metric in plan.metrics},
        winner_needs=plan.analysis.winner_needs,
    )  # fmt: skip
    analysis = _record(experiment, findings, decision, at, time.perf_counter() - began)
    experiment = _act(experiment, plan, findings, decision, at)
    _reallocate(experiment, plan, observed, at)
    return analysis


def _observed(experiment: Experiment, plan: ExperimentPlan) -> "Observed":
    """Return the sums of an experiment, each table in one query."""
    from experiments.plans.observed import Observed

    watermark, silent = _watermark(experiment, plan)  # before the sums: what comes meanwhile is
    metrics = {metric.name: metric.pk for metric in experiment.metrics.all()}  # of a later period
    is_quantile = {metric.name: metric.kind == "quantile" for metric in plan.metrics}
    n_arms = len(plan.arms)
    allocations = list(selectors.list_allocations(experiment))
    return Observed(
        tables={
            name: selectors.period_table(pk) for name, pk in metrics.items()
            if not is_quantile[name]
        },
        units={
            name: units for name, pk in metrics.items()
            if plan.design == "assigned" and (units := selectors.unit_table(pk)) is not None
        },
        sketches={
            name: selectors.sketches(pk, n_arms) for name, pk in metrics.items()
            if is_quantile[name]
        },
        exposed=selectors.exposed_by_allocation(experiment) if plan.design == "assigned" else {},
        weights={one.number: one.weights for one in allocations},
        contexts={one.number: one.context for one in allocations},
        watermark=watermark,
        silent=silent,
        n_late=selectors.tallies(experiment).get("late", 0),
    )  # fmt: skip


def _watermark(experiment: Experiment, plan: ExperimentPlan) -> tuple[int | None, list[str]]:
    """Return up to when all outcomes are in [UTC ns], None before the first, and who is silent.

    An arm's newest period may get more: it counts once a newer one has been seen of every arm and
    metric that reports, or once it is over by the clock and nothing has come for a while. One that
    is silent while others report holds nobody up. Counted by exposure the clock tells: exposures
    are stamped here, and the plan says how long outcomes take.
    """
    now, late = timezone.now(), duration(plan.lateness)
    patience = max(_IDLE, late + 2 * duration(plan.period))
    seen = selectors.newest_periods(experiment, since=now - patience)
    if seen is None:
        return None, []
    late_ns, now_ns = (int(at) * 1_000_000_000 for at in (late.total_seconds(), now.timestamp()))
    if plan.counts_by_exposure:
        return (now_ns - late_ns) // plan.period_ns * plan.period_ns, seen.silent
    is_quiet = now - seen.changed_at >= _IDLE
    newest_end = seen.newest + plan.period_ns
    if is_quiet and newest_end + late_ns <= now_ns:
        return newest_end, seen.silent
    return seen.least - late_ns, seen.silent


def _record(
    experiment: Experiment, findings: Findings, decision: Decision, at: datetime, seconds: float
) -> Analysis | None:
    """Write an analysis that says something new; None if it does not, or another was faster."""
    document = findings.to_dict()
    digest = canonical.digest({"findings": document, "decision": decision.to_dict()})
    last = selectors.list_analyses(experiment).first()
    try:
        with transaction.atomic():
            made = None
            if last is None or last.digest != digest:
                number = (experiment.analyses.aggregate(last=Max("number"))["last"] or 0) + 1
                made = Analysis.objects.create(
                    experiment=experiment, number=number, at=at,
                    watermark=_moment(findings.watermark), n_periods=findings.n_periods,
                    findings=document, decision=decision.to_dict(), verdict=decision.verdict,
                    digest=digest, seconds=seconds,
                )  # fmt: skip
                _thin(experiment, number)
            _not_newer(experiment, at).update(analyzed_at=at, analysis_problem=None)
    except IntegrityError:
        logger.info("Another worker has looked at the same moment")
        return None
    return made


def _not_newer(experiment: Experiment, at: datetime) -> ExperimentQuerySet:
    """Return the experiment, unless a later look has been recorded already."""
    return Experiment.objects.filter(pk=experiment.pk).not_analyzed_after(at)


def _thin(experiment: Experiment, newest: int) -> None:
    """Let go of old looks but the last before each change of verdict, and of each day."""
    with connection.cursor() as cursor:
        cursor.execute(_THIN, [experiment.pk, newest - N_KEPT])


def _act(
    experiment: Experiment, plan: ExperimentPlan, findings: Findings, decision: Decision,
    at: datetime,
) -> Experiment:  # fmt: skip
    """Conclude or pause a running experiment where its plan says so, as the platform itself.

    As it stands now, its row held, which is returned: while this look was computed somebody may
    have resumed it despite the very alarm that it brings.
    """
    found = alarms.pausing(plan, alarms.alarms_of(plan, findings.to_dict(), decision.to_dict()))
    is_answered = decision.ends and plan.stopping.on_answer == "conclude"
    if not found and not is_answered:
        return experiment
    with transaction.atomic():
        now = selectors.lock_experiment(experiment.public_id)
        known = selectors.acknowledged(now)
        if now.status != ExperimentStatus.RUNNING or now.status_changed_at > at:
            logger.info("Somebody moved the experiment first")
        elif is_answered:
            _conclude(now, decision, at)
        elif not all(one.is_known(known) for one in found):
            move(
                now, ExperimentStatus.PAUSED, actor=None, at=at, reason=decision.reason,
                verb="paused", verdict=decision.verdict,
            )  # fmt: skip
    return now


def _conclude(experiment: Experiment, decision: Decision, at: datetime) -> None:
    move(
        experiment, ExperimentStatus.CONCLUDED, actor=None, at=at, reason=decision.reason,
        verb="concluded", verdict=decision.verdict, winner=decision.winner,
        changes={"concluded_at": at, "verdict": decision.verdict, "winner": decision.winner},
    )  # fmt: skip


def _reallocate(
    experiment: Experiment, plan: ExperimentPlan, observed: "Observed", at: datetime
) -> None:
    """Let the plan's policy decide again, where its time has come."""
    asked = plan.allocation
    is_running = experiment.status == ExperimentStatus.RUNNING
    if asked.policy == "fixed" or not is_running:
        return
    last, refresh = experiment.allocated_at or experiment.started_at, duration(asked.refresh)
    if last is not None and at - last < refresh:
        return
    in_force = selectors.allocations_in_force(experiment, plan)
    # A person's shares of one context stay for as long; the others' do not wait for them.
    is_due = {name for name, one in in_force.items() if at - one.at >= refresh}
    if not is_due:
        return
    wanted = _wanted(plan, observed, in_force, is_due)
    due = Experiment.objects.running().filter(
        pk=experiment.pk, allocated_at=experiment.allocated_at
    )
    try:
        with transaction.atomic():
            if not due.update(allocated_at=at):
                return  # another worker decided
            for name, weights in wanted.items():
                in_force[name] = allocate(
                    experiment, weights, at=at, cause="policy", in_force=in_force,
                    context=name, reason=asked.policy,
                )  # fmt: skip
    except IntegrityError:
        logger.info("Somebody gave the arms other shares first")


def _wanted(
    plan: ExperimentPlan,
    observed: "Observed",
    in_force: Mapping[str, Allocation],
    is_due: Collection[str],
) -> dict[str, list[float]]:
    """Return the shares that the policy would change, by context: each by its own outcomes."""
    from experiments.plans.allocating import next_weights

    table = observed.tables[plan.primary.name]
    if observed.watermark is not None:
        table = table.ended(observed.watermark, plan.period_ns)
    number = max(one.number for one in in_force.values())
    wanted: dict[str, list[float]] = {}
    for name, current in in_force.items():
        if name not in is_due:
            continue
        own = table.of_allocations(observed.numbers_of(name)) if name else table
        number_to_come = number + len(wanted) + 1
        weights = next_weights(plan, own, current.weights, number=number_to_come)
        if weights != current.weights:
            wanted[name] = weights
    return wanted


def _note_problem(experiment: Experiment, at: datetime, error: DomainError) -> None:
    """Say on the page why there is no analysis, and do not try again before something changes."""
    _not_newer(experiment, at).update(analyzed_at=at, analysis_problem=error.problem())


def _moment(stamp_ns: int | None) -> datetime | None:
    return None if stamp_ns is None else datetime.fromtimestamp(stamp_ns / 1e9, UTC)
