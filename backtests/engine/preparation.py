"""From checked inputs and settings to the plain arrays and numbers that the loop reads."""

import math
from weakref import WeakKeyDictionary

import numpy as np

from backtests.engine import columns
from backtests.engine.config import Account, Costs, Fills
from backtests.engine.dtypes import NEXT_CLOSE, NEXT_OPEN, NO_IMPACT, SAME_CLOSE, Policy
from backtests.engine.errors import SettingsError, ShapeError
from backtests.engine.inputs import Bars
from backtests.engine.record import Prepared
from backtests.engine.sheets import LONG, SLOTS

_NEVER_CALLED = -1e300  # finite, so that a flat account times it is 0
_MOMENTS = {
    "next_open": NEXT_OPEN,
    "next_close": NEXT_CLOSE,
    "same_close_with_look_ahead": SAME_CLOSE,
}
# What an instrument has in a run: columns of one table, (n, n_assets).
_ACCOUNT = ("position", "mark", "traded", "after", "clock")
_STATE = ("order_of", "is_delisted")

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
    kind, y, permanent = columns.impact(costs)
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
        commission_rate=float(costs.commission_bps) * columns.BASIS_POINT,
        commission_per_share=costs.commission_per_share,
        commission_per_order=costs.commission_per_order,
        commission_minimum=costs.commission_minimum,
        commission_maximum=costs.commission_maximum,
        buy_tax_rate=float(costs.buy_tax_bps) * columns.BASIS_POINT,
        sell_tax_rate=float(costs.sell_tax_bps) * columns.BASIS_POINT,
        slippage_rate=float(costs.slippage_bps) * columns.BASIS_POINT,
        conversion_rate=float(costs.conversion_bps) * columns.BASIS_POINT,
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
    for name, table in zip(("open", "high", "low", "close"), columns.prices(bars), strict=True):
        prepared.point(name, table)
    if fills.max_participation is not None and bars.volume is None:
        raise SettingsError("Fills.max_participation needs bars with volumes.")
    for name in ("volume", "split", "dividend", "delisted"):
        prepared.point(name, getattr(bars, name))
    for name, table in zip(
        ("spread_open", "spread_close"), columns.spreads(bars, costs), strict=True
    ):
        prepared.point(name, table)
    for name, table in zip(
        ("impact_sigma", "impact_volume"), columns.impact_inputs(bars, costs), strict=True
    ):
        prepared.point(name, table)
    rates, currency = columns.rates(bars, account)
    prepared.point("rates", rates)
    prepared.set(n_currencies=rates.shape[1])
    for name, fact in columns.facts(bars, costs, currency).items():
        prepared.point(name, fact)
    if prepared.number("is_financed"):
        prepared.point("years", columns.years(bars))
    prepared.point("stamp", bars.ts)
    prepared.point("session", bars.session)  # else the UTC day of the stamp
    if costs.commission_tiers:
        prepared.point("month", columns.months(bars))
        prepared.set(n_tiers=len(costs.commission_tiers))
        prepared.point("tiers", columns.tiers(costs))
    action_bars = columns.action_bars(bars)
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
    for name, table in zip(names, columns.prices(intrabar), strict=True):
        prepared.point(name, table)
