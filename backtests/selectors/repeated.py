"""The experiment of a replay on resampled histories, in words: its false alarms, or its power."""

from collections.abc import Mapping
from typing import Any


def write_false_alarms(found: Mapping[str, Any]) -> str:
    """Return how many experiments without a difference had a winner."""
    again = found.get("repeated")
    if again is None:
        return (
            "No false alarms were counted: this replay is from before experiments were repeated on "
            "resampled histories. Queue its spec again."
        )
    counted = f"{again['n_winners']:,} of {again['n']:,} experiments without a difference"
    judged = "more than the plan allows" if is_beyond(again) else "as the plan allows"
    return (
        f"{counted} had a winner: {_rate(again)} false alarms, {judged} "
        f"({_percent(again['allowed'])})."
    )


def is_beyond(again: Mapping[str, Any]) -> bool:
    """Whether false alarms are more than allowed, beyond what chance makes of so few."""
    return bool(again["lower"] > again["allowed"])


def _rate(share: Mapping[str, Any]) -> str:
    """Return a share of experiments with its exact interval."""
    lower, upper = _percent(share["lower"]), _percent(share["upper"])
    return f"{_percent(share['share'])} ({lower} to {upper})"


def describe_repeated(found: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return how the experiment ends on resampled histories, as a table with its note."""
    again = found.get("repeated")
    if again is None:
        return None
    mean = again["mean_periods"]
    return {
        "is_centered": found["is_centered"],
        "sentence": _repeated_sentence(found),
        "rows": [
            {"arm": row["arm"], "is_control": row["arm"] == found["control"],
             "n": f"{row['n_winners']:,}", "share": _percent(row["share"]),
             "share_exact": repr(row["share"]), "error": _percent(row["error"]),
             "interval": f"{_percent(row['lower'])} to {_percent(row['upper'])}"}
            for row in again["winners"]
        ],
        "n": f"{again['n']:,}", "horizon": f"{again['horizon']:,}",
        "block": f"{again['mean_block']:.1f}",
        "mean_periods": "–" if mean is None else f"{mean:,.0f}",
        "n_no_difference": f"{again['n_no_difference']:,}",
        "n_not_computed": again["n_not_computed"],
    }  # fmt: skip


def _repeated_sentence(found: Mapping[str, Any]) -> str:
    """Return in words how the experiment ends on resampled histories."""
    again = found["repeated"]
    if found["is_centered"]:
        said = write_false_alarms(found)
    else:
        said = (
            f"If the differences are those of this history, {_rate(again)} of such experiments "
            "find a winner."
        )
    if again["mean_periods"] is None:
        return said
    periods = f"{again['mean_periods']:,.0f} of {again['horizon']:,} periods"
    return f"{said} On average one takes {periods}, with an answer or without."


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
