"""The policies of a replay regime by regime: what each earned and where its capital was."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backtests.selectors.figures import write_share, write_signed


@dataclass(frozen=True)
class Regimes:
    """The content of the table of regimes.

    Attributes
    ----------
    by : str
        The feature that tells them apart.
    rows : list of dict
        A policy in a regime, as text with the exact values.
    note : str
    """

    by: str
    rows: list[dict[str, Any]]
    note: str


def describe_regimes(found: Mapping[str, Any]) -> Regimes | None:
    """Return the policies of a replay regime by regime; None of one without features."""
    regimes = found.get("regimes")
    if regimes is None:
        return None
    labels = [arm["arm"] for arm in found["arms"]]
    rows = [
        _row(regime, policy["name"], policy["by_regime"][number], labels, is_first=not at)
        for number, regime in enumerate(regimes["rows"])
        for at, policy in enumerate(found["policies"])
        if regime["n_periods"]
    ]
    return Regimes(regimes["by"], rows, _note(found))


def _row(
    regime: Mapping[str, Any], policy: str, figures: Mapping[str, Any], labels: list[str], *,
    is_first: bool,
) -> dict[str, Any]:  # fmt: skip
    totals = sorted(zip(regime["totals"], labels, strict=True), reverse=True)
    shares = sorted(zip(figures["shares"] or [], labels, strict=False), reverse=True)
    return {
        "regime": regime["regime"], "is_first": is_first, "policy": policy,
        "n_periods": f"{regime['n_periods']:,}",
        "best": f"{totals[0][1]} {write_signed(totals[0][0])}",
        **{f"{name}_exact": repr(figures[name]) for name in ("gain", "regret", "happened_gain")},
        "gain": write_signed(figures["gain"]), "gain_error": write_share(figures["gain_error"]),
        "regret": write_share(figures["regret"]),
        "regret_error": write_share(figures["regret_error"]),
        "happened": write_signed(figures["happened_gain"]),
        "shares": ", ".join(f"{label} {share:.0%}" for share, label in shares[:3]),
    }  # fmt: skip


def _note(found: Mapping[str, Any]) -> str:
    unknown = [
        f"{row['feature']} of {row['n_unknown']:,}"
        for row in found["regimes"]["features"] if row["n_unknown"]
    ]  # fmt: skip
    said = (
        "Regimes are told apart after the fact; policies see the features alone, as known when a "
        "period begins. Means over resampled histories, in which a period keeps its features; "
        "regret is to the arm that was the best in that regime. A period that is drawn twice is "
        "learned twice: as it happened is without that."
    )
    return f"{said} Not known at the beginning: {', '.join(unknown)} periods." if unknown else said


def regime_values(found: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """Return the policies regime by regime as programs read them; None without features."""
    regimes = found.get("regimes")
    if regimes is None:
        return None
    labels = [arm["arm"] for arm in found["arms"]]
    return [
        {
            "regime": regime["regime"], "n_periods": regime["n_periods"],
            "totals": dict(zip(labels, regime["totals"], strict=True)),
            "policies": [
                {"name": policy["name"], **policy["by_regime"][number]}
                | {"shares": _shares(policy["by_regime"][number]["shares"], labels)}
                for policy in found["policies"]
            ],
        }
        for number, regime in enumerate(regimes["rows"])
    ]  # fmt: skip


def _shares(shares: list[float] | None, labels: list[str]) -> dict[str, float] | None:
    return None if shares is None else dict(zip(labels, shares, strict=True))


def write_regimes(shown: Regimes) -> list[str]:
    """Return the policies regime by regime as an aligned table for the command line."""
    head = (shown.by, "periods", "policy", "vs equal shares", "regret", "as it happened")
    rows = [head] + [
        (row["regime"], row["n_periods"], row["policy"],
         f"{row['gain']} ± {row['gain_error']}", f"{row['regret']} ± {row['regret_error']}",
         row["happened"])
        for row in shown.rows
    ]  # fmt: skip
    widths = [max(len(row[at]) for row in rows) for at in range(len(head))]
    return [
        "  ".join(
            cell.ljust(width) if at in (0, 2) else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
