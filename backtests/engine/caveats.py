"""What a reader of a result must know: one sentence for each thing that happened and matters."""

import numpy as np

from backtests.engine.config import Number
from backtests.engine.dtypes import (
    REDUCES_ONLY,
    OrderKind,
    OrderReason,
    OrderSource,
    OrderStatus,
)
from backtests.engine.result import Caveat, Result

_LARGE_SHARE = 0.1  # of a bar's volume
_LEVERAGED = 1.005  # gross exposure over equity; less is the drift between two fills
_ROUNDING = 1e-6
_BUYING_POWER = int(OrderReason.BUYING_POWER)
_NO_PRICE = int(OrderReason.NO_PRICE)
_REJECTED = int(OrderStatus.REJECTED)


def caveats_of(run: Result) -> tuple[Caveat, ...]:
    """Return the caveats that apply, in a fixed order."""
    found = {
        "look_ahead": _look_ahead(run),
        "filled_at_close": _filled_at_close(run),
        "range_unknown": _range_unknown(run),
        "ambiguous_fills": _ambiguous(run),
        "buying_power": _buying_power(run),
        "unpriced_targets": _unpriced(run),
        "orders_waiting": _waiting(run),
        "orders_overtaken": _overtaken(run),
        "stale_marks": _stale(run),
        "unfinanced_short": _short(run),
        "unfinanced_leverage": _leverage(run),
        "larger_than_volume": _volume(run),
        "measured_spread": _measured_spread(run),
        "impact_unknown": _impact_unknown(run),
        "margin_call": _margin_call(run),
        "delisted": _delisted(run),
        "equity_exhausted": _exhausted(run),
    }
    return tuple(Caveat(code, text) for code, text in found.items() if text)


def _look_ahead(run: Result) -> str:
    if not run.setup.fills.has_look_ahead:
        return ""
    return (
        "Look-ahead, as asked: market orders filled at the very close that they were decided on. "
        "Nobody can trade so; the result is an upper bound."
    )


def _filled_at_close(run: Result) -> str:
    if run.bars.open is not None or run.setup.fills.at != "next_open":
        return ""
    return "The bars have no opens: orders filled at the next close, not at the next open."


def _range_unknown(run: Result) -> str:
    """Say that limits and stops were looked for between open and close alone."""
    if run.intrabar is not None or (run.bars.high is not None and run.bars.open is not None):
        return ""
    waits = (OrderKind.LIMIT, OrderKind.STOP, OrderKind.STOP_LIMIT, OrderKind.TRAILING_STOP)
    n = int(np.count_nonzero(np.isin(run.orders["kind"], [int(kind) for kind in waits])))
    if n == 0:
        return ""
    where = "the close" if run.bars.open is None else "open and close"
    what = "opens" if run.bars.high is not None else "highs and lows"
    return f"The bars have no {what}: {_count(n, 'limit or stop')} saw {where} alone."


def _ambiguous(run: Result) -> str:
    n = int(run.prepared.number("ambiguous"))
    if n == 0:
        return ""
    fills = "1 fill depends" if n == 1 else f"{n:,} fills depend"
    return (
        f"{fills} on the order of events inside a bar, which the bars do not tell: settled by the "
        f"{run.setup.fills.intrabar} rule. `ambiguity` gives the final equity under either extreme."
    )


def _buying_power(run: Result) -> str:
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


def _cut_share(run: Result) -> float:
    """Return the notional cut from orders that filled in part, over all that was traded."""
    fills = run.fills
    order = run.orders[fills["order"]]
    cut = np.where(
        order["reason"] == _BUYING_POWER, np.abs(order["quantity"]) - np.abs(order["filled"]), 0.0
    )
    price = fills["reference_price"]
    return float((cut * price).sum() / (np.abs(fills["quantity"]) * price).sum())


def _unpriced(run: Result) -> str:
    n = int(np.count_nonzero(run.orders["reason"] == _NO_PRICE))
    if n == 0:
        return ""
    which = "1 target was" if n == 1 else f"{n:,} targets were"
    return f"{which} refused because the instrument had no price yet."


def _waiting(run: Result) -> str:
    """Count what still works at the end, less the exits of positions that are still open."""
    left = run.orders[run.orders["reason"] == int(OrderReason.END_OF_BARS)]
    is_exit = (left["source"] == int(OrderSource.BRACKET)) | (
        (left["parent"] >= 0) & (left["flags"] & REDUCES_ONLY != 0)
    )
    n = int(np.count_nonzero(~is_exit))
    if n == 0:
        return ""
    return f"{_count(n, 'order')} {'was' if n == 1 else 'were'} still waiting when the bars ended."


def _overtaken(run: Result) -> str:
    """Say that latency and new targets at every bar together leave nothing to trade."""
    latency = run.setup.fills.latency_bars
    orders = run.orders
    replaced = (orders["reason"] == int(OrderReason.REPLACED)) & (orders["filled"] == 0.0)
    n = int(np.count_nonzero(replaced))
    if latency == 0 or 2 * n <= orders.size:
        return ""
    return (
        f"{n:,} of {_count(orders.size, 'order')} were replaced by a newer target before they "
        f"could work: each begins the wait of latency_bars={latency} again. Fewer rows, by "
        "`at_bars` or NaN, let them."
    )


def _stale(run: Result) -> str:
    n = int(run.prepared.number("stale_bars"))
    if n == 0:
        return ""
    return f"{_count(n, 'instrument-bar')} valued a position at an older close for want of a trade."


def _short(run: Result) -> str:
    fills = run.fills
    if np.any(run.prepared.arrays["borrow_rate"] > 0.0):
        return ""
    last = _last_of_bar(run)
    short = np.unique(fills["instrument"][last & (fills["position"] < 0.0)])
    if short.size == 0:
        return ""
    n = short.size
    return (
        f"{_count(n, 'instrument')} {'was' if n == 1 else 'were'} held short at some close: "
        "no borrow fee is charged, since the costs and the bars state none."
    )


def _last_of_bar(run: Result) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Say, for every fill, whether none of its instrument follows in its bar."""
    fills = run.fills
    key = fills["bar"].astype(np.int64) * run.bars.n_assets + fills["instrument"]
    reversed_first = np.unique(key[::-1], return_index=True)[1]
    last = np.zeros(fills.size, np.bool_)
    last[fills.size - 1 - reversed_first] = True
    return last


def _leverage(run: Result) -> str:
    if run.setup.account.margin_rate != 0.0:
        return ""
    highest = _highest_leverage(run)
    return (
        f"{highest}: no interest is charged, since the account states no margin rate."
        if highest
        else ""
    )


def _highest_leverage(run: Result) -> str:
    """Say how the account borrowed, or nothing; without shorts only negative cash can tell."""
    if np.any(run.fills["position"] < 0.0):
        n = int(np.count_nonzero(run.gross_exposure() > _LEVERAGED * run.equity))
        if n:
            return f"Gross exposure was above equity at {_count(n, 'close')}"
    n = int(np.count_nonzero(run.cash < -_ROUNDING * np.abs(run.equity)))
    return f"Cash was negative at {_count(n, 'close')}" if n else ""


def _volume(run: Result) -> str:
    fills = run.fills
    if run.bars.volume is None or fills.size == 0 or run.setup.fills.max_participation is not None:
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
    return f"{which}{on_empty}; no max_participation limits them."


def _measured_spread(run: Result) -> str:
    assumed = run.setup.costs.half_spread_bps
    if isinstance(assumed, str) or not np.any(run.prepared.arrays["half_spread_rate"] > 0.0):
        return ""
    fills, spread = run.fills, run.prepared.arrays.get("spread_open")
    if spread is None or np.all(np.isnan(spread[fills["bar"], fills["instrument"]])):
        return ""
    stated = f"{assumed:g} bps" if isinstance(assumed, Number) else "each instrument"
    return (
        "The bars carry a measured half spread: where they do, the half spread of "
        f"{stated} in the settings was not used."
    )


def _impact_unknown(run: Result) -> str:
    if run.setup.costs.impact is None or run.fills.size == 0:
        return ""
    at = run.fills["bar"], run.fills["instrument"]
    arrays = run.prepared.arrays
    known = (arrays["impact_sigma"][at] > 0.0) & (arrays["impact_volume"][at] > 0.0)
    passive = (int(OrderKind.LIMIT), int(OrderKind.STOP_LIMIT))  # they have no impact
    moves = ~np.isin(run.orders["kind"][run.fills["order"]], passive)
    n = int(np.count_nonzero(moves & ~known))
    if n == 0:
        return ""
    return f"{_count(n, 'fill')} paid no impact: volume or volatility before it was unknown."


def _margin_call(run: Result) -> str:
    n = int(run.prepared.number("margin_calls"))
    if n == 0:
        return ""
    times = "once" if n == 1 else f"{n:,} times"
    return (
        f"The account had a margin call {times}; positions were liquidated at the next market fill."
    )


def _delisted(run: Result) -> str:
    closed = run.orders["source"] == int(OrderSource.DELISTING)
    n = int(np.count_nonzero(closed))
    if n == 0:
        return ""
    haircut = run.setup.account.delisting_haircut
    return (
        f"{_count(n, 'position')} {'was' if n == 1 else 'were'} closed by a delisting, at the last "
        f"price less {haircut:.0%} for longs."
    )


def _exhausted(run: Result) -> str:
    if run.equity.min() > 0.0:
        return ""
    if run.setup.account.maintenance_margin is None:
        return "Equity fell to zero or below; the account was not liquidated."
    return "Equity fell to zero or below."


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"
