"""Exits of a lone instrument: the short way through the engine gives what the long way gives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtests.engine import Account, Bars, Bracket, Costs, Fills, Targets, simulate
from backtests.engine.dtypes import OrderReason
from tests.backtests.engine.scenarios_full import DAY_NS, START_NS, examples


def make_guarded(seed, n_bars):
    """Return the arguments of a run of one instrument: minute-like bars, exits near enough."""
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(rng.normal(0.0, 0.01, n_bars).cumsum())
    opened = close * np.exp(rng.normal(0.0, rng.choice([0.0, 0.003, 0.02]), n_bars))
    top, bottom = np.maximum(opened, close), np.minimum(opened, close)
    columns = {
        "open": opened, "high": top * (1.0 + rng.exponential(0.004, n_bars)),
        "low": bottom / (1.0 + rng.exponential(0.004, n_bars)), "close": close,
    }  # fmt: skip
    gaps = rng.random(n_bars) < rng.choice([0.0, 0.05])
    for column in columns.values():
        column[gaps] = np.nan
    if rng.random() < 0.3:
        columns["split"] = np.where(rng.random(n_bars) < 0.02, 2.0, np.nan)
    kind = str(rng.choice(["units", "weights", "notional"]))
    size = {"units": 10.0, "weights": 0.9, "notional": 900.0}[kind]
    sides = rng.choice([[1.0], [1.0, 0.0], [-1.0, 0.0], [1.0, -1.0, 0.0, 2.0]][rng.integers(4)],
                       n_bars)  # fmt: skip
    values = np.where(rng.random(n_bars) < rng.choice([0.1, 0.5, 1.0]), sides * size, np.nan)
    stop, limit = [(0.01, 0.02), (0.03, None), (None, 0.02), (0.002, 0.3)][rng.integers(4)]
    return {
        "columns": columns,
        "values": values,
        "kind": kind,
        "sized_at": str(rng.choice(["decision", "fill"])),
        "bracket": Bracket(stop, limit),
        "fills": Fills(
            intrabar=str(rng.choice(["pessimistic", "optimistic", "path"])),
            limit_fill=str(rng.choice(["touch", "through"])),
        ),
        "costs": Costs(
            commission_bps=float(rng.choice([0.0, 5.0])),
            commission_per_order=float(rng.choice([0.0, 1.0])),
            half_spread_bps=float(rng.choice([0.0, 3.0])),
            slippage_bps=float(rng.choice([0.0, 20.0, 150.0])),
            sell_tax_bps=float(rng.choice([0.0, 10.0])),
        ),
        "account": Account(
            float(rng.choice([1_000.0, 100_000.0])),
            max_leverage=float(rng.choice([1.0, 2.0, np.inf])),
            on_shortfall=str(rng.choice(["scale", "reject"])),
            maintenance_margin=[None, 0.25][rng.integers(2)],
        ),
    }


def run(guarded, *, n_copies):
    """Run the instrument, alone or beside copies that nobody trades."""
    n_bars = guarded["values"].size
    columns = {
        name: np.repeat(column[:, None], n_copies, axis=1)
        for name, column in guarded["columns"].items()
    }
    values = np.full((n_bars, n_copies), np.nan)
    values[:, 0] = guarded["values"]
    bars = Bars(
        START_NS + np.arange(n_bars) * DAY_NS, **columns, symbols=[f"S{k}" for k in range(n_copies)]
    )
    decisions = Targets(
        values, guarded["kind"], sized_at=guarded["sized_at"], bracket=guarded["bracket"]
    )
    settings = {name: guarded[name] for name in ("fills", "costs", "account")}
    return simulate(bars, decisions, **settings)


class TestSimulate:
    @given(st.integers(0, 2**32 - 1), st.integers(2, 300))
    @examples(150)
    def test_guards_one_instrument_as_it_guards_many(self, seed, n_bars):
        guarded = make_guarded(seed, n_bars)

        alone, general = run(guarded, n_copies=1), run(guarded, n_copies=2)

        np.testing.assert_array_equal(alone.fills, general.fills)
        assert alone.orders.tobytes() == general.orders.tobytes()
        np.testing.assert_array_equal(alone.equity, general.equity)
        assert alone.caveats == general.caveats

    def test_meets_what_it_is_to_meet(self):
        # The scenarios above exercise entries, both exits, and exits that a signal overtakes.
        reasons, moments = set(), set()
        for seed in range(60):
            result = run(make_guarded(seed, 200), n_copies=1)
            reasons |= set(result.orders["reason"].tolist())
            moments |= set(result.fills["moment"].tolist())

        assert {OrderReason.SIBLING_FILLED, OrderReason.POSITION_CLOSED} <= reasons
        assert len(moments) == 2

    @pytest.mark.parametrize("size", [1, 7])
    def test_grows_its_tables_under_exits(self, monkeypatch, size):
        guarded = make_guarded(5, 300)
        whole = run(guarded, n_copies=1)
        monkeypatch.setattr("backtests.engine.runner.FIRST_ROWS", size)

        assert run(guarded, n_copies=1).digest == whole.digest

    def test_takes_the_short_way_unless_finer_bars_order_the_inside(self):
        flat = np.full(4, 10.0)
        ts = START_NS + np.arange(4) * DAY_NS
        bars = Bars(ts, flat, flat, flat, flat, symbols="A")
        decided = Targets(np.ones(4), "units", bracket=Bracket(0.1, 0.2))

        plain = simulate(bars, decided)
        ordered = simulate(bars, decided, intrabar=bars)

        assert (plain.prepared.number("is_alone"), ordered.prepared.number("is_alone")) == (1, 0)
