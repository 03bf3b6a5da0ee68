"""What a simulation reads, checked at the border so that the kernel need not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backtests.engine import checks
from backtests.engine.digests import content_digest
from backtests.engine.dtypes import FloatArray, IntArray
from backtests.engine.errors import (
    BarError,
    InconsistentBarError,
    InvalidActionError,
    InvalidPriceError,
    InvalidVolumeError,
    PartialBarError,
    ShapeError,
    UnsortedStampsError,
    iso_stamp,
)

Scalar = TypeVar("Scalar", bound=np.generic)

_FAULTS: dict[int, tuple[type[BarError], str]] = {
    checks.PARTIAL: (PartialBarError, "some of its prices are missing and some are not"),
    checks.PRICE: (InvalidPriceError, "a price is not a positive finite number"),
    checks.RANGE: (
        InconsistentBarError,
        "high is below low, or open or close lies outside low and high",
    ),
    checks.VOLUME: (InvalidVolumeError, "the volume is missing, negative or infinite"),
    checks.SPREAD: (InvalidActionError, "the half spread is not in [0, close)"),
    checks.OPEN_SPREAD: (InvalidActionError, "the half spread at the open is not in [0, open)"),
    checks.SPLIT: (InvalidActionError, "the split ratio is not a positive finite number"),
    checks.DIVIDEND: (InvalidActionError, "the dividend is negative or infinite"),
    checks.DELISTED: (InvalidActionError, "`delisted` is neither 0 nor 1"),
    checks.KNOWN: (InvalidActionError, "adv or sigma is negative or infinite"),
}
_EXTRAS = {
    "volume": checks.VOLUME,
    "half_spread": checks.SPREAD,
    "half_spread_open": checks.OPEN_SPREAD,
    "split": checks.SPLIT,
    "dividend": checks.DIVIDEND,
    "delisted": checks.DELISTED,
    "adv": checks.KNOWN,
    "sigma": checks.KNOWN,
}
_FACTS = {  # name: value where none is given, least allowed
    "multiplier": (1.0, np.nextafter(0.0, 1.0)),
    "lot_size": (0.0, 0.0),
    "tick_size": (0.0, 0.0),
    "borrow_rate": (np.nan, 0.0),
}


# Seconds since 1970: the span in which integers of another unit are recognized.
YEAR_1979, YEAR_2096 = 300_000_000, 4_000_000_000
_NOT_A_TIME = np.iinfo(np.int64).min  # what numpy keeps for NaT


@dataclass(frozen=True, eq=False, repr=False)
class Bars:
    """Prices of one or more instruments on one clock.

    Arrays that already are float64 and C-contiguous are used where they lie (memory-mapped files
    too), not copied; do not change them afterwards.

    Parameters
    ----------
    ts : int64 or datetime64 array or pandas DatetimeIndex, shape (n_bars,)
        The moment each bar is known, its end [ns since 1970, UTC]; strictly increasing.
    close : float array, shape (n_bars, n_assets) or (n_bars,)
        Raw prices [currency per unit], > 0. NaN where the instrument did not trade in the bar;
        its other prices must then be NaN too.
    open, high, low : float array, same shape, optional
        Raw prices with ``low <= open, close <= high``.
    volume : float array, same shape, optional
        Units traded, >= 0; NaN only where the instrument did not trade.
    symbols : sequence of str
        One unique name per column.
    currency : str or sequence of str
        Of all prices, or one per column.
    half_spread : float array, same shape, optional
        Measured half spread at the close [currency per unit], in [0, close); NaN = not measured.
    half_spread_open : float array, same shape, optional
        The same at the open, in [0, open), used by fills at the open; where it is NaN, they use
        `half_spread`. Needs `open`.
    split : float array, same shape, optional
        New units per old unit, effective before this bar's open; NaN or 1 = none.
    dividend : float array, same shape, optional
        Cash per unit held after this bar's split [currency per unit], >= 0; NaN or 0 = none.
    delisted : float array, same shape, optional
        1 where the instrument is delisted before this bar's open; NaN or 0 = not.
    adv, sigma : float array, same shape, optional
        Volume and standard deviation of the returns over one and the same horizon, known at this
        bar's close [units, fraction], for impact; NaN = unknown. Without them, impact uses the
        mean volume and the deviation of the 20 bars before.
    multiplier, lot_size, tick_size, borrow_rate : float, or float array, shape (n_assets,)
        Currency per unit and price; smallest tradable step of units and of prices, 0 = any; fee on
        the value of shorts [per year], NaN = the one of the costs.
    rates : mapping of str to float array, shape (n_bars,), optional
        Account currency per unit of each other currency, at each close, > 0.
    session : int array, shape (n_bars,), optional
        Number of the trading session of each bar, never decreasing, for DAY orders; by default
        the UTC day a bar ends in, midnight closing it.
    digest : str, optional
        Name of the content where it is known; otherwise computed when first asked for.

    Raises
    ------
    ShapeError
        Shapes, types or the number of symbols do not fit, or there is no bar.
    UnsortedStampsError, PartialBarError, InvalidPriceError, InconsistentBarError, \
InvalidVolumeError, InvalidActionError
        The first offending bar, with its stamp and instrument.
    """

    ts: NDArray[np.int64]
    close: FloatArray
    open: FloatArray | None = None
    high: FloatArray | None = None
    low: FloatArray | None = None
    volume: FloatArray | None = None
    symbols: Sequence[str] = field(kw_only=True)
    currency: str | Sequence[str] = field(default="USD", kw_only=True)
    half_spread: FloatArray | None = field(default=None, kw_only=True)
    half_spread_open: FloatArray | None = field(default=None, kw_only=True)
    split: FloatArray | None = field(default=None, kw_only=True)
    dividend: FloatArray | None = field(default=None, kw_only=True)
    delisted: FloatArray | None = field(default=None, kw_only=True)
    adv: FloatArray | None = field(default=None, kw_only=True)
    sigma: FloatArray | None = field(default=None, kw_only=True)
    multiplier: FloatArray | float | None = field(default=None, kw_only=True)
    lot_size: FloatArray | float | None = field(default=None, kw_only=True)
    tick_size: FloatArray | float | None = field(default=None, kw_only=True)
    borrow_rate: FloatArray | float | None = field(default=None, kw_only=True)
    rates: Mapping[str, FloatArray] | None = field(default=None, kw_only=True)
    session: IntArray | None = field(default=None, kw_only=True)
    digest: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        ts = _stamps(self.ts)
        close = as_table("close", self.close, None)
        self._set("ts", ts)
        self._set("close", close)
        self._set("symbols", _symbols(self.symbols, close.shape[1]))
        for name in ("open", "high", "low", *_EXTRAS):
            if (values := getattr(self, name)) is not None:
                self._set(name, as_table(name, values, close.shape))
        if ts.size != close.shape[0]:
            raise ShapeError(f"There are {ts.size} stamps but {close.shape[0]} rows of closes.")
        if (self.high is None) != (self.low is None):
            raise ShapeError("High and low come together or not at all.")
        if self.half_spread_open is not None and self.open is None:
            raise ShapeError("A half spread at the open needs opens.")
        if (self.adv is None) != (self.sigma is None):
            raise ShapeError("adv and sigma come together or not at all.")
        self._set_facts()
        self._check()

    def _set_facts(self) -> None:
        for name, (_, least) in _FACTS.items():
            if (given := getattr(self, name)) is not None:
                self._set(name, _fact(name, given, self.n_assets, least))
        if not isinstance(self.currency, str):
            currencies = tuple(self.currency)
            if len(currencies) != self.n_assets:
                raise ShapeError(
                    f"There are {len(currencies)} currencies for {self.n_assets} columns."
                )
            self._set("currency", currencies)
        if self.rates is not None:
            self._set("rates", {name: self._rate(name, rate) for name, rate in self.rates.items()})
        if self.session is not None:
            session = np.ascontiguousarray(self.session, dtype=np.int64)
            if session.shape != self.ts.shape or np.any(np.diff(session) < 0):
                raise ShapeError("session must have one number per bar, never decreasing.")
            self._set("session", read_only(session))

    def _rate(self, name: str, rate: ArrayLike) -> FloatArray:
        values = np.ascontiguousarray(rate, dtype=np.float64)
        if values.shape != self.ts.shape:
            raise ShapeError(f"The rate of {name} has shape {values.shape}, not {self.ts.shape}.")
        bad = np.flatnonzero(~((values > 0.0) & np.isfinite(values)))
        if bad.size:
            at = int(bad[0])
            raise InvalidPriceError(
                "its exchange rate is not a positive finite number",
                bar=at, ts=int(self.ts[at]), symbol=name,
            )  # fmt: skip
        return read_only(values)

    def fact(self, name: str) -> FloatArray:
        """Return a fact of the instruments, its default where none was given, (n_assets,)."""
        given: FloatArray | None = getattr(self, name)
        return np.full(self.n_assets, _FACTS[name][0]) if given is None else given

    def currency_of(self) -> tuple[str, ...]:
        """Return the currency of each column."""
        if isinstance(self.currency, str):
            return (self.currency,) * self.n_assets
        return tuple(self.currency)

    @classmethod
    def from_quotes(
        cls, ts: ArrayLike, bid: ArrayLike, ask: ArrayLike, *, symbols: Sequence[str], **more: Any
    ) -> "Bars":
        """Return quotes as bars of one price each: the mid, with half the spread beside it.

        Parameters
        ----------
        ts : as in `Bars`
            The moments of the quotes.
        bid, ask : float array, shape (n_bars, n_assets) or (n_bars,)
            0 < bid <= ask; NaN in both where an instrument has no quote.
        symbols, **more
            As in `Bars`.

        Returns
        -------
        Bars
            Every order fills at the bid or the ask of a later quote; limits and stops are met by
            the side they would trade with.

        Raises
        ------
        PartialBarError
            A bid without an ask, or an ask without a bid.
        InvalidPriceError, InvalidActionError
            A quote is not positive, or crossed.
        """
        bids, asks = as_table("bid", bid, None), as_table("ask", ask, None)
        if bids.shape != asks.shape:
            raise ShapeError(f"bid has shape {bids.shape}, ask has {asks.shape}.")
        _refuse_half_quotes(bids, asks, ts, symbols)
        mid = 0.5 * (bids + asks)
        half = 0.5 * (asks - bids)
        stamps: Any = ts  # of any kind that `Bars` reads
        return cls(
            stamps, mid, mid, mid, mid, symbols=symbols, half_spread=half, half_spread_open=half,
            **more,
        )  # fmt: skip

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _check(self) -> None:
        if (bar := int(checks.first_unsorted(self.ts))) >= 0:
            raise UnsortedStampsError(
                "its stamp is not later than the one before", bar=bar, ts=int(self.ts[bar])
            )
        self._refuse(*self._first_bad_price())
        for name, kind in _EXTRAS.items():
            if (values := getattr(self, name)) is not None:
                price = self.close
                if kind == checks.OPEN_SPREAD and self.open is not None:
                    price = self.open
                self._refuse(*checks.first_bad_extra(price, values, kind))

    def _first_bad_price(self) -> tuple[int, int, int]:
        if self.open is None and self.high is None:
            found = checks.first_bad_close(self.close)
        else:
            opened = self.close if self.open is None else self.open
            high = np.fmax(opened, self.close) if self.high is None else self.high
            low = np.fmin(opened, self.close) if self.low is None else self.low
            found = checks.first_bad_bar(
                self.close, read_only(opened), read_only(high), read_only(low)
            )
        row, column, fault = found
        return int(row), int(column), int(fault)

    def _refuse(self, row: int, column: int, fault: int) -> None:
        if fault == checks.SOUND:
            return
        error, problem = _FAULTS[fault]
        raise error(problem, bar=row, ts=int(self.ts[row]), symbol=self.symbols[column])

    @property
    def n_bars(self) -> int:
        """Number of rows."""
        return int(self.close.shape[0])

    @property
    def n_assets(self) -> int:
        """Number of columns."""
        return int(self.close.shape[1])

    def __repr__(self) -> str:
        shown = ", ".join(self.symbols[:3]) + (", ..." if self.n_assets > 3 else "")
        first, last = (iso_stamp(int(self.ts[at])) for at in (0, -1))
        return f"Bars({self.n_bars:,} bars of {self.n_assets:,} ({shown}), {first} to {last})"

    @cached_property
    def is_complete(self) -> bool:
        """Whether every instrument trades in every bar."""
        return not bool(np.isnan(self.close).any())

    @cached_property
    def content_digest(self) -> str:
        """The digest handed in, or the SHA-256 over all columns, symbols and the currency."""
        if self.digest is not None:
            return self.digest
        columns = ("ts", "close", "open", "high", "low", "session", *_EXTRAS, *_FACTS)
        arrays = {name: getattr(self, name) for name in columns}
        arrays |= {f"rates/{name}": rate for name, rate in (self.rates or {}).items()}
        return content_digest(
            {"kind": "bars", "symbols": list(self.symbols), "currency": self.currency},
            {name: array for name, array in arrays.items() if array is not None},
        )


def _stamps(ts: ArrayLike) -> NDArray[np.int64]:
    if getattr(ts, "tz", None) is not None:  # a pandas index that knows its time zone
        ts = ts.tz_convert(None)  # type: ignore[union-attr]  # pandas is not imported here
    stamps = np.asarray(ts)
    if stamps.dtype.kind == "M":
        stamps = stamps.astype("datetime64[ns]", copy=False).view(np.int64)
    elif stamps.dtype == np.int64 and stamps.size:
        _refuse_other_units(int(stamps.min()), int(stamps.max()))
    if stamps.dtype != np.int64 or stamps.ndim != 1 or stamps.size == 0:
        raise ShapeError(
            "Stamps must be a DatetimeIndex, or a non-empty one-dimensional array of datetime64 or "
            f"of int64 nanoseconds since 1970, not {stamps.dtype} of shape {stamps.shape}."
        )
    if stamps.min() == _NOT_A_TIME:
        raise ShapeError(f"Stamp {int(stamps.argmin())} is missing (NaT).")
    return read_only(np.ascontiguousarray(stamps))


def _refuse_half_quotes(
    bid: FloatArray, ask: FloatArray, ts: ArrayLike, symbols: Sequence[str]
) -> None:
    halves = np.argwhere(np.isnan(bid) != np.isnan(ask))
    stamps = _stamps(ts)
    if halves.size == 0 or stamps.size != bid.shape[0]:
        return
    row, column = (int(at) for at in halves[0])
    raise PartialBarError(
        "it has a bid or an ask, not both",
        bar=row, ts=int(stamps[row]), symbol=_symbols(symbols, bid.shape[1])[column],
    )  # fmt: skip


def _refuse_other_units(first: int, last: int) -> None:
    """Refuse integers that make sense as seconds, milliseconds or microseconds only.

    Read as nanoseconds they all lie in the first weeks of 1970, and every annual figure would
    be wrong by a power of a thousand.
    """
    for unit, per_second in (("seconds", 1), ("milliseconds", 10**3), ("microseconds", 10**6)):
        if YEAR_1979 * per_second <= first and last <= YEAR_2096 * per_second:
            raise ShapeError(
                f"The stamps look like {unit} since 1970; nanoseconds are expected. Pass "
                f"datetime64 values, or multiply by {10**9 // per_second}."
            )


def as_table(
    name: str, values: ArrayLike, shape: tuple[int, ...] | None, *, may_be_empty: bool = False
) -> FloatArray:
    """Return numbers as a read-only float64 table, one-dimensional ones as a single column."""
    if isinstance(values, np.ma.MaskedArray):
        values = np.ma.filled(values.astype(np.float64), np.nan)
    try:
        table = np.require(values, dtype=np.float64, requirements=["C", "A"])
    except (TypeError, ValueError) as error:
        raise ShapeError(f"{name} must be numbers.") from error
    if table.ndim == 1:
        table = table.reshape(-1, 1)
    if table.ndim != 2 or (table.size == 0 and not may_be_empty):
        raise ShapeError(f"{name} must have shape (n_bars, n_assets), not {table.shape}.")
    if shape is not None and table.shape != shape:
        raise ShapeError(f"{name} has shape {table.shape}, the closes have {shape}.")
    return read_only(table)


def _fact(name: str, given: ArrayLike, n_assets: int, least: float) -> FloatArray:
    values = np.array(np.broadcast_to(np.asarray(given, dtype=np.float64), (n_assets,)))
    unknown = np.isnan(values) & (name == "borrow_rate")
    if not np.all(unknown | ((values >= least) & np.isfinite(values))):
        raise ShapeError(f"{name} must be finite and {'above' if least else 'at least'} 0.")
    return read_only(values)


def read_only(array: NDArray[Scalar]) -> NDArray[Scalar]:
    """Return a view that cannot be written through; the owner's own array stays as it was."""
    view = array.view(np.ndarray)
    view.flags.writeable = False
    return view


def _symbols(symbols: Sequence[str], n_assets: int) -> tuple[str, ...]:
    names = (symbols,) if isinstance(symbols, str) else tuple(symbols)
    if len(names) != n_assets:
        raise ShapeError(f"There are {len(names)} symbols for {n_assets} columns.")
    if len(set(names)) != len(names):
        raise ShapeError("Every instrument needs a symbol of its own.")
    return names
