"""What holds of every run, whatever the market and whatever is asked for."""

import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backtests.engine import Costs, runner, simulate
from backtests.engine.dtypes import OrderReason, OrderStatus
from backtests.engine.ledger import changes
from tests.backtests.engine.scenarios_full import (
    examples,
    full_scenarios,
    make_full,
    single_scenarios,
    target_scenarios,
)

COSTS = ("commission", "tax", "half_spread", "slippage", "impact", "conversion")
DIGESTS = (
    "from backtests.engine import simulate\n"
    "from tests.backtests.engine.scenarios_full import make_full\n"
    "for seed in range({first}, {last}):\n"
    "    print(simulate(**make_full(seed, 30, 1 + seed % 4).arguments).digest)\n"
)


def scale_of(result):
    return max(result.capital, float(np.abs(result.equity).max()))


def digests(first, last, **extra):
    done = subprocess.run(
        [sys.executable, "-c", DIGESTS.format(first=first, last=last)],
        env={**os.environ, "PYTHONPATH": str(Path.cwd()), **extra},
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout.split()


class TestSimulate:
    @given(full_scenarios)
    @examples(60)
    def test_balances_the_ledger_at_every_bar(self, scenario):
        result = simulate(**scenario.arguments)

        parts = result.ledger()
        explained = (
            parts["price_pnl"] + parts["currency_pnl"] + parts["dividends"] + parts["interest"]
        )
        explained = explained - parts["borrow"] - sum(parts[kind] for kind in COSTS)
        gross = max(1.0, float(result.gross_exposure().max()) / scale_of(result))
        np.testing.assert_allclose(
            parts["equity_change"], explained, rtol=0.0, atol=1e-9 * scale_of(result) * gross
        )
        for kind in COSTS:
            assert np.all(result.fills[kind] >= -1e-12 * scale_of(result))

    @given(full_scenarios)
    @examples(40)
    def test_ends_with_the_cash_that_its_records_add_up_to(self, scenario):
        result = simulate(**scenario.arguments)

        assert result.cash[-1] == result.prepared.number("cash")

    @given(full_scenarios, st.integers(1, 39), st.integers(0, 2**32 - 1))
    @examples(60)
    def test_never_looks_ahead(self, scenario, n_bars, seed):
        n_bars = min(n_bars, scenario.n_bars)
        whole = simulate(**scenario.arguments)
        others = [scenario.cut(n_bars)]
        if n_bars < scenario.n_bars:
            others.append(scenario.with_another_future(n_bars, seed))

        for other in others:
            again = simulate(**other.arguments)

            np.testing.assert_array_equal(whole.equity[:n_bars], again.equity[:n_bars])
            np.testing.assert_array_equal(whole.cash[:n_bars], again.cash[:n_bars])
            for table in ("fills", "actions"):
                one, two = getattr(whole, table), getattr(again, table)
                np.testing.assert_array_equal(one[one["bar"] < n_bars], two[two["bar"] < n_bars])
            assert closed_by(whole, n_bars) == closed_by(again, n_bars)

    @given(full_scenarios)
    @examples(40)
    def test_accounts_for_every_order(self, scenario):
        result = simulate(**scenario.arguments)
        orders = result.orders

        counts = [np.count_nonzero(orders["status"] == status) for status in OrderStatus]
        assert sum(counts) == orders.size
        whole = orders["status"] == OrderStatus.FILLED
        partly = orders["status"] == OrderStatus.PARTLY_FILLED
        working = orders["status"] == OrderStatus.WORKING
        np.testing.assert_array_equal(orders["filled"][whole], orders["quantity"][whole])
        np.testing.assert_allclose(filled_by_order(result), orders["filled"], rtol=1e-9, atol=1e-9)
        assert np.all(orders["filled"][partly] != 0.0)
        assert np.all(orders["filled"][~(whole | partly | working)] == 0.0)
        assert np.all(orders["reason"][~whole] != OrderReason.NONE)
        assert np.all(orders["reason"][working] == OrderReason.END_OF_BARS)
        assert np.all((orders["closed_bar"] < 0) == working)

    @given(full_scenarios)
    @examples(40)
    def test_fills_at_prices_that_the_bar_traded_at(self, scenario):
        result = simulate(**scenario.arguments)
        fills = result.fills[result.fills["moment"] > 0]
        names = [name for name in ("open", "high", "low", "close") if name in scenario.columns]
        prices = np.array(
            [getattr(result.bars, name)[fills["bar"], fills["instrument"]] for name in names]
        )
        spread = 0.0
        if (
            result.bars.half_spread is not None
            or scenario.costs.half_spread_bps == "corwin_schultz"
        ):
            inside = fills["moment"] == 2  # quotes lie beside the mid
            spread = np.where(inside, fills["half_spread"], 0.0)

        assert np.all(fills["reference_price"] <= prices.max(axis=0) + spread + 1e-9)
        assert np.all(fills["reference_price"] >= prices.min(axis=0) - spread - 1e-9)
        assert np.all(fills["price"] >= 0.0)

    @given(full_scenarios)
    @examples(40)
    def test_does_no_worse_for_limits_than_their_price(self, scenario):
        result = simulate(**scenario.arguments)
        orders = result.orders[result.fills["order"]]
        limits = np.isin(orders["kind"], (1, 3)) & (orders["source"] != 4)
        side = np.sign(result.fills["quantity"])
        no_split = result.bars.split is None

        if no_split:
            better = side * (orders["limit_price"] - result.fills["price"])
            assert np.all(better[limits] >= -1e-9 * orders["limit_price"][limits])

    @given(full_scenarios, st.sampled_from(["fifo", "average"]))
    @example(make_full(seed=323, n_bars=19, n_assets=3), "fifo")  # two exits at one open
    @examples(40)
    def test_explains_the_change_of_equity_by_trades_and_financing(self, scenario, method):
        result = simulate(**scenario.arguments)

        trades = result.trades(method)
        financing = result.financing_by_bar()
        total = trades["pnl"].sum() + financing["interest"].sum() - financing["borrow"].sum()
        traded = float(result.traded_notional().sum())
        assert total == pytest.approx(
            result.equity[-1] - result.capital, abs=1e-9 * (scale_of(result) + traded)
        )
        still_open = trades[trades["exit_bar"] < 0]
        held = np.zeros(scenario.n_assets)
        np.add.at(held, still_open["instrument"], still_open["quantity"])
        np.testing.assert_allclose(held, result.positions()[-1], rtol=1e-9, atol=1e-7)
        assert np.all(np.abs(trades["quantity"]) > 1e-9)

    @given(full_scenarios, st.integers(1, 50))
    @examples(30)
    def test_does_not_depend_on_slices_or_table_sizes(self, scenario, size):
        whole = simulate(**scenario.arguments)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(runner, "SLICE_INSTRUMENT_BARS", size)
            patch.setattr(runner, "FIRST_ROWS", 0)
            sliced = simulate(**scenario.arguments, on_progress=lambda _done, _total: None)

        assert sliced.digest == whole.digest

    @given(full_scenarios, st.sampled_from([0.25, 8.0]))
    @examples(30)
    def test_scales_with_prices_and_capital(self, scenario, factor):
        scenario = replace(scenario, facts={**scenario.facts}, costs=replace(
            scenario.costs, commission_per_share=0.0, commission_minimum=0.0,
            commission_per_order=0.0, commission_maximum=math.inf,
        ))  # fmt: skip
        scaled = scaled_by(scenario, factor)

        small, large = simulate(**scenario.arguments), simulate(**scaled.arguments)

        np.testing.assert_array_equal(large.fills["quantity"], small.fills["quantity"])
        np.testing.assert_array_equal(large.orders["status"], small.orders["status"])
        np.testing.assert_array_equal(large.equity, small.equity * factor)

    @given(target_scenarios, st.randoms(use_true_random=False))
    @examples(30)
    def test_does_not_depend_on_the_order_of_instruments_when_it_scales(self, scenario, random):
        scenario = replace(
            scenario,
            account=replace(scenario.account, on_shortfall="scale"),
            # A commission by month depends on what filled before.
            costs=replace(scenario.costs, commission_tiers=()),
            facts={**scenario.facts, "lot_size": np.zeros(scenario.n_assets)},
            # Without limits of buying power inside a bar, where orders take their turn.
            decisions=replace(scenario.decisions, bracket=None, band=0.0),
        )
        order = list(range(scenario.n_assets))
        random.shuffle(order)

        one = simulate(**scenario.arguments)
        other = simulate(**scenario.pick(order).arguments)

        np.testing.assert_allclose(other.equity, one.equity, rtol=1e-7, atol=1e-7 * scale_of(one))

    @given(single_scenarios)
    @examples(60)
    def test_runs_one_instrument_as_it_runs_many(self, scenario):
        alone = simulate(**scenario.arguments)
        general = simulate(**scenario.beside_an_idle_one().arguments)

        np.testing.assert_array_equal(alone.fills, general.fills)
        np.testing.assert_array_equal(alone.equity, general.equity)
        assert alone.orders.tobytes() == general.orders.tobytes()
        np.testing.assert_array_equal(alone.price_pnl, general.price_pnl)
        assert alone.caveats == general.caveats

    @given(target_scenarios)
    @examples(30)
    def test_differs_from_a_free_rerun_by_exactly_the_costs(self, scenario):
        first, paying, free = at_the_same_quantities(scenario)
        if first is None:
            return

        np.testing.assert_array_equal(paying.fills["quantity"], free.fills["quantity"])
        paid = sum(by_bar.cumsum() for by_bar in paying.costs_by_bar().values())
        scale = scale_of(free) + float(free.traded_notional().sum())
        np.testing.assert_allclose(free.equity - paying.equity, paid, rtol=0.0, atol=1e-9 * scale)

    @given(full_scenarios)
    @examples(30)
    def test_is_the_same_twice(self, scenario):
        assert simulate(**scenario.arguments).digest == simulate(**scenario.arguments).digest

    def test_is_the_same_in_another_process(self):
        here = [simulate(**make_full(s, 30, 1 + s % 4).arguments).digest for s in range(30)]

        assert digests(0, 30) == here

    def test_compiled_agrees_with_plain_python(self):
        n = int(os.environ.get("CROWETRADE_EXAMPLES", "0")) // 20 or 16

        assert digests(0, n, NUMBA_DISABLE_JIT="1") == digests(0, n)


def closed_by(result, n_bars):
    """Return the orders that ended before a bar; the session of a bar to come is of no account."""
    orders = result.orders
    closed = orders[(orders["closed_bar"] >= 0) & (orders["closed_bar"] < n_bars)].copy()
    closed["good_until"][closed["first_bar"] >= n_bars] = 0
    return closed.tobytes()


def filled_by_order(result):
    """Return the units filled of every order, in units of its end."""
    filled = np.zeros(result.orders.size)
    row, is_fill = changes(result.fills, result.actions)
    closed = result.orders["closed_bar"]
    for at, fills in zip(row, is_fill, strict=True):
        if fills:
            filled[result.fills[at]["order"]] += result.fills[at]["quantity"]
    if result.bars.split is None:
        return filled
    for order in np.flatnonzero(filled):
        total = 0.0
        asset = result.orders[order]["instrument"]
        end = closed[order] if closed[order] >= 0 else result.bars.n_bars - 1
        for fill in result.fills[result.fills["order"] == order]:
            ratios = result.bars.split[fill["bar"] + 1 : end + 1, asset]
            total += fill["quantity"] * float(np.nanprod(ratios))
        filled[order] = total
    return filled


def scaled_by(scenario, factor):
    """Return the scenario with all money multiplied; powers of two, so that nothing rounds."""
    money = ("open", "high", "low", "close", "half_spread", "half_spread_open", "dividend")
    columns = {
        name: array * factor if name in money else array for name, array in scenario.columns.items()
    }
    finer = scenario.finer and {name: array * factor for name, array in scenario.finer.items()}
    facts = dict(scenario.facts)
    if "tick_size" in facts:
        facts["tick_size"] = facts["tick_size"] * factor
    decisions = scenario.decisions
    if hasattr(decisions, "orders"):
        orders = [
            replace(
                order, limit_price=order.limit_price * factor,
                stop_price=order.stop_price * factor,
                trail=order.trail * (1.0 if order.trail_is_fraction else factor),
            )
            for order in decisions.orders
        ]  # fmt: skip
        decisions = type(decisions)(orders)
    elif decisions.kind == "notional":
        decisions = replace_targets(decisions, decisions.values * factor, decisions.band * factor)
    tiers = tuple((start * factor, bps) for start, bps in scenario.costs.commission_tiers)
    return replace(
        scenario, columns=columns, finer=finer, facts=facts, decisions=decisions,
        costs=replace(scenario.costs, commission_tiers=tiers),
        fills=replace(scenario.fills, minimum_notional=scenario.fills.minimum_notional * factor),
        account=replace(scenario.account, capital=scenario.account.capital * factor),
    )  # fmt: skip


def replace_targets(targets, values, band):
    return type(targets)(
        values, targets.kind, band, sized_at=targets.sized_at, bracket=targets.bracket
    )


def at_the_same_quantities(scenario):
    """Return a run with every cost and one with none, both of the units that the first traded."""
    account = replace(
        scenario.account, max_leverage=math.inf, maintenance_margin=None,
        cash_rate=0.0, margin_rate=0.0,
    )  # fmt: skip
    columns = {
        name: array for name, array in scenario.columns.items()
        if name not in ("split", "half_spread", "half_spread_open")
    }  # fmt: skip
    fills = replace(scenario.fills, max_participation=None)
    facts = {**scenario.facts, "borrow_rate": np.zeros(scenario.n_assets)}
    decisions = replace_targets(scenario.decisions, scenario.decisions.values, 0.0)
    plain = replace(
        scenario, account=account, columns=columns, fills=fills, facts=facts, decisions=decisions
    )
    first = simulate(**plain.arguments)
    wanted = np.full(decisions.values.shape, np.nan)
    made = first.fills[first.fills["moment"] > 0]
    targeted = made[first.orders["source"][made["order"]] == 1]
    wanted[first.orders["bar"][targeted["order"]], targeted["instrument"]] = targeted["position"]
    units = type(decisions)(wanted, "units")
    costs = replace(scenario.costs, borrow_bps_per_year=0.0)
    if costs.half_spread_bps == "corwin_schultz":
        costs = replace(costs, half_spread_bps=3.0)
    nothing = np.zeros(scenario.n_assets)
    facts |= {"lot_size": nothing, "tick_size": nothing}
    fills = replace(fills, minimum_notional=0.0)
    same = replace(plain, decisions=units, facts=facts, fills=fills)
    paying = simulate(**replace(same, costs=costs).arguments)
    return first, paying, simulate(**replace(same, costs=Costs()).arguments)
