"""What the tests over cash and over a benchmark decide, as sentences and as rows of a table."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backtests.models import Run
from backtests.selectors.figures import write_ratio
from backtests.selectors.selection import list_statistics

LABELS = {
    "excess_sharpe": "Sharpe ratio of the excess return",
    "probabilistic_sharpe": "Probabilistic Sharpe ratio",
    "p_value": "p-value, no search",
    "adjusted_p_value": "p-value, all trials counted",
    "bootstrap_p_value": "p-value by the block bootstrap, no search",
}


@dataclass(frozen=True)
class Verdict:
    """Whether an account earns more than something else.

    Attributes
    ----------
    rival : str
        "cash", or the name of the benchmark.
    is_accepted : bool or None
        None where it is not computed.
    text : str
        The decision with its figures, in a sentence.
    rows : list of dict
        Label, text, reason and meaning of each figure.
    """

    rival: str
    is_accepted: bool | None
    text: str
    rows: list[dict[str, Any]]


def of_best(kept: Mapping[str, Any]) -> Verdict | None:
    """Return whether the best trial beats the benchmark; None where none is named."""
    found = kept.get("excess") or {}
    return _verdict("the best", found["benchmark"], found["best"]) if found.get("best") else None


def of_outside(kept: Mapping[str, Any]) -> list[Verdict]:
    """Return whether a walk-forward's account beats cash, and the benchmark if one is named."""
    found = kept.get("excess") or {}
    tested = found.get("outside") or {}
    names = {"cash": "cash", "benchmark": found.get("benchmark")}
    return [
        _verdict("the account", name, tested[rival])
        for rival, name in names.items()
        if name and rival in tested
    ]


def note_of(run: Run) -> str:
    """Return what makes a comparison with the benchmark worth less; empty where nothing does."""
    caveats = run.summary.get("caveats") or []
    return " ".join(one["text"] for one in caveats if one["code"].startswith("benchmark_"))


def _verdict(subject: str, rival: str, report: Mapping[str, Any]) -> Verdict:
    accepted = report.get("is_accepted")
    text = f"Against {rival} {_decision(subject, rival, report)}."
    return Verdict(rival, accepted, text, list_statistics(report, LABELS))


def _decision(subject: str, rival: str, report: Mapping[str, Any]) -> str:
    figures = report.get("figures") or {}
    reason = report.get("reason") or figures["adjusted_p_value"]["reason"]
    if reason:
        return f"nothing is decided: {reason}"
    verb = "passes" if report["is_accepted"] else "does not pass"
    earned = "return" if rival == "cash" else "excess return"
    n, p = report["n_trials"], figures["adjusted_p_value"]["value"]
    said = (
        f"{subject} {verb}: its {earned} has a Sharpe ratio of "
        f"{write_ratio(figures['excess_sharpe']['value'])}, p = {p:.3g}"
    )
    said += f" with all {n:,} trials counted" if n > 1 else ""
    bootstrap = figures["bootstrap_p_value"]["value"]
    if bootstrap is None:
        return said
    return f"{said} ({bootstrap:.3g} by the bootstrap{', no search' if n > 1 else ''})"
