"""Questions about runs."""

import re
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import CharField, Count
from django.db.models.functions import Cast

from backtests.lifecycle import OF_A_RUN, RunKind, RunStatus
from backtests.models import Run
from backtests.querysets import RunQuerySet
from backtests.selectors.progress import is_study, kind_of, unit_of_progress
from crowetrade_site.core.errors import Conflict, DomainError, Gone, InvalidInput, NotFound
from registry import selectors as registry

if TYPE_CHECKING:
    from registry.models import Evidence, ModelVersion

MOST_NAMED = 3
MOST_REPRODUCTIONS = 10
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
    if kind_of(run) == RunKind.REPLAY:
        return _describe_replay(run)
    signals = "+".join(signal["kind"] for signal in run.spec["strategy"]["signals"])
    words = f"{signals.replace('_', ' ')} on {run.dataset.name}"
    again = {
        RunKind.REPRODUCTION.value: "reproduction of ",
        RunKind.CAUSALITY_CHECK.value: "causality check of ",
    }.get(run.kind, "")
    if not is_study(run):
        return again + words
    kept = run.summary.get("study") or {}
    planned = run.progress_total if unit_of_progress(run) == "trials" else 0
    n_trials = kept.get("n_trials") or planned
    plural = "" if n_trials == 1 else "s"
    trials = f", {n_trials:,} trial{plural}" if n_trials else ""
    return f"{again}{RunKind(kind_of(run)).words} of {words}{trials}"


def _describe_replay(run: Run) -> str:
    """Return whose returns a run replays, the control first."""
    section = run.spec["replay"]
    control = section["control"]
    others = sorted(label for label in section["runs"] if label != control)
    shown = ", ".join(others[:MOST_NAMED]) + (" and others" if len(others) > MOST_NAMED else "")
    again = "reproduction of " if run.kind == RunKind.REPRODUCTION else ""
    return f"{again}{'A/A ' if section['aa'] else ''}replay of {control} and {shown}"


def why_not_checked(run: Run) -> DomainError | None:
    """Return why nobody can check whether a run looks ahead; None where one can."""
    if run.kind != RunKind.BACKTEST:
        return InvalidInput(
            f"A {RunKind(run.kind).words} cannot be checked for causality, a backtest can: what is "
            "chosen by a search may change with all the bars it was searched on. Check a backtest "
            "of the strategy."
        )
    if run.status != RunStatus.SUCCEEDED:
        return Conflict(f"The run is {run.status}; only a backtest that succeeded can be checked.")
    return None


def list_reproductions(run: Run) -> list[tuple[Run, str]]:
    """Return the newest runs that compute a run again or check it, each with what came of it."""
    if not run.result_digest:
        return []  # nothing there is to compare with
    rows = Run.objects.filter(kind__in=sorted(OF_A_RUN), reproduces=run)
    rows = rows.defer("spec", "artifacts", "environment")
    newest = rows.order_by("-created_at", "-id")[:MOST_REPRODUCTIONS]
    return [(again, _outcome(again)) for again in newest]


def _outcome(reproduction: Run) -> str:
    """Return whether a reproduction came to the same bytes, or how far it is; so of a check."""
    if reproduction.kind == RunKind.CAUSALITY_CHECK:
        return _outcome_of_check(reproduction)
    found = reproduction.summary.get("reproduction")
    if not found:
        return f"reproduction {reproduction.status}"
    return "reproduced, identical" if found["is_identical"] else "reproduced, not identical"


def _outcome_of_check(check: Run) -> str:
    if "reproduction" in check.summary:
        return "checked, comes out other than it was recorded"
    if not (found := check.summary.get("causality")):
        return f"causality check {check.status}"
    n = f"{found['n_cuts']} cuts"
    if found["n_differing"]:
        return f"looks ahead at {found['n_differing']} of {n}"
    if not found["n_responding"]:
        return f"checked, tested nothing: no other bars changed anything at any of {n}"
    return f"checked, no look-ahead found at any of {n}"


def list_evidence_of(run: Run) -> list["Evidence"]:
    """Return what the registry has taken over from a run, as it stands now."""
    if run.tested_version is None:
        return []
    rows = registry.list_evidence().filter(source=f"backtests.run:{run.public_id}")
    return list(rows.order_by("kind"))


def evidence_state(run: Run, *, has_pieces: bool) -> str:
    """Return where the evidence of a run is that speaks for a registered version."""
    if run.evidence_at is not None:
        kept = "handed in" if has_pieces else "none"
        return "refused" if run.evidence_problem else kept
    if has_findings(run):
        return "due"
    return "to come" if run.finished_at is None else "none"


def has_findings(run: Run) -> bool:
    """Say whether a run measured something: `querysets.HAS_FINDINGS` of one row."""
    is_of_a_run = run.kind in OF_A_RUN
    has_failed = run.status == RunStatus.FAILED and is_of_a_run and bool(run.result_digest)
    return run.status == RunStatus.SUCCEEDED or has_failed


def find_tested_version(run: Run) -> "ModelVersion | None":
    """Return the registered version that a run speaks for; None if it speaks for none."""
    if run.tested_version is None:
        return None
    return registry.list_versions().filter(public_id=run.tested_version).first()


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
