"""What was decided up to a bar, and whether other bars after it change that."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtests.engine import Result
from backtests.marketdata.futures import may_go, other_future
from backtests.marketdata.panel import Panel

N_CUTS = 8  # spread over the run; those round its first fill come on top
# What of an order is settled with its decision; the rest may change for as long as it works.
SETTLED = ["bar", "instrument", "target", "kind", "time_in_force", "source", "parent", "group"]


@dataclass(frozen=True, eq=False)
class Played:
    """What a strategy did on some bars.

    Attributes
    ----------
    result : Result
        Of the account, whose first bar is `start` of the panel.
    weights : float64 array, shape (n_bars, n_assets), optional
        Decided at each bar of the panel, NaN = no decision; None of a strategy that is asked bar
        by bar, whose decisions are its orders.
    """

    result: Result
    start: int
    weights: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Difference:
    """The first thing up to a cut that came out otherwise.

    Attributes
    ----------
    cut, bar : int
        Of the account, from 0; a decision before its first bar is told as of bar 0.
    what : {"target", "order", "fill", "action", "equity"}
    """

    cut: int
    bar: int
    what: str


@dataclass(frozen=True)
class Checked:
    """What a check found.

    Attributes
    ----------
    cuts : sequence of int
        Bars of the account, from 0, after which others were put in.
    differences : sequence of Difference
        One for each cut at which anything differs, in the order of cuts.
    n_responding : int
        Cuts after which something came out otherwise, as it should: other prices were seen.
    """

    cuts: tuple[int, ...]
    differences: tuple[Difference, ...]
    n_responding: int

    @property
    def first(self) -> Difference | None:
        """The difference at the earliest bar."""
        return min(self.differences, key=lambda one: (one.bar, one.cut), default=None)


def check_prefixes(
    panel: Panel,
    base: Played,
    play: Callable[[Panel], Played],
    rng: np.random.Generator,
    *,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Checked:
    """Play other futures of a panel, and compare what came before each cut.

    Parameters
    ----------
    panel : Panel
        The bars that `base` was played on.
    play : callable
        Plays the same strategy on another panel, with the account from the same bar on.
    rng : numpy.random.Generator
        Chooses cuts and futures: the same generator, the same check.

    Notes
    -----
    In every second future an instrument, where the others suffice, has no bar any more: whoever
    chose it because it would live is found, too.
    """
    cuts = choose_cuts(base, rng)
    found: list[Difference] = []
    n_responding = 0
    for i, cut in enumerate(cuts):
        on_progress(i, len(cuts))
        last = cut + base.start
        leaving = may_go(panel, last) if i % 2 else np.empty(0, np.intp)
        gone = int(rng.choice(leaving)) if leaving.size else None
        other = play(other_future(panel, last, rng, gone=gone))
        if (first := first_difference(base, other, cut)) is not None:
            found.append(first)
        n_responding += _responds(base, other, cut)
    on_progress(len(cuts), len(cuts))
    return Checked(cuts, tuple(found), n_responding)


def choose_cuts(base: Played, rng: np.random.Generator) -> tuple[int, ...]:
    """Return bars of the account to cut after, increasing: one in each eighth, two at a fill.

    Of an eighth in which something is decided a bar of decision is taken: a look at the very next
    bar shows nowhere else.
    """
    n_bars = int(base.result.ts.size)
    decided = _decided(base)
    chosen: set[int] = set()
    for part in np.array_split(np.arange(n_bars - 1), min(N_CUTS, max(n_bars - 1, 1))):
        if part.size:
            here = decided[(decided >= part[0]) & (decided <= part[-1])]
            chosen.add(int(rng.choice(here if here.size else part)))
    if base.result.fills.size:
        first = int(base.result.fills["bar"].min())
        chosen |= {bar for bar in (first - 1, first) if 0 <= bar < n_bars - 1}
    return tuple(sorted(chosen))


def _decided(base: Played) -> NDArray[np.intp]:
    if base.weights is None:
        return np.unique(base.result.orders["bar"])
    return np.flatnonzero(~np.isnan(base.weights[base.start :]).all(axis=1))


def count_decisions(base: Played) -> int:
    """Return how many bars of the account decided anything."""
    return int(_decided(base).size)


def first_difference(base: Played, other: Played, cut: int) -> Difference | None:
    """Return what first differs up to a bar of the account, to the last bit; None where nothing."""
    bars = [
        (bar, what)
        for what, bar in (
            ("target", _first_target(base, other, cut)),
            *_first_records(base.result, other.result, cut),
            ("equity", _first_value(base.result.equity[: cut + 1], other.result.equity[: cut + 1])),
        )
        if bar is not None
    ]
    if not bars:
        return None
    bar, what = min(bars, key=lambda one: one[0])  # of equals the decision, which comes first
    return Difference(cut, bar, what)


def _first_target(base: Played, other: Played, cut: int) -> int | None:
    if base.weights is None or other.weights is None:
        return None
    last = base.start + cut + 1
    row = _first_value(base.weights[:last], other.weights[:last])
    return None if row is None else max(row - base.start, 0)


def _first_value(one: NDArray[np.float64], other: NDArray[np.float64]) -> int | None:
    """Return the first row in which any bit differs."""
    differs = _bits(one) != _bits(other)
    rows = np.flatnonzero(differs.reshape(differs.shape[0], -1).any(axis=1))
    return int(rows[0]) if rows.size else None


def _bits(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return values by their bits, every NaN by the same ones."""
    return np.where(np.isnan(values), np.nan, values).view(np.int64)


def _first_records(one: Result, other: Result, cut: int) -> Iterator[tuple[str, int | None]]:
    settled, closed = (
        _first_row(*(part(r, cut) for r in (one, other))) for part in (_settled, _closed)
    )
    yield "order", min((bar for bar in (settled, closed) if bar is not None), default=None)
    yield "fill", _first_row(*(r.fills[r.fills["bar"] <= cut] for r in (one, other)))
    yield "action", _first_row(*(r.actions[r.actions["bar"] <= cut] for r in (one, other)))


def _settled(result: Result, cut: int) -> NDArray[Any]:
    orders = result.orders[result.orders["bar"] <= cut]
    table = np.empty(orders.size, [(name, orders.dtype[name]) for name in SETTLED])
    for name in SETTLED:
        table[name] = orders[name]
    return table


def _closed(result: Result, cut: int) -> NDArray[Any]:
    """Return whole orders that had ended by then."""
    ended = (result.orders["closed_bar"] >= 0) & (result.orders["closed_bar"] <= cut)
    return result.orders[ended]


def _first_row(one: NDArray[Any], other: NDArray[Any]) -> int | None:
    """Return the bar of the first record that differs in any bit, or that one side lacks."""
    n = min(one.size, other.size)
    rows = [part[:n].copy().view(np.uint8).reshape(n, part.itemsize) for part in (one, other)]
    unequal = np.flatnonzero((rows[0] != rows[1]).any(axis=1))
    if unequal.size:
        at = int(unequal[0])
        return min(int(one["bar"][at]), int(other["bar"][at]))
    longer = one if one.size > n else other
    return int(longer["bar"][n]) if longer.size > n else None


def _responds(base: Played, other: Played, cut: int) -> bool:
    """Whether anything after a cut came out otherwise."""
    if _first_value(base.result.equity[cut + 1 :], other.result.equity[cut + 1 :]) is not None:
        return True
    if base.weights is None or other.weights is None:
        return False
    after = base.start + cut + 1
    return _first_value(base.weights[after:], other.weights[after:]) is not None
