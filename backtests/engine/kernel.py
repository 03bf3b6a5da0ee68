"""The event loop: one pass over the bars, always in the same order within a bar."""

from functools import cache
from typing import Any

import numba
import numpy as np
from numba import types

from backtests.engine.accounting import finance, mark_to_market
from backtests.engine.alone import run_alone
from backtests.engine.book import tidy
from backtests.engine.coasting import coast
from backtests.engine.deciding import place_targets, take_request
from backtests.engine.dtypes import (
    SAME_CLOSE,
    Fault,
    Moment,
    Run,
    wide,
)
from backtests.engine.events import apply_actions, call_margin
from backtests.engine.execution import after_bar, meet, meet_at_once
from backtests.engine.hooks import call_hook
from backtests.engine.memory import (
    load_int,
    request_at,
    run_at,
    store,
)
from backtests.engine.sheets import NUMBER_BYTES, end_of_sheet, lay_down, settle_lines
from numerics.compilation import inlined_part, kernel_part

_CLOSE = wide(Moment.CLOSE)
_BAD_TARGET = wide(Fault.TARGET)
_TOO_MANY = wide(Fault.TOO_MANY)
_RAISED = wide(Fault.RAISED)
_TARGETS_TOO = 1 << 32  # added to a hook's number of requests when it also set targets
_COARSE = np.bool_(False)
_FIRST = wide(0)


def _advance(start: int, stop: int, address: int) -> int:
    run = run_at(address, 0)
    return run_bars(start, stop, run) if run.sheet == 0 else _run_by_sheets(start, stop, run)


@cache
def compiled_loop() -> Any:
    """Return the loop as a C function, ``int64 (int64 start, int64 stop, int64 address)``.

    Compiled once per version of the sources and kept on disk; loaded when first asked for.
    ``_nrt`` off (inherited by every function called from here) compiles no reference counting:
    nothing here allocates, and an allocation would fail to compile.
    """
    signature = types.int64(types.int64, types.int64, types.int64)
    return numba.cfunc(signature, cache=True, error_model="numpy", _nrt=False)(_advance)  # type: ignore[call-arg]  # numba's own option


def advance(start: int, stop: int, address: int) -> int:
    """Run the bars from `start` up to, not including, `stop` and return the next bar to run.

    Parameters
    ----------
    start, stop : int
        Rows, 0 <= start <= stop <= n_bars.
    address : int
        Of the run's record, `dtypes.RUN`; its arrays are checked at the border, trusted here.

    Returns
    -------
    int
        `stop`, or an earlier bar: one at which a table might not hold what the bar could bring (the
        caller enlarges the tables and calls again from there), or one at which ``run.fault`` says
        what a strategy did wrong.

    Notes
    -----
    Within a bar: corporate actions, financing, working orders meet the bar, mark to market and
    margin, decision. Other threads go on meanwhile: the heartbeat of the worker that runs this.
    """
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]  # set from the environment
        return _advance(start, stop, address)
    return int(compiled_loop().ctypes(start, stop, address))


@kernel_part
def _run_by_sheets(start: int, stop: int, run: Run) -> int:
    """Do the same, and write the equity on one sheet after another."""
    curve = run.equity_curve
    bar = start
    while bar < stop:
        first, end = bar, end_of_sheet(bar, stop, curve)
        run.equity_curve = run.sheet - NUMBER_BYTES * first  # as if the sheet were that part
        bar = run_bars(first, end, run)
        lay_down(run.sheet, curve + NUMBER_BYTES * first, bar - first)
        if bar < end:
            break
    run.equity_curve = curve
    settle_lines()
    return bar


@kernel_part
def run_bars(start: int, stop: int, run: Run) -> int:
    """Do what `advance` promises."""
    may_coast = run.n_assets == 1 and run.hook == 0 and run.is_financed == 0
    may_coast = may_coast and run.is_plain != 0 and run.n_requests == 0
    bar = start
    while bar < stop:
        if may_coast:
            bar = run_alone(bar, stop, run) if run.is_alone else coast(bar, stop, run)
            if bar == stop:
                return stop
        if not has_room(run):
            return bar
        _live(bar, run)
        called = _value(bar, run)
        _decide(bar, called, run)
        if run.fault != 0:
            return bar
        if run.is_alone and run.n_ended > 0:
            tidy(run)  # `run_alone` fills what is on the list
        if run.fills_at == SAME_CLOSE and run.n_working > 0:
            meet_at_once(bar, _CLOSE, bar, _COARSE, run)
            after_bar(bar, run)
            stale = run.stale_bars
            mark_to_market(bar, run)
            run.stale_bars = stale  # counted at the first mark
            store(run.equity_curve, bar, run.equity)
        bar += 1
    return stop


@inlined_part
def _live(bar: int, run: Run) -> None:
    """Bring actions, financing and fills of a bar upon the account."""
    at = run.next_action
    if at < run.n_action_bars and load_int(run.action_bars, at) == bar:
        apply_actions(bar, run)
        run.next_action += 1
    if run.is_financed:
        finance(bar, run)
    if run.month != 0 and load_int(run.month, bar) != run.month_now:
        run.month_now = load_int(run.month, bar)
        run.month_notional = 0.0
    if run.n_working > 0:
        meet(bar, run)
        after_bar(bar, run)


@kernel_part
def _value(bar: int, run: Run) -> bool:
    """Mark the account at the close, write the curves, and say whether it has a margin call."""
    mark_to_market(bar, run)
    store(run.equity_curve, bar, run.equity)
    if run.is_financed:
        store(run.borrow_curve, bar, run.borrow)
        store(run.interest_curve, bar, run.interest)
    if run.maintenance < 0.0 or (run.maintenance == 0.0 and run.equity >= 0.0):
        return False
    return bool(call_margin(bar, run))


@kernel_part
def _decide(bar: int, called: bool, run: Run) -> None:
    """Take what was decided for this bar, or ask the strategy."""
    at = run.next_decision
    if at < run.n_decisions and load_int(run.decision_bar, at) == bar:
        run.next_decision += 1
        _set_targets(bar, load_int(run.decision_row, at), called, run)
    if run.hook != 0:
        _ask(bar, called, run)
        return
    while (
        run.next_request < run.n_requests
        and request_at(run.next_request, run)["bar"] == bar
        and run.fault == 0
    ):
        at = run.next_request
        run.next_request += 1
        run.fault_at = at
        run.fault = take_request(bar, at, _FIRST, called, run)


@kernel_part
def _ask(bar: int, called: bool, run: Run) -> None:
    """Call the strategy; it answers with the number of its requests, below zero if it raised."""
    answer = call_hook(run.hook, bar, run.hook_table)
    if answer == 0:
        return
    if answer < 0:
        run.fault = _RAISED
        return
    n_requests = answer & (_TARGETS_TOO - 1)
    if n_requests > run.n_requests:
        run.fault = _TOO_MANY
        run.fault_at = n_requests
        return
    if answer >= _TARGETS_TOO:
        _set_targets(bar, _FIRST, called, run)
    for at in range(n_requests):
        if run.fault != 0:
            return
        run.fault_at = at
        run.fault = take_request(bar, at, _FIRST, called, run)


@kernel_part
def _set_targets(bar: int, row: int, called: bool, run: Run) -> None:
    infinite = place_targets(bar, row, called, run)
    if infinite >= 0:
        run.fault = _BAD_TARGET
        run.fault_at = infinite


@inlined_part
def has_room(run: Run) -> bool:
    """Say whether the tables can hold the most that one bar may bring.

    Notes
    -----
    An instrument may be delisted, liquidated and given a target with two exits; every working
    order may fill, at most twice in a bar with a second look at its close.
    """
    n_assets = run.n_assets
    most_orders = 6 * n_assets + run.n_requests
    return bool(
        run.n_orders + most_orders <= run.max_orders
        and run.n_working + most_orders <= run.max_working
        and run.n_fills + 2 * (run.n_working + most_orders) <= run.max_fills
        and run.n_actions + 2 * n_assets <= run.max_actions
    )
