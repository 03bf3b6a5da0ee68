from __future__ import annotations

import numpy as np
import pytest

from backtests.marketdata.findings import Ledger
from backtests.marketdata.quality.universe import check_survivors

DAY_NS = 86_400_000_000_000


def _check(n: int, years: float, exits: int, stubs: int = 0) -> tuple[bool, Ledger]:
    ts = np.arange(int(years * 365.25)) * DAY_NS
    first, last = np.zeros(n + stubs, dtype=np.int64), np.full(n + stubs, ts.size - 1)
    last[:exits] = ts.size // 2
    first[n:], last[n:] = 100, 100
    ledger = Ledger("x.csv")
    return check_survivors(ts, first, last, ledger), ledger


class TestCheckSurvivors:
    @pytest.mark.parametrize(
        ("n", "years", "exits", "survivors"),
        [
            (40, 20.0, 0, True),  # 32 expected
            (40, 20.0, 7, True),
            (40, 20.0, 8, False),  # a quarter of them
            (10, 2.0, 0, False),  # less than one expected
            (4, 50.0, 0, False),
            (100, 0.5, 0, False),
        ],
    )
    def test_compares_exits_with_those_expected(self, n, years, exits, survivors):
        assert _check(n, years, exits)[0] == survivors

    def test_a_stub_does_not_hide_them(self):
        survivors, ledger = _check(40, 20.0, 0, stubs=30)

        (finding,) = ledger.settle().findings
        assert survivors
        assert finding.sentence.startswith("0 of 40 instruments ever stopped trading, where about")
