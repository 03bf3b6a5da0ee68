from __future__ import annotations

import numpy as np
import pytest

from backtests.marketdata.findings import Ledger, Marks
from backtests.marketdata.quality.history import Series, split_name
from backtests.marketdata.quality.series import check_series

DAY_NS = 86_400_000_000_000
N, AT = 600, 300


def _walk() -> np.ndarray:
    return 50.0 * np.exp(np.cumsum(np.random.default_rng(3).normal(0.0, 0.01, N)))


def _checked(prices: str = "raw", accept: tuple[str, ...] = (), **values: np.ndarray) -> Ledger:
    marks = Marks(np.arange(1, N + 1), np.arange(N) * DAY_NS, np.zeros(N, dtype=np.int32))
    ledger = Ledger("x.csv", accept)
    ledger.symbols.append("X")
    check_series(Series("X", marks, values, prices), ledger)
    return ledger


class TestFindProvenSplits:
    @pytest.mark.parametrize("factor", [2.0, 1.5, 0.1])
    def test_a_split_that_adj_close_knows_is_an_error_no_quarantine_mends(self, factor):
        adjusted = _walk()
        close = adjusted * np.where(np.arange(N) < AT, factor, 1.0)

        report = _checked(close=close, adj_close=adjusted).settle()

        (finding,) = report.findings
        assert (finding.code, finding.severity, finding.quarantinable) == (
            "unbooked_split", "error", False,
        )  # fmt: skip
        assert finding.stamps == [AT * DAY_NS]

    def test_accepted_it_is_a_warning(self):
        adjusted = _walk()
        close = adjusted * np.where(np.arange(N) < AT, 2.0, 1.0)

        ledger = _checked(accept=("unbooked_split",), close=close, adj_close=adjusted)

        (finding,) = ledger.settle().findings
        assert (finding.severity, finding.accepted) == ("warning", True)

    def test_a_crash_that_adj_close_shares_stays_a_suspicion(self):
        close = _walk() * np.where(np.arange(N) < AT, 2.0, 1.0)

        (finding,) = _checked(close=close, adj_close=close.copy()).settle().findings

        assert (finding.code, finding.severity) == ("unbooked_split", "warning")

    def test_a_factor_without_a_move_is_no_split(self):
        close = _walk()
        adjusted = close * np.where(np.arange(N) < AT, 0.5, 1.0)

        report = _checked(close=close, adj_close=adjusted).settle()

        assert [f.code for f in report.findings] == ["adj_close_inconsistent"]


class TestCheckDividends:
    @pytest.mark.parametrize(("unit", "found"), [(4.0, 1), (1.0, 0)])
    def test_dividends_per_share_of_their_day_are_noticed_in_split_prices(self, unit, found):
        close, split, cash = _walk(), np.ones(N), np.zeros(N)
        split[AT] = 4.0
        cash[50::63] = 0.005 * close[50::63]
        cash[:AT] *= unit

        report = _checked("split", close=close, split=split, dividend=cash).settle()

        assert report.count("dividend_unit") == found


class TestSplitName:
    @pytest.mark.parametrize(
        ("ratio", "name"), [(0.5, "2"), (2.0, "1/2"), (2 / 3, "3/2"), (1.5, "2/3"), (0.21, "5")]
    )
    def test_is_the_nearest(self, ratio, name):
        assert split_name(float(np.log(ratio)))[0] == name
