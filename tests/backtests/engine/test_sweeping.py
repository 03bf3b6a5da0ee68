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
    EngineError,
    Fills,
    ParquetSink,
    Position,
    Targets,
    Trend,
    simulate,
    sweep,
    trials,
)
from backtests.engine.errors import SettingsError, ShapeError
from backtests.engine.metrics import DEFINITIONS
from backtests.engine.rules import Lines, targets_between, targets_of
from tests.backtests.engine.scenarios import DAY_NS, START_NS

NAN = float("nan")
COSTS = Costs(commission_bps=5, slippage_bps=2, commission_per_order=1.0)


class Own:
    """A rule that somebody else wrote."""

    parameters = ("k",)
    position = Position()

    def __init__(self, found):
        self.found = found

    def lines(self, bars, combinations):
        return self.found


def random_bars(seed=1, n_bars=300, *, gaps=False, volume=True, **more):
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
    return Bars(START_NS + np.arange(n_bars) * DAY_NS, **columns, symbols="A", **more)


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

    @pytest.mark.parametrize(
        ("columns", "more"),
        [
            ({"dividend": np.full(300, 0.01)}, {}),
            ({"split": np.where(np.arange(300) % 50 == 49, 2.0, NAN)}, {}),
            ({"delisted": np.where(np.arange(300) == 200, 1.0, 0.0)}, {}),
            ({"multiplier": 10.0}, {}),
            ({"currency": "EUR", "rates": {"EUR": np.linspace(1.0, 1.3, 300)}}, {}),
            ({}, {"fills": Fills(max_participation=0.05)}),
            ({}, {"fills": Fills(latency_bars=3)}),
            ({}, {"account": Account(1e5, cash_rate=0.03)}),
            ({}, {"account": Account(1e5, max_leverage=2.0, maintenance_margin=0.6)}),
            ({}, {"account": Account(1e5, maintenance_margin=1.0)}),
        ],
    )
    def test_gives_the_figures_of_simulate_whatever_moves_the_account(self, columns, more):
        bars = random_bars(11, **columns)
        rule = AverageCross(position=Position(2.0, sized_at="fill"))
        more = {"account": Account(1e6), "costs": COSTS, **more}
        grid = {"fast": [2, 3], "slow": [8, 15]}

        found = sweep(bars, rule, grid, **more)
        bare = sweep(bars, rule, grid, with_metrics=False, n_blocks=0, **more)

        for at, combination in enumerate(found.chunk.combinations):
            result = simulate(bars, targets_of(rule, bars, combination), **more)
            n_closed = np.count_nonzero(result.trades()["exit_bar"] >= 0)
            figures = [result.equity[-1], result.fills.size, n_closed]
            assert found.chunk.figures[at].tolist() == figures
            assert bare.chunk.figures[at].tolist() == figures
            for name, metric in result.metrics().items():
                value = np.nan if metric.value is None else metric.value
                np.testing.assert_array_equal(found.column(name)[at], value, err_msg=name)

    def test_leaves_nothing_of_one_combination_to_the_next(self):
        bars = random_bars(12)
        grid = {"fast": range(2, 14), "slow": range(15, 30)}
        alone = {"fast": [13], "slow": [29]}

        for more in ({}, {"with_metrics": False}, {"with_metrics": False, "n_blocks": 0}):
            among_others = sweep(bars, AverageCross(), grid, costs=COSTS, **more)
            by_itself = sweep(bars, AverageCross(), alone, costs=COSTS, **more)

            assert among_others.n_trials > 2 * 64
            for at in range(1, 5):
                np.testing.assert_array_equal(among_others.chunk[at][-1], by_itself.chunk[at][0])

    def test_does_not_depend_on_the_size_of_its_chunks(self, monkeypatch):
        bars = random_bars(13)
        grid = {"fast": range(2, 8), "slow": range(10, 20)}
        whole = sweep(bars, AverageCross(), grid, costs=COSTS)

        monkeypatch.setattr(trials, "_MOST_NUMBERS", 7 * 300)
        seen = []
        cut = sweep(bars, AverageCross(), grid, costs=COSTS,
                    on_progress=lambda done, _: seen.append(done))  # fmt: skip

        assert seen[:2] == [7, 14]
        for at in range(1, 5):
            np.testing.assert_array_equal(cut.chunk[at], whole.chunk[at])

    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    def test_reads_the_lines_of_any_rule(self, dtype):
        bars = random_bars(14)
        table = np.column_stack([bars.close[:, 0], np.full(300, 100.0)]).astype(dtype)
        own = Own(Lines(table.T, np.array([[0, 1], [1, 0]])))  # neither int32 nor contiguous

        found = sweep(bars, own, {"k": [1, 2]}, costs=COSTS)

        for at in range(2):
            result = simulate(bars, targets_between(own.found, at, own.position), costs=COSTS)
            assert found.column("final_equity")[at] == result.equity[-1]
            assert found.column("n_fills")[at] == result.fills.size > 10

    @pytest.mark.parametrize(
        ("lines", "problem"),
        [
            (Lines(np.ones((2, 299)), np.zeros((1, 2), int)), r"shape \(n_lines, 300\)"),
            (Lines(np.ones((2, 300)), np.array([[0, 2]])), "none of its 2 lines"),
            (Lines(np.ones((2, 300)), np.array([[-1, 0]])), "none of its 2 lines"),
            (Lines(np.ones((2, 300)), np.zeros((2, 2), int)), r"shape \(1, 2\)"),
            (Lines(np.ones((2, 300)), np.zeros((1, 2))), "whole numbers"),
        ],
    )
    def test_refuses_lines_that_it_may_not_read(self, lines, problem):
        with pytest.raises(ShapeError, match=problem):
            sweep(random_bars(), Own(lines), {"k": [1]})

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

    def test_leaves_the_file_that_was_there_when_it_ends_early(self, tmp_path):
        path = tmp_path / "sweep.parquet"
        path.write_text("before")

        def cancel(_done, _total):
            raise InterruptedError

        with pytest.raises(InterruptedError), ParquetSink(path) as sink:
            sweep(random_bars(), Trend(), {"lookback": [1]}, sink=sink, on_progress=cancel)

        assert path.read_text() == "before"
        assert list(tmp_path.iterdir()) == [path]

    def test_refuses_a_sink_that_would_lose_rows(self, tmp_path):
        bars, grid = random_bars(), {"lookback": [1]}

        with pytest.raises(SettingsError, match="with ParquetSink"):
            sweep(bars, Trend(), grid, sink=ParquetSink(tmp_path / "a.parquet"))
        with pytest.raises(SettingsError, match="no folder"), ParquetSink("/nowhere/a.parquet"):
            pass
        with ParquetSink(tmp_path / "b.parquet") as sink:
            sweep(bars, Trend(), grid, sink=sink)
            with pytest.raises(SettingsError, match="columns differ"):
                sweep(bars, Trend(), grid, n_blocks=2, sink=sink)
        with pytest.raises(SettingsError, match=r"write\(names, chunk\)"):
            sweep(bars, Trend(), grid, sink="c.parquet")

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
            ({"fast": 2, "slow": [3]}, "sequence of numbers for fast"),
            ({"fast": [2], "slow": ["long"]}, "sequence of numbers for slow"),
            ({}, "the grid names none"),
        ],
    )
    def test_refuses_a_grid_that_means_nothing(self, grid, match):
        with pytest.raises(SettingsError, match=match):
            sweep(random_bars(), AverageCross(), grid)

    @pytest.mark.parametrize(
        ("more", "problem"),
        [
            ({"n_best": -1}, "n_best must be at least 0"),
            ({"n_best": 1.5}, "n_best must be a whole number"),
            ({"n_blocks": 300}, "n_blocks=300 needs at least 301 bars; there are 300"),
            ({"n_threads": 0}, "n_threads must be at least 1"),
            ({"periods_per_year": 0.0}, "periods_per_year must be above 0"),
            ({"benchmark": np.ones(5)}, r"benchmark has shape \(5,\), not \(300,\)"),
        ],
    )
    def test_refuses_what_means_nothing(self, more, problem):
        with pytest.raises(EngineError, match=problem):
            sweep(random_bars(), Trend(), {"lookback": [1, 2]}, **more)

    def test_needs_a_rule_not_its_class(self):
        with pytest.raises(SettingsError, match=r"not its class: Trend\(\)"):
            sweep(random_bars(), Trend, {"lookback": [1]})

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
