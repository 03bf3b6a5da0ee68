"""The records and bundles of arrays that the compiled core reads and writes."""

from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
RecordArray = NDArray[Any]  # a structured array; numpy's typing cannot name its fields

# Eight bytes a field: no padding, so the bytes of equal records are equal.
FILL = np.dtype(
    [
        ("bar", np.int64),
        ("instrument", np.int64),
        ("order", np.int64),  # row of the order table
        ("quantity", np.float64),  # units, bought > 0, sold < 0
        ("reference_price", np.float64),  # before any spread
        ("price", np.float64),  # what was paid or received per unit
        ("commission", np.float64),
        ("half_spread", np.float64),
        ("position", np.float64),  # units held after the fill
    ]
)
ORDER = np.dtype(
    [
        ("bar", np.int64),  # of the decision
        ("instrument", np.int64),
        ("target", np.float64),  # as decided, in the unit of the targets
        ("quantity", np.float64),  # units wanted, adjusted for splits while waiting
        ("filled", np.float64),  # units filled
        ("status", np.int64),
        ("reason", np.int64),
        ("closed_bar", np.int64),  # -1 while working
    ]
)
ACTION = np.dtype(
    [
        ("bar", np.int64),
        ("instrument", np.int64),
        ("kind", np.int64),
        ("value", np.float64),  # new units per old, or currency per unit
        ("position", np.float64),  # units held after it
        ("cash", np.float64),  # credited > 0, debited < 0
    ]
)


class OrderStatus(IntEnum):
    """How an order stands at the end of a run; submitted = the sum over all of them."""

    WORKING = 0
    FILLED = 1
    PARTLY_FILLED = 2
    REJECTED = 3
    CANCELLED = 4


class OrderReason(IntEnum):
    """Why an order was not filled whole."""

    NONE = 0
    BUYING_POWER = 1
    REPLACED = 2
    NO_PRICE = 3
    NO_EQUITY = 4
    END_OF_BARS = 5


REASON_SENTENCES = {
    OrderReason.NONE: "",
    OrderReason.BUYING_POWER: "The account's buying power did not cover it.",
    OrderReason.REPLACED: "A newer target took its place before it filled.",
    OrderReason.NO_PRICE: "The instrument had no price yet, so the target could not be sized.",
    OrderReason.NO_EQUITY: "The account's equity was not positive, so no position may be opened.",
    OrderReason.END_OF_BARS: "The bars ended before the instrument traded again.",
}


class ActionKind(IntEnum):
    """What a corporate action did."""

    SPLIT = 0
    DIVIDEND = 1


class TargetKind(IntEnum):
    """The unit of a target."""

    WEIGHTS = 0
    UNITS = 1
    NOTIONAL = 2


class Market(NamedTuple):
    """What a run reads, shape (n_bars, n_assets) each; absent optional arrays have shape (0, 0)."""

    close: FloatArray
    fill_price: FloatArray  # the opens or the closes at which orders fill
    half_spread: FloatArray
    split: FloatArray
    dividend: FloatArray
    has_action: NDArray[np.bool_]  # (n_bars,) or (0,) when no bar has one


class Rules(NamedTuple):
    """The settings as plain numbers; bps already divided by 10,000."""

    commission_rate: float
    commission_per_share: float
    commission_minimum: float
    half_spread_rate: float
    max_leverage: float
    scales_on_shortfall: bool
    target_kind: int
    band: float


class Decisions(NamedTuple):
    """Targets, shape (n_bars, n_assets), and the rows, shape (n_bars,), that hold any."""

    values: FloatArray
    has_target: NDArray[np.bool_]


class State(NamedTuple):
    """What one bar hands to the next; all of it, so slices of bars may be run one by one."""

    position: FloatArray  # (n_assets,) units
    mark: FloatArray  # (n_assets,) last close, split-adjusted; 0 before the first
    pending: FloatArray  # (n_assets,) units waiting to fill; 0 = none
    order_of: NDArray[np.int64]  # (n_assets,) order table row of the waiting order
    granted: FloatArray  # (n_assets,) scratch of the fill phase
    money: FloatArray  # see CASH ... below
    counts: NDArray[np.int64]  # see FILLS ... below


CASH, EQUITY, PRICE_PNL = 0, 1, 2  # slots of State.money
FILLS, ORDERS, ACTIONS, WAITING, STALE_BARS = 0, 1, 2, 3, 4  # slots of State.counts


class Books(NamedTuple):
    """Growing tables of what happened; `State.counts` says how many rows are in use."""

    fills: RecordArray
    orders: RecordArray
    actions: RecordArray


class Curves(NamedTuple):
    """Per-bar outputs, shape (n_bars,) each, in account currency."""

    equity: FloatArray
    cash: FloatArray
    price_pnl: FloatArray
