"""What happens to an account: currencies, lots, volume, margin, delistings, splits, dividends."""

import numpy as np
import pytest

from backtests.engine import Account, Bars, Bracket, Costs, Fills, Targets, simulate
from backtests.engine.dtypes import OrderReason, OrderSource, OrderStatus
from tests.backtests.engine.scenarios import DAY_NS, START_NS
from tests.backtests.engine.test_orders import BAR, FLAT, ends, make_bars, order, prices, run

NAN = float("nan")
NOTHING = (NAN, NAN, NAN, NAN)


def at(price):
    return (price,) * 4


def codes(result):
    return {caveat.code: caveat.text for caveat in result.caveats}


class TestBars:
    def test_in_another_currency_earn_by_price_and_by_rate(self):
        # 10 at 100 EUR and 1.10 (the rate known at the open); close 110 at 1.20, then 110 at 1.30.
        bars = Bars(
            START_NS + np.arange(3) * DAY_NS, [100.0, 110.0, 110.0], [100.0, 100.0, 110.0],
            symbols="A", currency="EUR", rates={"EUR": np.array([1.1, 1.2, 1.3])},
        )  # fmt: skip

        result = simulate(bars, Targets([10.0, NAN, NAN], "units"), account=Account(10_000.0))

        parts = result.ledger()
        # Price: 10 x 1.2 x 10 = 120. Rate: 10 x 100 x 0.1 = 100, then 10 x 110 x 0.1 = 110.
        np.testing.assert_allclose(parts["price_pnl"], [0.0, 120.0, 0.0], atol=1e-9)
        np.testing.assert_allclose(parts["currency_pnl"], [0.0, 100.0, 110.0], atol=1e-9)
        np.testing.assert_allclose(result.equity, [10_000.0, 10_220.0, 10_330.0])
        np.testing.assert_allclose(result.cash, [10_000.0, 8_900.0, 8_900.0])
        assert result.trades()["pnl"].sum() == pytest.approx(330.0)

    def test_have_a_multiplier(self):
        # 2 contracts of 50 at 100, up by 3: 300.
        bars = make_bars(FLAT, FLAT, at(103.0), multiplier=50.0)

        result = run(bars, order(2))

        assert result.equity[-1] == pytest.approx(1_000_300.0)
        assert result.gross_exposure()[-1] == pytest.approx(10_300.0)

    def test_size_targets_with_rate_and_multiplier(self):
        # 12,000 of 120,000 at 100 x 50 x 1.2 = 6,000 a contract.
        bars = Bars(
            START_NS + np.arange(2) * DAY_NS, [100.0] * 2, [100.0] * 2, symbols="A",
            currency="EUR", rates={"EUR": np.array([1.2, 1.2])}, multiplier=50.0,
        )  # fmt: skip

        result = simulate(bars, Targets([0.1, NAN]), account=Account(120_000.0))

        assert result.fills["quantity"].tolist() == [2.0]

    @pytest.mark.parametrize(
        ("wanted", "filled"), [(25.0, 20.0), (-25.0, -20.0), (20.0, 20.0), (9.0, None)]
    )
    def test_trade_whole_lots(self, wanted, filled):
        result = run(make_bars(FLAT, FLAT, lot_size=10.0), order(wanted))

        assert result.fills["quantity"].tolist() == ([] if filled is None else [filled])
        assert ends(result) == [("REJECTED", "TOO_SMALL") if filled is None else ("FILLED", "NONE")]

    def test_close_odd_lots_whole(self):
        bars = make_bars(FLAT, FLAT, FLAT, at(100.0 / 1.5), FLAT, lot_size=10.0,
                         split=[NAN, NAN, NAN, 1.5, NAN])  # fmt: skip

        result = simulate(bars, Targets([10.0, NAN, NAN, 0.0, NAN], "units"))

        assert result.fills["quantity"].tolist() == [10.0, -15.0]

    def test_round_limits_and_stops_to_ticks_that_cost(self):
        bars = make_bars(FLAT, FLAT, tick_size=0.25)
        asked = [
            order(1, "limit", limit_price=95.3), order(-1, "limit", limit_price=105.3),
            order(1, "stop", stop_price=105.3), order(-1, "stop", stop_price=95.3),
        ]  # fmt: skip

        orders = run(bars, *asked).orders

        assert orders["limit_price"][:2].tolist() == [95.25, 105.5]
        assert orders["stop_price"][2:].tolist() == [105.5, 95.25]


class TestFills:
    def test_refuse_less_than_the_minimum_notional_but_close_anything(self):
        bars = make_bars(FLAT, FLAT, FLAT, at(10.0), FLAT)
        fills = Fills(minimum_notional=500.0)

        small = run(bars, order(4), fills=fills)
        kept = run(bars, order(5), order(-5, bar=3), fills=fills)  # 50 at the last close

        assert ends(small) == [("REJECTED", "TOO_SMALL")]
        assert kept.fills["quantity"].tolist() == [5.0, -5.0]

    def test_check_the_minimum_notional_of_money_when_it_is_sized(self):
        targets = Targets([400.0, NAN], "notional", sized_at="fill")

        result = simulate(make_bars(FLAT, FLAT), targets, fills=Fills(minimum_notional=500.0))

        assert ends(result) == [("REJECTED", "TOO_SMALL")]

    def test_share_a_bar_between_orders_in_turn(self):
        bars = make_bars(FLAT, BAR, BAR, volume=[100.0] * 3)

        result = run(bars, order(7), order(7), order(1, "limit", limit_price=95.0),
                     fills=Fills(max_participation=0.1))  # fmt: skip

        assert result.fills["quantity"].tolist() == [7.0, 3.0, 4.0, 1.0]
        assert result.fills["order"].tolist() == [0, 1, 1, 2]

    def test_at_the_same_close_say_that_nobody_can(self):
        bars = make_bars(FLAT, at(110.0))

        result = simulate(bars, Targets([10.0, NAN], "units"),
                          fills=Fills("same_close_with_look_ahead"))  # fmt: skip

        assert result.fills["bar"].tolist() == [0]
        assert prices(result) == [100.0]
        assert codes(result)["look_ahead"].startswith("Look-ahead, as asked")

    def test_keep_a_partly_filled_order_that_power_then_stops(self):
        # 10 of 15 for 1,000; nothing is left for the other 5.
        bars = make_bars(FLAT, FLAT, FLAT, volume=[100.0] * 3)

        result = run(bars, order(15), fills=Fills(max_participation=0.1), account=Account(1_000.0))

        assert ends(result) == [("PARTLY_FILLED", "BUYING_POWER")]
        assert result.orders["filled"].tolist() == [10.0]


class TestAccount:
    def test_is_called_and_liquidated_to_what_its_margin_allows(self):
        # 20 at 100 on 1,000. At 60: equity 200, exposure 1,200, 30 % of it 360: called.
        # 200 / 0.3 = 666.67 may stay: 44.4 % of 20 units go at the open of 60.
        bars = make_bars(FLAT, FLAT, at(60.0), at(60.0), at(60.0))
        account = Account(1_000.0, max_leverage=10.0, maintenance_margin=0.3)

        result = run(bars, order(20), order(1, bar=2), account=account)

        sold = 20.0 * (1.0 - 200.0 / 0.3 / 1_200.0)
        np.testing.assert_allclose(result.fills["quantity"], [20.0, -sold])
        assert result.orders["source"][1:].tolist() == [OrderSource.LIQUIDATION, 0]
        assert ends(result)[2] == ("REJECTED", "MARGIN_CALL")
        assert codes(result)["margin_call"].startswith("The account had a margin call once")

    def test_is_liquidated_whole_once_its_equity_is_gone(self):
        bars = make_bars(FLAT, FLAT, at(40.0), at(41.0))

        result = run(bars, order(20), order(-5, "limit", limit_price=500.0),
                     account=Account(1_000.0, max_leverage=10.0))  # fmt: skip

        assert result.fills["quantity"].tolist() == [20.0, -20.0]
        assert result.equity[-1] == pytest.approx(1_000.0 - 20.0 * 59.0)
        assert ends(result)[1] == ("CANCELLED", "MARGIN_CALL")
        assert "equity_exhausted" in codes(result)

    @pytest.mark.parametrize("leverage", [1.5, 2.5, 10.0 / 3.0])
    def test_is_called_alike_whether_another_instrument_is_there(self, leverage):
        # At a constant price equity is the margin, but for the last bit.
        account = {"max_leverage": leverage, "maintenance_margin": 1.0 / leverage}
        for seed in range(60):
            rng = np.random.default_rng(seed)
            price, capital = rng.uniform(1.0, 500.0), float(rng.uniform(1e5, 1e6))
            results = []
            for symbols in (["A"], ["A", "B"]):
                close = np.full((6, len(symbols)), price)
                wanted = np.full(close.shape, NAN)
                wanted[0, 0] = leverage
                bars = Bars(START_NS + np.arange(6) * DAY_NS, close, close, symbols=symbols)
                results.append(simulate(bars, Targets(wanted, sized_at="fill"),
                                        account=Account(capital, **account)))  # fmt: skip

            np.testing.assert_array_equal(results[0].fills, results[1].fills)

    def test_is_never_called_when_told_so(self):
        account = Account(1_000.0, max_leverage=10.0, maintenance_margin=None)

        result = run(make_bars(FLAT, FLAT, at(40.0), at(41.0)), order(20), account=account)

        assert result.fills.size == 1
        assert "was not liquidated" in codes(result)["equity_exhausted"]

    @pytest.mark.parametrize(("units", "price"), [(10, 56.0), (-10, 80.0)])
    def test_loses_a_haircut_of_longs_that_are_delisted(self, units, price):
        # Last price 80; a haircut of 30 % leaves 56 to longs, shorts buy back at 80.
        bars = make_bars(FLAT, FLAT, at(80.0), NOTHING, NOTHING, delisted=[0, 0, 0, 1.0, 0],
                         half_spread=[0, 0, 0, 1.0, 0])  # fmt: skip
        account = Account(1e6, delisting_haircut=0.3)

        result = run(bars, order(units), order(1, "limit", limit_price=9.0), order(1, bar=3),
                     account=account, costs=Costs(slippage_bps=0.0))  # fmt: skip

        assert prices(result) == [100.0, price]
        assert result.fills["half_spread"].tolist() == [0.0, 0.0]
        assert result.equity[-1] == pytest.approx(1e6 + units * (price - 100.0))
        assert ends(result)[1] == ("CANCELLED", "DELISTED")
        refused = result.orders["status"] == OrderStatus.REJECTED
        assert result.orders["reason"][refused].tolist() == [OrderReason.DELISTED]
        assert "30%" in codes(result)["delisted"]

    def test_holds_its_value_through_splits_of_all_that_waits(self):
        # Two for one before bar 2: 95 becomes 47.5, 105 becomes 52.5, a trail of 7 becomes 3.5.
        half = at(50.0)
        bars = make_bars(FLAT, FLAT, half, half, split=[NAN, NAN, 2.0, NAN])
        asked = [
            order(10), order(4, "limit", limit_price=95.0), order(4, "stop", stop_price=105.0),
            order(-4, "trailing_stop", trail=7.0),
            order(-4, "trailing_stop", trail=0.1, trail_is_fraction=True),
            order(4, "stop_limit", stop_price=105.0, limit_price=106.0),
        ]  # fmt: skip

        result = run(bars, *asked)

        orders = result.orders
        np.testing.assert_allclose(result.equity, 1e6)
        assert orders["quantity"].tolist() == [10.0, 8.0, 8.0, -8.0, -8.0, 8.0]
        assert orders["limit_price"][[1, 5]].tolist() == [47.5, 53.0]
        np.testing.assert_allclose(orders["stop_price"][2:], [52.5, 46.5, 45.0, 52.5])
        np.testing.assert_allclose(orders["trail"][3:5], [3.5, 0.1])
        assert result.actions["value"].tolist() == [2.0]

    def test_divides_the_trail_of_a_child_that_waits(self):
        bars = make_bars(FLAT, FLAT, at(50.0), split=[NAN, NAN, 2.0])
        child = order(-1, "trailing_stop", trail=8.0, parent=0, is_offset=True)

        result = run(bars, order(1, "limit", limit_price=10.0), child)

        assert result.orders["trail"][1] == 4.0

    def test_leaves_what_ended_before_a_split_as_it_was(self):
        bars = make_bars(FLAT, FLAT, FLAT, at(50.0), volume=[100.0] * 4, split=[NAN, NAN, NAN, 2.0])
        values = Targets([15.0, NAN, 10.0, NAN], "units")

        result = simulate(bars, values, fills=Fills(max_participation=0.1))

        assert result.orders["filled"][0] in (10.0, 15.0)

    def test_receives_and_pays_dividends_after_the_split_of_the_bar(self):
        bars = make_bars(FLAT, FLAT, at(50.0), split=[NAN, NAN, 2.0], dividend=[0, 0, 0.5])

        long, short = run(bars, order(10)), run(bars, order(-10))

        assert long.dividends_by_bar().tolist() == [0.0, 0.0, 10.0]  # 20 x 0.5
        assert short.dividends_by_bar().tolist() == [0.0, 0.0, -10.0]


class TestSimulate:
    def test_sells_the_rest_of_a_stop_that_gapped_over_the_volume(self):
        # 30 held, stop 95: 10 go at 90, 10 at the open of each bar after it, whatever the price.
        bars = make_bars(
            FLAT, FLAT, FLAT, at(90.0), at(99.0), at(99.0), at(99.0),
            volume=[1e3, 1e3, 1e3, 1e2, 1e2, 1e2, 1e2],
        )  # fmt: skip
        targets = Targets([30.0] + [NAN] * 6, "units", bracket=Bracket(0.05))

        result = simulate(bars, targets, fills=Fills(max_participation=0.1))

        assert result.fills["quantity"].tolist() == [30.0, -10.0, -10.0, -10.0]

    def test_counts_a_stale_mark_once(self):
        bars = Bars(START_NS + np.arange(3) * DAY_NS, [[100.0, 100.0], [NAN, 100.0], [100.0] * 2],
                    symbols=["A", "B"])  # fmt: skip
        targets = Targets([[1.0, NAN], [NAN, 1.0], [NAN, NAN]], "units")

        result = simulate(bars, targets, fills=Fills("same_close_with_look_ahead"))

        assert codes(result)["stale_marks"].startswith("1 instrument-bar ")

    def test_fills_no_more_of_two_siblings_than_one_asked_for(self):
        # Both are on the close of bar 1 for 15; the volume lets 10 through: 10 and then 5.
        bars = make_bars(FLAT, FLAT, FLAT, FLAT, volume=[100.0, 120.0, 120.0, 120.0])
        pair = [order(-15, "market_on_close", group=1), order(-8, "market_on_close", group=1)]

        result = run(bars, *pair, fills=Fills(max_participation=0.1))

        assert result.fills["quantity"].sum() >= -15.0
        assert np.all(result.orders["quantity"] <= 0.0)


class TestTrades:
    def test_closes_the_oldest_first_or_the_average(self):
        # 10 at 100, 10 at 110, sold 15 at 120: fifo 10 x 20 + 5 x 10; average 15 x (120 - 105).
        bars = make_bars(FLAT, FLAT, at(110.0), at(120.0), at(120.0))

        result = run(bars, order(10), order(10, bar=1), order(-15, bar=2))

        fifo, average = result.trades(), result.trades("average")
        assert fifo["pnl"].tolist() == [200.0, 50.0, 50.0]
        assert fifo["exit_bar"].tolist() == [3, 3, -1]
        np.testing.assert_allclose(average["pnl"], [225.0, 75.0])
        np.testing.assert_allclose(average["entry_price"], [105.0, 105.0])

    def test_leaves_no_crumbs_of_rounding(self):
        # 0.1 + 0.2 - 0.3 is not 0 in binary.
        bars = make_bars(*[FLAT] * 5)

        result = run(bars, order(0.1), order(0.2, bar=1), order(-0.3, bar=2))

        assert result.trades().size == 2
        assert np.all(result.trades()["exit_bar"] == 3)
