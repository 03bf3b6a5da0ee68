"""What explains a difference of trades: a rule by its name, and never a mistake."""

import numpy as np
import pytest

from benchmarks.peers.cases import MONEY, STRATEGIES, Strategy
from benchmarks.peers.comparison import (
    HABITS,
    OURS,
    Habits,
    Rule,
    compare,
    equity_of,
    replay,
    stated,
)
from benchmarks.peers.protocol import TRADE
from benchmarks.peers.workloads import reference_workloads


def random_bars(n_bars=6_000):
    rng = np.random.default_rng(20261127)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.02, n_bars)))
    open_ = np.append(close[:1], close[:-1]) * np.exp(rng.normal(0.0, 0.02, n_bars))
    high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0.0, 0.02, n_bars)))
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0.0, 0.02, n_bars)))
    return {"open": open_, "high": high, "low": low, "close": close}


# Tight enough that some bars reach both stop and limit.
TIGHT = Strategy("tight", {**STRATEGIES["bracket"].parameters, "stop": 0.02, "limit": 0.03})


def table(statements):
    return np.array([(0, *one) for one in statements], dtype=TRADE)


def compared(theirs, habits, strategy=TIGHT):
    columns = random_bars()
    return compare(
        replay(strategy, columns),
        table(theirs),
        equity=equity_of(theirs, columns["close"][-1]),
        habits=habits,
        strategy=strategy,
        columns=columns,
        label="random",
    )


def statements(rules=(), habits=OURS, strategy=TIGHT):
    return [stated(trade, habits) for trade in replay(strategy, random_bars(), rules)]


class TestReplay:
    @pytest.mark.parametrize(
        ("rules", "loss"),
        [
            ([], 11.76),
            ([Rule.ENTRY_BAR], 17.04),
            ([Rule.ENTRY_BAR, Rule.LIMIT_SLIPS], 17.18),
            ([Rule.HIGH_FIRST], 9.17),
        ],
    )
    def test_loses_on_the_reference_days_what_the_bare_loop_loses(self, rules, loss):
        try:
            workloads = reference_workloads()
        except FileNotFoundError as absent:
            pytest.skip(str(absent))
        averages = {"fast": workloads.FAST, "slow": workloads.SLOW, "ratio": 1.0}
        bracket = {"stop": workloads.SL, "limit": workloads.TP}
        strategy = Strategy("W4", {"task": "bracket", **averages, **bracket, **MONEY})
        columns = workloads.daily()

        trades = [stated(trade) for trade in replay(strategy, columns, rules)]

        assert round(workloads.INIT_CASH - equity_of(trades, columns["close"][-1]), 2) == loss

    @pytest.mark.parametrize("rules", [[], [Rule.GAP_IGNORED]])
    def test_fills_a_gapped_stop_at_the_open_unless_gaps_are_ignored(self, rules):
        columns = random_bars()
        opens = columns["open"]

        trades = replay(TIGHT, columns, rules)

        gapped = [
            leaving.reference_price == opens[leaving.bar]
            for entering, leaving in trades
            if leaving and opens[leaving.bar] < entering.price * (1.0 - 0.02)
        ]
        assert gapped
        assert set(gapped) == {rules == []}


class TestCompare:
    def test_finds_our_own_trades_identical(self):
        found = compared(statements(), OURS)

        assert found.n_identical == found.n_ours == found.n_theirs > 20
        assert not found.by_rule
        assert not found.unexplained

    @pytest.mark.parametrize("peer", HABITS)
    def test_names_each_rule_of_a_peer(self, peer):
        habits = HABITS[peer]

        found = compared(statements(habits.rules, habits), habits)

        assert not found.unexplained
        assert {part for rules in found.by_rule for part in rules.split(" + ")} == set(habits.rules)
        in_both = found.n_identical + found.by_rule.total()
        assert found.n_ours + found.n_theirs == 2 * in_both + found.n_following

    @pytest.mark.parametrize(
        ("name", "error"),
        [
            ("entry_price", 1e-6),
            ("exit_price", 1e-6),
            ("costs", 1e-9),
            ("quantity", 1e-6),
            ("entry_bar", 1),
            ("exit_bar", 1),
        ],
    )
    def test_explains_no_other_difference(self, name, error):
        theirs = statements()
        theirs[7] = theirs[7]._replace(**{name: getattr(theirs[7], name) + error})

        found = compared(theirs, OURS)

        assert any("entry_bar" in line for line in found.unexplained)

    def test_explains_no_missing_trade(self):
        found = compared(statements()[:-1], OURS)

        assert any("is missing" in line for line in found.unexplained)

    def test_explains_no_rule_that_is_not_the_peers(self):
        theirs = statements([Rule.ENTRY_BAR])

        found = compared(theirs, Habits((Rule.LIMIT_SLIPS,)))

        assert found.unexplained

    def test_minds_the_final_equity(self):
        columns = random_bars()
        found = compare(
            replay(STRATEGIES["cross"], columns),
            table(statements(strategy=STRATEGIES["cross"])),
            equity=1_000_000.0,
            habits=OURS,
            strategy=STRATEGIES["cross"],
            columns=columns,
            label="random",
        )

        assert "final equity" in found.unexplained[0]
