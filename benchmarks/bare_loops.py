"""The four workloads as bare compiled loops: what a machine needs when nothing is recorded.

No orders, no records, no rules but those of the workload: only the final equity and the number of
trades. They bound from below what an engine may take, and show independently what must come out.
Costs are those of the workloads: 5 bps commission on the slipped notional, 2 bps slippage.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from benchmarks.measure import least_seconds, peak_mb, table
from benchmarks.peers.workloads import REFERENCE, W4_DAILY, reference_workloads

Floats = NDArray[np.float64]
Outcome = tuple[float, int]

FEE, SLIP = 5e-4, 2e-4
CASH, CASH_OF_MANY = 1e6, 1e7
FAST, SLOW = 10, 50
STOP, LIMIT = 0.01, 0.02
LOOK_BACK, EVERY, TOP, WEIGHT = 60, 5, 50, 0.98 / 50
STOP_FIRST, LIMIT_FIRST = 0, 1


def w1(columns: dict[str, Floats]) -> Outcome:
    """Return final equity and closed trades of a crossing of averages on one instrument."""
    return _w1(columns["open"], columns["close"])


def w2(columns: dict[str, Floats]) -> Outcome:
    """Return final equity and fills of the strongest fifty of five hundred, every five bars."""
    return _w2(columns["open"], columns["close"])


def w3(columns: dict[str, Floats], pairs: NDArray[np.int64]) -> Outcome:
    """Return mean final equity and the sum of trades over pairs of averages, all cash in and out.

    Every average is computed once; then pair after pair visits every bar.
    """
    windows, rows = np.unique(pairs, return_inverse=True)
    averages = _averages(columns["close"], windows)
    return _w3(columns["open"], columns["close"], averages, windows, rows.reshape(pairs.shape))


def w4(
    columns: dict[str, Floats],
    *,
    checks_entry_bar: bool = True,
    first: int = STOP_FIRST,
    slips_limit: bool = False,
) -> Outcome:
    """Return final equity and closed trades of crossings that leave by a stop or a limit.

    Parameters
    ----------
    columns : dict
        open, high, low, close, shape (n_bars,).
    checks_entry_bar : bool
        Whether stop and limit can be reached in the bar of the entry.
    first : {STOP_FIRST, LIMIT_FIRST}
        Which of the two fills in a bar that reaches both.
    slips_limit : bool
        Whether the limit's fill suffers the slippage too.
    """
    prices = (columns["open"], columns["high"], columns["low"], columns["close"])
    return _w4(*prices, checks_entry_bar, first == LIMIT_FIRST, SLIP if slips_limit else 0.0)


@njit(cache=True, error_model="numpy")
def _w1(open_, close):
    # 1/10 of the last ten less 1/50 of the last fifty, times fifty, kept up bar by bar. Views that
    # all begin at the first bar of an order spare the loop every other index.
    gap = 5.0 * close[SLOW - FAST : SLOW].sum() - close[:SLOW].sum()
    opens, entering = open_[SLOW:], close[SLOW:]
    leaving_fast, leaving_slow = close[SLOW - FAST :], close
    cash, held, n_trades = CASH, False, 0
    for t in range(opens.size):
        if (gap > 0.0) != held:
            if held:
                cash += opens[t] * (1.0 - SLIP) * (1.0 - FEE)
                n_trades += 1
            else:
                cash -= opens[t] * (1.0 + SLIP) * (1.0 + FEE)
            held = not held
        gap += 4.0 * entering[t] - 5.0 * leaving_fast[t] + leaving_slow[t]
    return cash + held * close[-1], n_trades


@njit(cache=True, error_model="numpy")
def _nth_largest(values, n):
    """Return the n-th largest value, n >= 1; reorders `values` (Hoare's selection)."""
    low, high, wanted = 0, values.size - 1, n - 1
    while low < high:
        pivot = values[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while values[i] > pivot:
                i += 1
            while values[j] < pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if wanted <= j:
            high = j
        elif wanted >= i:
            low = i
        else:
            break
    return values[wanted]


@njit(cache=True, error_model="numpy")
def _w2(open_, close):
    n_bars, n_assets = close.shape
    position = np.zeros(n_assets)
    wanted = np.zeros(n_assets)
    score = np.empty(n_assets)
    ranked = np.empty(n_assets)
    cash, n_fills, is_waiting = CASH_OF_MANY, 0, False
    for t in range(n_bars):
        if is_waiting:
            for j in range(n_assets):
                units = wanted[j] - position[j]
                if units != 0.0:
                    price = open_[t, j] * (1.0 + (SLIP if units > 0.0 else -SLIP))
                    cash -= units * price + abs(units) * price * FEE
                    position[j] = wanted[j]
                    n_fills += 1
            is_waiting = False
        if t >= LOOK_BACK and (t - LOOK_BACK) % EVERY == 0:
            equity = cash
            for j in range(n_assets):
                equity += position[j] * close[t, j]
                score[j] = ranked[j] = close[t, j] / close[t - LOOK_BACK, j]
            least = _nth_largest(ranked, TOP)
            for j in range(n_assets):
                wanted[j] = WEIGHT * equity / close[t, j] if score[j] >= least else 0.0
            is_waiting = True
    for j in range(n_assets):
        cash += position[j] * close[-1, j]
    return cash, n_fills


@njit(cache=True, error_model="numpy")
def _averages(close, windows):
    out = np.full((windows.size, close.size), np.nan)
    for k in range(windows.size):
        n = windows[k]
        total = close[: n - 1].sum()
        for t in range(n - 1, close.size):
            total += close[t]
            out[k, t] = total / n
            total -= close[t - n + 1]
    return out


@njit(cache=True, error_model="numpy")
def _w3(open_, close, averages, windows, rows):
    # Money is multiplied, never added: a trade turns cash by its factor and leaves no remainder.
    paid, kept = 1.0 / ((1.0 + SLIP) * (1.0 + FEE)), (1.0 - SLIP) * (1.0 - FEE)
    equity, n_trades = 0.0, 0
    for pair in range(rows.shape[0]):
        fast, slow = averages[rows[pair, 0]], averages[rows[pair, 1]]
        first = max(windows[rows[pair, 0]], windows[rows[pair, 1]])
        cash, units, held = CASH, 0.0, False
        fast_now, slow_now, opens = fast[first:], slow[first:], open_[first + 1 :]
        was_above = fast[first - 1] > slow[first - 1]
        for t in range(opens.size):
            is_above = fast_now[t] > slow_now[t]
            if is_above != was_above:
                if is_above:
                    units = cash * paid / opens[t]
                elif held:
                    cash = units * opens[t] * kept
                    n_trades += 1
                was_above = held = is_above
        equity += units * close[-1] if held else cash
    return equity / rows.shape[0], n_trades


@njit(cache=True, error_model="numpy")
def _w4(open_, high, low, close, checks_entry_bar, limit_first, limit_slip):
    gap = 5.0 * close[SLOW - FAST : SLOW].sum() - close[:SLOW].sum()
    opens, highs, lows, entering = open_[SLOW:], high[SLOW:], low[SLOW:], close[SLOW:]
    leaving_fast, leaving_slow = close[SLOW - FAST :], close
    cash, held, was_above, n_trades = CASH, False, False, 0
    stop, limit = -np.inf, np.inf  # out of reach while nothing is held
    for t in range(opens.size):
        is_above = gap > 0.0
        if is_above != was_above:
            was_above = is_above
            if is_above and not held:
                price = opens[t] * (1.0 + SLIP)
                cash -= price * (1.0 + FEE)
                stop, limit = price * (1.0 - STOP), price * (1.0 + LIMIT)
                held = True
                if not checks_entry_bar:
                    gap += 4.0 * entering[t] - 5.0 * leaving_fast[t] + leaving_slow[t]
                    continue
        if lows[t] <= stop or highs[t] >= limit:
            if lows[t] <= stop and not (limit_first and highs[t] >= limit):
                price = min(opens[t], stop) * (1.0 - SLIP)
            else:
                price = max(opens[t], limit) * (1.0 - limit_slip)
            cash += price * (1.0 - FEE)
            stop, limit, held = -np.inf, np.inf, False
            n_trades += 1
        gap += 4.0 * entering[t] - 5.0 * leaving_fast[t] + leaving_slow[t]
    return cash + held * close[-1], n_trades


def main() -> None:
    """Assert the reference results to their last digit; print the least CPU seconds of each."""
    try:
        data = reference_workloads()
    except FileNotFoundError as absent:
        print(absent)
        return
    minutes, days, many = data.one_minute(), data.daily(), data.portfolio()
    pairs = data.sweep_pairs()
    rows: list[tuple[str, ...]] = [
        ("bare loop", "final equity", "trades", "wall s", "CPU s", "peak MB")
    ]
    for name, work in (
        ("W1", lambda: w1(minutes)),
        ("W2", lambda: w2(many)),
        ("W3", lambda: w3(days, pairs)),
        ("W4", lambda: w4(minutes)),
        ("W4 daily", lambda: w4(days)),
    ):
        wall, cpu = least_seconds(work, rounds=15)
        equity, n_trades = work()
        _require(name, (equity, n_trades), REFERENCE[name])
        rows.append(
            (
                name,
                f"{equity:,.2f}",
                f"{n_trades:,}",
                f"{wall:.5f}",
                f"{cpu:.5f}",
                f"{peak_mb():.0f}",
            )
        )
    table(rows)
    policies: list[tuple[str, ...]] = [("W4 daily", "loss", "trades")]
    for name, (policy, loss) in W4_DAILY.items():
        equity, n_trades = w4(days, **policy)
        if round(CASH - equity, 2) != loss:
            raise SystemExit(f"W4 daily, {name}: {CASH - equity:.2f}, not {loss}")
        policies.append((name, f"{CASH - equity:.2f}", f"{n_trades}"))
    table(policies)


def _require(name: str, found: Outcome, expected: Outcome) -> None:
    if (round(found[0], 2), found[1]) != expected:
        raise SystemExit(f"{name} gives {found}, not {expected}")


if __name__ == "__main__":
    main()
