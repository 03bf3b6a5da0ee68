import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtests.engine import (
    Account,
    AverageCross,
    Bars,
    Costs,
    Fills,
    ParquetSink,
    Position,
    Targets,
    Trend,
    simulate,
    sweep,
)
from backtests.engine.errors import SettingsError
from backtests.engine.metrics import DEFINITIONS
from backtests.engine.rules import targets_of
from tests.backtests.engine.scenarios import DAY_NS, START_NS

COSTS = Costs(commission_bps=5, slippage_bps=2, commission_per_order=1.0)


def random_bars(seed=1, n_bars=300, *, gaps=False, volume=True):
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(rng.normal(0.0, 0.02, n_bars).cumsum())
    opened = close * np.exp(rng.normal(0.0, 0.005, n_bars))
    columns = {"open": opened, "close": close, "high": np.maximum(opened, close) * 1.01,
               "low": np.minimum(opened, close) * 0.99}  # fmt: skip
    if volume:
        columns["volume"] = rng.uniform(1e4, 1e5, n_bars)
    if gaps:
        gone = rng.random(n_bars) < 0.1
        for values in columns.values():
            values[gone] = np.nan
    return Bars(START_NS + np.arange(n_bars) * DAY_NS, **columns, symbols="A")


rules = st.one_of(
    st.builds(
        AverageCross,
        average=st.sampled_from(["simple", "exponential", "weighted"]),
        position=st.builds(
            Position,
            size=st.sampled_from([1.0, -0.5, 2.0]),
            sized_at=st.sampled_from(["decision", "fill"]),
            begins=st.sampled_from(["at_cross", "when_above"]),
        ),
    ),
    st.just(Trend()),
)


class TestSweep:
    @given(rules, st.integers(0, 10_000), st.booleans(), st.sampled_from([1.0, 2.0, float("inf")]))
    @settings(max_examples=40, deadline=None)
    def test_gives_the_figures_of_simulate_bit_for_bit(self, rule, seed, gaps, leverage):
        bars = random_bars(seed, 120, gaps=gaps)
        grid = {"lookback": [1, 5, 30]}
        if isinstance(rule, AverageCross):
            grid = {"fast": [2, 5], "slow": [8, 20]}
        account = Account(100_000.0, max_leverage=leverage)

        found = sweep(bars, rule, grid, costs=COSTS, account=account)

        for at, combination in enumerate(found.chunk.combinations):
            result = simulate(bars, targets_of(rule, bars, combination), costs=COSTS,
                              account=account)  # fmt: skip
            assert found.column("final_equity")[at] == result.equity[-1]
            assert found.column("n_fills")[at] == result.fills.size
            for name, metric in result.metrics().items():
                value = np.nan if metric.value is None else metric.value
                np.testing.assert_array_equal(found.column(name)[at], value, err_msg=name)

    @pytest.mark.parametrize("account", [Account(1e5), Account(1e5, max_leverage=3.0)])
    def test_finds_the_same_equity_and_trades_without_metrics(self, account):
        bars = random_bars(5)
        rule = AverageCross(position=Position(1.0, sized_at="fill"))
        grid = {"fast": range(2, 12), "slow": range(15, 40, 5)}

        whole = sweep(bars, rule, grid, costs=COSTS, account=account)
        bare = sweep(bars, rule, grid, costs=COSTS, account=account, with_metrics=False, n_blocks=0)

        for name in ("final_equity", "n_fills", "n_closed_trades"):
            np.testing.assert_array_equal(bare.column(name), whole.column(name))

    def test_does_not_depend_on_threads(self):
        bars = random_bars(2)
        grid = {"fast": range(2, 20), "slow": range(25, 45)}

        one = sweep(bars, AverageCross(), grid, costs=COSTS)
        two = sweep(bars, AverageCross(), grid, costs=COSTS, n_threads=2)

        for at in range(2, 5):
            np.testing.assert_array_equal(one.chunk[at], two.chunk[at])

    def test_runs_a_function_trial_by_trial_with_equal_figures(self):
        bars = random_bars(3)

        def decide(bars, fast, slow):
            return targets_of(AverageCross(), bars, (fast, slow))

        grid = {"fast": [3, 6], "slow": [10, 30]}
        compiled = sweep(bars, AverageCross(), grid, costs=COSTS, n_best=2)
        plain = sweep(bars, decide, grid, costs=COSTS, n_best=2)

        for at in range(1, 5):
            np.testing.assert_array_equal(compiled.chunk[at], plain.chunk[at])
        assert [best.parameters for best in compiled.best] == [b.parameters for b in plain.best]

    def test_keeps_the_best_whole_and_counts_all(self):
        bars = random_bars(4)

        found = sweep(bars, AverageCross(), {"fast": [2, 4, 8], "slow": [16, 32]}, n_best=2,
                      objective="total_return", costs=COSTS)  # fmt: skip

        returns = found.column("total_return")
        assert found.n_trials == 6
        assert [best.value for best in found.best] == sorted(returns, reverse=True)[:2]
        first = found.best[0]
        assert first.result.equity[-1] == found.column("final_equity")[first.number]
        assert first.parameters == {
            name: found.column(name)[first.number] for name in ("fast", "slow")
        }

    def test_sums_returns_over_blocks(self):
        bars = random_bars(6)

        found = sweep(bars, Trend(), {"lookback": [10]}, n_blocks=4)

        result = simulate(bars, targets_of(Trend(), bars, [10]))
        returns = result.equity[1:] / result.equity[:-1] - 1.0
        np.testing.assert_allclose(found.chunk.blocks.sum(), returns.sum())
        assert found.chunk.blocks.shape == (1, 4)

    def test_streams_every_row_to_parquet(self, tmp_path):
        bars = random_bars(7)
        grid = {"fast": range(2, 12), "slow": range(15, 30)}
        path = tmp_path / "sweep.parquet"

        with ParquetSink(path) as sink:
            streamed = sweep(bars, AverageCross(), grid, costs=COSTS, sink=sink)
        kept = sweep(bars, AverageCross(), grid, costs=COSTS)

        table = pq.read_table(path)
        assert streamed.chunk is None
        assert table.num_rows == streamed.n_trials == 150
        assert set(DEFINITIONS) <= set(table.column_names)
        for name in ("fast", "final_equity", "sharpe"):
            np.testing.assert_array_equal(
                table[name].to_numpy(zero_copy_only=False), kept.column(name)
            )
        assert table["capacity"].null_count == np.isnan(kept.column("capacity")).sum()

    def test_waits_for_a_crossing_unless_told_to_begin_above(self):
        close = np.linspace(100.0, 200.0, 40)
        bars = Bars(START_NS + np.arange(40) * DAY_NS, close, close, symbols="A")
        grid = {"fast": [2], "slow": [5]}

        waits = sweep(bars, AverageCross(), grid)
        begins = sweep(bars, AverageCross(position=Position(begins="when_above")), grid)

        assert waits.column("n_fills").tolist() == [0.0]
        assert begins.column("n_fills").tolist() == [1.0]

    def test_reports_progress_and_stops_when_it_raises(self):
        bars = random_bars(8)
        seen = []
        sweep(bars, Trend(), {"lookback": range(1, 101)}, on_progress=lambda *at: seen.append(at))

        assert seen == [(64, 100), (100, 100)]

        def cancel(_done, _total):
            raise InterruptedError

        with pytest.raises(InterruptedError):
            sweep(bars, Trend(), {"lookback": [1]}, on_progress=cancel)

    @pytest.mark.parametrize(
        ("grid", "match"),
        [
            ({"fast": [2]}, "parameters fast, slow"),
            ({"fast": [], "slow": [3]}, "at least one combination"),
            ({"fast": [9], "slow": [3]}, "shorter than its slow"),
            ({"fast": [2.5], "slow": [3]}, "whole numbers"),
            ({"fast": [2], "slow": [float("nan")]}, "finite"),
        ],
    )
    def test_refuses_a_grid_that_means_nothing(self, grid, match):
        with pytest.raises(SettingsError, match=match):
            sweep(random_bars(), AverageCross(), grid)

    def test_refuses_an_unknown_objective_and_several_instruments(self):
        with pytest.raises(SettingsError, match="objective 'luck'"):
            sweep(random_bars(), Trend(), {"lookback": [2]}, objective="luck", n_best=1)
        close = np.full((40, 2), 5.0)
        many = Bars(START_NS + np.arange(40) * DAY_NS, close, symbols=["A", "B"])
        with pytest.raises(SettingsError, match="one instrument"):
            sweep(many, Trend(), {"lookback": [2]})

    def test_runs_a_function_on_many_instruments_and_settings(self):
        rng = np.random.default_rng(0)
        close = 50.0 * np.exp(rng.normal(0, 0.02, (60, 2)).cumsum(axis=0))
        bars = Bars(START_NS + np.arange(60) * DAY_NS, close, close, symbols=["A", "B"])

        def decide(_bars, weight):
            return Targets(np.full((60, 2), weight))

        found = sweep(bars, decide, {"weight": [0.1, 0.5]}, fills=Fills("next_close"), costs=COSTS)

        assert found.column("average_gross_exposure")[0] == pytest.approx(0.2, abs=0.02)
