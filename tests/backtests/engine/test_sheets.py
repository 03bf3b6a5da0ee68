"""The sheets of a long curve: laid down where they belong, and equal to a curve written at once."""

import numpy as np
import pytest

from backtests.engine import Bars, Bracket, Costs, Targets, preparation, runner, simulate
from backtests.engine.record import address_of
from backtests.engine.sheets import LONG, SHEET, end_of_sheet, lay_down
from numerics.compilation import njit


@njit(cache=True, error_model="numpy")
def compiled_lay(sheet, place, n_bars):
    lay_down(sheet, place, n_bars)


@njit(cache=True, error_model="numpy")
def compiled_end(bar, stop, curve):
    return end_of_sheet(bar, stop, curve)


class TestLayDown:
    @pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 71, 200])
    @pytest.mark.parametrize("shift", range(9))
    def test_copies_its_bars_and_no_other(self, n, shift):
        sheet = np.arange(1.0, 301.0)
        curve = np.zeros(300)
        compiled_lay(address_of(sheet), address_of(curve) + 8 * shift, n)
        assert np.array_equal(curve[shift : shift + n], sheet[:n])
        assert not curve[:shift].any()
        assert not curve[shift + n :].any()


class TestEndOfSheet:
    @pytest.mark.parametrize("bar", [0, 1, 7, 8, 12_345])
    @pytest.mark.parametrize("place", [1, 6, 8, 999])
    def test_ends_with_a_line_of_the_cache(self, bar, place):
        end = compiled_end(bar, 10**9, 8 * place)
        assert SHEET - 8 < end - bar <= SHEET
        assert (place + end) % 8 == 0

    def test_ends_where_the_run_does(self):
        assert compiled_end(10, 17, 4096) == 17


N_BARS = 5 * SHEET + 321
MINUTE_NS = 60 * 10**9


def make_bars(n_bars=N_BARS, *, n_missing=0):
    rng = np.random.default_rng(5)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 1e-3, n_bars)))
    close[rng.choice(n_bars, n_missing, replace=False)] = np.nan
    open_ = close * (1.0 + rng.normal(0.0, 1e-4, n_bars))
    stamps = 10**18 + np.arange(n_bars) * MINUTE_NS
    return Bars(stamps, close, open_, np.fmax(open_, close), np.fmin(open_, close), symbols="A")


def make_targets(n_bars=N_BARS, *, every=37, low=0.0, bracket=None):
    at = np.arange(0, n_bars, every)
    values = np.where(np.arange(at.size) % 2 == 0, 1.0, low)
    return Targets(values, "units", at_bars=at, bracket=bracket)


CASES = {
    "market orders alone": (make_bars(), make_targets()),
    "dense targets": (make_bars(), make_targets(every=1)),
    "a short side and missing prices": (make_bars(n_missing=50), make_targets(low=-1.0)),
    "exits that wait": (make_bars(), make_targets(bracket=Bracket(0.002, 0.003))),
}


@pytest.fixture(params=CASES.values(), ids=CASES)
def case(request):
    return request.param


class TestSimulate:
    @pytest.fixture
    def at_once(self, case, monkeypatch):
        monkeypatch.setattr(preparation, "LONG", N_BARS + 1)
        return simulate(*case, costs=Costs(commission_bps=1.0))

    def test_is_the_same_sheet_by_sheet(self, case, at_once, monkeypatch):
        monkeypatch.setattr(preparation, "LONG", N_BARS)
        by_sheets = simulate(*case, costs=Costs(commission_bps=1.0))
        assert by_sheets.digest == at_once.digest
        assert np.array_equal(by_sheets.equity, at_once.equity)

    def test_goes_on_after_a_slice(self, case, at_once, monkeypatch):
        monkeypatch.setattr(preparation, "LONG", N_BARS)
        monkeypatch.setattr(runner, "SLICE_INSTRUMENT_BARS", 1_003)
        seen = []
        by_slices = simulate(
            *case, costs=Costs(commission_bps=1.0), on_progress=lambda *one: seen.append(one)
        )
        assert len(seen) > 5
        assert by_slices.digest == at_once.digest

    def test_goes_on_after_the_tables_grew(self, case, at_once, monkeypatch):
        monkeypatch.setattr(preparation, "LONG", N_BARS)
        monkeypatch.setattr(runner, "FIRST_ROWS", 1)
        assert simulate(*case, costs=Costs(commission_bps=1.0)).digest == at_once.digest

    def test_a_long_run_uses_them_unasked(self):
        bars = make_bars(LONG)
        targets = make_targets(LONG)
        result = simulate(bars, targets)
        held = np.zeros(LONG)
        fills = result.fills
        np.add.at(held, fills["bar"], fills["quantity"])
        cash = np.zeros(LONG)
        np.add.at(cash, fills["bar"], -fills["quantity"] * fills["price"])
        worth = result.capital + np.cumsum(cash) + np.cumsum(held) * bars.close[:, 0]
        np.testing.assert_allclose(result.equity, worth, rtol=1e-12)
