"""The compiled heart of a sweep: many crossings of shared lines through one event loop."""

import math

import numpy as np
from numpy.typing import NDArray

from backtests.engine.dtypes import FloatArray, IntArray, Run, wide
from backtests.engine.hooks import call_loop
from backtests.engine.memory import fill_at, load, load_int, run_at, store, store_int
from backtests.engine.settlement import total_of
from numerics.bits import (
    WORD,
    above_bits,
    changed_bits,
    count_bits,
    first_bit,
    without_first,
)
from numerics.compilation import kernel_part, njit

_NUMBER_BYTES = 8
_FIRST = wide(0)
SPARE = 4  # decisions written whether they are there or not; the tables hold as many more
FINAL_EQUITY, N_FILLS, N_TRADES, N_FIGURES = range(4)


@njit(cache=True, error_model="numpy", nogil=True)
def simulate_crossings(
    loop: int,
    address: int,
    lines_at: int,
    first_known: IntArray,
    pairs: NDArray[np.int32],
    needs_cross: bool,
    is_complete: bool,
    figures: FloatArray,
    curves: FloatArray,
    activity: FloatArray,
    trades: FloatArray,
    trade_starts: IntArray,
    shares: FloatArray,
    fill_starts: IntArray,
) -> int:
    """Run the event loop once for every pair of lines, in one account's memory.

    Parameters
    ----------
    loop, address : int
        Of the compiled loop, and of a prepared run of one instrument.
    lines_at : int
        Address of the lines, float64, shape (n_lines, n_bars): indicators that the pairs share.
    first_known : int64 array, shape (n_lines,)
        First bar of each line that is not NaN.
    pairs : int32 array, shape (n_pairs, 2)
        Long while line ``pair[0]`` is above line ``pair[1]``, else flat.
    needs_cross : bool
        Whether a line that is above when both are first known is no reason to buy.
    is_complete : bool
        Whether no line has a NaN after its first value.
    figures : float64 array, shape (n_pairs, 3)
        Written: final equity, number of fills, number of closed trades.
    curves : float64 array, shape (n_pairs, n_bars), or (0, 0)
        Written where asked for: equity at each close.
    activity : float64 array, shape (4, n_pairs, n_bars), or (0, 0, 0)
        Written where asked for: traded notional, costs, gross and net exposure.
    trades : float64 array, shape (n_rows, 3)
        Written where asked for: profit, return and holding time of closed trades, pair after pair.
    shares : float64 array, shape (2 n_rows,)
        Written with them: participation of every fill in its bar's volume.
    trade_starts, fill_starts : int64 array, shape (n_pairs + 1,)
        Written with them: where each pair begins.

    Returns
    -------
    int
        Number of pairs done: fewer than asked where `trades` is full, and to be gone on from; -1
        where the run's tables are too small for a pair.
    """
    run = run_at(address, _FIRST)
    n_bars = run.n_bars
    for k in range(pairs.shape[0]):
        if curves.shape[0] > 0 and trade_starts[k] + n_bars > trades.shape[0]:
            return k
        first = lines_at + _NUMBER_BYTES * n_bars * pairs[k, 0]
        second = lines_at + _NUMBER_BYTES * n_bars * pairs[k, 1]
        begin = max(first_known[pairs[k, 0]], first_known[pairs[k, 1]])
        run.n_decisions = write_decisions(first, second, begin, needs_cross, is_complete, run)
        reset(run)
        if call_loop(loop, 0, n_bars, address) != n_bars:
            return -1
        figures[k, FINAL_EQUITY] = run.equity
        figures[k, N_FILLS] = run.n_fills
        figures[k, N_TRADES] = _count_closed(run)
        if curves.shape[0] > 0:
            for bar in range(n_bars):
                curves[k, bar] = load(run.equity_curve, bar)
            _write_activity(activity[:, k], run)
            trade_starts[k + 1] = _write_trades(trades, trade_starts[k], run)
            fill_starts[k + 1] = _write_participation(shares, fill_starts[k], run)
    return pairs.shape[0]


@kernel_part
def write_decisions(
    first: int, second: int, begin: int, needs_cross: bool, is_complete: bool, run: Run
) -> int:
    """Write a target of 1 or 0 at every bar at which the first line crosses the second.

    Parameters
    ----------
    first, second : int
        Addresses of the two lines.
    begin : int
        Bar before which one of them is unknown.
    """
    while begin < run.n_bars and math.isnan(load(first, begin) + load(second, begin)):
        begin += 1
    if begin >= run.n_bars:
        return 0
    n = _FIRST
    is_above = load(first, begin) > load(second, begin)
    if is_above and not needs_cross:
        n = _write_decision(n, begin, is_above, run)
    bar = begin + 1
    while is_complete and bar + WORD <= run.n_bars:
        changed = changed_bits(above_bits(first, second, bar), is_above)
        _write_changes(n, bar, changed, is_above, run)
        n_changes = count_bits(changed)
        n += n_changes
        is_above ^= n_changes & 1 == 1
        bar += WORD
    for t in range(bar, run.n_bars):
        above = load(first, t) > load(second, t)
        if above == is_above or math.isnan(load(first, t)) or math.isnan(load(second, t)):
            continue
        is_above = above
        n = _write_decision(n, t, above, run)
    return n


@kernel_part
def _write_changes(n: int, bar: int, changed: int, is_above: bool, run: Run) -> None:
    """Write the decisions of a word of bars; `SPARE` of them whether they are there or not.

    Notes
    -----
    What is too much is written over. A processor guesses badly how many changes the next word
    holds, and so does not have to, as a rule.
    """
    for _ in range(SPARE):
        is_above = not is_above
        n = _write_decision(n, bar + first_bit(changed), is_above, run)
        changed = without_first(changed)
    while changed != 0:
        is_above = not is_above
        n = _write_decision(n, bar + first_bit(changed), is_above, run)
        changed = without_first(changed)


@kernel_part
def _write_decision(n: int, bar: int, is_above: bool, run: Run) -> int:
    store_int(run.decision_bar, n, bar)
    store_int(run.decision_row, n, np.int64(is_above))  # row 0 holds 0, row 1 the target
    return n + 1


@kernel_part
def reset(run: Run) -> None:
    """Set the account back to its capital, with nothing held and nothing recorded."""
    run.cash = run.capital
    run.equity = run.capital
    run.n_fills = 0
    run.n_orders = 0
    run.n_actions = 0
    run.n_working = 0
    run.n_ended = 0
    run.linked = 0
    run.attended = 0
    run.stale_bars = 0
    run.ambiguous = 0
    run.margin_calls = 0
    run.next_decision = 0
    run.next_action = 0
    run.month_notional = 0.0
    store(run.position, _FIRST, 0.0)
    store(run.mark, _FIRST, 0.0)
    store_int(run.order_of, _FIRST, -1)
    store_int(run.is_delisted, _FIRST, 0)


@kernel_part
def _count_closed(run: Run) -> int:
    """Count the fills that left nothing of a position."""
    n = 0
    for at in range(run.n_fills):
        n += fill_at(at, run)["position"] == 0.0
    return n


@kernel_part
def _write_activity(activity: FloatArray, run: Run) -> None:
    """Write traded notional, costs, gross and net exposure of every bar."""
    at = 0
    held = 0.0
    mark = 0.0
    for bar in range(run.n_bars):
        traded = 0.0
        costs = 0.0
        while at < run.n_fills and fill_at(at, run)["bar"] == bar:
            fill = fill_at(at, run)
            traded += abs(fill["quantity"]) * fill["reference_price"]
            costs += total_of(fill)
            held = fill["position"]
            at += 1
        close = load(run.close, bar)
        if not math.isnan(close):
            mark = close
        activity[0, bar] = traded
        activity[1, bar] = costs
        activity[2, bar] = abs(held) * mark
        activity[3, bar] = held * mark


@kernel_part
def _write_trades(trades: FloatArray, at: int, run: Run) -> int:
    """Write profit, return and holding time of every trade, as `trades.round_trips` has them.

    Notes
    -----
    A rule enters with one fill and leaves with one, so a trade is two fills.
    """
    for k in range(1, run.n_fills, 2):
        entry, leave = fill_at(k - 1, run), fill_at(k, run)
        worth = entry["quantity"] * entry["reference_price"]
        costs = total_of(entry) + total_of(leave)
        pnl = -worth + (entry["quantity"] * leave["reference_price"] - costs)
        trades[at, 0] = pnl
        trades[at, 1] = pnl / abs(worth)
        since = load_int(run.stamp, np.int64(entry["bar"]))
        trades[at, 2] = load_int(run.stamp, np.int64(leave["bar"])) - since
        at += 1
    return at


@kernel_part
def _write_participation(shares: FloatArray, at: int, run: Run) -> int:
    """Write the share of its bar's volume that every fill took; NaN where none is known."""
    for k in range(run.n_fills):
        fill = fill_at(k, run)
        share = math.nan
        if run.volume != 0:
            volume = load(run.volume, np.int64(fill["bar"]))
            if volume > 0.0:
                share = abs(fill["quantity"]) / volume
        shares[at] = share
        at += 1
    return at


@njit(cache=True, error_model="numpy")
def first_known_rows(lines: FloatArray) -> tuple[IntArray, bool]:
    """Return the first value of each line that is not NaN, and whether none follows it."""
    first = np.empty(lines.shape[0], np.int64)
    is_complete = True
    for row in range(lines.shape[0]):
        at = 0
        while at < lines.shape[1] and math.isnan(lines[row, at]):
            at += 1
        first[row] = at
        n_missing = 0  # counted, which a processor does several at a time
        for later in range(at, lines.shape[1]):
            n_missing += np.int64(lines[row, later] != lines[row, later])
        is_complete &= n_missing == 0
    return first, is_complete


@njit(cache=True, error_model="numpy", nogil=True)
def block_returns(curves: FloatArray, edges: IntArray, out: FloatArray) -> None:
    """Write the simple returns of each curve summed over blocks of bars.

    Parameters
    ----------
    curves : float64 array, shape (n_curves, n_bars)
    edges : int64 array, shape (n_blocks + 1,)
        Block b sums the returns into bars ``edges[b] + 1 ... edges[b + 1]``.
    out : float64 array, shape (n_curves, n_blocks)
        Written; NaN where equity was not positive.
    """
    for k in range(curves.shape[0]):
        for block in range(edges.size - 1):
            total = 0.0
            for bar in range(edges[block] + 1, edges[block + 1] + 1):
                before = curves[k, bar - 1]
                total += curves[k, bar] / before - 1.0 if before > 0.0 else np.nan
            out[k, block] = total
