"""Questions about runs."""

import re
from typing import Any
from uuid import UUID

from django.db.models import CharField, Count
from django.db.models.functions import Cast

from backtests.lifecycle import RunKind, RunStatus
from backtests.models import Run
from backtests.querysets import RunQuerySet
from backtests.selectors.progress import is_study, kind_of, unit_of_progress
from crowetrade_site.core.errors import Gone, InvalidInput, NotFound

ID_START = re.compile(r"[0-9a-fA-F-]{4,36}")


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


def find_run(prefix: str) -> Run:
    """Return the run whose id begins like this, as lists and pages show it.

    Raises
    ------
    NotFound
        None does (404).
    InvalidInput
        Several do, or it is no part of an id (422).
    """
    if not ID_START.fullmatch(prefix):
        raise InvalidInput(f"{prefix!r} is no run's id, nor the beginning of one.")
    runs = Run.objects.with_dataset().annotate(text=Cast("public_id", CharField()))
    found = list(runs.filter(text__startswith=prefix.lower())[:2])
    if not found:
        raise NotFound(f"There is no run {prefix}.")
    if len(found) > 1:
        raise InvalidInput(f"Several runs begin with {prefix}; write more of the id.")
    return found[0]


def describe_run(run: Run) -> str:
    """Return what a run computes in a few words, such as ``momentum on us-closes``.

    Of a study also its kind and its trials: ``sweep of momentum on us-closes, 4,186 trials``.
    """
    signals = "+".join(signal["kind"] for signal in run.spec["strategy"]["signals"])
    words = f"{signals.replace('_', ' ')} on {run.dataset.name}"
    again = "reproduction of " if run.kind == RunKind.REPRODUCTION else ""
    if not is_study(run):
        return again + words
    kept = run.summary.get("study") or {}
    planned = run.progress_total if unit_of_progress(run) == "trials" else 0
    n_trials = kept.get("n_trials") or planned
    plural = "" if n_trials == 1 else "s"
    trials = f", {n_trials:,} trial{plural}" if n_trials else ""
    return f"{again}{kind_of(run).replace('_', ' ')} of {words}{trials}"


def require_artifacts(run: Run) -> None:
    """Refuse to look for files that the retention policy took away.

    Raises
    ------
    Gone
        They were removed (410).
    """
    if run.artifacts_expired_at is not None:
        raise Gone(
            f"The artefacts of this run were removed on {run.artifacts_expired_at:%Y-%m-%d}. What "
            "it found is kept in its row; reproduce it to have the files again."
        )


def list_artifacts(run: Run) -> list[dict[str, Any]]:
    """Return name, digest and size of each file a run left behind.

    Raises
    ------
    Gone
        They were removed (410).
    """
    require_artifacts(run)
    return [
        {"name": name, "digest": entry["digest"], "bytes": entry["bytes"]}
        for name, entry in sorted(run.artifacts.items())
    ]


def get_artifact(run: Run, name: str) -> str:
    """Return the digest of one of a run's files.

    Raises
    ------
    NotFound
        The run has none of this name (404).
    Gone
        They were removed (410).
    """
    require_artifacts(run)
    if name not in run.artifacts:
        there = ", ".join(sorted(run.artifacts)) or f"none, it is {run.status}"
        raise NotFound(f"This run has no artefact {name!r}; there are: {there}.")
    return str(run.artifacts[name]["digest"])


def count_runs_by_status() -> dict[str, int]:
    """Return how many runs are in each status, those with none included."""
    counted = Run.objects.values_list("status").annotate(n=Count("pk")).order_by()
    return {status.value: 0 for status in RunStatus} | dict(counted)
