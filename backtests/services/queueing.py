"""Runs are asked for: checked, pinned to their data, written, and handed to the workers."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import User
from django.db import transaction

from backtests import jobs, selectors, tasks
from backtests.lifecycle import Priority, RunKind, RunStatus
from backtests.models import Dataset, Run
from backtests.runspec import RunSpec
from backtests.services.steps import require_priority, require_room
from crowetrade_site.core import audit, canonical, idempotency, roles
from registry import services as registry
from strategies.selectors import REGISTERED, get_registered, get_spec

if TYPE_CHECKING:
    from strategies.pipeline.spec import StrategySpec
    from strategies.selectors import RegisteredStrategy


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
    require_priority(actor, priority)
    spec = selectors.complete_replay(selectors.parse_spec(document))
    tested = _tested(spec)
    strategy = tested.spec if tested else get_spec(spec.strategy, within="strategy")
    request = _request_digest(spec, strategy, reason, priority, tested)
    if earlier := idempotency.recall(actor, idempotency_key, request):
        return Run.objects.with_dataset().get(public_id=earlier)
    require_room(actor)
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


def estimate_run(*, document: Mapping[str, Any], actor: User) -> "selectors.Estimate":
    """Check a spec as `queue_run` does, queue nothing, and return what it is estimated to take.

    Raises
    ------
    Forbidden, InvalidInput, NotFound
        As `queue_run`.
    """
    roles.require(actor, "runs:write")
    spec = selectors.complete_replay(selectors.parse_spec(document))
    strategy = get_spec(spec.strategy, within="strategy")
    dataset = selectors.resolve_dataset(spec.dataset)
    pinned = _pinned(spec, strategy.model_dump(mode="json"), dataset)
    if spec.replay is not None:
        return selectors.estimate_replay(spec.replay)
    if spec.kind == RunKind.BACKTEST:
        return selectors.Estimate(1, 1.0, selectors.seconds_of_trial(dataset.n_rows), False)
    return selectors.estimate_study(pinned, dataset)


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
