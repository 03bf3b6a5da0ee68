"""From checked inputs and settings to the plain arrays and numbers that the loop reads."""

import math
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from backtests.engine.checks import rows_with_action
from backtests.engine.config import (
    Account,
    Costs,
    Fills,
    LinearImpact,
    Number,
    SquareRootImpact,
)
from backtests.engine.dtypes import (
    LINEAR_IMPACT,
    NEXT_CLOSE,
    NEXT_OPEN,
    NO_IMPACT,
    RUN,
    SAME_CLOSE,
    SQUARE_ROOT_IMPACT,
    FloatArray,
    IntArray,
    Policy,
)
from backtests.engine.errors import SettingsError, ShapeError
from backtests.engine.estimates import known_half_spread, trailing_impact_inputs
from backtests.engine.inputs import Bars
from backtests.engine.sheets import LONG, SLOTS

DAY_NS = 86_400_000_000_000
YEAR_NS = 365.0 * DAY_NS
_NEVER_CALLED = -1e300  # finite, so that a flat account times it is 0
_BASIS_POINT = 1e-4
_MOMENTS = {
    "next_open": NEXT_OPEN,
    "next_close": NEXT_CLOSE,
    "same_close_with_look_ahead": SAME_CLOSE,
}


def _absent(*shape: int) -> FloatArray:
    array = np.empty(shape)
    array.flags.writeable = False
    return array


NO_TABLE, NO_COLUMN = _absent(0, 0), _absent(0)
_NO_NUMBERS = np.empty(0, np.int64)


_FIELDS: tuple[str, ...] = RUN.names or ()
_PLACE = {name: place for place, name in enumerate(_FIELDS)}
_IS_REAL = tuple(RUN[name] == np.float64 for name in _FIELDS)
# What an instrument has in a run: columns of one table, (n, n_assets).
_ACCOUNT = ("position", "mark", "traded", "after", "clock")
_STATE = ("order_of", "is_delisted")


class Prepared:
    """A run before its first bar: the record that the loop reads, and the arrays it points to.

    Attributes
    ----------
    run : array of `RUN`, shape (1,)
    arrays : dict
        Every array by the name of its address; kept here so that the addresses stay good.

    Notes
    -----
    Every field of the record is eight bytes wide; seen as two lists of them, one of whole numbers
    and one of real ones, a field is set in a seventh of the time that its name would take.
    """

    def __init__(self) -> None:
        self._hold(np.zeros(len(_FIELDS), np.int64))
        self.arrays: dict[str, NDArray[Any]] = {}

    def _hold(self, words: NDArray[np.int64]) -> None:
        self._words, self.run = words, words.view(RUN)
        record = self._words.data.cast("B")
        self._whole, self._real = record.cast("q"), record.cast("d")

    def __getstate__(self) -> tuple[NDArray[np.int64], dict[str, NDArray[Any]]]:
        return self._words, self.arrays

    def __setstate__(self, state: tuple[NDArray[np.int64], dict[str, NDArray[Any]]]) -> None:
        """Take over a copied or unpickled record, which points to where the arrays are now."""
        words, arrays = state
        self._hold(words)
        self.arrays = {}
        for name, array in arrays.items():
            self.point(name, array)

    def copy(self) -> "Prepared":
        """Return the same run with a record of its own, which points to the same arrays."""
        other = Prepared()
        other._words[:] = self._words
        other.arrays = dict(self.arrays)
        return other

    @property
    def address(self) -> int:
        """Where the record lies."""
        return address_of(self._words)

    def point(self, name: str, array: NDArray[Any] | None) -> None:
        """Let the record point to an array; None or an empty one is absent."""
        if array is None or array.size == 0:
            self._whole[_PLACE[name]] = 0
            return
        if not array.flags.c_contiguous:
            raise AssertionError(f"{name} is not contiguous")
        self._point_at(name, array, address_of(array))

    def point_rows(self, names: tuple[str, ...], table: NDArray[Any]) -> None:
        """Let the record point to the rows of a table, one name each."""
        address, step = address_of(table), table.strides[0]
        for k, name in enumerate(names):
            self._point_at(name, table[k], address + k * step)

    def _point_at(self, name: str, array: NDArray[Any], address: int) -> None:
        self.arrays[name] = array
        self._whole[_PLACE[name]] = address

    def set(self, **values: float) -> None:
        """Set numbers of the record."""
        for name, value in values.items():
            place = _PLACE[name]
            if _IS_REAL[place]:
                self._real[place] = value
            else:
                self._whole[place] = int(value)

    def number(self, name: str) -> Any:
        """Return a number of the record."""
        place = _PLACE[name]
        return self._real[place] if _IS_REAL[place] else self._whole[place]


def address_of(array: NDArray[Any]) -> int:
    """Return where the first element of an array lies."""
    if array.dtype.names is not None:  # numpy would describe every field of it
        return int(array.ctypes.data)
    return int(array.__array_interface__["data"][0])


# The last settings that bars were prepared for, and what came of it: who looks for a strategy runs
# many on the same bars. Tables that would have to be worked out anew if the bars changed are not
# kept with them.
_LATEST: WeakKeyDictionary[Bars, tuple[tuple[Fills, Costs, Account], Prepared]] = (
    WeakKeyDictionary()
)


def prepare(
    bars: Bars, fills: Fills, costs: Costs, account: Account, intrabar: Bars | None = None
) -> Prepared:
    """Return bars, settings and an account that holds its capital and nothing else.

    Raises
    ------
    SettingsError
        A setting needs a column that the bars do not have, or a currency has no rate.
    ShapeError
        The finer bars do not fit.
    """
    settings = (fills, costs, account)
    known = _LATEST.get(bars)
    if known is not None and _are_same(known[0], settings):
        prepared = known[1].copy()
    else:
        prepared = Prepared()
        prepared.set(n_bars=bars.n_bars, n_assets=bars.n_assets)
        _set_rules(prepared, bars, fills, costs, account)
        _point_market(prepared, bars, fills, costs, account)
        if _derives_no_table(prepared, bars):
            _LATEST[bars] = settings, prepared.copy()
    _point_finer(prepared, bars, intrabar)
    start_account(prepared, account.capital)
    return prepared


def _are_same(ones: tuple[object, ...], others: tuple[object, ...]) -> bool:
    """Say whether settings are the same to the last bit: 0.0 and -0.0 are not."""
    return all(
        one is other or repr(one) == repr(other) for one, other in zip(ones, others, strict=True)
    )


def _derives_no_table(prepared: Prepared, bars: Bars) -> bool:
    """Say whether every table of a run with a row per bar is a column of the bars themselves."""
    kept = {id(column) for column in vars(bars).values()}
    return all(
        id(array) in kept or array.shape[0] != bars.n_bars for array in prepared.arrays.values()
    )


def is_alone(prepared: Prepared) -> bool:
    """Say whether a run of targets is one of a single instrument and plain market orders.

    Notes
    -----
    Exits that wait for prices are plain too, unless finer bars say in which order they are met.
    """
    number, arrays = prepared.number, prepared.arrays
    has_exits = not (math.isnan(number("stop_loss")) and math.isnan(number("take_profit")))
    return bool(
        number("n_assets") == 1
        and number("fills_at") == NEXT_OPEN
        and number("has_opens")
        and number("latency_bars") == 0
        and number("max_participation") == math.inf
        and number("minimum_notional") == 0.0
        and arrays["lot"][0] == 0.0
        and arrays["tick"][0] == 0.0
        and not (has_exits and number("fine_first"))
        and number("is_plain")
        and not number("is_financed")
        and not number("spread_open")
        and not number("spread_close")
        and number("impact_kind") == NO_IMPACT
        and not number("n_tiers")
    )


def start_account(prepared: Prepared, capital: float) -> None:
    """Set the account to its capital, with nothing held and nothing recorded."""
    n_assets = int(prepared.number("n_assets"))
    prepared.set(capital=capital, cash=capital, equity=capital)
    prepared.point_rows(_ACCOUNT, np.zeros((len(_ACCOUNT), n_assets)))
    prepared.point_rows(_STATE, np.zeros((len(_STATE), n_assets), np.int64))
    prepared.arrays["order_of"].fill(-1)
    n_bars = int(prepared.number("n_bars"))
    prepared.point("equity_curve", np.empty(n_bars))
    prepared.point("sheet", np.empty(SLOTS if n_bars >= LONG else 0))
    if prepared.number("is_financed"):
        prepared.point("borrow_curve", np.zeros(n_bars))
        prepared.point("interest_curve", np.zeros(n_bars))


def _set_rules(
    prepared: Prepared, bars: Bars, fills: Fills, costs: Costs, account: Account
) -> None:
    kind, y, permanent = _impact(costs)
    borrow = bars.fact("borrow_rate")
    is_borrowing = costs.borrow_bps_per_year > 0.0 or bool(np.any(borrow > 0.0))
    share, maintenance = fills.max_participation, account.maintenance_margin
    prepared.set(
        fills_at=_MOMENTS[fills.at],
        has_opens=bars.open is not None,
        policy=int(Policy[fills.intrabar.upper()]),
        fills_through=fills.limit_fill == "through",
        latency_bars=fills.latency_bars,
        max_participation=math.inf if share is None else share,
        minimum_notional=fills.minimum_notional,
        commission_rate=float(costs.commission_bps) * _BASIS_POINT,
        commission_per_share=costs.commission_per_share,
        commission_per_order=costs.commission_per_order,
        commission_minimum=costs.commission_minimum,
        commission_maximum=costs.commission_maximum,
        buy_tax_rate=float(costs.buy_tax_bps) * _BASIS_POINT,
        sell_tax_rate=float(costs.sell_tax_bps) * _BASIS_POINT,
        slippage_rate=float(costs.slippage_bps) * _BASIS_POINT,
        conversion_rate=float(costs.conversion_bps) * _BASIS_POINT,
        impact_kind=kind,
        impact_y=y,
        impact_permanent=permanent,
        delisting_haircut=account.delisting_haircut,
        max_leverage=account.max_leverage,
        maintenance=_NEVER_CALLED if maintenance is None else maintenance,
        scales_on_shortfall=account.on_shortfall == "scale",
        cash_rate=account.cash_rate,
        margin_rate=account.margin_rate,
        is_financed=is_borrowing or account.cash_rate != 0.0 or account.margin_rate != 0.0,
        is_plain=bars.rates is None and bool(np.all(bars.fact("multiplier") == 1.0)),
        stop_loss=math.nan,
        take_profit=math.nan,
    )


def _point_market(
    prepared: Prepared, bars: Bars, fills: Fills, costs: Costs, account: Account
) -> None:
    for name, table in zip(("open", "high", "low", "close"), _prices(bars), strict=True):
        prepared.point(name, table)
    if fills.max_participation is not None and bars.volume is None:
        raise SettingsError("Fills.max_participation needs bars with volumes.")
    for name in ("volume", "split", "dividend", "delisted"):
        prepared.point(name, getattr(bars, name))
    for name, table in zip(("spread_open", "spread_close"), _spreads(bars, costs), strict=True):
        prepared.point(name, table)
    for name, table in zip(
        ("impact_sigma", "impact_volume"), _impact_inputs(bars, costs), strict=True
    ):
        prepared.point(name, table)
    rates, currency = _rates(bars, account)
    prepared.point("rates", rates)
    prepared.set(n_currencies=rates.shape[1])
    for name, fact in _facts(bars, costs, currency).items():
        prepared.point(name, fact)
    if prepared.number("is_financed"):
        prepared.point("years", _years(bars))
    prepared.point("stamp", bars.ts)
    prepared.point("session", bars.session)  # else the UTC day of the stamp
    if costs.commission_tiers:
        prepared.point("month", _months(bars))
        prepared.set(n_tiers=len(costs.commission_tiers))
        prepared.point("tiers", _tiers(costs))
    action_bars = _action_bars(bars)
    prepared.set(n_action_bars=action_bars.size)
    is_complete = bars.n_assets > 1 and bars.is_complete and action_bars.size == 0
    prepared.set(
        is_complete=is_complete and prepared.number("is_plain"),
        is_unbroken=bars.n_assets == 1 and bars.is_complete,
    )
    prepared.point("action_bars", action_bars)


def _point_finer(prepared: Prepared, bars: Bars, intrabar: Bars | None) -> None:
    """Point to the finer bars and, for each bar, to the first of those that end inside it."""
    if intrabar is None:
        return
    if tuple(intrabar.symbols) != tuple(bars.symbols):
        raise ShapeError("The finer bars must have the symbols of the bars, in their order.")
    first = np.zeros(bars.n_bars + 1, np.int64)
    first[1:] = np.searchsorted(intrabar.ts, bars.ts, side="right")
    prepared.point("fine_first", first)
    names = ("fine_open", "fine_high", "fine_low", "fine_close")
    for name, table in zip(names, _prices(intrabar), strict=True):
        prepared.point(name, table)


def _action_bars(bars: Bars) -> IntArray:
    split, dividend, delisted = (
        NO_TABLE if (given := getattr(bars, name)) is None else given
        for name in ("split", "dividend", "delisted")
    )
    if not (split.size or dividend.size or delisted.size):
        return _NO_NUMBERS
    return np.flatnonzero(rows_with_action(split, dividend, delisted, bars.n_bars))


def _prices(bars: Bars) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return open, high, low and close, with what is missing read off what is there."""
    opened = bars.close if bars.open is None else bars.open
    if bars.high is None or bars.low is None:
        if bars.open is None:
            return opened, opened, opened, bars.close
        high, low = np.fmax(opened, bars.close), np.fmin(opened, bars.close)
        return opened, _read_only(high), _read_only(low), bars.close
    return opened, bars.high, bars.low, bars.close


def _read_only(array: FloatArray) -> FloatArray:
    array.flags.writeable = False
    return array


def _spreads(bars: Bars, costs: Costs) -> tuple[FloatArray, FloatArray]:
    """Return the half spreads at the open and at the close, NaN where none is known."""
    at_close = bars.half_spread
    if costs.half_spread_bps == "corwin_schultz":
        if bars.high is None or bars.low is None:
            raise SettingsError("Costs.half_spread_bps='corwin_schultz' needs highs and lows.")
        estimated = known_half_spread(bars.high, bars.low, bars.close, bars.split)
        at_close = (
            estimated if at_close is None else np.where(np.isnan(at_close), estimated, at_close)
        )
        at_close = _read_only(at_close)
    if at_close is None:
        at_close = NO_TABLE
    at_open = bars.half_spread_open
    if at_open is None:
        return at_close, at_close
    if at_close.size:
        at_open = _read_only(np.where(np.isnan(at_open), at_close, at_open))
    return at_open, at_close


def _impact(costs: Costs) -> tuple[int, float, float]:
    if isinstance(costs.impact, SquareRootImpact):
        return SQUARE_ROOT_IMPACT, float(costs.impact.y), 0.0
    if isinstance(costs.impact, LinearImpact):
        return LINEAR_IMPACT, float(costs.impact.temporary), float(costs.impact.permanent)
    return NO_IMPACT, 0.0, 0.0


def _impact_inputs(bars: Bars, costs: Costs) -> tuple[FloatArray, FloatArray]:
    """Return sigma and volume as known before each bar."""
    if costs.impact is None:
        return NO_TABLE, NO_TABLE
    if bars.sigma is not None and bars.adv is not None:
        return _shifted(bars.sigma), _shifted(bars.adv)
    if bars.volume is None:
        raise SettingsError("Costs.impact needs bars with volumes, or with adv and sigma.")
    sigma, volume = trailing_impact_inputs(bars.close, bars.volume, bars.split)
    return _read_only(sigma), _read_only(volume)


def _shifted(table: FloatArray) -> FloatArray:
    shifted = np.full_like(table, np.nan)
    shifted[1:] = table[:-1]
    return _read_only(shifted)


def _facts(bars: Bars, costs: Costs, currency: IntArray) -> dict[str, NDArray[Any]]:
    borrow = bars.fact("borrow_rate")
    assumed = float(costs.borrow_bps_per_year) * _BASIS_POINT
    return {
        "multiplier": np.ascontiguousarray(bars.fact("multiplier")),
        "lot": np.ascontiguousarray(bars.fact("lot_size")),
        "tick": np.ascontiguousarray(bars.fact("tick_size")),
        "borrow_rate": np.where(np.isnan(borrow), assumed, borrow),
        "half_spread_rate": _spread_rates(bars, costs),
        "currency": currency,
    }


def _spread_rates(bars: Bars, costs: Costs) -> FloatArray:
    given = costs.half_spread_bps
    if isinstance(given, str):
        return np.zeros(bars.n_assets)
    if isinstance(given, Number):
        return np.full(bars.n_assets, float(given) * _BASIS_POINT)
    if len(given) != bars.n_assets:
        raise SettingsError(
            f"Costs.half_spread_bps names {len(given)} instruments, the bars have {bars.n_assets}."
        )
    return np.asarray(given, dtype=np.float64) * _BASIS_POINT


def _rates(bars: Bars, account: Account) -> tuple[FloatArray, IntArray]:
    """Return exchange rates by currency, the account's own first, and each column's currency."""
    names = [account.currency]
    for name in bars.currency_of():
        if name not in names:
            names.append(name)
    column = np.array([names.index(name) for name in bars.currency_of()], dtype=np.int64)
    if len(names) == 1:
        return NO_TABLE, column
    known = bars.rates or {}
    missing = [name for name in names[1:] if name not in known]
    if missing:
        raise SettingsError(
            f"The bars are in {', '.join(missing)}, the account in {account.currency}: "
            f"Bars.rates needs the rate of {missing[0]}."
        )
    columns = [np.ones(bars.n_bars), *(known[name] for name in names[1:])]
    return _read_only(np.ascontiguousarray(np.column_stack(columns))), column


def _years(bars: Bars) -> FloatArray:
    years = np.zeros(bars.n_bars)
    years[1:] = np.diff(bars.ts) / YEAR_NS
    return years


def _months(bars: Bars) -> IntArray:
    months: IntArray = (bars.ts - 1).view("datetime64[ns]").astype("datetime64[M]").astype(np.int64)
    return months


def _tiers(costs: Costs) -> FloatArray:
    table: FloatArray = np.array(costs.commission_tiers, dtype=np.float64).reshape(-1, 2)
    return np.ascontiguousarray(table * np.array([1.0, _BASIS_POINT]))
