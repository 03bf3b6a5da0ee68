import math

import pytest

from backtests.engine import Account, Costs, Fills
from backtests.engine.config import as_document
from backtests.engine.errors import SettingsError


class TestFills:
    def test_refuses_an_unknown_moment(self):
        with pytest.raises(SettingsError, match="next_open, next_close"):
            Fills("close")


class TestCosts:
    @pytest.mark.parametrize("value", [-1.0, math.inf, math.nan, "5", True])
    @pytest.mark.parametrize("name", ["commission_bps", "commission_per_share", "half_spread_bps"])
    def test_refuses_values_outside_their_domain(self, name, value):
        with pytest.raises(SettingsError, match=f"Costs.{name}"):
            Costs(**{name: value})

    def test_refuses_a_half_spread_as_large_as_the_price(self):
        with pytest.raises(SettingsError, match="below 10,000"):
            Costs(half_spread_bps=10_000)


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
