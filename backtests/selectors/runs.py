"""Questions about runs."""

from typing import Any
from uuid import UUID

from django.db.models import Count

from backtests.lifecycle import RunStatus
from backtests.models import Run
from backtests.querysets import RunQuerySet
from crowetrade_site.core.errors import NotFound


def list_runs() -> RunQuerySet:
    """Return every run with its dataset and requester."""
    return Run.objects.with_dataset()


def get_run(run_id: UUID, *, lock: bool = False) -> Run:
    """Return a run.

    Raises
    ------
    NotFound
        There is none of this id (404).
    """
    runs = Run.objects.with_dataset()
    runs = runs.select_for_update(of=("self",)) if lock else runs
    run = runs.filter(public_id=run_id).first()
    if run is None:
        raise NotFound(f"There is no run {run_id}.")
    return run


def list_artifacts(run: Run) -> list[dict[str, Any]]:
    """Return name, digest and size of each file a run left behind."""
    return [{"name": name, **entry} for name, entry in sorted(run.artifacts.items())]


def get_artifact(run: Run, name: str) -> str:
    """Return the digest of one of a run's files.

    Raises
    ------
    NotFound
        The run has none of this name (404).
    """
    if name not in run.artifacts:
        there = ", ".join(sorted(run.artifacts)) or f"none, it is {run.status}"
        raise NotFound(f"This run has no artefact {name!r}; there are: {there}.")
    return str(run.artifacts[name]["digest"])


def count_runs_by_status() -> dict[str, int]:
    """Return how many runs are in each status, those with none included."""
    counted = Run.objects.values_list("status").annotate(n=Count("pk")).order_by()
    return {status.value: 0 for status in RunStatus} | dict(counted)
