"""Decisions made beforehand: what to hold, or a table of orders."""

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from backtests.engine import checks
from backtests.engine.config import require_number
from backtests.engine.deciding import fault_of
from backtests.engine.digests import content_digest
from backtests.engine.dtypes import (
    IS_OFFSET,
    REDUCES_ONLY,
    REQUEST,
    TRAILS_FRACTION,
    Fault,
    FloatArray,
    IntArray,
    OrderKind,
    RecordArray,
    RequestAction,
    TargetKind,
    TimeInForce,
)
from backtests.engine.errors import OrderError, SettingsError, ShapeError, TargetsError
from backtests.engine.inputs import Bars, as_table, read_only

Kind = Literal[
    "market", "limit", "stop", "stop_limit", "trailing_stop", "market_on_open", "market_on_close"
]
Force = Literal["gtc", "day", "ioc", "fok", "gtd"]

# A part of kernels has no entry from Python; without the compiler it is plain already.
_fault_of = getattr(fault_of, "py_func", fault_of)

FAULT_SENTENCES = {
    Fault.INSTRUMENT: "names no instrument of the bars",
    Fault.QUANTITY: "needs a quantity that is finite and not 0",
    Fault.KIND: "has an unknown kind, time in force or action",
    Fault.LIMIT_PRICE: "needs a limit price above 0",
    Fault.STOP_PRICE: "needs a stop price above 0",
    Fault.TRAIL: "needs a trail above 0, below 1 where it is a fraction",
    Fault.PARENT: "names a parent that is no order before it in its bar, or needs one",
    Fault.ORDER: "withdraws an order that does not work",
}


@dataclass(frozen=True, slots=True)
class Bracket:
    """Exits that an entry brings with it, as distances from the price it filled at.

    Parameters
    ----------
    stop_loss, take_profit : float or None
        Fractions of that price, > 0: a stop on the losing side, a limit on the winning side. One
        cancels the other, and both go when the position is closed otherwise.
    """

    stop_loss: float | None = None
    take_profit: float | None = None

    def __post_init__(self) -> None:
        for name in ("stop_loss", "take_profit"):
            if (given := getattr(self, name)) is not None:
                require_number(f"Bracket.{name}", given, above=0.0)

    def beyond_zero(self, quantity: float) -> str:
        """Say which exit of an entry of this sign no price above zero reaches, if one does so."""
        name = "stop_loss" if quantity > 0.0 else "take_profit"
        given = getattr(self, name)
        if given is None or given < 1.0:
            return ""
        return f"a {name} of {given:g} times the price, which no price reaches; 0.05 is 5 %"


@dataclass(frozen=True, eq=False)
class Targets:
    """What the account should hold, decided at the close of each bar.

    Parameters
    ----------
    values : float array, shape (n_bars, n_assets) or (n_bars,)
        NaN = leave alone. Sized on the equity and the prices at the close of the decision bar,
        filled in the next bar in which the instrument trades.
    kind : {"weights", "units", "notional"}
        Fraction of equity, units of the instrument, or currency; short below zero.
    band : float
        No order where the target is at most this far from the position, in the unit of `kind`;
        a target of exactly 0 always closes.
    sized_at : {"decision", "fill"}
        Whether weights and notional become units at the equity and the close of the decision, or
        at those of the moment of the fill, as an order for an amount of money does. A weight of 1
        at the fill buys for all there is, costs included.
    bracket : Bracket, optional
        Exits that every order which opens or enlarges a position brings with it.
    at_bars : int array, shape (n_rows,), optional
        The bars at which the rows of `values` were decided, increasing; bars without a row leave
        everything alone. By default there is a row for every bar.

    Raises
    ------
    TargetsError
        A value is infinite.
    SettingsError
        Unknown `kind`, or a band that is negative or not finite.
    """

    values: FloatArray
    kind: Literal["weights", "units", "notional"] = "weights"
    band: float = 0.0
    sized_at: Literal["decision", "fill"] = field(default="decision", kw_only=True)
    bracket: Bracket | None = field(default=None, kw_only=True)
    at_bars: IntArray | None = field(default=None, kw_only=True)
    rows: IntArray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.kind not in ("weights", "units", "notional"):
            raise SettingsError(
                f"Targets.kind must be weights, units or notional, not {self.kind!r}."
            )
        if self.sized_at not in ("decision", "fill"):
            raise SettingsError(
                f"Targets.sized_at must be decision or fill, not {self.sized_at!r}."
            )
        if not 0.0 <= self.band < np.inf:
            raise SettingsError(f"Targets.band must be finite and >= 0, not {self.band!r}.")
        values = as_table("targets", self.values, None, may_be_empty=self.at_bars is not None)
        rows, infinite_row = checks.rows_with_target(values)
        if infinite_row >= 0:
            raise TargetsError(f"Row {infinite_row} of the targets holds an infinite value.")
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "rows", rows)
        for side in (1.0, -1.0) if self.bracket is not None else ():
            beyond = self.bracket.beyond_zero(side)  # type: ignore[union-attr]  # not None here
            if beyond and np.any(side * values > 0.0):
                raise SettingsError(f"Targets.bracket has {beyond}.")
        if self.at_bars is not None:
            object.__setattr__(self, "at_bars", _increasing(self.at_bars, values.shape[0]))

    @property
    def bars(self) -> IntArray:
        """The bars that hold a target, shape (n_decisions,)."""
        if self.at_bars is None or self.rows.size == self.at_bars.size:
            return self.rows if self.at_bars is None else self.at_bars
        return self.at_bars[self.rows]

    @property
    def kind_code(self) -> int:
        """The kind as the kernel knows it."""
        return int(TargetKind[self.kind.upper()])

    def require_fit(self, bars: Bars) -> None:
        """Refuse targets that do not belong to these bars."""
        shape = self.values.shape
        fits = shape[1] == bars.n_assets
        if self.at_bars is None:
            fits = fits and shape[0] == bars.n_bars
        elif self.at_bars.size and self.at_bars[-1] >= bars.n_bars:
            raise ShapeError(f"There is a target for bar {self.at_bars[-1]} of {bars.n_bars} bars.")
        if not fits:
            raise ShapeError(f"The targets have shape {shape}, the bars {bars.close.shape}.")

    @cached_property
    def content_digest(self) -> str:
        """SHA-256 over the values, their kind, the band, and what else is not the default."""
        document = {"kind": f"targets/{self.kind}", "band": float(self.band).hex()}
        if self.sized_at != "decision":
            document["sized_at"] = self.sized_at
        if self.bracket is not None:
            for name in ("stop_loss", "take_profit"):
                if (given := getattr(self.bracket, name)) is not None:
                    document[name] = float(given).hex()
        arrays = {"values": self.values}
        if self.at_bars is not None:
            arrays["at_bars"] = self.at_bars  # type: ignore[assignment]  # another dtype
        return content_digest(document, arrays)


@dataclass(frozen=True, slots=True)
class Order:
    """One order.

    Parameters
    ----------
    instrument : str or int
        Symbol, or column of the bars.
    quantity : float
        Units, bought > 0, sold < 0.
    kind : str
        market, limit, stop, stop_limit, trailing_stop, market_on_open or market_on_close.
    limit_price, stop_price : float
        Where the kind needs them. A trailing stop without a stop price begins at its trail from
        the close of the decision.
    trail : float
        Distance of a trailing stop [currency], or a fraction of the price.
    trail_is_fraction : bool
    time_in_force : str
        gtc, day, ioc, fok or gtd.
    good_until : int, optional
        Last stamp [ns UTC] of a gtd order.
    bracket : Bracket, optional
        Exits relative to the price this order fills at.
    group : int
        Orders of one bar with the same number above 0 cancel each other (OCO).
    parent : int
        Position, in the same list, of the order whose fill activates this one; -1 = none.
    is_offset : bool
        Prices are fractions of the price its parent fills at, away from it.
    reduces_only : bool
        Fills no more than the position, and goes when that is closed.
    bar : int
        Of the decision; for `Orders` only.
    """

    instrument: str | int
    quantity: float
    kind: Kind = "market"
    limit_price: float = np.nan
    stop_price: float = np.nan
    trail: float = np.nan
    trail_is_fraction: bool = False
    time_in_force: Force = "gtc"
    good_until: int = 0
    bracket: Bracket | None = None
    group: int = 0
    parent: int = -1
    is_offset: bool = False
    reduces_only: bool = False
    bar: int = -1


@dataclass(frozen=True, slots=True)
class Cancel:
    """Withdraw an order, by its row, or every working order of an instrument."""

    order: int = -1
    instrument: str | int | None = None


@dataclass(frozen=True, eq=False)
class Orders:
    """A table of orders, each decided at the close of its bar: a replay.

    Parameters
    ----------
    orders : sequence of Order
        In any order of bars; those of one bar are submitted as they stand.
    symbols : sequence of str, optional
        Needed where orders name instruments by symbol.

    Raises
    ------
    OrderError
        The first order that means nothing, with its position, bar and instrument.
    """

    orders: Sequence[Order]
    symbols: Sequence[str] = ()
    requests: RecordArray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        columns = {symbol: column for column, symbol in enumerate(self.symbols)}
        if isinstance(self.orders, Order):
            raise OrderError("Orders needs a sequence of orders: Orders([order]).")
        given = tuple(self.orders)
        for at, order in enumerate(given):
            if not isinstance(order, Order):
                raise OrderError(f"Item {at} is {order!r}, not an Order.")
            if order.bar < 0:
                raise OrderError(f"Order {at} has no bar.")
        ranks = np.argsort([order.bar for order in given], kind="stable")
        place = np.empty(len(given), np.int64)
        place[ranks] = np.arange(len(given))
        ordered = [given[at] for at in ranks]
        parents = [_placed(order, place) for order in ordered]
        for order, parent in zip(ordered, parents, strict=True):
            if 0 <= parent < len(ordered) and ordered[parent].bar != order.bar:
                at = next(i for i, other in enumerate(given) if other is order)
                raise OrderError(f"{_named(at, order)} {FAULT_SENTENCES[Fault.PARENT]}.")
        requests = encode(ordered, columns, parents=parents)
        object.__setattr__(self, "orders", given)
        object.__setattr__(self, "requests", requests)

    def require_fit(self, bars: Bars) -> None:
        """Refuse orders for bars or instruments that are not there."""
        if self.symbols and tuple(self.symbols) != tuple(bars.symbols):
            raise OrderError("The orders were written for other symbols than those of the bars.")
        for request in self.requests:
            what = f"The order of bar {request['bar']} for instrument {request['instrument']}"
            if request["bar"] >= bars.n_bars:
                raise OrderError(f"{what} comes after the last of {bars.n_bars} bars.")
            if not 0 <= request["instrument"] < bars.n_assets:
                raise OrderError(f"{what} {FAULT_SENTENCES[Fault.INSTRUMENT]}.")

    @cached_property
    def content_digest(self) -> str:
        """SHA-256 over the requests."""
        return content_digest({"kind": "orders"}, {"requests": self.requests})


def encode(
    orders: Sequence[Order | Cancel],
    columns: Mapping[str, int],
    *,
    parents: Sequence[int] | None = None,
) -> RecordArray:
    """Return orders as rows of `REQUEST`, each bracket as two rows more.

    Raises
    ------
    OrderError
        The first order that means nothing, with its position and instrument.
    """
    rows: list[dict[str, Any]] = []
    row_of: list[int] = []
    for at, order in enumerate(orders):
        row_of.append(len(rows))
        if isinstance(order, Cancel):
            rows.append(_cancel_row(order, columns))
            continue
        if not isinstance(order, Order):
            raise OrderError(f"Item {at} is {order!r}, not an Order.")
        parent = order.parent if parents is None else parents[at]
        if parent >= at or (parent >= 0 and not isinstance(orders[parent], Order)):
            raise OrderError(f"{_named(at, order)} {FAULT_SENTENCES[Fault.PARENT]}.")
        rows.append(_row(at, order, columns, row_of[parent] if parent >= 0 else -1))
        if parents is None:
            rows[-1]["bar"] = -1  # decided now, whatever it says
        if order.bracket is not None:
            if beyond := order.bracket.beyond_zero(order.quantity):
                raise OrderError(f"{_named(at, order)} has {beyond}.")
            rows.extend(_bracket_rows(rows[-1], row_of[at], order.bracket))
    requests = np.zeros(len(rows), REQUEST)
    for at, row in enumerate(rows):
        for name, value in row.items():
            requests[at][name] = value
    return read_only(requests)


def _placed(order: Order, place: IntArray) -> int:
    return int(place[order.parent]) if 0 <= order.parent < place.size else order.parent


def _row(at: int, order: Order, columns: Mapping[str, int], parent: int) -> dict[str, Any]:
    kind, force = _member(OrderKind, order.kind), _member(TimeInForce, order.time_in_force)
    for name, given, found, known in (
        ("kind", order.kind, kind, OrderKind),
        ("time in force", order.time_in_force, force, TimeInForce),
    ):
        if found is None:
            names = ", ".join(member.name.lower() for member in known)
            raise OrderError(
                f"{_named(at, order)} has the unknown {name} {given!r}, none of {names}."
            )
    if force == TimeInForce.GTD and order.good_until == 0:
        raise OrderError(f"{_named(at, order)} needs good_until, its last stamp [ns UTC].")
    flags = IS_OFFSET * order.is_offset | REDUCES_ONLY * order.reduces_only
    row = {
        "quantity": order.quantity, "limit_price": order.limit_price,
        "stop_price": order.stop_price, "trail": order.trail, "good_until": order.good_until,
        "bar": order.bar, "instrument": column_of(order.instrument, columns, at), "parent": parent,
        "group": order.group, "kind": kind, "time_in_force": force,
        "flags": flags | TRAILS_FRACTION * order.trail_is_fraction,
    }  # fmt: skip
    record = np.zeros(1, REQUEST)
    for name, value in row.items():
        try:
            record[0][name] = value
        except (TypeError, ValueError, OverflowError) as error:
            raise OrderError(f"{_named(at, order)} has {value!r} for its {name}.") from error
    fault = Fault(_fault_of(record[0]))
    if fault != Fault.NONE:
        raise OrderError(f"{_named(at, order)} {FAULT_SENTENCES[fault]}.")
    return row


def _bracket_rows(entry: dict[str, Any], parent: int, bracket: Bracket) -> list[dict[str, Any]]:
    """Return the exits of an entry: a group of their own, priced from its fill."""
    common = {
        **entry, "quantity": -entry["quantity"], "parent": parent, "group": 2**30 + parent,
        "time_in_force": TimeInForce.GTC, "flags": IS_OFFSET | REDUCES_ONLY,
        "limit_price": np.nan, "stop_price": np.nan, "trail": np.nan,
    }  # fmt: skip
    exits = []
    if bracket.stop_loss is not None:
        exits.append(common | {"kind": OrderKind.STOP, "stop_price": bracket.stop_loss})
    if bracket.take_profit is not None:
        exits.append(common | {"kind": OrderKind.LIMIT, "limit_price": bracket.take_profit})
    return exits


def _cancel_row(cancel: Cancel, columns: Mapping[str, int]) -> dict[str, Any]:
    if cancel.instrument is None:
        return {"action": RequestAction.CANCEL, "parent": cancel.order, "bar": -1}
    column = column_of(cancel.instrument, columns, 0)
    return {"action": RequestAction.CANCEL_ALL, "instrument": column, "bar": -1}


def column_of(instrument: str | int, columns: Mapping[str, int], at: int) -> int:
    """Return the column of an instrument, by symbol or by number."""
    if isinstance(instrument, str):
        if not columns:
            raise OrderError(
                f"Order {at} names {instrument!r}: Orders needs symbols=bars.symbols to know it."
            )
        if instrument not in columns:
            raise OrderError(f"Order {at} names {instrument!r}, which the bars do not have.")
        return columns[instrument]
    try:
        return operator.index(instrument)
    except TypeError:
        raise OrderError(
            f"Order {at} names {instrument!r}, neither a symbol nor a column."
        ) from None


def _named(at: int, order: Order) -> str:
    bar = f" of bar {order.bar}" if order.bar >= 0 else ""
    return f"Order {at}{bar} for {order.instrument!r}"


def _member(members: Any, name: object) -> Any:
    return members.__members__.get(name.upper()) if isinstance(name, str) else None


def _increasing(bars: ArrayLike, n_rows: int) -> IntArray:
    at = np.ascontiguousarray(bars, dtype=np.int64)
    if at.shape != (n_rows,):
        raise ShapeError(f"at_bars has shape {at.shape} for {n_rows} rows of targets.")
    if at.size and (at[0] < 0 or checks.first_unsorted(at) >= 0):
        raise ShapeError("at_bars must be increasing rows of the bars.")
    return read_only(at)
