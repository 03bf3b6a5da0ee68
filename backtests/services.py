"""Web-side verbs of datasets and runs: check, write, audit, enqueue."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from backtests import jobs, selectors, tasks
from backtests.lifecycle import (
    DATASETS,
    RUNS,
    ChunkStatus,
    DatasetStatus,
    Priority,
    RunKind,
    RunStatus,
)
from backtests.models import Dataset, Run
from backtests.runspec import RunSpec
from crowetrade_site.core import audit, canonical, documents, idempotency, roles
from crowetrade_site.core.errors import (
    Conflict,
    Forbidden,
    IllegalTransition,
    InvalidInput,
    StaleState,
    TooMuch,
)
from registry import services as registry
from strategies.selectors import REGISTERED, get_registered, get_spec

if TYPE_CHECKING:
    from registry.jobs import Collected
    from strategies.pipeline.spec import StrategySpec
    from strategies.selectors import RegisteredStrategy

# Whose right to runs goes beyond their own; an auditor only looks.
IN_CHARGE = {roles.Role.VALIDATOR, roles.Role.OPERATOR, roles.Role.ADMIN}
DATASET_VERBS = {DatasetStatus.QUARANTINED: "quarantined", DatasetStatus.READY: "released"}


@registry.remembering_other_bytes()
@transaction.atomic(durable=True)
def queue_run(
    *,
    document: Mapping[str, Any],
    actor: User,
    at: datetime,
    reason: str = "",
    priority: Priority = Priority.NORMAL,
    idempotency_key: str = "",
) -> Run:
    """Queue what a spec asks for; a worker will claim it.

    The spec is stored with its defaults filled in and its dataset pinned by digest, so that
    the row says all that is needed to compute it again. A strategy that is the file of a registered
    version (``strategy: models:/momentum/3``) is read from there, and what the run measures becomes
    evidence for that version.

    Raises
    ------
    Forbidden
        The actor may not queue runs, or none of high priority (403).
    InvalidInput
        The spec is wrong: an unknown key, a value out of range, dates outside the data, folds
        that the data have no room for (422).
    NotFound
        It names a dataset, or a run to replay, that does not exist (404).
    Conflict
        A run to replay has not succeeded, or has another result than the spec pins (409).
    Gone
        The files of a run to replay were removed (410).
    DuplicateRequest
        The idempotency key was used for another spec (409).
    TooMuch
        The actor has as many runs queued or running as one may have (429).
    """
    roles.require(actor, "runs:write")
    _require_priority(actor, priority)
    spec = selectors.complete_replay(documents.parse(RunSpec, document))
    tested = _tested(spec)
    strategy = tested.spec if tested else get_spec(spec.strategy, within="strategy")
    request = _request_digest(spec, strategy, reason, priority, tested)
    if earlier := idempotency.recall(actor, idempotency_key, request):
        return Run.objects.with_dataset().get(public_id=earlier)
    _require_room(actor)
    dataset = selectors.resolve_dataset(spec.dataset)
    pinned = _pinned(spec, strategy.model_dump(mode="json"), dataset)
    digest = canonical.digest(pinned)
    run = Run.objects.create(
        kind=spec.kind,
        status=RunStatus.QUEUED,
        spec=pinned,
        spec_digest=digest,
        strategy_digest=strategy.digest,
        dataset=dataset,
        requested_by=actor,
        reason=reason,
        priority=priority,
        queued_at=at,
        **_bound_to(tested),
    )
    idempotency.remember(actor, idempotency_key, request, run.public_id)
    audit.record(
        "backtests.run.queued", run, actor=actor, reason=reason, at=at,
        after={
            "status": RunStatus.QUEUED, "spec_digest": digest, "dataset_digest": dataset.digest,
            "priority": priority,
        } | ({"tested_version": str(tested.version_id)} if tested else {}),
    )  # fmt: skip
    transaction.on_commit(lambda: tasks.publish_run(run.public_id))
    return run


def _tested(spec: RunSpec) -> "RegisteredStrategy | None":
    """Return the registered version whose file is the strategy; None for any other strategy."""
    if isinstance(spec.strategy, str) and spec.strategy.startswith(REGISTERED):
        return get_registered(spec.strategy, within="strategy")
    return None


def _bound_to(tested: "RegisteredStrategy | None") -> dict[str, Any]:
    """Return the columns that say for which version a run speaks."""
    if tested is None:
        return {}
    return {
        "tested_version": tested.version_id, "tested_digest": tested.digest,
        "tested_name": tested.name,
    }  # fmt: skip


@transaction.atomic(durable=True)
def reproduce_run(*, run_id: UUID, actor: User, at: datetime, reason: str = "") -> Run:
    """Queue a finished run once more, to compare every byte of what comes out.

    Raises
    ------
    Forbidden
        The actor may not queue runs (403).
    NotFound
        There is no such run (404).
    Conflict
        The run has no result to compare with (409).
    TooMuch
        The actor has as many runs queued or running as one may have (429).
    """
    roles.require(actor, "runs:write")
    _require_room(actor)
    original = selectors.get_run(run_id)
    original = original.reproduces or original
    if not original.result_digest:
        raise Conflict(f"The run is {original.status}; only one with a result can be reproduced.")
    run = Run.objects.create(
        kind=RunKind.REPRODUCTION,
        status=RunStatus.QUEUED,
        spec=original.spec,
        spec_digest=original.spec_digest,
        strategy_digest=original.strategy_digest,
        dataset=original.dataset,
        reproduces=original,
        requested_by=actor,
        reason=reason,
        queued_at=at,
        tested_version=original.tested_version,
        tested_digest=original.tested_digest,
        tested_name=original.tested_name,
    )
    audit.record(
        "backtests.run.queued", run, actor=actor, reason=reason, at=at,
        after={"status": RunStatus.QUEUED, "reproduces": str(original.public_id)},
    )  # fmt: skip
    transaction.on_commit(lambda: tasks.publish_run(run.public_id))
    return run


def _require_room(actor: User) -> None:
    """Refuse to queue more for somebody who has as much in the queue as one may have.

    Requests of one user wait for each other here, so that two at once do not both find room.
    """
    User.objects.select_for_update(no_key=True).get(pk=actor.pk)
    most = settings.RUN_MAX_ACTIVE_PER_USER
    if Run.objects.active().filter(requested_by=actor).count() >= most:
        raise TooMuch(
            f"You have {most} runs queued or running, as many as one may have; wait for one to "
            "end, or cancel one."
        )


def estimate_run(*, document: Mapping[str, Any], actor: User) -> "selectors.Estimate":
    """Check a spec as `queue_run` does, queue nothing, and return what it is estimated to take.

    Raises
    ------
    Forbidden, InvalidInput, NotFound
        As `queue_run`.
    """
    roles.require(actor, "runs:write")
    spec = selectors.complete_replay(documents.parse(RunSpec, document))
    strategy = get_spec(spec.strategy, within="strategy")
    dataset = selectors.resolve_dataset(spec.dataset)
    pinned = _pinned(spec, strategy.model_dump(mode="json"), dataset)
    if spec.replay is not None:
        return selectors.estimate_replay(spec.replay)
    if spec.kind == RunKind.BACKTEST:
        return selectors.Estimate(1, 1.0, selectors.seconds_of_trial(dataset.n_rows), False)
    return selectors.estimate_study(pinned, dataset)


def _request_digest(
    spec: RunSpec, strategy: "StrategySpec", reason: str, priority: Priority,
    tested: "RegisteredStrategy | None",
) -> str:  # fmt: skip
    """Name a request by what was asked, not by the data of the moment.

    A client that asks again after a new version of the dataset arrived gets its first run.
    """
    asked = spec.document() | {"strategy": strategy.model_dump(mode="json")}
    # the usual priority is left out, so that keys from before there were any still hold
    more: dict[str, str] = {} if priority == Priority.NORMAL else {"priority": priority}
    more |= {"tested_version": str(tested.version_id)} if tested else {}
    return canonical.digest({"verb": "queue_run", "spec": asked, "reason": reason, **more})


def _pinned(spec: RunSpec, strategy: dict[str, Any], dataset: Dataset) -> dict[str, Any]:
    """Check a spec against its data and return the document that is stored."""
    if spec.replay is not None:
        jobs.check_replay(spec, selectors.most_periods(spec.replay))
        return spec.document()
    selectors.check_market(spec, strategy, dataset)
    document = spec.document()
    document["dataset"] = f"{dataset.name}@sha256:{dataset.digest}"
    document["strategy"] = strategy
    if spec.benchmark:
        document["benchmark"] = selectors.check_benchmark(spec).reference
    if spec.comparison is not None:
        for label, one in spec.comparison.strategies.items():
            found = get_spec(one, within=f"comparison.strategies.{label}")
            document["comparison"]["strategies"][label] = found.model_dump(mode="json")
            selectors.check_market(spec, document["comparison"]["strategies"][label], dataset)
    if spec.kind != RunKind.BACKTEST:
        document = selectors.check_search(document, dataset)
        jobs.check_folds(spec, dataset)
    return document


@transaction.atomic(durable=True)
def cancel_run(*, run_id: UUID, actor: User, at: datetime, reason: str = "") -> Run:
    """Stop a run: one that waits ends at once, a running one at its next slice of work.

    Asking twice changes nothing.

    Raises
    ------
    Forbidden
        The actor may not, or it is another's run and the actor only a researcher (403).
    NotFound
        There is no such run (404).
    IllegalTransition
        The run is over (409).
    """
    roles.require(actor, "runs:write")
    run = selectors.get_run(run_id, lock=True)
    _require_own(run, actor)
    is_asked = run.cancel_requested_at is not None and run.status == RunStatus.RUNNING
    if is_asked and not run.waits_for_chunks:
        return run
    RUNS.check(RunStatus(run.status), RunStatus.CANCELLED)
    run.cancel_requested_at = at
    before = run.status
    if run.status == RunStatus.QUEUED or run.waits_for_chunks:
        run.status, run.finished_at, run.waits_for_chunks = RunStatus.CANCELLED, at, False
        queued = run.chunks.filter(status=ChunkStatus.QUEUED)
        queued.update(status=ChunkStatus.CANCELLED)
    run.save(
        update_fields=[
            "status", "finished_at", "cancel_requested_at", "waits_for_chunks", "updated_at",
        ]
    )  # fmt: skip
    verb = "cancelled" if run.status == RunStatus.CANCELLED else "cancel_requested"
    audit.record(
        f"backtests.run.{verb}", run, actor=actor, at=at, reason=reason,
        before={"status": before}, after={"status": run.status},
    )  # fmt: skip
    return run


def _require_own(run: Run, actor: User, verb: str = "cancel") -> None:
    """Let a researcher stop their own runs only; operators, validators and admins any."""
    if run.requested_by_id != actor.pk and not roles.roles_of(actor) & IN_CHARGE:
        raise Forbidden(f"A researcher may only {verb} their own runs; ask an operator.")


def _require_priority(actor: User, priority: Priority) -> None:
    """Leave it to operators and admins to put anything before the work of others."""
    if priority == Priority.HIGH:
        roles.require(actor, "runs:operate")


@transaction.atomic(durable=True)
def prioritize_run(
    *, run_id: UUID, priority: Priority, actor: User, at: datetime, reason: str = ""
) -> Run:
    """Give a study another share of the workers, from its next chunk on.

    Anybody may make their own runs low or normal again; high is for operators and admins.

    Raises
    ------
    Forbidden
        The actor may not, or it is another's run and the actor only a researcher (403).
    NotFound
        There is no such run (404).
    Conflict
        The run is over (409).
    """
    roles.require(actor, "runs:write")
    _require_priority(actor, priority)
    run = selectors.get_run(run_id, lock=True)
    _require_own(run, actor, "prioritize")
    if run.priority == Priority.HIGH:  # what an operator has raised, an operator lowers
        roles.require(actor, "runs:operate")
    if run.status in RUNS.terminal:
        raise Conflict(f"The run is {run.status}; its priority is of no account any more.")
    before, run.priority = run.priority, priority
    if before != priority:
        run.save(update_fields=["priority", "updated_at"])
        audit.record(
            "backtests.run.prioritized", run, actor=actor, at=at, reason=reason,
            before={"priority": before}, after={"priority": priority},
        )  # fmt: skip
    return run


@transaction.atomic(durable=True)
def keep_run(*, run_id: UUID, is_kept: bool, actor: User, at: datetime, reason: str) -> Run:
    """Keep the artefacts of a run for ever, or leave them to the retention policy again.

    What somebody else keeps, only an operator or admin releases: it may be evidence.

    Raises
    ------
    Forbidden
        The actor may not, it is another's run and the actor only a researcher, or another keeps
        it (403).
    NotFound
        There is no such run (404).
    InvalidInput
        No reason was given (422).
    Gone
        Its artefacts were removed (410).
    """
    roles.require(actor, "runs:write")
    if not reason.strip():
        raise InvalidInput("Say why: a reason is kept with what is kept for ever, or no longer.")
    run = selectors.get_run(run_id, lock=True)
    _require_own(run, actor, "keep")
    selectors.require_artifacts(run)
    before, run.is_kept = run.is_kept, is_kept
    is_operator = "runs:operate" in roles.grants(actor)
    is_anothers = before and run.kept_by_id != actor.pk
    if is_anothers and not is_kept and not is_operator:
        raise Forbidden("Somebody else keeps this run; ask an operator to release it.")
    if before != is_kept or (is_anothers and is_operator):
        run.kept_by = actor if is_kept else None
        run.save(update_fields=["is_kept", "kept_by", "updated_at"])
        verb = "kept" if is_kept else "released"
        audit.record(
            f"backtests.run.{verb}", run, actor=actor, at=at, reason=reason,
            before={"is_kept": before}, after={"is_kept": is_kept},
        )  # fmt: skip
    return run


def prune_artifacts(
    *, actor: User, at: datetime, reason: str, is_dry: bool = False
) -> "jobs.Pruned":
    """Remove the artefacts that the retention policy no longer keeps, each run with its entry.

    Not one transaction but one a run: the store cannot take back what it removed.

    Raises
    ------
    Forbidden
        The actor may not (403).
    InvalidInput
        No reason was given (422).
    Unavailable
        The store does not answer; what was removed until then is recorded (503).
    """
    roles.require(actor, "runs:operate")
    if not is_dry and not reason.strip():
        raise InvalidInput("Say why: a reason is kept with every run whose files are removed.")
    return jobs.prune_artifacts(at=at, actor=actor, reason=reason, is_dry=is_dry)


def collect_files(*, actor: User, at: datetime, reason: str, is_dry: bool = False) -> "Collected":
    """Remove files of models that nobody registered, unless a run or a dataset needs them.

    Raises
    ------
    Forbidden, InvalidInput, Unavailable
        As `registry.services.collect_files`.
    """
    return registry.collect_files(
        actor=actor, at=at, reason=reason, in_use=jobs.referred_to, is_dry=is_dry
    )


@transaction.atomic(durable=True)
def move_dataset(
    *, dataset_id: UUID, to: DatasetStatus, actor: User, at: datetime, reason: str
) -> Dataset:
    """Take a dataset version out of use, or back into it; past runs keep their data.

    Raises
    ------
    Forbidden
        The actor may not change datasets (403).
    NotFound
        There is no such dataset (404).
    IllegalTransition, StaleState
        The lifecycle has no such move, or somebody else was first (409).
    InvalidInput
        No reason was given (422).
    """
    roles.require(actor, "datasets:write")
    if not reason.strip():
        raise InvalidInput("Say why: a reason is kept with every move of a dataset.")
    dataset = selectors.get_dataset(dataset_id)
    before = DatasetStatus(dataset.status)
    if before == DatasetStatus.IMPORTING or to not in DATASET_VERBS:
        raise IllegalTransition(f"A dataset that is {before} cannot be made {to} by hand.")
    DATASETS.check(before, to)
    if not Dataset.objects.filter(pk=dataset.pk, status=before).update(status=to, updated_at=at):
        raise StaleState(f"Dataset {dataset} has left {before}.")
    audit.record(
        f"backtests.dataset.{DATASET_VERBS[to]}", dataset, actor=actor, at=at, reason=reason,
        before={"status": before}, after={"status": to},
    )  # fmt: skip
    dataset.refresh_from_db()
    return dataset


@transaction.atomic(durable=True)
def request_import(
    *,
    name: str,
    source_name: str,
    source_artifact: str,
    options: Mapping[str, Any],
    actor: User,
    at: datetime,
    idempotency_key: str = "",
) -> Dataset:
    """Queue the import of an uploaded file as the next version of a dataset.

    Raises
    ------
    Forbidden
        The actor may not import (403).
    InvalidInput
        The name or an option is wrong (422).
    DuplicateRequest
        The idempotency key was used for another upload (409).
    """
    roles.require(actor, "datasets:write")
    checked = selectors.check_import(name, options)
    digest = canonical.digest(
        {"verb": "import", "name": name, "source": source_artifact, "options": checked}
    )
    if earlier := idempotency.recall(actor, idempotency_key, digest):
        return Dataset.objects.get(public_id=earlier)
    dataset = Dataset.objects.create(
        name=name,
        status=DatasetStatus.IMPORTING,
        source_name=source_name,
        source_artifact=source_artifact,
        options=checked,
        imported_by=actor,
    )
    idempotency.remember(actor, idempotency_key, digest, dataset.public_id)
    audit.record(
        "backtests.dataset.uploaded", dataset, actor=actor, at=at,
        after={"name": name, "source_name": source_name, "source": source_artifact},
    )  # fmt: skip
    transaction.on_commit(lambda: tasks.publish_import(dataset.public_id))
    return dataset
