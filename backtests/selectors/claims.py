"""What must stand beside every figure of a study's best: of how many trials it is the best."""

from collections.abc import Mapping
from typing import Any

from backtests.lifecycle import RunKind
from backtests.models import Run
from backtests.selectors.progress import kind_of


def claim_of(run: Run) -> str:
    """Return what stands beside a figure of what a study shows, such as ``best of 12 trials``.

    What a walk-forward shows is out of sample; still it says among how many each fold chose.
    """
    kept = run.summary.get("study") or {}
    if is_out_of_sample(run):
        return f"out of sample, chosen among {write_trials(kept['n_trials'])}"
    return best_of(run)


def best_of(run: Run) -> str:
    """Return of how many trials the best is the best; empty where there is none.

    Where folds look out of sample it says that the best is in sample.
    """
    kept = run.summary.get("study") or {}
    is_known = bool(kept.get("leaders")) and "n_trials" in kept
    return in_sample(run, f"best of {write_trials(kept['n_trials'])}") if is_known else ""


def in_sample(run: Run, claim: str) -> str:
    """Return a claim of a study's best, in front of it that it is in sample if others are not."""
    return f"in sample, {claim}" if has_folds(run) else claim


def has_folds(run: Run) -> bool:
    """Return whether a study chooses on one part of time and tries on another."""
    return kind_of(run) in {RunKind.WALK_FORWARD, RunKind.CROSS_VALIDATION}


def is_out_of_sample(run: Run) -> bool:
    """Whether the account that is shown follows the choices of the folds."""
    kept = run.summary.get("study") or {}
    return kind_of(run) == RunKind.WALK_FORWARD and bool(kept.get("walk")) and "n_trials" in kept


def title_of_sheet(run: Run, best: Mapping[str, Any] | None) -> str:
    """Return whose the tear sheet of a study is."""
    if is_out_of_sample(run):
        return "Account of the choices of all folds"
    return f"Tear sheet of trial {best['number']}" if best else ""


def write_trials(n: int) -> str:
    """Return a number of trials."""
    return f"{n:,} trial{'' if n == 1 else 's'}"


def headline_of(run: Run, best: Mapping[str, Any] | None) -> str:
    """Return the claim of a study's best as a sentence."""
    kept = run.summary.get("study") or {}
    if "n_trials" not in kept:
        return ""
    if best is None:
        return f"None of {write_trials(kept['n_trials'])} is feasible"
    said = in_sample(run, f"best of {write_trials(kept['n_trials'])}")
    return f"{said[0].upper()}{said[1:]} ({kept.get('n_infeasible', 0):,} infeasible)"


def ledger_of(kept: Mapping[str, Any]) -> str:
    """Return how many trials were ever made on the same data."""
    counted = kept.get("ledger")
    if not counted:
        return ""
    n = counted["n_on_this_data"]
    verb = "was" if n == 1 else "were"
    return (
        f"{write_trials(n)} {verb} ever made on this data, "
        f"{counted['n_of_this_family']:,} of this strategy family"
    )
