"""When an account opens, and when its strategy first decides: why two Sharpe ratios differ.

A backtest that names no `start` opens at its strategy's first decision. The trials of a study open
together, at the first bar of the data or of `start`, so that they are compared over the same bars;
one that needs a longer past holds cash until it can decide, and its figures count those bars.
"""

from dataclasses import asdict, dataclass
from typing import Any

from backtests.engine import Result
from backtests.engine.metrics import compute_metrics
from backtests.jobs.artifacts import moment
from backtests.jobs.market import Market
from strategies.pipeline import TargetWeights


@dataclass(frozen=True)
class Opening:
    """When an account opened, and when it was first decided for.

    Attributes
    ----------
    data_from, opened_at, decided_at : str
        Of the data, the account and the first decision: stamps as ISO 8601 in UTC.
    n_bars_before : int
        Bars of the data before the account opened, which are in no figure.
    n_bars_idle : int
        Bars of cash between the opening and the first decision, which all figures count.
    sharpe_from_decision : float or None
        Annual Sharpe ratio from the first decision on, which has none of them; None where there
        are none, or where it cannot be computed.
    """

    data_from: str
    opened_at: str
    decided_at: str
    n_bars_before: int
    n_bars_idle: int
    sharpe_from_decision: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as a document of plain values."""
        return asdict(self)


def opening_of(
    market: Market, composed: TargetWeights, result: Result, periods: float | None
) -> Opening | None:
    """Return when an account opened and was first decided for; None where nothing was decided.

    Parameters
    ----------
    market : Market
        As it was traded.
    result : Result
        Of the weights on this market.
    periods : float, optional
        Bars of a year, by default inferred.
    """
    first = composed.first_decision
    if first is None:
        return None
    ts, idle = market.panel.ts, max(0, first - market.start)
    sharpe = None
    if 0 < idle < result.ts.size - 1:
        later = compute_metrics(result.equity[idle:], result.ts[idle:], periods_per_year=periods)
        sharpe = later["sharpe"].value
    return Opening(
        data_from=moment(int(ts[0])), opened_at=moment(int(ts[market.start])),
        decided_at=moment(int(ts[first])), n_bars_before=market.start, n_bars_idle=idle,
        sharpe_from_decision=sharpe,
    )  # fmt: skip
