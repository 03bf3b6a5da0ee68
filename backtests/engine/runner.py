"""`simulate()`: the one door to the event loop."""

from collections.abc import Callable

import numpy as np

from backtests.engine.caveats import Run, caveats_of
from backtests.engine.checks import rows_with_action
from backtests.engine.config import Account, Costs, Fills, as_document
from backtests.engine.dtypes import (
    ACTION,
    ACTIONS,
    CASH,
    EQUITY,
    FILL,
    FILLS,
    ORDER,
    ORDERS,
    Books,
    Curves,
    Decisions,
    FloatArray,
    Market,
    OrderReason,
    Rules,
    State,
)
from backtests.engine.errors import SettingsError, ShapeError
from backtests.engine.inputs import Bars, Targets
from backtests.engine.kernel import advance, has_room
from backtests.engine.result import Result

Progress = Callable[[int, int], None]

# About three milliseconds of work: a cancel is prompt and the call costs well under a percent.
SLICE_INSTRUMENT_BARS = 500_000

# Rows of each table at the start; they double whenever a bar might not fit.
FIRST_ROWS = 50_000

_ABSENT: FloatArray = np.empty((0, 0))
_ABSENT.flags.writeable = False
_BASIS_POINT = 1e-4


def simulate(
    bars: Bars,
    decisions: Targets,
    *,
    fills: Fills = Fills(),  # noqa: B008  (frozen)
    costs: Costs = Costs(),  # noqa: B008  (frozen)
    account: Account = Account(),  # noqa: B008  (frozen)
    on_progress: Progress | None = None,
) -> Result:
    """Trade `decisions` on `bars` and return all that happened.

    Parameters
    ----------
    bars : Bars
        Raw prices, with splits and dividends apart.
    decisions : Targets
        One row per bar, decided at its close.
    fills, costs, account
        Frozen settings.
    on_progress : callable, optional
        Called with ``(bars_done, n_bars)`` after every slice of about half a million
        instrument-bars and at the end. An exception it raises ends the run and comes through
        unchanged: this is how a job is cancelled. The result does not depend on it.

    Returns
    -------
    Result
        Equal bytes for equal inputs on equal library versions and processor.

    Raises
    ------
    ShapeError
        The decisions do not have one row per bar and one column per instrument.
    SettingsError
        The currencies of the bars and the account differ.
    """
    _require_fit(bars, decisions, account)
    market = _market(bars, fills)
    state, curves = _start(bars, account)
    books = _run(
        market=market,
        decisions=Decisions(decisions.values, decisions.has_target),
        rules=_rules(costs, account, decisions),
        state=state,
        curves=curves,
        on_progress=on_progress,
    )
    _close_waiting(state, books)
    n_fills, n_orders, n_actions = (int(n) for n in state.counts[[FILLS, ORDERS, ACTIONS]])
    filled, ordered, acted = (
        books.fills[:n_fills],
        books.orders[:n_orders],
        books.actions[:n_actions],
    )
    run = Run(bars, fills, costs, market, state, curves, filled, ordered, acted)
    return Result(
        bars=bars,
        decisions_digest=lambda: decisions.content_digest,
        settings=as_document(fills, costs, account),
        equity=curves.equity,
        cash=curves.cash,
        price_pnl=curves.price_pnl,
        capital=float(account.capital),
        fills=filled,
        orders=ordered,
        actions=acted,
        caveats=caveats_of(run),
    )


def _require_fit(bars: Bars, decisions: Targets, account: Account) -> None:
    if decisions.values.shape != bars.close.shape:
        raise ShapeError(
            f"The targets have shape {decisions.values.shape}, the bars {bars.close.shape}."
        )
    if bars.currency != account.currency:
        raise SettingsError(
            f"The bars are in {bars.currency}, the account in {account.currency}; "
            "amounts are not converted."
        )


def _market(bars: Bars, fills: Fills) -> Market:
    split = _ABSENT if bars.split is None else bars.split
    dividend = _ABSENT if bars.dividend is None else bars.dividend
    has_action = np.empty(0, np.bool_)
    if split.size > 0 or dividend.size > 0:
        has_action = rows_with_action(split, dividend, bars.n_bars)
    at_open = fills.at == "next_open" and bars.open is not None
    return Market(
        close=bars.close,
        fill_price=bars.open if at_open and bars.open is not None else bars.close,
        half_spread=_half_spread(bars, at_open=at_open),
        split=split,
        dividend=dividend,
        has_action=has_action,
    )


def _half_spread(bars: Bars, *, at_open: bool) -> FloatArray:
    """Return the measured half spreads at the moment of fills; the close's where none is there."""
    at_close = _ABSENT if bars.half_spread is None else bars.half_spread
    if not at_open or bars.half_spread_open is None:
        return at_close
    if at_close.size == 0:
        return bars.half_spread_open
    merged = np.where(np.isnan(bars.half_spread_open), at_close, bars.half_spread_open)
    merged.flags.writeable = False
    return merged


def _rules(costs: Costs, account: Account, decisions: Targets) -> Rules:
    return Rules(
        commission_rate=float(costs.commission_bps) * _BASIS_POINT,
        commission_per_share=float(costs.commission_per_share),
        commission_minimum=float(costs.commission_minimum),
        half_spread_rate=float(costs.half_spread_bps) * _BASIS_POINT,
        max_leverage=float(account.max_leverage),
        scales_on_shortfall=account.on_shortfall == "scale",
        target_kind=decisions.kind_code,
        band=float(decisions.band),
    )


def _start(bars: Bars, account: Account) -> tuple[State, Curves]:
    n_assets = bars.n_assets
    state = State(
        position=np.zeros(n_assets),
        mark=np.zeros(n_assets),
        pending=np.zeros(n_assets),
        order_of=np.full(n_assets, -1, np.int64),
        granted=np.zeros(n_assets),
        money=np.zeros(3),
        counts=np.zeros(5, np.int64),
    )
    state.money[[CASH, EQUITY]] = account.capital
    curves = Curves(*(np.empty(bars.n_bars) for _ in Curves._fields))
    return state, curves


def _run(
    *,
    market: Market,
    decisions: Decisions,
    rules: Rules,
    state: State,
    curves: Curves,
    on_progress: Progress | None,
) -> Books:
    """Run all bars, in slices when somebody watches, enlarging the tables as they fill."""
    n_bars, n_assets = market.close.shape
    books = _first_books(n_bars, n_assets)
    step = n_bars if on_progress is None else max(1, SLICE_INSTRUMENT_BARS // n_assets)
    done = 0
    while done < n_bars:
        stop = min(n_bars, done + step)
        while done < stop:
            done = advance(done, stop, market, decisions, rules, state, books, curves)
            if not has_room(n_assets, state, books):
                books = _enlarged(books, state, n_assets)
        if on_progress is not None:
            on_progress(done, n_bars)
    return books


def _first_books(n_bars: int, n_assets: int) -> Books:
    """Return empty tables; untouched rows cost no memory, so begin large."""
    rows = min(FIRST_ROWS, n_bars * n_assets) + 4 * n_assets
    return Books(
        fills=np.zeros(rows, FILL), orders=np.zeros(rows, ORDER), actions=np.zeros(rows, ACTION)
    )


def _enlarged(books: Books, state: State, n_assets: int) -> Books:
    """Double the tables that may be too small for the next bar."""
    used = state.counts[[FILLS, ORDERS, ACTIONS]]
    tables = []
    for table, n_used in zip(books, used, strict=True):
        if n_used + 2 * n_assets > table.size:
            larger = np.zeros(2 * table.size, table.dtype)
            larger[:n_used] = table[:n_used]
            tables.append(larger)
        else:
            tables.append(table)
    return Books(*tables)


def _close_waiting(state: State, books: Books) -> None:
    """Say on every order still working why it did not fill."""
    rows = state.order_of[state.pending != 0.0]
    books.orders["reason"][rows] = int(OrderReason.END_OF_BARS)
