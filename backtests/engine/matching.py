"""At which price, if any, an order meets a stretch of prices: open, high, low, close.

Scalars alone: these functions know no book, no account and no costs. `side` is 1 for buys and -1
for sells; `spread` is the half spread measured there, 0 where none is: a buy meets price + spread.
"""

import math

from backtests.engine.dtypes import (
    OrderKind,
    Policy,
    wide,
)
from numerics.compilation import kernel_part

_STOP = wide(OrderKind.STOP)
_STOP_LIMIT = wide(OrderKind.STOP_LIMIT)
_TRAILING_STOP = wide(OrderKind.TRAILING_STOP)
_PESSIMISTIC = wide(Policy.PESSIMISTIC)
_PATH = wide(Policy.PATH)
_NEVER = math.inf


@kernel_part
def is_limit_met(price: float, side: float, limit: float, through: bool) -> bool:
    """Say whether a price is as good as the limit, or better if it must be traded through."""
    better = side * (limit - price)
    return bool(better > 0.0 if through else better >= 0.0)


@kernel_part
def is_stop_met(price: float, side: float, stop: float) -> bool:
    """Say whether a price has reached the stop."""
    return bool(side * (price - stop) >= 0.0)


@kernel_part
def is_reached(level: float, upward: bool, high: float, low: float, strictly: bool) -> bool:
    """Say whether prices between two extremes reach a level from below, or from above."""
    if strictly:
        return bool(high > level if upward else low < level)
    return bool(high >= level if upward else low <= level)


@kernel_part
def is_stop_kind(kind: int) -> bool:
    """Say whether an order of this kind waits for its price to become worse."""
    return kind in (_STOP, _STOP_LIMIT, _TRAILING_STOP)


@kernel_part
def nearer_extreme_is_high(opened: float, high: float, low: float) -> bool:
    """Say whether the path open, nearer extreme, other extreme, close goes up first."""
    return high - opened < opened - low


@kernel_part
def first_crossing(
    level: float, upward: bool, since: float, o: float, h: float, b: float, c: float
) -> float:
    """Return the moment on the assumed path at which a level is first reached.

    Parameters
    ----------
    level : float
        Price.
    upward : bool
        Whether it is reached from below.
    since : float
        Moment from which to look, 0 = open, 1 and 2 = the extremes, 3 = close.
    o, h, b, c : float
        Open, high, low and close.

    Returns
    -------
    float
        In [since, 3], or infinity.
    """
    goes_up = nearer_extreme_is_high(o, h, b)
    first, second = (h, b) if goes_up else (b, h)
    start = o
    for leg in range(3):
        end = first if leg == 0 else (second if leg == 1 else c)
        if since <= leg + 1.0:
            at = max(since - leg, 0.0)
            here = start + at * (end - start)
            if (here >= level) if upward else (here <= level):
                return leg + at
            if (end >= level) if upward else (end <= level):
                return leg + (level - start) / (end - start)
        start = end
    return _NEVER


@kernel_part
def is_certain_after(level: float, upward: bool, entry: float, fell: bool, c: float) -> bool:
    """Say whether a level was surely reached after an entry inside the bar.

    Parameters
    ----------
    level, upward
        As in `first_crossing`.
    entry : float
        Price of the entry.
    fell : bool
        Whether the price came down to the entry.
    c : float
        Close.

    Notes
    -----
    What lies beyond the entry on the way the price was going is reached after it; anything else
    only if the close has it.
    """
    beyond = level <= entry if fell else level >= entry
    if beyond and upward != fell:
        return True
    return bool(c >= level if upward else c <= level)


@kernel_part
def precedence(kind: int, policy: int, path_moment: float) -> float:
    """Return a rank by which orders of one instrument are met inside a bar, low first."""
    if policy == _PATH:
        return path_moment
    is_stop = is_stop_kind(kind)
    return 0.0 if is_stop == (policy == _PESSIMISTIC) else 1.0
