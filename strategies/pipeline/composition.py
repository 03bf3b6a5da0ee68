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
        Fraction of equity; NaN = no decision, leave alone. An instrument is given a weight only
        in rows in which it has a bar.
    symbols : tuple of str
    first_decision : int or None
        First row with a decision; None when no instrument ever became eligible.
    n_decisions : int
        Rows with a decision for at least one instrument.
    spec : StrategySpec
    left_out : tuple of str
        Instruments the portfolio could have held but that were never eligible at a decision: too
        little history, no bar, or, decided once, listed later than the rest. Without those to
        which given weights give nothing.
    """

    weights: NDArray[np.float64]
    symbols: tuple[str, ...]
    first_decision: int | None
    n_decisions: int
    spec: StrategySpec
    left_out: tuple[str, ...] = ()


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
        From the first bar, not before `start`, at which any instrument is eligible: a weight for
        every instrument whenever the portfolio is rebalanced (0 for whatever is not chosen), NaN
        between.

    Raises
    ------
    UnknownSymbolError
        `given_weights` names an instrument the history does not have.

    Notes
    -----
    A row in which an instrument has no bar says nothing about it. Its last score and side stay
    in force, in its eligibility and in everybody's ranks and slots, until it has had no bar for
    the longer of 31 days and ten bars of its own clock. It is never given a weight in such a row:
    when a rebalance falls on it, the instrument follows at its own next bar, with the weights
    wanted by then. Rows in which no instrument of the portfolio has a bar count for nothing.
    """
    fixed = _fixed_weights(spec, history)
    takes_part = np.ones(len(history.symbols), np.bool_) if fixed is None else fixed != 0.0
    printed = ~np.isnan(history.close)
    active = np.flatnonzero(printed[:, takes_part].any(axis=1))
    decided = np.full(history.close.shape, np.nan)
    reached = np.zeros(len(history.symbols), np.bool_)
    if active.size > 0:
        part = history if active.size == history.n_bars else _rows(history, active)
        first_row = int(np.searchsorted(active, start))
        decided[active], reached = _decide(spec, part, fixed, takes_part, first_row)
    rows = np.flatnonzero(~np.isnan(decided).all(axis=1))
    return TargetWeights(
        weights=decided,
        symbols=history.symbols,
        first_decision=int(rows[0]) if rows.size else None,
        n_decisions=int(rows.size),
        spec=spec,
        left_out=tuple(history.symbols[at] for at in np.flatnonzero(takes_part & ~reached)),
    )


def _decide(
    spec: StrategySpec,
    history: MarketHistory,
    fixed: NDArray[np.float64] | None,
    takes_part: NDArray[np.bool_],
    start: int,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return weights at decisions, else NaN, and which instruments were eligible at one."""
    printed = ~np.isnan(history.close)
    scores = _joint_scores(spec, history, printed)
    eligible = ~np.isnan(scores.score) & takes_part
    can_begin = np.flatnonzero(eligible[start:].any(axis=1)) + start
    if can_begin.size == 0:
        return np.full(history.close.shape, np.nan), np.zeros(takes_part.size, np.bool_)
    first = int(can_begin[0])
    weights = _weights(spec, scores, fixed)
    rebalance = spec.portfolio.rebalance
    if isinstance(rebalance, Once) and fixed is not None:
        acts = portfolio.at_first_eligible(eligible & printed, first)
    else:
        due = _due(rebalance, history, weights, first)
        acts = portfolio.at_own_bars(due, printed, eligible)
    return np.where(acts, weights, np.nan), np.any(acts & eligible, axis=0)


def _joint_scores(spec: StrategySpec, history: MarketHistory, printed: NDArray[np.bool_]) -> Scores:
    parts = [_scores(signal, history) for signal in spec.signals]
    if not printed.all():
        live_row = signals.last_live_row(history.ts, printed)
        parts = [signals.carried(part, live_row) for part in parts]
    return signals.combine(parts)


def _rows(history: MarketHistory, rows: NDArray[np.intp]) -> MarketHistory:
    return MarketHistory(history.ts[rows], history.symbols, history.close[rows])


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
