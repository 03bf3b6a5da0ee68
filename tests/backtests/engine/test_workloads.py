"""Four workloads whose exact results independent engines agree on to the last digit."""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

from backtests.engine import (
    Account,
    AverageCross,
    Bars,
    Bracket,
    Callback,
    Costs,
    Fills,
    Order,
    Position,
    Targets,
    simulate,
    sweep,
)
from numerics.indicators import moving_average_cross, simple_moving_average


@pytest.fixture(scope="module")
def workloads():
    root = Path(__file__).resolve().parents[3]
    shared = Path(os.environ.get("CROWETRADE_DATA", root.parent / "shared" / "data"))
    path = shared.parent / "bench" / "data.py"
    if not path.is_file():
        pytest.skip(f"The reference workloads are not at {path}.")
    spec = importlib.util.spec_from_file_location("reference_workloads", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def costs_of(workloads):
    return Costs(commission_bps=workloads.FEE * 1e4, half_spread_bps=workloads.SLIP * 1e4)


class TestSimulate:
    def test_reproduces_a_crossing_of_averages_over_a_million_minutes(self, workloads):
        columns = workloads.one_minute()
        bars = Bars(**columns, symbols="A")
        fast = simple_moving_average(columns["close"], workloads.FAST)
        slow = simple_moving_average(columns["close"], workloads.SLOW)

        result = simulate(
            bars,
            Targets(np.where(fast > slow, 1.0, 0.0), "units"),
            costs=costs_of(workloads),
            account=Account(workloads.INIT_CASH),
        )

        n_round_trips = np.count_nonzero(result.fills["quantity"] < 0.0)
        assert round(float(result.equity[-1]), 2) == 998_203.04
        assert n_round_trips == 13_738

    def test_reproduces_a_momentum_portfolio_of_five_hundred(self, workloads):
        columns = workloads.portfolio()
        close = columns["close"]
        bars = Bars(**columns, symbols=[f"S{at}" for at in range(close.shape[1])])
        values = np.full(close.shape, np.nan)
        for bar in range(workloads.MOM, close.shape[0], workloads.EVERY):
            score = close[bar] / close[bar - workloads.MOM]
            values[bar] = 0.0
            values[bar, np.argsort(-score)[: workloads.TOP]] = workloads.WEIGHT

        result = simulate(
            bars,
            Targets(values),
            costs=costs_of(workloads),
            account=Account(workloads.INIT_CASH_W2),
        )

        assert round(float(result.equity[-1]), 2) == 17_236_519.59
        assert result.fills.size == 31_642
        assert result.caveats == ()


def costs_with_slippage(workloads):
    return Costs(commission_bps=workloads.FEE * 1e4, slippage_bps=workloads.SLIP * 1e4)


def bracketed(workloads, columns, policy="pessimistic"):
    bars = Bars(**columns, symbols="A")
    crossing = moving_average_cross(columns["close"], workloads.FAST, workloads.SLOW)
    rows = crossing.rows[crossing.is_above]
    exits = Bracket(stop_loss=workloads.SL, take_profit=workloads.TP)
    return simulate(
        bars,
        Targets(np.ones((rows.size, 1)), "units", at_bars=rows, bracket=exits),
        fills=Fills(intrabar=policy),
        costs=costs_with_slippage(workloads),
        account=Account(workloads.INIT_CASH),
    )


def n_closed(result):
    return int(np.count_nonzero(result.trades()["exit_bar"] >= 0))


class TestSweep:
    def test_reproduces_ten_thousand_pairs_of_averages(self, workloads):
        found = sweep(
            Bars(**workloads.daily(), symbols="A"),
            AverageCross(position=Position(1.0, "weights", sized_at="fill")),
            workloads.sweep_pairs().astype(float),
            costs=costs_with_slippage(workloads),
            account=Account(workloads.INIT_CASH),
            with_metrics=False,
            n_blocks=0,
        )

        assert round(float(found.column("final_equity").mean()), 2) == 1_223_686.07
        assert found.column("n_closed_trades").sum() == 113_447


class TestBrackets:
    def test_reproduces_a_million_minutes_that_leave_by_stop_or_limit(self, workloads):
        result = bracketed(workloads, workloads.one_minute())

        assert round(float(result.equity[-1]), 2) == 999_669.71
        assert n_closed(result) == 2_755

    @pytest.mark.parametrize(
        ("policy", "loss"), [("pessimistic", 11.76), ("optimistic", 9.17), ("path", 11.76)]
    )
    def test_reproduces_daily_bars_under_each_policy(self, workloads, policy, loss):
        result = bracketed(workloads, workloads.daily(), policy)

        assert round(workloads.INIT_CASH - float(result.equity[-1]), 2) == loss
        assert n_closed(result) == 30
        assert round(workloads.INIT_CASH - result.ambiguity.pessimistic, 2) == 11.76
        assert round(workloads.INIT_CASH - result.ambiguity.optimistic, 2) == 9.17

    def test_reproduces_daily_bars_with_exits_that_wait_for_the_next_bar(self, workloads):
        columns = workloads.daily()
        bars = Bars(**columns, symbols="A")
        crossing = moving_average_cross(columns["close"], workloads.FAST, workloads.SLOW)
        entries = set(crossing.rows[crossing.is_above].tolist())
        held = {"price": None}

        def on_bar(view):
            if view.position[0] == 0.0:
                return Order("A", 1.0) if view.bar in entries else None
            if len(view.working_orders):
                return None
            price = view.open[-1, 0] * (1.0 + workloads.SLIP)
            held["price"] = price
            exits = {"reduces_only": True, "group": 1}
            return [
                Order("A", -1.0, "stop", stop_price=price * (1.0 - workloads.SL), **exits),
                Order("A", -1.0, "limit", limit_price=price * (1.0 + workloads.TP), **exits),
            ]

        result = simulate(
            bars, Callback(on_bar), costs=costs_with_slippage(workloads),
            account=Account(workloads.INIT_CASH),
        )  # fmt: skip

        # What engines lose that do not look at the bar of the entry.
        assert round(workloads.INIT_CASH - float(result.equity[-1]), 2) == 17.04
