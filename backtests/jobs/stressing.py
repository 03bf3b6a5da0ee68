"""What the account of a backtest loses under stress: figures that a gate can bound.

Which shocks these are nobody chooses: the same for every run, by this version of the platform.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtests.engine import Bars, Costs, Result, Targets, simulate
from backtests.jobs.artifacts import moment
from backtests.jobs.lease import Lease
from backtests.jobs.market import Market, adjusted_close
from backtests.jobs.settings import setup_of
from backtests.runspec import RunSpec
from backtests.validation import stress
from backtests.validation.errors import NotComputedError
from strategies.pipeline import TargetWeights

LOSS_DAYS = (1, 5, 21)
MARKET_DAYS, N_WINDOWS = 5, 5
GAP, VOLATILITY, SPREAD = 0.10, 2.0, 3.0
_WIDEST = 0.9  # of a price: the engine takes no half spread that is all of it


@dataclass
class _Found:
    """What was computed, and why the rest was not."""

    figures: dict[str, float] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    windows: list[dict[str, Any]] = field(default_factory=list)

    def put(self, name: str, compute: Callable[[], float]) -> None:
        try:
            self.figures[name] = compute()
        except NotComputedError as missing:
            self.reasons[name] = str(missing)


def stressed(
    spec: RunSpec, market: Market, composed: TargetWeights, result: Result, lease: Lease
) -> dict[str, Any]:
    """Return what the account of a backtest lost, and would have lost, where things go badly.

    Raises
    ------
    Cancelled, LeaseLost
        As `Lease.progress`.
    """
    found = _Found()
    equity, days = result.equity, stress.rows_of_days(result.ts)
    for n in LOSS_DAYS:
        found.put(f"worst_{n}d_loss", lambda n=n: stress.worst_loss(equity[days], n))  # type: ignore[misc] # bound now
    found.put("worst_markets_loss", lambda: _in_worst_markets(market, result, days, found))
    gross, net = result.gross_exposure(), result.net_exposure()
    found.put("gap_loss", lambda: stress.gap_loss(gross, equity, GAP))
    found.put("market_gap_loss", lambda: stress.gap_loss(net, equity, GAP))
    found.put("max_drawdown", lambda: stress.max_drawdown(equity))
    found.put(
        "volatility_x2_max_drawdown",
        lambda: stress.max_drawdown(stress.at_volatility(equity, VOLATILITY)),
    )
    _with_wide_spreads(spec, market, composed, lease, found)
    return {
        "figures": _with_worst(found.figures), "reasons": found.reasons, "windows": found.windows,
    }  # fmt: skip


def _in_worst_markets(
    market: Market, result: Result, days: NDArray[np.intp], found: _Found
) -> float:
    """Return the account's largest loss in the market's worst windows, and note these."""
    closes = adjusted_close(market.panel)[market.start :][days]
    level, equity = stress.market_level(closes), result.equity[days]
    windows = stress.worst_windows(level, n_days=MARKET_DAYS, n_windows=N_WINDOWS)
    held = [one for one in windows if equity[one.first] > 0.0]
    if not held:
        raise NotComputedError("the account had lost everything before")
    found.figures["worst_market_fall"] = -min(one.change for one in held)
    found.windows += [
        {
            "from": moment(int(result.ts[days[one.first]])),
            "to": moment(int(result.ts[days[one.last]])),
            "market": one.change,
            "account": float(equity[one.last] / equity[one.first] - 1.0),
        }
        for one in held
    ]
    return max(0.0, *(-window["account"] for window in found.windows))


def _with_wide_spreads(
    spec: RunSpec, market: Market, composed: TargetWeights, lease: Lease, found: _Found
) -> None:
    """Trade the same weights once more where every spread is three times as wide."""
    setup = setup_of(spec)
    if isinstance(setup.costs.half_spread_bps, str):
        found.reasons["spread_x3_max_drawdown"] = "the half spread is estimated, not stated"
        return
    played = simulate(
        _wide_bars(market.bars()), Targets(composed.weights[market.start :], kind="weights"),
        fills=setup.fills, account=setup.account, costs=_wide_costs(setup.costs),
        on_progress=lease.progress,
    )  # fmt: skip
    found.put("spread_x3_max_drawdown", lambda: stress.max_drawdown(played.equity))
    found.put("spread_x3_return", lambda: float(played.equity[-1] / played.capital - 1.0))


def _wide_bars(bars: Bars) -> Bars:
    """Return bars whose measured spreads are wider; those without any are the same."""
    wider = {}
    for name, price in (("half_spread", bars.close), ("half_spread_open", bars.open)):
        measured = getattr(bars, name)
        if measured is not None and price is not None:
            wider[name] = np.minimum(SPREAD * measured, np.maximum(_WIDEST * price, measured))
    return replace(bars, **wider, digest=None) if wider else bars


def _wide_costs(costs: Costs) -> Costs:
    stated = costs.half_spread_bps
    each = np.atleast_1d(np.asarray(stated, dtype=np.float64))
    wide = np.minimum(SPREAD * each, np.maximum(_WIDEST * 10_000.0, each)).tolist()
    return replace(costs, half_spread_bps=wide[0] if np.ndim(stated) == 0 else wide)


def _with_worst(figures: dict[str, float]) -> dict[str, float]:
    """Add the worst of all losses and of all drawdowns, which limits of use are held against."""
    losses = [value for name, value in figures.items() if name.endswith("_loss")]
    falls = [value for name, value in figures.items() if name.endswith("max_drawdown")]
    return figures | {"worst_loss": max(losses), "worst_drawdown": max(falls)}
