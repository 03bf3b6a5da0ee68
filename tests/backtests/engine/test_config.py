import math

import numpy as np
import pytest

from backtests.engine import Account, Costs, Fills, Targets, simulate
from backtests.engine.config import as_document
from backtests.engine.errors import SettingsError
from tests.backtests.engine.test_orders import FLAT, make_bars


class TestFills:
    def test_refuses_an_unknown_moment(self):
        with pytest.raises(SettingsError, match="next_open, next_close"):
            Fills("close")

    @pytest.mark.parametrize("bars", [1.0, True, np.float64(1.0)])
    def test_waits_for_a_whole_number_of_bars(self, bars):
        with pytest.raises(SettingsError, match="latency_bars must be a whole number"):
            Fills(latency_bars=bars)


class TestCosts:
    @pytest.mark.parametrize("value", [-1.0, math.inf, math.nan, "5", True])
    @pytest.mark.parametrize("name", ["commission_bps", "commission_per_share", "half_spread_bps"])
    def test_refuses_values_outside_their_domain(self, name, value):
        with pytest.raises(SettingsError, match=f"Costs.{name}"):
            Costs(**{name: value})

    def test_refuses_a_half_spread_as_large_as_the_price(self):
        with pytest.raises(SettingsError, match="below 10,000"):
            Costs(half_spread_bps=10_000)

    @pytest.mark.parametrize("number", [np.int64(5), np.float32(5.0), np.float64(5.0)])
    def test_takes_the_numbers_of_numpy(self, number):
        bars, targets = make_bars(FLAT, FLAT, FLAT), Targets([1.0, 0.0, 0.0], "units")
        names = ("commission_bps", "half_spread_bps", "slippage_bps", "buy_tax_bps")

        result = simulate(bars, targets, costs=Costs(**dict.fromkeys(names, number)))

        same = simulate(bars, targets, costs=Costs(**dict.fromkeys(names, 5.0)))
        assert result.digest == same.digest


class TestAccount:
    @pytest.mark.parametrize(
        "arguments",
        [
            {"capital": 0.0},
            {"capital": math.inf},
            {"max_leverage": 0.0},
            {"max_leverage": math.nan},
            {"on_shortfall": "wait"},
            {"currency": ""},
        ],
    )
    def test_refuses_values_outside_their_domain(self, arguments):
        with pytest.raises(SettingsError, match="Account"):
            Account(**arguments)

    def test_allows_unlimited_leverage(self):
        assert Account(max_leverage=math.inf).max_leverage == math.inf


class TestAsDocument:
    def test_does_not_tell_integers_from_equal_floats(self):
        assert as_document(Costs(commission_bps=5)) == as_document(Costs(commission_bps=5.0))
