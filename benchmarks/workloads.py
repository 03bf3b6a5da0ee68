"""The four workloads through the whole engine, beside bare loops and the other engines.

    python -m benchmarks workloads            ours, bare loops, and every peer that is installed
    python -m benchmarks workloads --ours     ours and the bare loops alone

Timed as everywhere: indicators, simulation, final equity and trades; not imports, data, loading or
the checking of bars. CPU seconds, the least of several rounds taken in turns. `make peers` installs
the other engines. Each figure of memory and each first call is that of a process of its own.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtests.engine import (
    Account,
    AverageCross,
    Bars,
    Bracket,
    Callback,
    Compiled,
    Costs,
    ParquetSink,
    Position,
    Targets,
    simulate,
    sweep,
)
from backtests.engine.compiled import target
from benchmarks import bare_loops
from benchmarks.measure import peak_mb, resident_mb, table
from benchmarks.peers.workloads import REFERENCE, reference_workloads
from numerics.indicators import moving_average_cross
from numerics.selection import largest_of_rows

ROUNDS = 15
COSTS = Costs(commission_bps=5, slippage_bps=2)
Outcome = tuple[float, int]


class Workload(NamedTuple):
    """One workload: how we run it, how a bare loop does, and what both must give."""

    ours: Callable[[], Outcome]
    bare: Callable[[], Outcome]


def w1(bars: Bars, data: Any) -> Outcome:
    """Return final equity and closed trades of a crossing of averages on one instrument."""
    crossing = moving_average_cross(bars.close[:, 0], data.FAST, data.SLOW)
    units = crossing.is_above.astype(np.float64).reshape(-1, 1)
    result = simulate(
        bars, Targets(units, "units", at_bars=crossing.rows), costs=COSTS,
        account=Account(data.INIT_CASH),
    )  # fmt: skip
    return float(result.equity[-1]), int(np.count_nonzero(result.fills["quantity"] < 0.0))


def strongest(close: NDArray[np.float64], data: Any) -> Targets:
    """Return equal weights of the strongest, at every fifth bar."""
    rows = np.arange(data.MOM, close.shape[0], data.EVERY)
    score = close[rows] / close[rows - data.MOM]
    return Targets(largest_of_rows(score, data.TOP) * data.WEIGHT, at_bars=rows)


def w2(bars: Bars, data: Any) -> Outcome:
    """Return final equity and fills of the strongest fifty of five hundred."""
    result = simulate(
        bars, strongest(bars.close, data), costs=COSTS, account=Account(data.INIT_CASH_W2)
    )
    return float(result.equity[-1]), int(result.fills.size)


def w3(bars: Bars, data: Any, pairs: NDArray[np.float64]) -> Outcome:
    """Return mean final equity and the sum of trades over pairs of averages."""
    rule = AverageCross(position=Position(1.0, "weights", sized_at="fill"))
    found = sweep(
        bars, rule, pairs, costs=COSTS, account=Account(data.INIT_CASH), with_metrics=False,
        n_blocks=0,
    )  # fmt: skip
    return float(found.column("final_equity").mean()), int(found.column("n_closed_trades").sum())


def w4(bars: Bars, data: Any) -> Outcome:
    """Return final equity and closed trades of crossings that leave by a stop or a limit."""
    crossing = moving_average_cross(bars.close[:, 0], data.FAST, data.SLOW)
    rows = crossing.rows[crossing.is_above]
    exits = Bracket(stop_loss=data.SL, take_profit=data.TP)
    result = simulate(
        bars, Targets(np.ones((rows.size, 1)), "units", at_bars=rows, bracket=exits), costs=COSTS,
        account=Account(data.INIT_CASH),
    )  # fmt: skip
    return float(result.equity[-1]), int(np.count_nonzero(result.fills["quantity"] < 0.0))


def workloads() -> dict[str, Workload] | None:
    """Return the workloads on their data, or None where the reference data are not there."""
    data = reference_workloads()
    if data is None:
        return None
    minutes, days, many = data.one_minute(), data.daily(), data.portfolio()
    pairs = data.sweep_pairs()
    one, daily = Bars(**minutes, symbols="A"), Bars(**days, symbols="A")
    all_bars = Bars(**many, symbols=[f"S{at}" for at in range(data.K_W2)])
    return {
        "W1": Workload(lambda: w1(one, data), lambda: bare_loops.w1(minutes)),
        "W2": Workload(lambda: w2(all_bars, data), lambda: bare_loops.w2(many)),
        "W3": Workload(
            lambda: w3(daily, data, pairs.astype(np.float64)), lambda: bare_loops.w3(days, pairs)
        ),
        "W4": Workload(lambda: w4(one, data), lambda: bare_loops.w4(minutes)),
    }


def main() -> None:
    """Print what every engine takes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks workloads", description=__doc__)
    parser.add_argument("--ours", action="store_true", help="leave the other engines out")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    asked = parser.parse_args(sys.argv[2:] if sys.argv[1:2] == ["workloads"] else sys.argv[1:])
    if asked.child:
        print(json.dumps(CHILDREN[asked.child]()))
        return
    known = workloads()
    if known is None:
        print("The reference workloads are not there; set CROWETRADE_DATA.")
        return
    _compare(known)
    _children()
    if not asked.ours:
        subprocess.run([sys.executable, "-m", "benchmarks.peers"], check=True)


def _compare(known: dict[str, Workload]) -> None:
    rows: list[tuple[str, ...]] = [
        ("workload", "equity", "trades", "CPU s", "wall s", "bare loop CPU s", "times bare loop")
    ]
    for name, workload in known.items():
        equity, n_trades = workload.ours()
        if (round(equity, 2), n_trades) != REFERENCE[name]:
            sys.exit(f"{name} gave {equity:,.2f} and {n_trades:,}, not {REFERENCE[name]}.")
        workload.bare()
        cpu, wall, bare = [], [], []
        for _ in range(ROUNDS):  # in turns, so that both meet the same machine
            clock, began = time.process_time(), time.perf_counter()
            workload.ours()
            cpu.append(time.process_time() - clock)
            wall.append(time.perf_counter() - began)
            clock = time.process_time()
            workload.bare()
            bare.append(time.process_time() - clock)
        ratio = min(cpu) / min(bare)
        rows.append((
            name, f"{equity:,.2f}", f"{n_trades:,}", f"{min(cpu):.4f}", f"{min(wall):.4f}",
            f"{min(bare):.4f}", f"{ratio:.2f}",
        ))  # fmt: skip
    table(rows)


def warm_up() -> None:
    """Compile what the processes below load from disk."""
    data = reference_workloads()
    bars = Bars(**data.daily(), symbols="A")
    pairs = np.array([[5.0, 20.0]])
    sweep(bars, AverageCross(position=Position(1.0, "weights", "fill")), pairs, n_best=1)
    simulate(bars, Compiled(_crossing, [0.0, 0.0, 0.0]), costs=COSTS)


def first_result() -> dict[str, float]:
    """Return the seconds to import the engine and to the first result after it."""
    ts = 10**18 + np.arange(1, 252, dtype=np.int64) * 86_400 * 10**9
    close = 100.0 + np.cumsum(np.random.default_rng(1).normal(0, 1, 251))
    began = time.perf_counter()
    result = simulate(
        Bars(ts, close, close, symbols="A"), Targets(np.arange(251) % 20 < 10.0), costs=COSTS
    )
    float(result.equity[-1])
    return {"first result after import, s": time.perf_counter() - began}


def memory_of_w3() -> dict[str, float]:
    """Return the memory that W3 adds to that of the imports and the data."""
    data = reference_workloads()
    bars, pairs = Bars(**data.daily(), symbols="A"), data.sweep_pairs().astype(np.float64)
    before = resident_mb()
    w3(bars, data, pairs)
    return {"W3, MB above import": peak_mb() - before}


def million_pairs() -> dict[str, float]:
    """Return memory and seconds of a million pairs, every metric streamed to Parquet."""
    import pyarrow.parquet  # noqa: F401  (part of "above import"; the sink loads it when it opens)

    data = reference_workloads()
    bars = Bars(**data.daily(), symbols="A")
    fast, slow = np.meshgrid(np.arange(2, 1_002), np.arange(1_010, 2_010), indexing="ij")
    pairs = np.column_stack([fast.ravel(), slow.ravel()]).astype(np.float64)
    before, clock, began = resident_mb(), time.process_time(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sweep.parquet"
        with ParquetSink(path) as sink:
            found = sweep(
                bars, AverageCross(position=Position(1.0, "weights", "fill")), pairs, costs=COSTS,
                account=Account(data.INIT_CASH), sink=sink, n_threads=2,
            )  # fmt: skip
        size = path.stat().st_size / 2**20
    return {
        "pairs": float(found.n_trials),
        "MB above import": peak_mb() - before,
        "CPU s": time.process_time() - clock,
        "wall s": time.perf_counter() - began,
        "Parquet MB": size,
    }


def _crossing(t: int, view: Any, params: Any, desk: Any) -> None:
    """Decide W1 bar by bar: params hold the sums of the last 10 and 50 closes, and the side."""
    close = view.close[t, 0]
    params[0] += close
    params[1] += close
    if t >= 10:
        params[0] -= view.close[t - 10, 0]
    if t >= 50:
        params[1] -= view.close[t - 50, 0]
    is_above = t >= 49 and 5.0 * params[0] > params[1]
    if is_above != (params[2] > 0.0):
        params[2] = 1.0 if is_above else 0.0
        target(desk, 0, params[2])


class _Every:
    """Hold one unit in every other stretch of ten bars."""

    def on_bar(self, view: Any) -> Any:
        """Decide at every tenth bar."""
        return self.targets[view.bar // 10 % 2] if view.bar % 10 == 0 else None

    targets = (np.array([0.0]), np.array([1.0]))


def event_strategies() -> dict[str, float]:
    """Return bars a second of strategies that are asked at every bar."""
    data = reference_workloads()
    bars = Bars(**data.one_minute(), symbols="A")
    rates = {}
    for name, decisions in (
        ("Compiled, bars/s", Compiled(_crossing, [0.0, 0.0, 0.0])),
        ("Callback, bars/s", Callback(_Every(), kind="units")),
    ):
        simulate(bars, decisions, costs=COSTS)
        least = 1e9
        for _ in range(5):
            clock = time.process_time()
            simulate(bars, decisions, costs=COSTS)
            least = min(least, time.process_time() - clock)
        rates[name] = bars.n_bars / least
    return rates


CHILDREN: dict[str, Callable[[], dict[str, float]]] = {
    "first_result": first_result,
    "memory_of_w3": memory_of_w3,
    "event_strategies": event_strategies,
    "million_pairs": million_pairs,
}


def _children() -> None:
    """Measure each in a process of its own, so that memory and first calls can be told.

    Kernels are on disk by then: a first process compiles those that are not.
    """
    rows: list[tuple[str, ...]] = [("alone in a process", "figure")]
    code = "from benchmarks.workloads import warm_up; warm_up()"
    subprocess.run([sys.executable, "-c", code], check=True)
    for name in CHILDREN:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.workloads", "--child", name], check=True,
            capture_output=True, text=True,
        )  # fmt: skip
        for figure, value in json.loads(done.stdout).items():
            rows.append((f"{name}: {figure}", f"{value:,.3f}" if value < 100 else f"{value:,.0f}"))
    table(rows)


if __name__ == "__main__":
    main()
