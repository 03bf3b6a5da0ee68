"""Other engines trade real prices as ours does, trade by trade, but for rules with a name.

Skipped without the market data or without the peers' environments (`make peers`).
"""

import math

import pytest

from benchmarks import parity
from benchmarks.peers.cases import STRATEGIES, ours
from benchmarks.peers.client import PEERS
from benchmarks.peers.comparison import (
    HABITS,
    equity_of,
    is_same,
    replay,
    stated,
    trades_of,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shared_data")]

EVERY_HABIT = HABITS["backtesting.py"]  # it states slippage apart, and commission without it


class TestOurEngine:
    @pytest.mark.parametrize("name", STRATEGIES)
    def test_trades_as_a_plain_loop_does(self, name):
        strategy = STRATEGIES[name]

        for symbol, columns in parity.bars().items():
            result = ours(strategy, columns)

            found, due = trades_of(result), replay(strategy, columns)
            assert len(found) == len(due), symbol
            for one, other in zip(found, due, strict=True):
                assert is_same(stated(one), stated(other)), symbol
                assert is_same(stated(one, EVERY_HABIT), stated(other, EVERY_HABIT)), symbol
            left = equity_of(map(stated, due), columns["close"][-1])
            assert math.isclose(result.equity[-1], left, rel_tol=1e-9), symbol


class TestPeer:
    @pytest.mark.parametrize("name", STRATEGIES)
    @pytest.mark.parametrize("peer", PEERS)
    def test_trades_as_we_do_but_for_its_rules(self, peer, name, record_property):
        if not PEERS[peer].is_installed:
            pytest.skip(f"{peer} is not in {PEERS[peer].environment}; run: make peers")

        found = parity.parity(peer, name)

        record_property("identical", found.n_identical)
        for rules, count in found.by_rule.items():
            record_property(rules, count)
        assert not found.unexplained
        assert found.n_ours > 500
        if name != "bracket":
            assert found.n_identical == found.n_ours == found.n_theirs
