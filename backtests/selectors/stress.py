"""What the account of a backtest lost under stress, as people read it."""

from typing import Any, NamedTuple

from backtests.models import Run

# Of the figures that a page shows, in its order: what each is.
LABELS = {
    "worst_loss": "largest of all losses",
    "worst_drawdown": "deepest of all drawdowns",
    "worst_1d_loss": "worst day",
    "worst_5d_loss": "worst 5 days",
    "worst_21d_loss": "worst 21 days",
    "worst_markets_loss": "in the market's worst weeks",
    "gap_loss": "every price leaps 10 % against its position",
    "market_gap_loss": "all prices leap 10 % the same way",
    "max_drawdown": "drawdown as it was",
    "volatility_x2_max_drawdown": "drawdown with every return twice as large",
    "spread_x3_max_drawdown": "drawdown with spreads three times as wide",
}


class Week(NamedTuple):
    """One of the market's worst stretches, and what the account did in it."""

    first: str
    last: str
    market: str
    account: str


class Stress(NamedTuple):
    """What a page shows: labels with figures, stretches, and why others have no figure."""

    rows: list[tuple[str, str]]
    weeks: list[Week]
    reasons: list[str]


def get_stress(run: Run) -> Stress | None:
    """Return what a run lost under stress; None where that was not measured."""
    found: dict[str, Any] | None = run.summary.get("stress")
    if not found:
        return None
    figures = found["figures"]
    weeks = [
        Week(one["from"][:10], one["to"][:10], _percent(one["market"]), _percent(one["account"]))
        for one in found["windows"]
    ]
    return Stress(
        [(label, _percent(figures[name])) for name, label in LABELS.items() if name in figures],
        weeks,
        [f"{LABELS[name].capitalize()}: {why}." for name, why in found["reasons"].items()],
    )


def _percent(fraction: float) -> str:
    return f"{100.0 * fraction:.2f} %".replace("-", "−")
