"""Other engines on the same real prices, trade by trade; each difference by its rule."""

import sys
from functools import cache

import numpy as np

from benchmarks.measure import table
from benchmarks.peers.cases import STRATEGIES, Columns, instruments, ours
from benchmarks.peers.client import PEERS, Answer, ask
from benchmarks.peers.comparison import HABITS, Comparison, Trade, compare, trades_of
from benchmarks.peers.workloads import data_folder


@cache
def bars() -> dict[str, Columns]:
    """Return the real bars by instrument."""
    return dict(instruments(data_folder()))


@cache
def own_trades(name: str) -> dict[str, list[Trade]]:
    """Return our engine's trades by instrument."""
    strategy = STRATEGIES[name]
    return {symbol: trades_of(ours(strategy, columns)) for symbol, columns in bars().items()}


def answer_of(peer: str, name: str) -> Answer:
    """Return a peer's trades in all instruments, end to end in one process."""
    every = list(bars().values())
    joined = {kind: np.concatenate([columns[kind] for columns in every]) for kind in every[0]}
    bounds = np.cumsum([0, *(columns["ts"].size for columns in every)])
    return ask(peer, {**joined, "bounds": bounds}, **STRATEGIES[name].parameters)


def parity(peer: str, name: str) -> Comparison:
    """Return how a peer's trades in a strategy compare with ours, over all instruments."""
    answer = answer_of(peer, name)
    total = Comparison()
    for place, (symbol, columns) in enumerate(bars().items()):
        total.add(
            compare(
                own_trades(name)[symbol],
                answer.trades[answer.trades["instrument"] == place],
                equity=answer.report["equity"][place],
                habits=HABITS[peer],
                strategy=STRATEGIES[name],
                columns=columns,
                label=f"{peer}, {name}, {symbol}",
            )
        )
    return total


def main() -> None:
    """Print a table of peers and strategies; fail on a difference that no rule explains."""
    if not (data_folder() / "MANIFEST.csv").is_file():
        print(f"No market data at {data_folder()}; CROWETRADE_DATA names a folder that has it.")
        return
    sizes = [columns["ts"].size for columns in bars().values()]
    print(f"{len(sizes)} instruments, {sum(sizes):,} bars: {', '.join(bars())}")
    head = ("peer", "strategy", "ours", "theirs", "identical", "by rule", "following")
    rows: list[tuple[str, ...]] = [(*head, "unexplained", "rules")]
    unexplained: list[str] = []
    for peer in PEERS:
        if not PEERS[peer].is_installed:
            rows.append((peer, "not installed: make peers", *[""] * 7))
            continue
        for name in STRATEGIES:
            found = parity(peer, name)
            rules = ", ".join(f"{rule}: {count:,}" for rule, count in found.by_rule.most_common())
            counts = (
                found.n_ours, found.n_theirs, found.n_identical, found.by_rule.total(),
                found.n_following, len(found.unexplained),
            )  # fmt: skip
            rows.append((peer, name, *(f"{count:,}" for count in counts), rules))
            unexplained += found.unexplained
    table(rows)
    if unexplained:
        sys.exit("\n".join(unexplained[:20]))


if __name__ == "__main__":
    main()
