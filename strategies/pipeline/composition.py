"""From a spec and a history to target weights."""

from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray

from strategies import portfolio, signals
from strategies.pipeline.errors import UnknownSymbolError
from strategies.pipeline.history import MarketHistory
from strategies.pipeline.spec import (
    BuyAndHold,
    EqualWeight,
    EveryNBars,
    GivenWeights,
    MovingAverageCross,
    Once,
    OnNewPeriod,
    Rebalance,
    Signal,
    StrategySpec,
)
from strategies.signals import Scores


@dataclass(frozen=True, eq=False)
class TargetWeights:
    """What a strategy wants to hold, decided at the close of each bar.

    Attributes
    ----------
    weights : float64 array, shape (n_bars, n_assets)
        Fraction of equity; a row of NaN = no decision, leave alone.
    symbols : tuple of str
    first_decision : int or None
        First row with a decision; None when no instrument ever became eligible.
    n_decisions : int
    spec_digest : str
    """

    weights: NDArray[np.float64]
    symbols: tuple[str, ...]
    first_decision: int | None
    n_decisions: int
    spec_digest: str


def compose(spec: StrategySpec, history: MarketHistory, *, start: int = 0) -> TargetWeights:
    """Return the target weights of a strategy on a history.

    Parameters
    ----------
    spec : StrategySpec
    history : MarketHistory
        Row t of the result depends on rows up to t alone.
    start : int
        First bar that may decide; signals still see the bars before it, so that a test that
        begins in the middle of a history needs no warm-up.

    Returns
    -------
    TargetWeights
        From the first bar, not before `start`, at which any instrument is eligible: on each
        rebalancing bar a full row of weights (0 for whatever is not chosen), NaN between.

    Raises
    ------
    UnknownSymbolError
        `given_weights` names an instrument the history does not have.
    """
    fixed = _fixed_weights(spec, history)
    scores = signals.combine([_scores(signal, history) for signal in spec.signals])
    eligible = np.flatnonzero(np.any(~np.isnan(scores.score[start:]), axis=1)) + start
    if eligible.size == 0:
        nothing = np.full(history.close.shape, np.nan)
        return TargetWeights(nothing, history.symbols, None, 0, spec.digest)
    first = int(eligible[0])
    weights = _weights(spec, scores, fixed)
    due = _due(spec.portfolio.rebalance, history, weights, first)
    weights[~due] = np.nan
    return TargetWeights(weights, history.symbols, first, int(np.count_nonzero(due)), spec.digest)


def _scores(signal: Signal, history: MarketHistory) -> Scores:
    if isinstance(signal, BuyAndHold):
        return signals.buy_and_hold(history.close)
    if isinstance(signal, MovingAverageCross):
        return signals.moving_average_cross(
            history.close,
            fast_bars=signal.fast_bars,
            slow_bars=signal.slow_bars,
            direction=signal.direction,
        )
    return signals.momentum(
        history.ts,
        history.close,
        lookback_days=signal.lookback_days,
        skip_days=signal.skip_days,
    )


def _fixed_weights(spec: StrategySpec, history: MarketHistory) -> NDArray[np.float64] | None:
    """Return given weights by column, or None for a portfolio that computes its own."""
    if not isinstance(spec.portfolio, GivenWeights):
        return None
    column = {symbol: at for at, symbol in enumerate(history.symbols)}
    fixed = np.zeros(len(column))
    for symbol, weight in spec.portfolio.weights.items():
        if symbol not in column:
            near = get_close_matches(symbol, history.symbols, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise UnknownSymbolError(f"The history has no instrument {symbol!r}.{hint}")
        fixed[column[symbol]] = weight
    return fixed


def _weights(
    spec: StrategySpec, scores: Scores, fixed: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    if isinstance(spec.portfolio, EqualWeight):
        return portfolio.equal_weights(
            scores.score,
            scores.side,
            n_holdings=spec.portfolio.n_holdings,
            gross=spec.portfolio.gross,
        )
    assert fixed is not None  # noqa: S101  (for the type checker: the other kind has them)
    return portfolio.given_weights(scores.side, fixed)


def _due(
    rebalance: Rebalance, history: MarketHistory, weights: NDArray[np.float64], first: int
) -> NDArray[np.bool_]:
    if isinstance(rebalance, EveryNBars):
        return portfolio.every_n_bars(history.n_bars, rebalance.bars, first)
    if isinstance(rebalance, OnNewPeriod):
        return portfolio.on_new_period(history.ts, rebalance.period, first)
    if isinstance(rebalance, Once):
        return portfolio.once(history.n_bars, first)
    return portfolio.on_change(weights, first)
