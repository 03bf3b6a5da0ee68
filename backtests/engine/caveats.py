"""What a reader of a result must know: one sentence for each thing that happened and matters."""

from typing import NamedTuple

import numpy as np

from backtests.engine import positions
from backtests.engine.config import Costs, Fills
from backtests.engine.dtypes import (
    STALE_BARS,
    WAITING,
    Curves,
    FloatArray,
    Market,
    OrderReason,
    OrderStatus,
    RecordArray,
    State,
)
from backtests.engine.inputs import Bars
from backtests.engine.result import Caveat

_LARGE_SHARE = 0.1  # of a bar's volume
_LEVERAGED = 1.005  # gross exposure over equity; less is the drift between two fills
_ROUNDING = 1e-6
_BUYING_POWER = int(OrderReason.BUYING_POWER)
_NO_PRICE = int(OrderReason.NO_PRICE)
_REJECTED = int(OrderStatus.REJECTED)


class Run(NamedTuple):
    """A finished run, before it is a `Result`."""

    bars: Bars
    fill_rule: Fills
    costs: Costs
    market: Market
    state: State
    curves: Curves
    fills: RecordArray
    orders: RecordArray
    actions: RecordArray


def caveats_of(run: Run) -> tuple[Caveat, ...]:
    """Return the caveats that apply, in a fixed order."""
    found = {
        "filled_at_close": _filled_at_close(run),
        "buying_power": _buying_power(run),
        "unpriced_targets": _unpriced(run),
        "orders_waiting": _waiting(run),
        "stale_marks": _stale(run),
        "unfinanced_short": _short(run),
        "unfinanced_leverage": _leverage(run),
        "larger_than_volume": _volume(run),
        "measured_spread": _measured_spread(run),
        "equity_exhausted": _exhausted(run),
    }
    return tuple(Caveat(code, text) for code, text in found.items() if text)


def _filled_at_close(run: Run) -> str:
    if run.bars.open is not None or run.fill_rule.at != "next_open":
        return ""
    return "The bars have no opens: orders filled at the next close, not at the next open."


def _buying_power(run: Run) -> str:
    """Say how many orders buying power cut short, and how deep, where that is material.

    Notes
    -----
    Material: an order refused outright, more than 1 % of the traded notional cut, or a median cut
    above 2 %. A fully invested target is cut by a hair at most opens; that is in the orders.
    """
    orders = run.orders
    short = orders[orders["reason"] == _BUYING_POWER]
    if short.size == 0:
        return ""
    typical = float(np.median(1.0 - np.abs(short["filled"]) / np.abs(short["quantity"])))
    is_refused = bool(np.any(short["status"] == _REJECTED))
    if not is_refused and typical <= 0.02 and _cut_share(run) <= 0.01:
        return ""
    were = "was" if short.size == 1 else "were"
    return (
        f"{short.size} of {_count(orders.size, 'order')} {were} filled in part or refused for "
        f"want of buying power; the median cut was {typical:.2%} of what was wanted."
    )


def _cut_share(run: Run) -> float:
    """Return the notional cut from orders that filled in part, over all that was traded."""
    fills = run.fills
    order = run.orders[fills["order"]]
    cut = np.where(
        order["reason"] == _BUYING_POWER, np.abs(order["quantity"]) - np.abs(order["filled"]), 0.0
    )
    price = fills["reference_price"]
    return float((cut * price).sum() / (np.abs(fills["quantity"]) * price).sum())


def _unpriced(run: Run) -> str:
    n = int(np.count_nonzero(run.orders["reason"] == _NO_PRICE))
    if n == 0:
        return ""
    which = "1 target was" if n == 1 else f"{n:,} targets were"
    return f"{which} refused because the instrument had no price yet."


def _waiting(run: Run) -> str:
    n = int(run.state.counts[WAITING])
    if n == 0:
        return ""
    return f"{_count(n, 'order')} {'was' if n == 1 else 'were'} still waiting when the bars ended."


def _stale(run: Run) -> str:
    n = int(run.state.counts[STALE_BARS])
    if n == 0:
        return ""
    return f"{_count(n, 'instrument-bar')} valued a position at an older close for want of a trade."


def _short(run: Run) -> str:
    """Look at fills alone: at most one per instrument and bar, and no action turns a position."""
    short = run.fills["instrument"][run.fills["position"] < 0.0]
    if short.size == 0:
        return ""
    n = np.unique(short).size
    return (
        f"{_count(n, 'instrument')} {'was' if n == 1 else 'were'} held short at some close: "
        "no borrow fee is charged in this version."
    )


def _leverage(run: Run) -> str:
    highest = _highest_leverage(run)
    if not highest:
        return ""
    return f"{highest}: no interest is charged and no margin is called in this version."


def _highest_leverage(run: Run) -> str:
    """Say how the account borrowed, or nothing; without shorts only negative cash can tell."""
    cash, equity = run.curves.cash, run.curves.equity
    if np.any(run.fills["position"] < 0.0):
        exposed = _gross_exposure(run)
        is_above = exposed > _LEVERAGED * equity
        if np.any(is_above):
            n = int(np.count_nonzero(is_above))
            return f"Gross exposure was above equity at {_count(n, 'close')}"
    if cash.min() >= 0.0:
        return ""
    n = int(np.count_nonzero(cash < -_ROUNDING * np.abs(equity)))
    return f"Cash was negative at {_count(n, 'close')}" if n else ""


def _gross_exposure(run: Run) -> FloatArray:
    changes = positions.changes_of(run.fills, run.actions)
    exposed: FloatArray = positions.gross_exposure(*changes, run.bars.close, run.market.split)
    return exposed


def _volume(run: Run) -> str:
    fills = run.fills
    if run.bars.volume is None or fills.size == 0:
        return ""
    volume = run.bars.volume[fills["bar"], fills["instrument"]]
    n = int(np.count_nonzero(np.abs(fills["quantity"]) > _LARGE_SHARE * volume))
    if n == 0:
        return ""
    n_empty = int(np.count_nonzero(volume == 0.0))
    which = (
        f"{_count(n, 'fill')} {'was' if n == 1 else 'were'} larger than 10 % of the bar's volume"
    )
    on_empty = f", {n_empty:,} of them in bars without any volume" if n_empty else ""
    if n == 1 and n_empty:
        on_empty = ", which had none"
    return f"{which}{on_empty}; volume limits no fill in this version."


def _measured_spread(run: Run) -> str:
    fills, spread = run.fills, run.market.half_spread
    if run.costs.half_spread_bps == 0.0 or spread.size == 0:
        return ""
    if np.all(np.isnan(spread[fills["bar"], fills["instrument"]])):
        return ""
    return (
        "The bars carry a measured half spread: where they do, the half spread of "
        f"{run.costs.half_spread_bps:g} bps in the settings was not used."
    )


def _exhausted(run: Run) -> str:
    if run.curves.equity.min() > 0.0:
        return ""
    return "Equity fell to zero or below; the account was not liquidated."


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"
