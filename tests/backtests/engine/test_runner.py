import copy
import math
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtests.engine import Account, Bars, Costs, Fills, Targets, runner, simulate
from backtests.engine.dtypes import OrderReason, OrderStatus
from backtests.engine.errors import SettingsError, ShapeError
from tests.backtests.engine.scenarios import DAY_NS, START_NS, make_scenario, scenarios

NAN = float("nan")


def make_bars(close, symbols=("A",), **columns):
    close = np.asarray(close, float)
    ts = START_NS + np.arange(close.shape[0]) * DAY_NS
    columns = {name: np.asarray(values, float) for name, values in columns.items()}
    return Bars(ts, close, symbols=symbols, **columns)


class TestSimulate:
    def test_matches_a_round_trip_worked_by_hand(self):
        bars = make_bars([10.0, 12.0, 11.0, 14.0], open=[10.0, 11.0, 12.0, 13.0])
        costs = Costs(commission_bps=100.0, half_spread_bps=100.0)

        result = simulate(bars, Targets([10.0, NAN, 0.0, NAN], "units"), costs=costs,
                          account=Account(1_000.0))  # fmt: skip

        # Buy 10 at 11 (1 + 1 %) = 11.11, commission 1.111; sell 10 at 13 (1 - 1 %) = 12.87.
        np.testing.assert_allclose(result.fills["price"], [11.11, 12.87])
        np.testing.assert_allclose(result.fills["commission"], [1.111, 1.287])
        np.testing.assert_allclose(result.fills["half_spread"], [1.1, 1.3])
        np.testing.assert_allclose(result.cash, [1000.0, 887.789, 887.789, 1015.202])
        np.testing.assert_allclose(result.equity, [1000.0, 1007.789, 997.789, 1015.202])
        np.testing.assert_allclose(result.price_pnl, [0.0, 10.0, -10.0, 20.0])
        np.testing.assert_array_equal(result.positions()[:, 0], [0.0, 10.0, 10.0, 0.0])
        assert {kind: cost for kind, cost in result.costs.items() if cost} == pytest.approx(
            {"commission": 2.398, "half_spread": 2.4}
        )

    def test_sizes_weights_on_the_close_of_the_decision(self):
        bars = make_bars([10.0, 20.0, 20.0], open=[10.0, 16.0, 20.0])

        result = simulate(bars, Targets([0.5, NAN, NAN]), account=Account(1_000.0))

        assert result.fills["quantity"].tolist() == [50.0]
        assert result.fills["price"].tolist() == [16.0]

    def test_fills_at_the_close_when_there_are_no_opens_and_says_so(self):
        bars = make_bars([10.0, 20.0, 40.0])

        result = simulate(bars, Targets([1.0, NAN, NAN], "units"))

        assert result.fills["price"].tolist() == [20.0]
        assert [caveat.code for caveat in result.caveats] == ["filled_at_close"]

    def test_fills_at_the_next_close_when_asked(self):
        bars = make_bars([10.0, 20.0, 40.0], open=[10.0, 11.0, 12.0])

        result = simulate(bars, Targets([1.0, NAN, NAN], "units"), fills=Fills("next_close"))

        assert result.fills["price"].tolist() == [20.0]
        assert result.caveats == ()

    @pytest.mark.parametrize(
        ("at", "columns", "paid"),
        [
            ("next_open", {"half_spread_open": [0.1, 0.2, 0.3]}, [11.2, 11.7]),
            ("next_open", {"half_spread": [0.5, 0.6, 0.7]}, [11.6, 11.3]),
            (
                "next_open",
                {"half_spread": [0.5, 0.6, 0.7], "half_spread_open": [0.1, 0.2, NAN]},
                [11.2, 11.3],
            ),
            (
                "next_close",
                {"half_spread": [0.5, 0.6, 0.7], "half_spread_open": [0.1, 0.2, 0.3]},
                [20.6, 39.3],
            ),
            ("next_close", {"half_spread_open": [0.1, 0.2, 0.3]}, [20.0, 40.0]),
        ],
    )
    def test_pays_the_spread_measured_at_the_moment_of_the_fill(self, at, columns, paid):
        bars = make_bars([10.0, 20.0, 40.0], open=[10.0, 11.0, 12.0], **columns)

        result = simulate(bars, Targets([1.0, 0.0, NAN], "units"), fills=Fills(at))

        np.testing.assert_allclose(result.fills["price"], paid)
        np.testing.assert_allclose(
            result.fills["half_spread"], np.abs(paid - result.fills["reference_price"])
        )

    def test_buys_real_currencies_at_the_ask_and_sells_at_the_bid(self, shared_data):
        import pandas as pd

        frame = pd.read_parquet(shared_data / "fx_daily_bidask.parquet")
        frame = frame[frame["symbol"] == "EURUSD"]
        ts = pd.DatetimeIndex(frame["date"]).as_unit("ns").asi8 + DAY_NS
        mid = {
            side: (frame[f"ask_{side}"] + frame[f"bid_{side}"]).to_numpy() / 2.0
            for side in ("open", "close")
        }
        half = {
            side: (frame[f"ask_{side}"] - frame[f"bid_{side}"]).to_numpy() / 2.0
            for side in ("open", "close")
        }
        bars = Bars(ts, mid["close"], mid["open"], symbols="EURUSD", half_spread=half["close"],
                    half_spread_open=half["open"])  # fmt: skip

        result = simulate(bars, Targets(np.arange(ts.size) % 2 * 1000.0, "units"))

        bought = result.fills["quantity"] > 0.0
        bar = result.fills["bar"]
        asked = frame["ask_open"].to_numpy()[bar[bought]]
        bid = frame["bid_open"].to_numpy()[bar[~bought]]
        assert bought.sum() > 1_500
        np.testing.assert_allclose(result.fills["price"][bought], asked, rtol=4e-16)
        np.testing.assert_allclose(result.fills["price"][~bought], bid, rtol=4e-16)

    @pytest.mark.parametrize(
        ("bars", "target"),
        [
            (make_bars([10.0]), [1.0]),
            (make_bars([10.0, 10.0, 40.0, 41.0]), [-1.0, NAN, NAN, NAN]),
        ],
    )
    def test_says_why_figures_are_missing(self, bars, target):
        metrics = simulate(bars, Targets(target)).metrics()

        assert metrics["total_return"].value is None
        for name in ("sharpe", "best_day", "best_month", "max_drawdown"):
            assert metrics[name].reason.startswith("not computed, because")

    def test_waits_until_the_instrument_trades(self):
        bars = make_bars([10.0, NAN, NAN, 13.0], open=[10.0, NAN, NAN, 12.0])

        result = simulate(bars, Targets([5.0, NAN, 5.0, NAN], "units"))

        assert result.fills["bar"].tolist() == [3]
        assert result.orders["bar"].tolist() == [0]
        assert result.orders["status"].tolist() == [OrderStatus.FILLED]

    def test_lets_a_newer_target_replace_a_waiting_order(self):
        bars = make_bars([10.0, NAN, 13.0], open=[10.0, NAN, 12.0])

        result = simulate(bars, Targets([5.0, 7.0, NAN], "units"))

        assert result.orders["status"].tolist() == [OrderStatus.CANCELLED, OrderStatus.FILLED]
        assert result.orders["reason"].tolist() == [OrderReason.REPLACED, OrderReason.NONE]
        assert result.fills["quantity"].tolist() == [7.0]

    def test_reports_orders_still_waiting_at_the_end(self):
        result = simulate(make_bars([10.0, NAN]), Targets([5.0, NAN], "units"))

        assert result.orders["status"].tolist() == [OrderStatus.WORKING]
        assert result.orders["reason"].tolist() == [OrderReason.END_OF_BARS]
        assert "orders_waiting" in {caveat.code for caveat in result.caveats}

    def test_refuses_a_weight_without_any_price(self):
        result = simulate(make_bars([NAN, 10.0]), Targets([0.5, NAN]))

        assert result.orders["reason"].tolist() == [OrderReason.NO_PRICE]
        assert result.fills.size == 0

    def test_adjusts_positions_waiting_orders_and_marks_for_splits(self):
        close = [[10.0, 10.0], [10.0, 10.0], [5.0, 5.0]]
        split = [[1.0, 1.0], [1.0, 1.0], [2.0, 2.0]]
        bars = make_bars(close, ("HELD", "WAITING"), split=split)
        values = [[4.0, NAN], [NAN, 6.0], [NAN, NAN]]

        result = simulate(bars, Targets(values, "units"), account=Account(1_000.0))

        np.testing.assert_array_equal(result.positions()[-1], [8.0, 12.0])
        np.testing.assert_allclose(result.equity, 1_000.0)
        np.testing.assert_allclose(result.price_pnl, 0.0, atol=1e-12)

    def test_credits_longs_and_debits_shorts_with_dividends(self):
        dividend = [[0.0, 0.0], [0.0, 0.0], [1.0, 2.0]]
        bars = make_bars(np.full((3, 2), 10.0), ("LONG", "SHORT"), dividend=dividend)

        result = simulate(bars, Targets([[3.0, -2.0], [NAN, NAN], [NAN, NAN]], "units"))

        np.testing.assert_allclose(result.dividends_by_bar(), [0.0, 0.0, -1.0])
        np.testing.assert_allclose(result.actions["cash"], [3.0, -4.0])

    def test_sells_before_it_buys_with_shared_cash(self):
        bars = make_bars(np.full((3, 2), 10.0), ("A", "B"))
        values = [[NAN, 1.0], [1.0, 0.0], [NAN, NAN]]

        result = simulate(bars, Targets(values), account=Account(1_000.0))

        assert result.fills["instrument"].tolist() == [1, 1, 0]
        assert set(result.orders["status"].tolist()) == {OrderStatus.FILLED}

    def test_scales_all_buys_by_one_factor_when_power_is_short(self):
        bars = make_bars(np.full((3, 2), 10.0), ("A", "B"), open=np.full((3, 2), 10.0))
        values = [[1.0, 0.5], [NAN, NAN], [NAN, NAN]]

        result = simulate(bars, Targets(values), costs=Costs(commission_bps=100.0),
                          account=Account(1_000.0))  # fmt: skip

        np.testing.assert_allclose(result.fills["quantity"].sum() * 10.0 * 1.01, 1_000.0)
        np.testing.assert_allclose(result.fills["quantity"][0], 2 * result.fills["quantity"][1])
        assert set(result.orders["status"].tolist()) == {OrderStatus.PARTLY_FILLED}
        assert set(result.orders["reason"].tolist()) == {OrderReason.BUYING_POWER}
        assert result.cash[-1] == pytest.approx(0.0, abs=1e-9)

    def test_rejects_what_no_longer_fits_when_told_to(self):
        bars = make_bars(np.full((3, 3), 10.0), ("A", "B", "C"))
        values = [[0.7, 0.5, 0.2], [NAN] * 3, [NAN] * 3]
        account = Account(1_000.0, on_shortfall="reject")

        result = simulate(bars, Targets(values), account=account)

        assert result.fills["instrument"].tolist() == [0, 2]
        assert result.orders["status"].tolist() == [
            OrderStatus.FILLED, OrderStatus.REJECTED, OrderStatus.FILLED,
        ]  # fmt: skip

    def test_closes_a_position_even_without_buying_power(self):
        bars = make_bars([10.0, 10.0, 30.0, 40.0])
        values = Targets([-60.0, NAN, 0.0, NAN], "units")

        result = simulate(bars, values, account=Account(1_000.0))

        assert result.positions()[-1].tolist() == [0.0]
        assert result.equity[-1] == pytest.approx(1_000.0 - 60.0 * 30.0)
        assert "equity_exhausted" in {caveat.code for caveat in result.caveats}

    def test_makes_no_order_within_the_band_but_always_closes(self):
        bars = make_bars([10.0] * 4)

        result = simulate(bars, Targets([0.5, 0.45, 0.0, NAN], band=0.6))

        assert result.orders.size == 0

        result = simulate(bars, Targets([0.5, 0.45, 0.0, NAN], band=0.1))

        np.testing.assert_allclose(result.orders["target"], [0.5, 0.0])

    def test_reports_progress_and_stops_when_it_raises(self, monkeypatch):
        monkeypatch.setattr(runner, "SLICE_INSTRUMENT_BARS", 2)
        bars = make_bars([10.0] * 5)
        seen = []

        simulate(bars, Targets([NAN] * 5), on_progress=lambda *at: seen.append(at))

        assert seen == [(2, 5), (4, 5), (5, 5)]

        def cancel(_done, _total):
            raise InterruptedError

        with pytest.raises(InterruptedError):
            simulate(bars, Targets([NAN] * 5), on_progress=cancel)

    def test_refuses_targets_of_another_shape(self):
        with pytest.raises(ShapeError, match="targets have shape"):
            simulate(make_bars([1.0, 2.0]), Targets([1.0, 1.0, 1.0]))

    def test_refuses_a_second_currency(self):
        with pytest.raises(SettingsError, match="needs the rate of USD"):
            simulate(make_bars([1.0]), Targets([1.0]), account=Account(currency="EUR"))

    @given(scenarios)
    @settings(max_examples=200, deadline=None)
    def test_balances_the_ledger_at_every_bar(self, scenario):
        result = simulate(**scenario.arguments)

        ledger = result.ledger()
        explained = (
            ledger["price_pnl"] + ledger["dividends"] - ledger["commission"] - ledger["half_spread"]
        )
        scale = 1e-9 * max(scenario.account.capital, float(np.abs(result.equity).max()))
        np.testing.assert_allclose(ledger["equity_change"], explained, rtol=0.0, atol=scale)

    @given(scenarios)
    @settings(max_examples=100, deadline=None)
    def test_values_equity_as_cash_plus_positions(self, scenario):
        result = simulate(**scenario.arguments)
        mark = np.zeros(result.bars.n_assets)
        split = np.ones_like(scenario.values)
        if result.bars.split is not None:
            split = np.where(np.isnan(result.bars.split), 1.0, result.bars.split)

        held = result.positions()
        for bar, close in enumerate(result.bars.close):
            mark = np.where(np.isnan(close), mark / split[bar], close)
            expected = result.cash[bar] + held[bar] @ mark
            assert result.equity[bar] == pytest.approx(expected, rel=1e-9, abs=1e-6)
            assert result.gross_exposure()[bar] == pytest.approx(np.abs(held[bar]) @ mark)

    @given(scenarios)
    @settings(max_examples=60, deadline=None)
    def test_accounts_for_every_order(self, scenario):
        result = simulate(**scenario.arguments)
        orders = result.orders

        filled = orders["filled"] != 0.0
        assert set(orders["status"].tolist()) <= {status.value for status in OrderStatus}
        assert np.count_nonzero(filled) == result.fills.size
        whole = orders["status"] == OrderStatus.FILLED
        np.testing.assert_array_equal(orders["filled"][whole], orders["quantity"][whole])
        assert np.all(orders["reason"][~whole] != OrderReason.NONE)
        assert np.all(orders["closed_bar"][filled] > orders["bar"][filled])

    @given(scenarios)
    @settings(max_examples=60, deadline=None)
    def test_keeps_gross_exposure_within_the_leverage_after_fills(self, scenario):
        scenario = replace(scenario, fills=Fills("next_close"))
        result = simulate(**scenario.arguments)

        opened = np.abs(result.fills["position"]) > np.abs(
            result.fills["position"] - result.fills["quantity"]
        )
        bars = np.unique(result.fills["bar"][opened])
        limit = scenario.account.max_leverage * result.equity[bars]
        if scenario.account.max_leverage < math.inf:
            assert np.all(result.gross_exposure()[bars] <= limit + 1e-6 * 100_000.0)

    @given(scenarios, st.integers(1, 39))
    @settings(max_examples=100, deadline=None)
    def test_never_looks_ahead(self, scenario, n_bars):
        n_bars = min(n_bars, scenario.values.shape[0])

        whole = simulate(**scenario.arguments)
        part = simulate(**scenario.cut(n_bars).arguments)

        np.testing.assert_array_equal(whole.equity[:n_bars], part.equity)
        np.testing.assert_array_equal(whole.cash[:n_bars], part.cash)
        np.testing.assert_array_equal(whole.fills[whole.fills["bar"] < n_bars], part.fills)

    @given(scenarios, st.integers(1, 50))
    @settings(max_examples=50, deadline=None)
    def test_does_not_depend_on_slices_or_table_sizes(self, scenario, size):
        whole = simulate(**scenario.arguments)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(runner, "SLICE_INSTRUMENT_BARS", size)
            patch.setattr(runner, "FIRST_ROWS", 0)
            sliced = simulate(**scenario.arguments, on_progress=lambda _done, _total: None)

        assert sliced.digest == whole.digest

    @given(scenarios)
    @settings(max_examples=50, deadline=None)
    def test_differs_from_a_free_rerun_by_exactly_the_costs(self, scenario):
        account = replace(scenario.account, max_leverage=math.inf)
        first = simulate(**replace(scenario, account=account).arguments)
        wanted = np.full(scenario.values.shape, NAN)
        fills = first.fills
        wanted[first.orders["bar"][fills["order"]], fills["instrument"]] = fills["position"]
        split_free = {
            k: v for k, v in scenario.columns.items() if k not in ("split", "half_spread")
        }
        paying = replace(scenario, columns=split_free, account=account, values=wanted,
                         kind="units", band=0.0)  # fmt: skip
        free = replace(paying, costs=Costs())

        with_costs, without = simulate(**paying.arguments), simulate(**free.arguments)

        np.testing.assert_array_equal(with_costs.fills["quantity"], without.fills["quantity"])
        paid = sum(by_bar.cumsum() for by_bar in with_costs.costs_by_bar().values())
        np.testing.assert_allclose(without.equity - with_costs.equity, paid, atol=1e-4, rtol=1e-9)

    @given(scenarios, st.sampled_from([0.25, 8.0]))
    @settings(max_examples=50, deadline=None)
    def test_scales_with_prices_and_capital(self, scenario, factor):
        fixed_amounts = {"commission_per_share": 0.0, "commission_minimum": 0.0}
        scenario = replace(scenario, costs=replace(scenario.costs, **fixed_amounts))
        columns = {
            name: array if name == "split" else array * factor
            for name, array in scenario.columns.items()
        }
        values = scenario.values * (factor if scenario.kind == "notional" else 1.0)
        band = scenario.band * (factor if scenario.kind == "notional" else 1.0)
        account = replace(scenario.account, capital=scenario.account.capital * factor)
        scaled = replace(scenario, columns=columns, values=values, band=band, account=account)

        small, large = simulate(**scenario.arguments), simulate(**scaled.arguments)

        np.testing.assert_array_equal(large.equity, small.equity * factor)
        np.testing.assert_array_equal(large.fills["quantity"], small.fills["quantity"])

    @given(scenarios, st.randoms(use_true_random=False))
    @settings(max_examples=50, deadline=None)
    def test_does_not_depend_on_the_order_of_instruments_when_it_scales(self, scenario, random):
        account = replace(scenario.account, on_shortfall="scale")
        order = list(range(scenario.values.shape[1]))
        random.shuffle(order)
        columns = {name: array[:, order].copy() for name, array in scenario.columns.items()}
        scenario = replace(scenario, account=account, band=0.0)
        shuffled = replace(scenario, columns=columns, values=scenario.values[:, order].copy())

        one, other = simulate(**scenario.arguments), simulate(**shuffled.arguments)

        np.testing.assert_allclose(other.equity, one.equity, rtol=1e-7, atol=1e-3)

    @given(st.integers(0, 2**32 - 1), st.sampled_from(["weights", "units", "notional"]))
    @settings(max_examples=50, deadline=None)
    def test_runs_one_instrument_as_it_runs_many(self, seed, kind):
        single = make_scenario(seed, 40, 1, kind)
        columns = {name: np.repeat(array, 2, axis=1) for name, array in single.columns.items()}
        values = np.column_stack([single.values[:, 0], np.full(40, NAN)])

        alone = simulate(**single.arguments)
        beside_an_idle_one = simulate(**replace(single, columns=columns, values=values).arguments)

        np.testing.assert_array_equal(alone.equity, beside_an_idle_one.equity)
        np.testing.assert_array_equal(alone.price_pnl, beside_an_idle_one.price_pnl)
        np.testing.assert_array_equal(alone.fills, beside_an_idle_one.fills)
        assert alone.caveats == beside_an_idle_one.caveats

    @pytest.mark.parametrize(
        "other",
        [
            {"costs": Costs(commission_bps=9.0)},
            {"account": Account(5e5)},
            {"fills": Fills(latency_bars=1)},
        ],
    )
    def test_keeps_nothing_of_the_settings_that_the_bars_ran_with_before(self, other):
        scenario = make_scenario(5, 40, 1, "units")
        arguments = {**scenario.arguments, "bars": scenario.bars}

        first = simulate(**arguments).digest
        between = simulate(**arguments | other).digest
        again = simulate(**arguments | {"account": replace(scenario.account)}).digest

        assert again == first
        assert between == simulate(**scenario.arguments | other).digest
        assert between != first

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ({"half_spread_bps": np.float64(1.0)}, {"half_spread_bps": [1.0, 1.0]}),
            ({"commission_bps": -0.0, "slippage_bps": -0.0}, {}),
        ],
    )
    def test_takes_no_settings_for_others_that_look_alike(self, before, after):
        def bars():
            return make_bars(np.full((50, 2), 10.0), ("A", "B"))

        targets, used = Targets(np.full((50, 2), 0.3)), bars()

        simulate(used, targets, costs=Costs(**before))

        again = simulate(used, targets, costs=Costs(**after))
        assert again.digest == simulate(bars(), targets, costs=Costs(**after)).digest

    def test_looks_at_rates_anew(self):
        ts = START_NS + np.arange(5) * DAY_NS
        closes = np.full((5, 1), 10.0)
        rates = {"EUR": np.full(5, 1.1)}
        bars = Bars(ts, closes, symbols=["A"], currency="EUR", rates=rates)
        targets = Targets(np.full((5, 1), 1.0))
        first = simulate(bars, targets).fills["quantity"][0]

        bars.rates["EUR"] = np.full(5, 2.2)

        np.testing.assert_allclose(simulate(bars, targets).fills["quantity"][0], first / 2.0)

    def test_leaves_a_result_that_can_be_copied(self):
        scenario = make_scenario(5, 40, 1, "units")
        result = simulate(**scenario.arguments)

        copied = copy.deepcopy(result)

        assert copied.digest == result.digest
        np.testing.assert_array_equal(copied.cash, result.cash)

    @pytest.mark.parametrize("symbols", [["A"], ["A", "B"]])
    def test_leaves_a_cancelled_order_unfilled(self, symbols):
        # Decided at bar 0, nothing trades in bar 1, and there it is taken back.
        close = np.repeat([[100.0], [NAN], [101.0], [102.0]], len(symbols), axis=1)
        wanted = np.full(close.shape, NAN)
        wanted[:2, 0] = 1.0, 0.0

        result = simulate(make_bars(close, symbols, open=close), Targets(wanted, "units"))

        assert result.fills.size == 0
        assert result.orders["status"].tolist() == [OrderStatus.CANCELLED]
        assert result.orders["reason"].tolist() == [OrderReason.REPLACED]

    @given(st.integers(0, 2**32 - 1), st.sampled_from([63, 64, 65, 128, 130, 200]))
    @settings(max_examples=60, deadline=None)
    def test_runs_long_stretches_of_one_instrument_as_of_many(self, seed, n_bars):
        rng = np.random.default_rng(seed)
        close = 100.0 * np.exp(rng.normal(0.0, 0.03, n_bars).cumsum())
        opened = close * np.exp(rng.normal(0.0, 0.01, n_bars))
        gaps = rng.random(n_bars) < rng.choice([0.0, 0.05, 0.3])
        close[gaps], opened[gaps] = NAN, NAN
        wanted = np.where(rng.random(n_bars) < rng.choice([0.05, 0.5]),
                          rng.choice([0.0, 0.0, 0.5, 1.0, -0.7, 2.0], n_bars), NAN)  # fmt: skip
        account = Account(
            max_leverage=float(rng.choice([1.0, 3.0, math.inf])),
            maintenance_margin=float(rng.choice([0.0, 0.3, 1.0])),
        )
        more = {"costs": Costs(commission_bps=5.0, slippage_bps=2.0), "account": account}
        both = np.column_stack([close, np.full(n_bars, 5.0)])
        first = np.column_stack([opened, np.full(n_bars, 5.0)])

        one = simulate(make_bars(close, open=opened), Targets(wanted), **more)
        beside_an_idle_one = simulate(
            make_bars(both, ["A", "B"], open=first),
            Targets(np.column_stack([wanted, np.full(n_bars, NAN)])), **more,
        )  # fmt: skip

        for table in ("equity", "fills", "orders"):
            alike = getattr(one, table), getattr(beside_an_idle_one, table)
            assert alike[0].tobytes() == alike[1].tobytes(), table

    @pytest.mark.parametrize(
        ("bars", "decisions", "problem"),
        [
            (make_bars([1.0, 2.0]), np.ones(2), "Targets, Orders, Compiled or Callback .* ndarray"),
            (np.ones(2), Targets(np.ones(2)), "needs Bars, not ndarray"),
        ],
    )
    def test_says_what_it_needs(self, bars, decisions, problem):
        with pytest.raises(SettingsError, match=problem):
            simulate(bars, decisions)

    def test_compiled_agrees_with_plain_python(self):
        code = (
            "from backtests.engine import simulate\n"
            "from tests.backtests.engine.scenarios import make_scenario as make\n"
            "for seed in range(12):\n"
            "    kind = ('weights', 'units', 'notional')[seed % 3]\n"
            "    shortfall = ('scale', 'reject')[seed % 2]\n"
            "    print(simulate(**make(seed, 40, 1 + seed % 4, kind, shortfall=shortfall)"
            ".arguments).digest)\n"
        )

        def digests(**extra):
            return subprocess.run(
                [sys.executable, "-c", code], env={**os.environ, **extra},
                check=True, capture_output=True, text=True,
            ).stdout  # fmt: skip

        assert digests(NUMBA_DISABLE_JIT="1") == digests()
