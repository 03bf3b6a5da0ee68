"""Compare trades one by one, and explain each difference by a named rule or not at all.

`replay` is the oracle: a plain loop that trades what a strategy wants under our rules, or under
ours with some replaced by a peer's. A peer's trade that no set of its rules gives is unexplained.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtests.engine import Result
from benchmarks.peers.cases import CASH, Columns, Strategy

TOLERANCE = 1e-9  # relative, of prices, costs and equity


class Rule(StrEnum):
    """What a peer does otherwise than we do, and cannot be told to do as we do."""

    ENTRY_BAR = "entry bar not checked"
    LIMIT_SLIPS = "limit orders slip"
    GAPPED_LIMIT_SLIPS = "limit orders slip at a gap"
    HIGH_FIRST = "high comes before low"
    GAP_IGNORED = "gapped orders fill at their own price"


@dataclass(frozen=True)
class Habits:
    """The rules of a peer, and how it states a trade.

    Attributes
    ----------
    rules : tuple of Rule
    slips_by_fee : bool
        Its prices are before slippage, which is charged as a fee: ours are restated so.
    charges_before_slippage : bool
        Its commission is on the notional before slippage: ours is restated so.
    """

    rules: tuple[Rule, ...]
    slips_by_fee: bool = False
    charges_before_slippage: bool = False


_VECTORBT = Habits((Rule.ENTRY_BAR, Rule.LIMIT_SLIPS))
HABITS = {
    "vectorbt (Rust)": _VECTORBT,
    "vectorbt (numba)": _VECTORBT,
    "backtesting.py": Habits(
        (Rule.ENTRY_BAR, Rule.LIMIT_SLIPS), slips_by_fee=True, charges_before_slippage=True
    ),
    "NautilusTrader": Habits((Rule.HIGH_FIRST, Rule.GAP_IGNORED), slips_by_fee=True),
    "backtrader": Habits((Rule.ENTRY_BAR, Rule.GAPPED_LIMIT_SLIPS)),
}
OURS = Habits(())


class Fill(NamedTuple):
    """One side of a trade; costs in currency per unit."""

    bar: int
    reference_price: float
    price: float
    commission: float
    slippage: float


class Trade(NamedTuple):
    """A round trip of one unit; `leaving` is None while it is open."""

    entering: Fill
    leaving: Fill | None


class Statement(NamedTuple):
    """A trade as an engine states it."""

    entry_bar: int
    exit_bar: int
    quantity: float
    entry_price: float
    exit_price: float
    costs: float


def stated(trade: Trade, habits: Habits = OURS) -> Statement:
    """Return a trade as an engine of these habits states it."""
    prices, costs = [], 0.0
    for side in trade:
        if side is None:
            prices.append(np.nan)
            continue
        ratio = side.reference_price / side.price if habits.charges_before_slippage else 1.0
        prices.append(side.reference_price if habits.slips_by_fee else side.price)
        costs += side.commission * ratio + habits.slips_by_fee * side.slippage
    exit_bar = -1 if trade.leaving is None else trade.leaving.bar
    return Statement(trade.entering.bar, exit_bar, 1.0, prices[0], prices[1], costs)


def is_same(one: Statement, other: Statement) -> bool:
    """Whether bars are equal, and all else within the tolerance; both open counts as equal."""
    return one[:2] == other[:2] and all(
        math.isclose(a, b, rel_tol=TOLERANCE) or (math.isnan(a) and math.isnan(b))
        for a, b in zip(one[2:], other[2:], strict=True)
    )


def replay(strategy: Strategy, columns: Columns, rules: Iterable[Rule] = ()) -> list[Trade]:
    """Return the trades of a strategy on one instrument under our rules, or some of a peer's."""
    desk = Desk(strategy, columns, frozenset(rules))
    trades: list[Trade] = []
    wanted = strategy.wanted(columns["close"])
    entering: Fill | None = None
    free_at = 0  # the first bar at which an order of the strategy may enter
    for bar in (np.flatnonzero(~np.isnan(wanted[:-1])) + 1).tolist():
        if bar < free_at:
            continue
        if entering is None and wanted[bar - 1] == 1.0:
            entering = desk.enter(bar)
            if desk.has_bracket:
                trades.append(Trade(entering, desk.leave(entering)))
                left, entering = trades[-1].leaving, None
                # An order decided on the bar of the exit comes after it.
                free_at = columns["close"].size if left is None else left.bar + 1
        elif entering is not None and wanted[bar - 1] == 0.0:
            trades.append(Trade(entering, desk.market(bar, -1.0)))
            entering = None
    return trades if entering is None else [*trades, Trade(entering, None)]


@dataclass(frozen=True)
class Desk:
    """Fill single orders on one instrument under a set of rules."""

    strategy: Strategy
    columns: Columns
    rules: frozenset[Rule]

    @property
    def has_bracket(self) -> bool:
        """Whether positions leave by stop or limit."""
        return self.strategy.parameters["task"] == "bracket"

    def enter(self, bar: int) -> Fill:
        """Buy at the open."""
        return self.market(bar, 1.0)

    def market(self, bar: int, side: float) -> Fill:
        """Fill at the open."""
        return self._fill(bar, side, float(self.columns["open"][bar]), slips=True)

    def leave(self, entering: Fill) -> Fill | None:
        """Return the fill of stop or limit, the first that is reached; None while neither is."""
        parameters, rules = self.strategy.parameters, self.rules
        stop = entering.price * (1.0 - parameters["stop"])
        limit = entering.price * (1.0 + parameters["limit"])
        first = entering.bar + (Rule.ENTRY_BAR in rules)
        reached = (self.columns["low"][first:] <= stop) | (self.columns["high"][first:] >= limit)
        if not reached.any():
            return None
        bar = first + int(reached.argmax())
        open_, high, low = (float(self.columns[name][bar]) for name in ("open", "high", "low"))
        is_stopped, is_reached = low <= stop, high >= limit
        limit_wins = is_reached and open_ > stop and Rule.HIGH_FIRST in rules
        if is_stopped and not limit_wins:
            price = stop if Rule.GAP_IGNORED in rules else min(open_, stop)
            return self._fill(bar, -1.0, price, slips=True)
        price = limit if Rule.GAP_IGNORED in rules else max(open_, limit)
        slips = Rule.LIMIT_SLIPS in rules or (Rule.GAPPED_LIMIT_SLIPS in rules and open_ >= limit)
        return self._fill(bar, -1.0, price, slips=slips)

    def _fill(self, bar: int, side: float, reference: float, *, slips: bool) -> Fill:
        fee, slip = self.strategy.parameters["fee"], self.strategy.parameters["slip"]
        slip = slip if slips else 0.0
        price = reference * (1.0 + side * slip)
        return Fill(bar, reference, price, fee * price, slip * reference)


def trades_of(result: Result) -> list[Trade]:
    """Return the round trips of one unit that our engine's fills make."""
    trades: list[Trade] = []
    names = set(result.fills.dtype.names or ())
    for row in result.fills:
        slippage = sum(float(row[name]) for name in ("half_spread", "slippage") if name in names)
        fill = Fill(
            int(row["bar"]), float(row["reference_price"]), float(row["price"]),
            float(row["commission"]), slippage,
        )  # fmt: skip
        if abs(row["quantity"]) != 1.0:
            raise ValueError(f"A fill of {row['quantity']} units is none of these strategies.")
        if row["quantity"] > 0.0:
            trades.append(Trade(fill, None))
        else:
            trades[-1] = Trade(trades[-1].entering, fill)
    return trades


@dataclass
class Comparison:
    """How many trades of an engine are as ours, or differ by which rules.

    Attributes
    ----------
    n_ours, n_theirs, n_identical : int
    by_rule : counter
        Trades of both, entered at the same bar, that a rule (or several, joined by +) changes.
    n_following : int
        Trades of one alone, because a rule changed when the one before ended.
    unexplained : list of str
        A line for each trade that no rule explains.
    """

    n_ours: int = 0
    n_theirs: int = 0
    n_identical: int = 0
    by_rule: Counter[str] = field(default_factory=Counter)
    n_following: int = 0
    unexplained: list[str] = field(default_factory=list)

    def add(self, other: "Comparison") -> None:
        """Take in the comparison of another instrument."""
        self.n_ours += other.n_ours
        self.n_theirs += other.n_theirs
        self.n_identical += other.n_identical
        self.by_rule += other.by_rule
        self.n_following += other.n_following
        self.unexplained += other.unexplained


def compare(
    own: list[Trade],
    theirs: NDArray[Any],
    *,
    equity: float,
    habits: Habits,
    strategy: Strategy,
    columns: Columns,
    label: str,
) -> Comparison:
    """Compare one instrument's trades with a peer's.

    Parameters
    ----------
    own : list of Trade
        Ours: of the engine, or of `replay` under no rule.
    theirs : structured array
        The peer's, of `protocol.TRADE`.
    equity : float
        The peer's final equity [currency].
    habits : Habits
        The peer's rules.
    strategy, columns
        What was traded, on which bars.
    label : str
        Names the instrument in what is unexplained.
    """
    mine = {trade.entering.bar: trade for trade in own}
    found = Comparison(n_ours=len(own), n_theirs=len(theirs))
    names = Statement._fields
    said = [Statement(*(row[name].item() for name in names)) for row in theirs]
    expected = {
        one.entry_bar: one
        for one in (stated(trade, habits) for trade in replay(strategy, columns, habits.rules))
    }
    for one in said:
        due = expected.get(one.entry_bar)
        if due is None or not is_same(one, due):
            found.unexplained.append(f"{label}: {one}, not {due}")
        elif one.entry_bar not in mine:
            found.n_following += 1
        elif is_same(one, stated(mine[one.entry_bar], habits)):
            found.n_identical += 1
        else:
            found.by_rule[" + ".join(_explain(one, habits, strategy, columns))] += 1
    seen = {one.entry_bar for one in said}
    found.unexplained += [
        f"{label}: {one} is missing" for bar, one in expected.items() if bar not in seen
    ]
    found.n_following += sum(1 for bar in mine if bar not in seen)
    left = equity_of(expected.values(), float(columns["close"][-1]))
    if not math.isclose(equity, left, rel_tol=TOLERANCE):
        found.unexplained.append(f"{label}: final equity {equity!r}, not {left!r}")
    return found


def _explain(
    one: Statement, habits: Habits, strategy: Strategy, columns: Columns
) -> tuple[Rule, ...]:
    """Return the fewest of a peer's rules that give its trade; all of them are known to."""
    for size in range(1, len(habits.rules) + 1):
        for rules in combinations(habits.rules, size):
            desk = Desk(strategy, columns, frozenset(rules))
            entering = desk.enter(one.entry_bar)
            if is_same(one, stated(Trade(entering, desk.leave(entering)), habits)):
                return rules
    return habits.rules


def equity_of(statements: Iterable[Statement], last_close: float) -> float:
    """Return the final equity that trades of one unit leave [currency]."""
    return CASH + sum(
        (last_close if one.exit_bar < 0 else one.exit_price) - one.entry_price - one.costs
        for one in statements
    )
