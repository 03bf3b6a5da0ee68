"""Every cost in its own column, against arithmetic by hand."""

import math

import numpy as np
import pytest

from backtests.engine import (
    Account,
    Bars,
    Costs,
    Fills,
    LinearImpact,
    Order,
    Orders,
    SquareRootImpact,
    Targets,
    simulate,
)
from backtests.engine.dtypes import COST_KINDS
from backtests.engine.estimates import known_half_spread, trailing_impact_inputs
from tests.backtests.engine.scenarios import DAY_NS, START_NS
from tests.backtests.engine.test_orders import FLAT, make_bars, order, prices, run

NAN = float("nan")
RICH = Account(1_000_000.0, max_leverage=10.0)
YEAR_NS = 365 * DAY_NS


def costs_of_two(costs, *, bars=None, **columns):
    """Return the fills of 10 bought and 10 sold at 100 each."""
    bars = bars or make_bars(FLAT, FLAT, FLAT, **columns)
    return run(bars, order(10), order(-10, bar=1), costs=costs)


class TestCosts:
    @pytest.mark.parametrize(
        ("costs", "kind", "paid"),
        [
            (Costs(commission_bps=5.0), "commission", [0.5, 0.5]),  # 1,000 x 0.0005
            (Costs(commission_per_share=0.02), "commission", [0.2, 0.2]),  # 10 x 0.02
            (Costs(commission_per_order=3.0), "commission", [3.0, 3.0]),
            (Costs(commission_bps=5.0, commission_minimum=1.0), "commission", [1.0, 1.0]),
            (Costs(commission_bps=50.0, commission_maximum=4.0), "commission", [4.0, 4.0]),
            (
                Costs(commission_bps=50.0, commission_maximum=4.0, commission_per_order=3.0),
                "commission",
                [7.0, 7.0],  # the fee per order is not capped
            ),
            (Costs(buy_tax_bps=50.0), "tax", [5.0, 0.0]),
            (Costs(sell_tax_bps=10.0), "tax", [0.0, 1.0]),
            (Costs(half_spread_bps=4.0), "half_spread", [0.4, 0.4]),
            (Costs(half_spread_bps=[4.0]), "half_spread", [0.4, 0.4]),
            (Costs(slippage_bps=3.0), "slippage", [0.3, 0.3]),
        ],
    )
    def test_charges_each_kind_in_its_column(self, costs, kind, paid):
        result = costs_of_two(costs)

        np.testing.assert_allclose(result.fills[kind], paid)
        assert [name for name, total in result.costs.items() if total] == [kind]
        assert result.equity[-1] == pytest.approx(1e6 - sum(paid))

    def test_charges_the_fee_per_order_once(self):
        bars = make_bars(FLAT, FLAT, FLAT, FLAT, volume=[100.0] * 4)

        result = run(bars, order(25), costs=Costs(commission_per_order=3.0),
                     fills=Fills(max_participation=0.1))  # fmt: skip

        assert result.fills["quantity"].tolist() == [10.0, 10.0, 5.0]
        assert result.fills["commission"].tolist() == [3.0, 0.0, 0.0]

    def test_steps_through_the_tiers_of_a_month(self):
        # 10 a day at 100: 1,000 a day; 10 bps, from 2,000 on 5 bps; the month begins anew.
        ts = np.array(["2020-01-28", "2020-01-29", "2020-01-30", "2020-01-31", "2020-02-02"])
        bars = Bars(ts.astype("datetime64[ns]"), [100.0] * 5, [100.0] * 5, symbols="A")
        costs = Costs(commission_tiers=[(0.0, 10.0), (2_000.0, 5.0)])

        result = simulate(bars, Targets(np.arange(1, 6) * 10.0, "units"), costs=costs, account=RICH)

        np.testing.assert_allclose(result.fills["commission"], [1.0, 1.0, 0.5, 1.0])

    def test_has_half_spreads_of_each_instrument(self):
        bars = Bars(START_NS + np.arange(2) * DAY_NS, np.full((2, 2), 100.0),
                    np.full((2, 2), 100.0), symbols=["A", "B"])  # fmt: skip

        result = simulate(bars, Targets([[10.0, 10.0], [NAN, NAN]], "units"),
                          costs=Costs(half_spread_bps=[1.0, 2.0]))  # fmt: skip

        np.testing.assert_allclose(result.fills["half_spread"], [0.1, 0.2])

    @pytest.mark.parametrize(
        ("kind", "more", "spread", "slippage"),
        [
            ("market", {}, 0.4, 0.3),
            ("stop", {"stop_price": 100.0}, 0.4, 0.3),
            ("limit", {"limit_price": 100.0}, 0.0, 0.0),
            ("stop_limit", {"stop_price": 100.0, "limit_price": 100.0}, 0.0, 0.0),
        ],
    )
    def test_spares_orders_that_wait_for_their_price(self, kind, more, spread, slippage):
        costs = Costs(half_spread_bps=4.0, slippage_bps=3.0)

        result = run(make_bars(FLAT, FLAT), order(10, kind, **more), costs=costs)

        np.testing.assert_allclose(result.fills["half_spread"], [spread])
        np.testing.assert_allclose(result.fills["slippage"], [slippage])

    def test_charges_impact_by_the_square_root_law(self):
        # 0.9 x 0.02 x sqrt(10 / 1,000) x 100 = 0.18 per unit.
        columns = {"adv": [1_000.0] * 3, "sigma": [0.02] * 3}

        result = costs_of_two(Costs(impact=SquareRootImpact()), **columns)

        np.testing.assert_allclose(result.fills["impact"], [1.8, 1.8])
        np.testing.assert_allclose(result.fills["price"], [100.18, 99.82])

    def test_charges_linear_impact(self):
        # (0.14 + 0.31 / 2) x 0.02 x 10 / 1,000 x 100 = 0.0059 per unit.
        columns = {"adv": [1_000.0] * 3, "sigma": [0.02] * 3}

        result = costs_of_two(Costs(impact=LinearImpact()), **columns)

        np.testing.assert_allclose(result.fills["impact"], [0.059, 0.059])

    def test_says_where_impact_is_unknown(self):
        costs = Costs(impact=SquareRootImpact())
        columns = {"adv": [NAN, 1e3, 1e3], "sigma": [NAN, 0.02, 0.02]}

        market = costs_of_two(costs, **columns)
        waiting = order(10, "limit", limit_price=100.0)
        passive = run(make_bars(FLAT, FLAT, FLAT, **columns), waiting, costs=costs)

        codes = {caveat.code: caveat.text for caveat in market.caveats}
        assert codes["impact_unknown"].startswith("1 fill paid no impact")
        assert market.fills["impact"][0] == 0.0
        assert "impact_unknown" not in {caveat.code for caveat in passive.caveats}

    def test_rounds_what_is_paid_to_the_tick_and_calls_it_slippage(self):
        # 100 + 0.04 spread is rounded up to 100.25, 99.96 down to 99.75.
        result = costs_of_two(Costs(half_spread_bps=4.0), tick_size=0.25)

        np.testing.assert_allclose(result.fills["price"], [100.25, 99.75])
        np.testing.assert_allclose(result.fills["half_spread"], [0.4, 0.4])
        np.testing.assert_allclose(result.fills["slippage"], [2.1, 2.1])

    def test_leaves_room_for_the_tick_in_the_buying_power(self):
        # At 100.04 rounded up to 110: 1,000 buys 9.09, not 9.996.
        bars = make_bars(FLAT, FLAT, tick_size=10.0)

        result = run(bars, order(10), costs=Costs(half_spread_bps=4.0), account=Account(1_000.0))

        assert result.fills["quantity"][0] == pytest.approx(1_000.0 / 110.0)
        assert result.cash[-1] >= -1e-9

    def test_never_sells_below_zero(self):
        bars = make_bars(FLAT, FLAT, FLAT, adv=[1.0] * 3, sigma=[0.5] * 3)
        costs = Costs(impact=SquareRootImpact(), half_spread_bps=9_000.0, slippage_bps=9_000.0)

        result = run(bars, order(10), order(-10, bar=1), costs=costs,
                     account=Account(1e6, max_leverage=math.inf))  # fmt: skip

        assert result.fills["price"][1] == 0.0
        assert np.all(result.fills["impact"] >= 0.0)

    def test_charges_the_borrower_of_shorts(self):
        # 10 short at 100 for a year at 2 %: 20.
        ts = START_NS + np.array([0, 1, 366]) * DAY_NS
        bars = Bars(ts, [100.0] * 3, [100.0] * 3, symbols="A")
        own = Bars(ts, [100.0] * 3, [100.0] * 3, symbols="A", borrow_rate=0.05)
        short = Targets([-10.0, NAN, NAN], "units")
        costs = Costs(borrow_bps_per_year=200.0)

        assumed = simulate(bars, short, costs=costs)
        named = simulate(own, short, costs=costs)

        np.testing.assert_allclose(assumed.financing_by_bar()["borrow"], [0.0, 0.0, 20.0])
        np.testing.assert_allclose(named.financing_by_bar()["borrow"], [0.0, 0.0, 50.0])

    def test_pays_and_earns_interest_by_calendar_time(self):
        ts = START_NS + np.array([0, 1, 366]) * DAY_NS
        bars = Bars(ts, [100.0] * 3, [100.0] * 3, symbols="A")

        def interest(units):
            account = Account(1_000.0, max_leverage=5.0, cash_rate=0.03, margin_rate=0.06)
            result = simulate(bars, Targets([units, NAN, NAN], "units"), account=account)
            return result.financing_by_bar()["interest"]

        day = 1_000.0 * 0.03 / 365.0
        # Half invested: 500 at 3 %; twice: 1,000 owed at 6 %; short: the proceeds earn nothing.
        np.testing.assert_allclose(interest(5.0), [0.0, day, (500.0 + day) * 0.03])
        np.testing.assert_allclose(interest(20.0), [0.0, day, -(1_000.0 - day) * 0.06])
        np.testing.assert_allclose(interest(-5.0), [0.0, day, (1_000.0 + day) * 0.03])

    def test_charges_conversion_where_currencies_differ(self):
        # 10 at 100 EUR and 1.2 USD: 1,200 at 2 bps is 0.24.
        rates = {"EUR": np.full(3, 1.2)}
        bars = Bars(START_NS + np.arange(3) * DAY_NS, [100.0] * 3, [100.0] * 3, symbols="A",
                    currency="EUR", rates=rates)  # fmt: skip

        abroad = run(bars, order(10), costs=Costs(conversion_bps=2.0))
        home = costs_of_two(Costs(conversion_bps=2.0))

        np.testing.assert_allclose(abroad.fills["conversion"], [0.24])
        assert home.costs["conversion"] == 0.0

    def test_adds_up_all_at_once(self):
        # At 100: spread 0.04, slippage 0.03, impact 0.18: buys at 100.25, sells at 99.75.
        costs = Costs(
            commission_bps=5.0, commission_per_share=0.02, commission_per_order=1.0,
            half_spread_bps=4.0, slippage_bps=3.0, impact=SquareRootImpact(), buy_tax_bps=50.0,
            sell_tax_bps=10.0, conversion_bps=2.0,
        )  # fmt: skip
        bars = Bars(
            START_NS + np.arange(3) * DAY_NS, [100.0] * 3, [100.0] * 3, symbols="A",
            currency="EUR", rates={"EUR": np.full(3, 1.2)}, adv=[1e3] * 3, sigma=[0.02] * 3,
        )  # fmt: skip

        result = costs_of_two(costs, bars=bars)
        free = costs_of_two(Costs(), bars=bars)

        notional = [1_203.0, 1_197.0]  # 10 x 100.25 x 1.2 and 10 x 99.75 x 1.2
        expected = {
            "commission": [1.0 + 0.2 + n * 0.0005 for n in notional],
            "tax": [notional[0] * 0.005, notional[1] * 0.001],
            "half_spread": [0.48, 0.48], "slippage": [0.36, 0.36], "impact": [2.16, 2.16],
            "conversion": [n * 0.0002 for n in notional],
        }  # fmt: skip
        for kind in COST_KINDS:
            np.testing.assert_allclose(result.fills[kind], expected[kind], err_msg=kind)
        total = sum(sum(paid) for paid in expected.values())
        assert free.equity[-1] - result.equity[-1] == pytest.approx(total)


class TestKnownHalfSpread:
    def test_estimates_a_spread_worked_by_hand(self):
        # Two equal bars, high 101 and low 99: b = 2 g', g = g', so a = sqrt(g') and
        # S = 2 (e^a - 1) / (1 + e^a) = 2 tanh(a / 2) with a = ln(101 / 99): exactly 0.02.
        high, low, close = (np.full((3, 1), price) for price in (101.0, 99.0, 100.0))

        estimate = known_half_spread(high, low, close)

        assert np.isnan(estimate[:2]).all()
        assert estimate[2, 0] == pytest.approx(1.0)

    def test_does_not_depend_on_a_split(self):
        high, low, close = (np.full((4, 1), price) for price in (101.0, 99.0, 100.0))
        split = np.array([[NAN], [NAN], [2.0], [NAN]])
        units = np.array([[1.0], [1.0], [2.0], [2.0]])

        estimate = known_half_spread(high / units, low / units, close / units, split)

        np.testing.assert_allclose(estimate[2:, 0], [0.5, 0.5])

    def test_is_paid_by_market_orders(self):
        bars = make_bars(*[(100.0, 101.0, 99.0, 100.0)] * 4)

        result = run(bars, order(10, bar=2), costs=Costs(half_spread_bps="corwin_schultz"))

        np.testing.assert_allclose(result.fills["half_spread"], [10.0])

    def test_is_paid_in_the_units_after_a_split(self):
        whole, half = (100.0, 101.0, 99.0, 100.0), (50.0, 50.5, 49.5, 50.0)
        bars = make_bars(whole, whole, half, half, split=[NAN, NAN, 2.0, NAN])

        result = run(bars, order(10, bar=1), costs=Costs(half_spread_bps="corwin_schultz"))

        # The split makes 20 units of the waiting 10; each pays half of the 1.0 known before it.
        np.testing.assert_allclose(result.fills["quantity"], [20.0])
        np.testing.assert_allclose(result.fills["half_spread"], [10.0])


class TestTrailingImpactInputs:
    def test_measures_volume_in_the_units_of_the_bar(self):
        close = np.array([[100.0], [102.0], [50.0], [50.0]])
        volume = np.array([[10.0], [10.0], [20.0], [20.0]])
        split = np.array([[NAN], [NAN], [2.0], [NAN]])

        sigma, mean = trailing_impact_inputs(close, volume, split)

        np.testing.assert_allclose(mean[1:, 0], [10.0, 20.0, 20.0])
        # Returns of 2 % and 100 / 102 - 1: their deviation.
        assert sigma[3, 0] == pytest.approx(np.std([0.02, 100.0 / 102.0 - 1.0], ddof=1))


class TestMeasuredSpread:
    def test_moves_limits_to_the_side_they_trade_with(self):
        # The mid falls to 99.8; the ask, 0.1 above, touches a buy limit of 99.9 but not of 99.8.
        bars = make_bars(FLAT, (100.0, 100.0, 99.8, 100.0), half_spread=[0.1, 0.1])

        met = run(bars, order(1, "limit", limit_price=99.9))
        missed = run(bars, order(1, "limit", limit_price=99.8))

        np.testing.assert_allclose(met.fills["price"], [99.9])
        assert prices(missed) == []


class TestQuotes:
    def test_of_a_real_market_are_what_orders_pay(self, shared_data):
        import pandas as pd

        ticks = pd.read_parquet(shared_data / "ticks_fx_eurusd_quotes.parquet")
        ticks = ticks.sort_values("ts", kind="stable").drop_duplicates("ts", keep="last")[:5_000]
        bid, ask = ticks["bid"].to_numpy(float), ticks["ask"].to_numpy(float)
        bars = Bars.from_quotes(pd.DatetimeIndex(ticks["ts"]).as_unit("ns"), bid, ask, symbols="EU")
        wanted = [
            Order(0, 1.0 if at % 2 else -1.0, "limit", time_in_force="ioc", bar=at,
                  limit_price=float(ask[at] - 2e-5 if at % 2 else bid[at] + 2e-5))
            for at in range(4_990)
        ]  # fmt: skip
        units = np.arange(bid.size) % 2 * 10.0

        market = simulate(bars, Targets(units, "units"), account=RICH)
        limits = simulate(bars, Orders(wanted), account=RICH)

        fills = market.fills
        side = fills["quantity"] > 0.0
        np.testing.assert_allclose(fills["price"][side], ask[fills["bar"][side]], rtol=1e-15)
        np.testing.assert_allclose(fills["price"][~side], bid[fills["bar"][~side]], rtol=1e-15)
        assert side.sum() > 2_000
        # A limit decided at one quote fills at the next, exactly where that quote reaches it.
        reached = [
            ask[o.bar + 1] <= o.limit_price + 1e-12 if o.quantity > 0.0
            else bid[o.bar + 1] >= o.limit_price - 1e-12
            for o in wanted
        ]  # fmt: skip
        filled = limits.orders["filled"] != 0.0
        assert 0 < filled.sum() < filled.size
        assert np.mean(filled == np.array(reached)) > 0.999  # the rest: the last bit of a mid
