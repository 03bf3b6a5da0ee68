"""Run the four workloads on the other engines: `python -m benchmarks.peers`.

Each first run and the least of `--rounds` further ones is printed, and whether equity (to the cent)
and trades are those of the bare loop, or differ by the peer's rules alone. Slow peers run 20 pairs
of W3. For a smoke test `--short` cuts W1 and W4 to the first bars, W2 to a tenth of the days and W3
to ten pairs; seconds are scaled.
"""

import argparse
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks import bare_loops
from benchmarks.measure import table
from benchmarks.peers.cases import Strategy
from benchmarks.peers.client import PEERS, ask
from benchmarks.peers.comparison import HABITS, equity_of, replay, stated
from benchmarks.peers.workloads import REFERENCE, reference_workloads

SLOW = ("NautilusTrader", "backtrader", "backtesting.py")  # one round is enough, some pairs too
PAIRS_OF_SLOW = 20
HEAD = (
    "peer", "workload", "equity", "trades", "as bare loop", "first CPU s", "CPU s", "wall s",
    "peak MB",
)  # fmt: skip
BARE_LOOPS: dict[str, Callable[[Any], tuple[float, int]]] = {
    "W1": bare_loops.w1,
    "W2": bare_loops.w2,
    "W3": lambda columns: bare_loops.w3(columns, columns["pairs"]),
    "W4": bare_loops.w4,
    "W4 daily": bare_loops.w4,
}
Request = tuple[str, dict[str, Any], dict[str, Any], float]


def requests(*, short: int | None, is_slow: bool) -> Iterator[Request]:
    """Yield name, columns, parameters, and how much larger the whole workload is."""
    data = reference_workloads()
    money = {"fee": data.FEE, "slip": data.SLIP, "cash": data.INIT_CASH}
    averages = {"fast": data.FAST, "slow": data.SLOW, "ratio": 1.0, **money}
    bracket = {"task": "bracket", "stop": data.SL, "limit": data.TP, **averages}
    minutes = data.one_minute(short or data.N_W1)
    scale = data.N_W1 / minutes["close"].size
    yield "W1", minutes, {"task": "cross", **averages}, scale
    many, n_days = data.portfolio(), data.N_DAILY // 10 if short else data.N_DAILY
    yield (
        "W2",
        {name: column[:n_days] for name, column in many.items()},
        {
            "task": "portfolio", "look_back": data.MOM, "every": data.EVERY, "top": data.TOP,
            "weight": data.WEIGHT, **money, "cash": data.INIT_CASH_W2,
        },
        data.N_DAILY / n_days,
    )  # fmt: skip
    every = data.sweep_pairs()
    pairs = data.sweep_pairs(10 if short else PAIRS_OF_SLOW if is_slow else len(every))
    columns = {**data.daily(), "pairs": pairs}
    yield "W3", columns, {"task": "sweep", **money}, len(every) / len(pairs)
    yield "W4", minutes, bracket, scale
    yield "W4 daily", data.daily(), bracket, 1.0


def main() -> None:
    """Print a table of peers and workloads."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--peer", action="append", choices=PEERS, help="only this one")
    parser.add_argument("--workload", action="append", choices=REFERENCE, help="only this one")
    parser.add_argument("--rounds", type=int, help="warm rounds: else 5, for slow peers none")
    parser.add_argument("--short", type=int, metavar="N", help="the first N bars, scaled")
    asked = parser.parse_args()
    rows: list[tuple[str, ...]] = [HEAD]
    for name in asked.peer or PEERS:
        is_slow = name in SLOW
        for workload, columns, parameters, scale in requests(short=asked.short, is_slow=is_slow):
            # It knows one instrument, and orders of whole units only.
            has_it = workload not in {"W2", "W3"} or name != "backtesting.py"
            if not has_it or (asked.workload and workload not in asked.workload):
                continue
            rounds = asked.rounds if asked.rounds is not None else 0 if is_slow else 5
            report = ask(name, columns, **parameters, rounds=rounds).report
            strategy = Strategy(workload, parameters)
            rows.append(_row(name, strategy, columns, report, scale))
            print(*rows[-1], sep="  ", flush=True)
    print()
    table(rows)


def _row(
    name: str, strategy: Strategy, columns: dict[str, Any], report: dict[str, Any], scale: float
) -> tuple[str, ...]:
    found = (round(report["equity"], 2), report["n_trades"])
    equity, n_trades = BARE_LOOPS[strategy.name](columns)
    verdict = "yes" if found == (round(equity, 2), n_trades) else "no"
    if verdict == "no" and strategy.parameters["task"] == "bracket":
        rules = HABITS[name].rules
        trades = [stated(trade) for trade in replay(strategy, columns, rules)]
        if found[0] == round(equity_of(trades, columns["close"][-1]), 2):
            verdict = f"but for: {', '.join(rules)}"
    verdict += "" if scale == 1.0 else ", of a part"
    engine = name[name.find("(") :] if "(" in name else ""
    seconds = (f"{report[kind] * scale:.3f}" for kind in ("cold_cpu", "cpu", "wall"))
    return (
        f"{report['version']} {engine}".strip(), strategy.name, f"{found[0]:,.2f}", f"{found[1]:,}",
        verdict, *seconds, f"{report['peak_mb']:.0f}",
    )  # fmt: skip


if __name__ == "__main__":
    main()
