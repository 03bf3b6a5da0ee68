"""What a search of a version's file did not hand in as evidence, and why."""

from collections.abc import Iterator, Mapping
from typing import Any

from backtests import search
from backtests.lifecycle import RunKind
from backtests.models import Run

MOST_NAMED = 5


def why_no_deflated_sharpe(run: Run) -> str:
    """Return why a search has no deflated Sharpe ratio for its version; empty where it has one.

    It is that of the best trial, and speaks for the version only if that trial is the file as it
    stands (`jobs.measured`). Empty, too, of what is no search, or is not over.
    """
    study = run.summary.get("study") or {}
    is_search = run.kind != RunKind.COMPARISON and study.get("selection")
    if run.tested_version is None or not is_search or not study.get("leaders"):
        return ""
    figure = study["selection"]["figures"].get("deflated_sharpe") or {}
    if figure.get("value") is None:
        reason = figure.get("reason") or "it was not computed"
        return f"No deflated Sharpe ratio was handed in: {reason.rstrip('.')}."
    best = study["leaders"][0]["parameters"]
    others = list(_differences("", run.spec, search.apply(run.spec, best)))
    if not others:
        return ""
    named = "; ".join(
        f"{path} is {theirs}, not {ours}" for path, ours, theirs in others[:MOST_NAMED]
    )
    more = f"; and {len(others) - MOST_NAMED} more" if len(others) > MOST_NAMED else ""
    return (
        f"No deflated Sharpe ratio was handed in: it is that of the best trial, and the best trial "
        f"is another than {run.tested_name} ({named}{more}). Evidence for that trial needs a "
        "version of its own."
    )


def _differences(place: str, ours: Any, theirs: Any) -> Iterator[tuple[str, Any, Any]]:
    """Give the places where two documents of one shape differ, with both values."""
    if ours == theirs:
        return
    pairs: list[tuple[Any, Any, Any]] = []
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        pairs = [(key, ours.get(key), theirs.get(key)) for key in {**ours, **theirs}]
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = [(i, *pair) for i, pair in enumerate(zip(ours, theirs, strict=True))]
    if not pairs:
        yield place, ours, theirs
    for key, own, other in pairs:
        yield from _differences(f"{place}.{key}" if place else str(key), own, other)
