from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtests.marketdata.findings import Ledger, Marks
from backtests.marketdata.quality.history import Series
from backtests.marketdata.quality.series import check_series

DAY_NS = 86_400_000_000_000


def _series(close, prices="raw", **fields) -> tuple[Series, Ledger]:
    close = np.asarray(close, dtype=float)
    n = close.size
    marks = Marks(np.arange(1, n + 1), np.arange(n) * DAY_NS, np.zeros(n, dtype=np.int32))
    ledger = Ledger("x.csv")
    ledger.symbols.append("X")
    values = {"close": close, **{k: np.asarray(v, dtype=float) for k, v in fields.items()}}
    return Series("X", marks, values, prices), ledger


def _walk(n: int = 300, seed: int = 3) -> np.ndarray:
    return 50.0 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0.0, 0.01, n)))


def _codes(ledger: Ledger) -> dict[str, int]:
    return {f.code: f.count for f in ledger.settle().findings}


class TestCheckSeries:
    @given(st.integers(0, 10_000))
    def test_finds_nothing_in_a_random_walk(self, seed):
        series, ledger = _series(_walk(seed=seed))

        assert not check_series(series, ledger).any()
        assert not _codes(ledger)

    @given(st.integers(5, 250), st.integers(1, 40), st.sampled_from([0.01, 0.1, 10.0, 100.0]))
    def test_refuses_exactly_the_bars_in_another_unit(self, start, length, factor):
        close = _walk()
        close[start : start + length] *= factor
        series, ledger = _series(close)

        refused = check_series(series, ledger)

        assert np.flatnonzero(refused).tolist() == list(range(start, start + length))

    @pytest.mark.parametrize(
        ("factor", "name"), [(0.5, "2"), (1 / 3, "3"), (10.0, "1/10"), (2 / 3, "3/2")]
    )
    def test_names_the_factor_of_a_split_nobody_booked(self, factor, name):
        close = _walk()
        close[150:] *= factor
        series, ledger = _series(close)

        check_series(series, ledger)

        (finding,) = ledger.settle().find("unbooked_split")
        assert f"split by {name} " in finding.sentence

    def test_a_booked_split_is_no_finding(self):
        close, split = _walk(), np.ones(300)
        close[150:] /= 4.0
        split[150] = 4.0
        series, ledger = _series(close, split=split)

        check_series(series, ledger)

        assert not _codes(ledger)

    def test_a_split_on_prices_that_do_not_move_is_refused(self):
        split = np.ones(300)
        split[150] = 4.0
        series, ledger = _series(_walk(), split=split)

        check_series(series, ledger)

        assert _codes(ledger) == {"split_double": 1}

    @pytest.mark.parametrize("factor", [100.0, 0.01, 1000.0])
    def test_a_lasting_change_of_unit_is_named(self, factor):
        close = _walk()
        close[150:] *= factor
        series, ledger = _series(close)

        check_series(series, ledger)

        assert _codes(ledger) == {"unit_switch": 1}

    def test_a_lone_jump_is_a_warning(self):
        close = _walk()
        close[150:] *= np.exp(-0.55)
        series, ledger = _series(close)

        assert not check_series(series, ledger).any()
        assert _codes(ledger) == {"jump": 1}

    def test_a_long_run_of_one_price_with_volume_is_stale(self):
        close = _walk()
        close[100:112] = close[100]
        series, ledger = _series(close, volume=np.full(300, 5.0))

        check_series(series, ledger)

        assert _codes(ledger) == {"stale": 11}

    def test_dividends_are_judged_by_size_and_repetition(self):
        close, cash = _walk(), np.zeros(300)
        cash[100], cash[102], cash[200] = 0.5, 0.52, 0.3 * close[199]
        close[200:] *= 0.7
        series, ledger = _series(close, dividend=cash)

        check_series(series, ledger)

        assert _codes(ledger) == {"repeated_dividend": 1, "huge_dividend": 1}
