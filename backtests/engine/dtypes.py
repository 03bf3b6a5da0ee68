"""The records and bundles of arrays that the compiled core reads and writes."""

from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
RecordArray = NDArray[Any]  # a structured array; numpy's typing cannot name its fields

# Fields from wide to narrow, filled up to eight bytes: no padding, so equal records, equal bytes.
FILL = np.dtype(
    [
        ("quantity", np.float64),  # units, bought > 0, sold < 0
        ("reference_price", np.float64),  # before spread, slippage and impact
        ("price", np.float64),  # what was paid or received per unit
        ("commission", np.float64),  # from here to `conversion`: account currency, >= 0
        ("tax", np.float64),
        ("half_spread", np.float64),
        ("slippage", np.float64),
        ("impact", np.float64),
        ("conversion", np.float64),
        ("position", np.float64),  # units held after the fill
        ("bar", np.int32),
        ("instrument", np.int32),
        ("order", np.int32),  # row of the order table
        ("moment", np.int16),  # of the bar, see Moment
        ("is_ambiguous", np.int16),  # another intrabar policy would have filled otherwise
    ]
)
COST_KINDS = ("commission", "tax", "half_spread", "slippage", "impact", "conversion")

ORDER = np.dtype(
    [
        ("target", np.float64),  # as decided, in the unit of the targets; NaN for plain orders
        ("quantity", np.float64),  # units wanted, adjusted for splits while working
        ("filled", np.float64),  # units filled
        ("limit_price", np.float64),  # NaN = none
        ("stop_price", np.float64),  # NaN = none; ratchets for trailing stops
        ("trail", np.float64),  # distance of a trailing stop; NaN = none
        ("good_until", np.int64),  # session (DAY) or stamp (GTD) of the last bar it may fill in
        ("bar", np.int32),  # of the decision
        ("instrument", np.int32),
        ("first_bar", np.int32),  # first in which it may fill; NEVER while its parent is unfilled
        ("closed_bar", np.int32),  # -1 while working
        ("parent", np.int32),  # order whose fill activates this one; -1 = none
        ("group", np.int32),  # one cancels the others; -1 = none
        ("kind", np.int8),
        ("time_in_force", np.int8),
        ("status", np.int8),
        ("reason", np.int8),
        ("source", np.int8),
        ("flags", np.int8),
        ("since", np.int16),  # moment of its first bar from which it counts
    ]
)
REQUEST = np.dtype(
    [
        ("quantity", np.float64),  # units, bought > 0, sold < 0
        ("limit_price", np.float64),
        ("stop_price", np.float64),
        ("trail", np.float64),
        ("good_until", np.int64),  # last stamp [ns UTC] for GTD
        ("bar", np.int32),
        ("instrument", np.int32),
        ("parent", np.int32),  # row of the request that must fill first; order to cancel; -1 = none
        ("group", np.int32),  # requests of one positive group cancel each other; 0 = none
        ("kind", np.int8),
        ("time_in_force", np.int8),
        ("flags", np.int8),
        ("action", np.int8),
        ("unused", np.int32),
    ]
)
ACTION = np.dtype(
    [
        ("value", np.float64),  # new units per old, or currency per unit
        ("position", np.float64),  # units held after it
        ("cash", np.float64),  # credited > 0, debited < 0
        ("bar", np.int32),
        ("instrument", np.int32),
        ("kind", np.int64),
    ]
)

NEVER = 2**31 - 1

# Bits of ORDER.flags and REQUEST.flags.
IS_OFFSET = 1  # prices are fractions of the parent's fill price until it fills
REDUCES_ONLY = 2  # fills no more than the position, and goes when that is closed
IS_TRIGGERED = 4  # a stop of any kind that was met
SIZED_AT_FILL = 8  # the target becomes units at the price of the fill
TRAILS_FRACTION = 16  # `trail` is a fraction of the price, not currency
CHARGED = 32  # the fee per order was paid


def wide(number: int) -> int:
    """Return a constant for kernels: to numba, 64 bits like any other number.

    Notes
    -----
    numba compiles a function anew for every plain constant that is handed to it.
    """
    return np.int64(number)  # type: ignore[return-value]  # an int to whoever reads it


class OrderKind(IntEnum):
    """How an order meets the market."""

    MARKET = 0
    LIMIT = 1
    STOP = 2
    STOP_LIMIT = 3
    TRAILING_STOP = 4
    MARKET_ON_OPEN = 5
    MARKET_ON_CLOSE = 6


class TimeInForce(IntEnum):
    """How long an order works."""

    GTC = 0  # until cancelled
    DAY = 1  # until the session of its first bar ends
    IOC = 2  # what its first bar fills at once; the rest is cancelled
    FOK = 3  # whole in its first bar, or not at all
    GTD = 4  # until a stamp


class OrderStatus(IntEnum):
    """How an order stands at the end of a run; submitted = the sum over all of them."""

    WORKING = 0
    FILLED = 1
    PARTLY_FILLED = 2
    REJECTED = 3
    CANCELLED = 4


class OrderSource(IntEnum):
    """Who made an order."""

    STRATEGY = 0
    TARGET = 1
    BRACKET = 2
    LIQUIDATION = 3
    DELISTING = 4


class OrderReason(IntEnum):
    """Why an order was not filled whole."""

    NONE = 0
    BUYING_POWER = 1
    REPLACED = 2
    NO_PRICE = 3
    NO_EQUITY = 4
    END_OF_BARS = 5
    EXPIRED = 6
    NOT_AT_ONCE = 7
    SIBLING_FILLED = 8
    PARENT_CLOSED = 9
    POSITION_CLOSED = 10
    WITHDRAWN = 11
    TOO_SMALL = 12
    DELISTED = 13
    MARGIN_CALL = 14


REASON_SENTENCES = {
    OrderReason.NONE: "",
    OrderReason.BUYING_POWER: "The account's buying power did not cover it.",
    OrderReason.REPLACED: "A newer target took its place before it filled.",
    OrderReason.NO_PRICE: "The instrument had no price yet, so the target could not be sized.",
    OrderReason.NO_EQUITY: "The account's equity was not positive, so no position may be opened.",
    OrderReason.END_OF_BARS: "The bars ended before it filled.",
    OrderReason.EXPIRED: "Its time in force ended.",
    OrderReason.NOT_AT_ONCE: "Its first bar could not fill it, and it may not wait.",
    OrderReason.SIBLING_FILLED: "Another order of its group filled.",
    OrderReason.PARENT_CLOSED: "The order that would have activated it ended without a fill.",
    OrderReason.POSITION_CLOSED: "The position it was to reduce was already closed.",
    OrderReason.WITHDRAWN: "The strategy withdrew it.",
    OrderReason.TOO_SMALL: "It was below one lot or the minimum notional.",
    OrderReason.DELISTED: "The instrument is no longer listed.",
    OrderReason.MARGIN_CALL: "The account had a margin call; only liquidation may trade.",
}


class RequestAction(IntEnum):
    """What a strategy asks for in a row of its buffer."""

    SUBMIT = 0
    CANCEL = 1  # the order whose row `parent` names
    CANCEL_ALL = 2  # every working order of the instrument


class Moment(IntEnum):
    """The part of a bar in which something filled."""

    ACTION = 0  # before the open: delistings
    OPEN = 1
    INSIDE = 2
    CLOSE = 3


class ActionKind(IntEnum):
    """What a corporate action did."""

    SPLIT = 0
    DIVIDEND = 1


class TargetKind(IntEnum):
    """The unit of a target."""

    WEIGHTS = 0
    UNITS = 1
    NOTIONAL = 2


class Policy(IntEnum):
    """Which of several things that one bar allows is taken to have happened first."""

    PESSIMISTIC = 0
    OPTIMISTIC = 1
    PATH = 2


class Fault(IntEnum):
    """What makes a request of a strategy meaningless; the run ends with an error."""

    NONE = 0
    INSTRUMENT = 1
    QUANTITY = 2
    KIND = 3
    LIMIT_PRICE = 4
    STOP_PRICE = 5
    TRAIL = 6
    PARENT = 7
    ORDER = 8
    TARGET = 9
    TOO_MANY = 10
    RAISED = 11


NEXT_OPEN, NEXT_CLOSE, SAME_CLOSE = range(3)
NO_IMPACT, SQUARE_ROOT_IMPACT, LINEAR_IMPACT = range(3)


BATCH = np.dtype(  # an order that meets the market at one moment
    [
        ("row", np.int64),
        ("asked", np.float64),  # units that could fill
        ("quantity", np.float64),  # units that buying power grants
        ("closing", np.float64),  # the part of them that reduces a position
        ("price", np.float64),
        ("is_ambiguous", np.int64),
    ]
)

_NUMBERS = (  # settings; bps already divided by 10,000
    "max_participation", "minimum_notional",
    "commission_rate", "commission_per_share", "commission_per_order",
    "commission_minimum", "commission_maximum", "buy_tax_rate", "sell_tax_rate",
    "slippage_rate", "conversion_rate", "impact_y", "impact_permanent",
    "delisting_haircut", "max_leverage",
    "maintenance",  # below 0: never called
    "cash_rate", "margin_rate", "band",
    "stop_loss", "take_profit",  # NaN = none
)  # fmt: skip
_CHOICES = (
    "fills_at",  # of market orders: NEXT_OPEN, NEXT_CLOSE, SAME_CLOSE
    "has_opens",  # without, every order meets the close alone
    "policy", "fills_through", "latency_bars", "impact_kind", "scales_on_shortfall",
    "is_financed",
    "is_plain",  # every multiplier 1 and one currency: a unit is worth its price
    "is_unbroken",  # one instrument that trades in every bar
    "is_complete",  # several instruments that all trade in every bar, plain, without actions
    "target_kind", "sized_at_fill",
    "skips_curve",  # the equity between decisions is not asked for, and no price is missing
    "is_alone",  # one instrument, targets, market orders at the next open and their exits
    "may_repeat",  # many decisions may ask for what is held already
    "hook", "hook_table",  # address of the strategy to ask at every bar; 0 = none
)  # fmt: skip
_SIZES = (
    "n_bars", "n_assets", "n_currencies", "n_action_bars", "n_tiers", "n_decisions",
    "n_requests", "max_fills", "max_orders", "max_actions", "max_working",
)  # fmt: skip
_ADDRESSES = (  # 0 = absent
    # Tables of (n_bars, n_assets).
    "open", "high", "low", "close", "volume", "spread_open", "spread_close",
    "impact_sigma", "impact_volume",  # as known at the bar before
    "split", "dividend", "delisted",
    # (n_fine, n_assets), and (n_bars + 1,): the first finer bar of each bar
    "fine_open", "fine_high", "fine_low", "fine_close", "fine_first",
    # Columns of (n_assets,): what holds of an instrument in all bars
    "multiplier", "lot", "tick", "borrow_rate", "half_spread_rate",
    "currency",  # column of `rates`
    # (n_bars, n_currencies): account currency per unit, the account's own first
    "rates",
    # Columns of (n_bars,).
    "years", "stamp",
    "session",  # absent: the UTC day in which a bar ends
    "month",
    # rows with a split, a dividend or a delisting; (n_tiers, 2)
    "action_bars", "tiers",
    # decided beforehand, or scratch of a strategy that is asked: values (n_rows, n_assets),
    # bar and row of each decision, requests and the order row that each became
    "values", "decision_bar", "decision_row", "requests", "request_row",
    # (n_assets,): units, last close (0 before the first), row of the working target order or -1,
    # whether delisted, volume used in this bar, and scratch
    "position", "mark", "order_of", "is_delisted", "traded", "after", "clock",
    # growing tables, the rows of the orders that work, and scratch as long as those
    "fills", "orders", "actions", "working", "batch",
    # (n_bars,) outputs, in account currency; the last two only where there is financing
    "equity_curve", "borrow_curve", "interest_curve",
    # what a long equity curve is written on, a part at a time (`sheets`)
    "sheet",
)  # fmt: skip
_MONEY = ("capital", "cash", "equity", "month_notional", "borrow", "interest")
_COUNTS = (
    "n_fills", "n_orders", "n_actions", "n_working", "stale_bars", "ambiguous", "margin_calls",
    "n_ended",  # of the list of working orders, since it was last tidied
    "linked",  # working orders on which the end of others or of the position bears
    "attended",  # working orders that trail, or whose time runs out
    "next_decision", "next_request", "next_action", "month_now", "fault", "fault_at",
)  # fmt: skip

# Everything that the loop knows, one pointer: settings, sizes, addresses, running figures.
RUN = np.dtype(
    [(name, np.float64) for name in (*_NUMBERS, *_MONEY)]
    + [(name, np.int64) for name in (*_CHOICES, *_SIZES, *_ADDRESSES, *_COUNTS)]
)
Run = Any  # a numba record of RUN; numpy's typing cannot name its fields
Row = Any  # a numba record of one of the tables
