"""What was decided up to a bar, and whether other bars after it change that."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtests.engine import Result
from backtests.marketdata import futures as other_futures
from backtests.marketdata.futures import Futures, draw_signs, may_go, may_go_together
from backtests.marketdata.panel import Panel

# Spread over the run, more the more it decides; those where fewer things happen come on top.
N_CUTS, MOST_CUTS = 8, 32
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
    decides_from : int, optional
        Row of the panel from which on it may decide, at most `start`, which it is by default.
    """

    result: Result
    start: int
    weights: NDArray[np.float64] | None = None
    decides_from: int | None = None


@dataclass(frozen=True)
class Difference:
    """The first thing up to a cut that came out otherwise.

    Attributes
    ----------
    cut, bar : int
        Of the account, from 0; a cut before its first bar is negative, a decision before it is told
        as of bar 0.
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
        Bars of the account, from 0, after which others were put in; negative before it opens.
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
    Each cut is played twice, the second time with all prices after it turned upside down and their
    leaps the other way round: a choice that only a rise would change, or only a fall, or only the
    order of instruments by what they come to, or only the shape of a bar, changes in one of the
    two. In the second play of every second cut some instruments, where the others suffice, have no
    bar any more: whoever chose them because they would live is found, too.
    """
    cuts, futures = choose_cuts(panel, base, rng), Futures(panel)
    found: list[Difference] = []
    n_responding = 0
    for i, cut in enumerate(cuts):
        on_progress(2 * i, 2 * len(cuts))
        differences, responds = [], False
        for other in _pair(panel, futures, base, cut, rng, n_before=i):
            difference, has_response = _compared(base, play(other), cut)
            differences.append(difference)
            responds |= has_response
        found += sorted((one for one in differences if one), key=lambda one: one.bar)[:1]
        n_responding += responds
    on_progress(2 * len(cuts), 2 * len(cuts))
    return Checked(cuts, tuple(found), n_responding)


def _compared(base: Played, other: Played, cut: int) -> tuple[Difference | None, bool]:
    """Return the first difference up to a cut, and whether there is one after it.

    What was played ends with the call: two at a time take memory, three are too many.
    """
    return first_difference(base, other, cut), _responds(base, other, cut)


def _pair(
    panel: Panel, futures: Futures, base: Played, cut: int, rng: np.random.Generator, *,
    n_before: int,
) -> Iterator[Panel]:  # fmt: skip
    """Give two futures after a cut, one after the other: they share their memory."""
    last = base.start + cut
    signs = draw_signs(rng, len(panel.symbols))
    yield futures.after(last, rng, signs=signs)
    gone = _leaving(panel, base, cut, rng, is_half=n_before % 4 == 3) if n_before % 2 else None
    yield futures.after(last, rng, signs=-signs, gone=gone, is_mirrored=True)


def _leaving(
    panel: Panel, base: Played, cut: int, rng: np.random.Generator, *, is_half: bool
) -> NDArray[np.intp]:
    """Draw who has no bar after a cut: half of all, or one that was traded up to it if any may go.

    One of many would seldom be one that was chosen; half of all nearly always hold one.
    """
    leaving = may_go(panel, base.start + cut)
    if not leaving.size:
        return leaving
    if is_half:
        half = rng.permutation(leaving)[: max(leaving.size // 2, 1)]
        return may_go_together(panel, base.start + cut, half)
    traded = np.intersect1d(leaving, _traded(base, cut))
    return rng.choice(traded if traded.size else leaving, 1)


def _traded(base: Played, cut: int) -> NDArray[np.intp]:
    """Return the columns that were filled up to a cut, or given weight before anything was."""
    fills = base.result.fills
    columns = fills["instrument"][fills["bar"] <= cut]
    if columns.size or base.weights is None:
        return np.unique(columns)
    decided = base.weights[: base.start + cut + 1]
    return np.flatnonzero((np.nan_to_num(decided) != 0.0).any(axis=0))


def bytes_needed(panel: Panel, base: Played) -> int:
    """Return what a check takes beside the panel [bytes]: its futures, and two plays at a time.

    A play holds its weights, and what the engine prepares of the bars: five tables at the most. Its
    records are copied where they are compared.
    """
    records = (base.result.orders, base.result.fills, base.result.actions)
    table = 8 * len(panel) * len(panel.symbols)
    played = 5 * table + 2 * sum(part.nbytes for part in records)
    return other_futures.bytes_needed(panel) + 2 * played


def choose_cuts(panel: Panel, base: Played, rng: np.random.Generator) -> tuple[int, ...]:
    """Return bars of the account to cut after, increasing; those before it opens are negative.

    One in each part of the run, and some where little is decided and something might yet be known:
    two before the first fill, one on either side of it, one before another fill, and one before a
    dividend.
    """
    n_bars = int(base.result.ts.size)
    wanted = [
        *_spread(base, rng), *_before_the_first_fill(base, rng), *_before_a_fill(base, rng),
        *_before_a_dividend(panel, base, rng),
    ]  # fmt: skip
    return tuple(sorted({bar for bar in wanted if -base.start <= bar < n_bars - 1}))


def _spread(base: Played, rng: np.random.Generator) -> Iterator[int]:
    """Give one bar of each part: of decision where it has one.

    A look at the very next bar shows nowhere else. Of a run that decides often there are more
    parts, by the root of its decisions: whoever looks ahead at few of many is met less by each.
    After the last bar that moves the account other bars would tell nothing.
    """
    decided, n_moved = _decided(base), _n_moved(base)
    n_parts = int(np.clip(np.sqrt(decided.size), N_CUTS, MOST_CUTS))
    for part in np.array_split(np.arange(n_moved), min(n_parts, max(n_moved, 1))):
        if part.size:
            here = decided[(decided >= part[0]) & (decided <= part[-1])]
            yield int(rng.choice(here if here.size else part))


def _n_moved(base: Played) -> int:
    """Return how many bars have a later one that moves the account; all but one where none does."""
    moved = np.flatnonzero(np.diff(base.result.equity))
    return int(moved[-1]) + 1 if moved.size else int(base.result.ts.size) - 1


def _before_the_first_fill(base: Played, rng: np.random.Generator) -> Iterator[int]:
    """Give a bar in each half of the stretch in which nothing is traded, and those at its end."""
    fills = base.result.fills["bar"]
    first = int(fills.min()) if fills.size else int(base.result.ts.size) - 1
    opens = base.start if base.decides_from is None else base.decides_from
    for half in np.array_split(np.arange(opens - base.start, first), 2):
        if half.size:
            yield int(rng.choice(half))
    if fills.size:
        yield from (first - 1, first)


def _before_a_fill(base: Played, rng: np.random.Generator) -> Iterator[int]:
    if base.result.fills.size:
        yield int(rng.choice(base.result.fills["bar"])) - 1


def _before_a_dividend(panel: Panel, base: Played, rng: np.random.Generator) -> Iterator[int]:
    """Give the bar before a dividend, one that the account had part in where there is any."""
    if (paid := panel.fields.get("dividend")) is None:
        return
    bars = np.flatnonzero((paid[base.start :] > 0.0).any(axis=1))
    booked = base.result.actions["bar"]
    own = bars[np.isin(bars, booked) | np.isin(bars - 1, booked)]
    if bars.size:
        yield int(rng.choice(own if own.size else bars)) - 1


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
            (
                "equity",
                _first_value(*(one.result.equity[: max(cut + 1, 0)] for one in (base, other))),
            ),
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
    rows = np.flatnonzero(differs.any(axis=tuple(range(1, differs.ndim))))
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
    later = (one.result.equity[max(cut + 1, 0) :] for one in (base, other))
    if _first_value(*later) is not None:
        return True
    if base.weights is None or other.weights is None:
        return False
    after = base.start + cut + 1
    return _first_value(base.weights[after:], other.weights[after:]) is not None
