"""Two workloads whose exact results independent engines agree on to the last digit."""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

from backtests.engine import Account, Bars, Costs, Targets, simulate
from numerics.indicators import simple_moving_average


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
