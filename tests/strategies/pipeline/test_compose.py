import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from strategies.pipeline import (
    HistoryError,
    MarketHistory,
    StrategySpec,
    UnknownSymbolError,
    builtin_examples,
    compose,
)

DAY_NS = 86_400_000_000_000
NAN = float("nan")
CROSS = {"kind": "moving_average_cross", "fast_bars": 2, "slow_bars": 4}
SHORT_CROSS = {**CROSS, "direction": "long_short"}
MOMENTUM = {"kind": "momentum", "lookback_days": 5, "skip_days": 1}
HOLD = {"kind": "buy_and_hold"}


def history_of(close, symbols=None):
    close = np.asarray(close, float)
    names = symbols or tuple(f"S{at}" for at in range(close.shape[1]))
    ts = np.arange(close.shape[0], dtype=np.int64) * DAY_NS + DAY_NS // 2
    return MarketHistory(ts, names, close)


def spec_of(signals, portfolio):
    return StrategySpec.model_validate({"signals": signals, "portfolio": portfolio})


@st.composite
def cases(draw):
    close = draw(
        arrays(
            np.float64,
            st.tuples(st.integers(1, 50), st.integers(1, 4)),
            elements=st.one_of(st.floats(1.0, 100.0), st.just(NAN)),
        )
    )
    signals = draw(st.lists(st.sampled_from([HOLD, CROSS, SHORT_CROSS, MOMENTUM]), min_size=1,
                            max_size=3))  # fmt: skip
    rebalance = draw(
        st.sampled_from(
            [
                {"kind": "once"},
                {"kind": "on_change"},
                {"kind": "bars", "bars": 3},
                {"kind": "calendar", "period": "week"},
            ]
        )
    )
    portfolio = {"kind": "equal_weight", "rebalance": rebalance,
                 "n_holdings": draw(st.sampled_from([None, 1, 2]))}  # fmt: skip
    inserted = draw(st.lists(st.integers(0, 100), min_size=1, max_size=10))
    return spec_of(signals, portfolio), close, inserted


class TestMarketHistory:
    @pytest.mark.parametrize(
        ("ts", "symbols", "close"),
        [
            ([0, 1], ("A",), [[1.0], [-1.0]]),
            ([0, 1], ("A",), [[1.0], [np.inf]]),
            ([1, 1], ("A",), [[1.0], [1.0]]),
            ([0, 1], ("A", "B"), [[1.0], [1.0]]),
            ([0, 1], ("A", "A"), [[1.0, 1.0], [1.0, 1.0]]),
            ([], (), np.empty((0, 0))),
        ],
    )
    def test_refuses_what_does_not_fit(self, ts, symbols, close):
        with pytest.raises(HistoryError):
            MarketHistory(np.array(ts, np.int64), symbols, np.array(close, float))


class TestCompose:
    def test_buys_once_and_leaves_alone(self):
        found = compose(
            builtin_examples()["buy_and_hold"], history_of([[NAN, NAN], [1, 2], [1, 2]])
        )

        assert (found.first_decision, found.n_decisions) == (1, 1)
        np.testing.assert_allclose(found.weights, [[NAN, NAN], [0.49, 0.49], [NAN, NAN]])

    def test_decides_on_change_alone(self):
        close = np.array([4.0, 3.0, 2.0, 1.0, 5.0, 6.0, 1.0, 1.0])[:, None]
        portfolio = {"kind": "equal_weight", "rebalance": {"kind": "on_change"}}

        found = compose(spec_of([CROSS], portfolio), history_of(close))

        np.testing.assert_allclose(found.weights[:, 0], [NAN, NAN, NAN, 0.0, 1.0, NAN, NAN, 0.0])

    def test_gives_fixed_weights_their_columns_and_zero_to_others(self):
        portfolio = {
            "kind": "given_weights",
            "weights": {"B": 0.6, "C": -0.2},
            "rebalance": {"kind": "bars", "bars": 2},
        }

        found = compose(spec_of([HOLD], portfolio), history_of(np.ones((3, 3)), ("A", "B", "C")))

        np.testing.assert_allclose(found.weights, [[0.0, 0.6, -0.2], [NAN] * 3, [0.0, 0.6, -0.2]])

    def test_names_an_unknown_symbol_and_the_nearest(self):
        portfolio = {"kind": "given_weights", "weights": {"MSTF": 1.0}}

        with pytest.raises(UnknownSymbolError, match=r"'MSTF'.*Did you mean 'MSFT'"):
            compose(spec_of([HOLD], portfolio), history_of(np.ones((2, 1)), ("MSFT",)))

    def test_decides_nothing_without_enough_history(self):
        found = compose(builtin_examples()["cross_sectional_momentum"], history_of(np.ones((9, 2))))

        assert found.first_decision is None
        assert np.all(np.isnan(found.weights))

    @given(
        close=arrays(
            np.float64,
            st.tuples(st.integers(1, 60), st.integers(1, 4)),
            elements=st.one_of(st.floats(1.0, 100.0), st.just(NAN)),
        ),
        n=st.integers(1, 60),
        signals=st.lists(
            st.sampled_from([HOLD, CROSS, SHORT_CROSS, MOMENTUM]), min_size=1, max_size=3
        ),
        rebalance=st.sampled_from(
            [
                {"kind": "once"},
                {"kind": "on_change"},
                {"kind": "bars", "bars": 3},
                {"kind": "calendar", "period": "week"},
            ]
        ),
        n_holdings=st.sampled_from([None, 1, 2]),
    )
    @settings(max_examples=150, deadline=None)
    def test_never_looks_ahead(self, close, n, signals, rebalance, n_holdings):
        n = min(n, close.shape[0])
        portfolio = {"kind": "equal_weight", "n_holdings": n_holdings, "rebalance": rebalance}
        spec = spec_of(signals, portfolio)

        whole = compose(spec, history_of(close))
        part = compose(spec, history_of(close[:n].copy()))

        np.testing.assert_array_equal(whole.weights[:n], part.weights)
        later = close.copy()
        later[n:] = np.where(np.isnan(close[n:]), 3.0, np.nan)
        altered = compose(spec, history_of(later))
        np.testing.assert_array_equal(whole.weights[:n], altered.weights[:n])

    def test_does_not_sell_what_merely_did_not_print(self):
        close = np.full((6, 2), 5.0)
        close[3, 1] = NAN
        for rebalance in ({"kind": "on_change"}, {"kind": "bars", "bars": 1}):
            portfolio = {"kind": "equal_weight", "rebalance": rebalance}

            found = compose(spec_of([HOLD], portfolio), history_of(close))

            assert np.isnan(found.weights[3, 1])
            assert set(found.weights[~np.isnan(found.weights)]) == {0.5}

    def test_lets_an_instrument_follow_at_its_next_bar(self):
        close = np.ones((40, 2))
        close[30:33, 1] = NAN  # rows 0 and 31 begin a month
        portfolio = {"kind": "equal_weight"}

        found = compose(spec_of([HOLD], portfolio), history_of(close))

        assert np.flatnonzero(~np.isnan(found.weights[:, 0])).tolist() == [0, 31]
        assert np.flatnonzero(~np.isnan(found.weights[:, 1])).tolist() == [0, 33]
        assert found.n_decisions == 3

    def test_gives_the_slot_of_a_silent_instrument_to_the_others(self):
        close = np.ones((80, 2))
        close[10:, 1] = NAN
        portfolio = {"kind": "equal_weight", "rebalance": {"kind": "on_change"}}

        found = compose(spec_of([HOLD], portfolio), history_of(close))

        decided = np.flatnonzero(~np.isnan(found.weights[:, 0]))
        assert decided.tolist() == [0, 9 + 32]
        assert found.weights[decided, 0].tolist() == [0.5, 1.0]
        assert np.all(np.isnan(found.weights[10:, 1]))

    def test_buys_given_weights_once_each_when_it_is_first_eligible(self):
        close = np.ones((5, 3))
        close[:3, 1] = NAN
        portfolio = {
            "kind": "given_weights",
            "weights": {"A": 0.5, "B": 0.3},
            "rebalance": {"kind": "once"},
        }

        found = compose(spec_of([HOLD], portfolio), history_of(close, ("A", "B", "C")))

        expected = np.full((5, 3), NAN)
        expected[0, 0], expected[3, 1] = 0.5, 0.3
        np.testing.assert_array_equal(found.weights, expected)
        assert (found.left_out, found.first_decision, found.n_decisions) == ((), 0, 2)

    def test_names_what_a_single_decision_left_out(self):
        close = np.ones((5, 3))
        close[:2, 1] = NAN
        close[:, 2] = NAN

        found = compose(builtin_examples()["buy_and_hold"], history_of(close))

        assert found.left_out == ("S1", "S2")
        assert found.n_decisions == 1

    def test_names_all_when_nothing_was_decided(self):
        found = compose(builtin_examples()["moving_average_cross"], history_of(np.ones((3, 2))))

        assert found.left_out == ("S0", "S1")

    @given(cases())
    @settings(max_examples=150, deadline=None)
    def test_does_not_see_rows_without_a_bar(self, case):
        spec, close, n_inserted = case
        stamps = np.arange(close.shape[0], dtype=np.int64) * DAY_NS + 1
        names = tuple(f"S{at}" for at in range(close.shape[1]))
        at = np.sort(np.array(n_inserted) % close.shape[0])
        extra = np.unique(stamps[at] + DAY_NS // 2)
        union = np.union1d(stamps, extra)
        own = np.isin(union, stamps)
        wide = np.full((union.size, close.shape[1]), NAN)
        wide[own] = close

        alone = compose(spec, MarketHistory(stamps, names, close))
        among = compose(spec, MarketHistory(union, names, wide))

        np.testing.assert_array_equal(among.weights[own], alone.weights)
        assert np.all(np.isnan(among.weights[~own]))
        assert among.left_out == alone.left_out

    @given(cases(), st.booleans())
    @settings(max_examples=150, deadline=None)
    def test_does_not_see_the_bars_of_a_foreign_clock(self, case, decides_at_close_of_day):
        spec, close, _ = case
        n, n_assets = close.shape
        stamps = np.arange(n, dtype=np.int64) * DAY_NS + 1
        names = tuple(f"S{at}" for at in range(n_assets))
        weights = dict(zip(names, (0.3, -0.2, 0.4, 0.1), strict=False))
        portfolio = {"kind": "given_weights", "weights": weights,
                     "rebalance": spec.portfolio.rebalance.model_dump()}  # fmt: skip
        given_spec = spec_of([signal.model_dump() for signal in spec.signals[:1]], portfolio)
        union = np.sort(np.concatenate([stamps, stamps + DAY_NS // 2]))
        own = np.isin(union, stamps)
        wide = np.full((union.size, n_assets + 1), NAN)
        wide[own, :n_assets] = close
        foreign = ~own if decides_at_close_of_day else np.ones(union.size, bool)
        wide[foreign, -1] = 2.0 + np.sin(np.arange(union.size))[foreign]

        alone = compose(given_spec, MarketHistory(stamps, names, close))
        beside = compose(given_spec, MarketHistory(union, (*names, "FOREIGN"), wide))

        np.testing.assert_array_equal(beside.weights[own][:, :n_assets], alone.weights)
        assert np.all(np.isnan(beside.weights[~own][:, :n_assets]))

    @given(
        seed=st.integers(0, 2**32 - 1),
        rebalance=st.sampled_from([{"kind": "on_change"}, {"kind": "calendar", "period": "week"}]),
        signals=st.sampled_from([[MOMENTUM], [MOMENTUM, HOLD]]),
    )
    @settings(max_examples=60, deadline=None)
    def test_ranks_on_carried_scores_beside_a_foreign_clock(self, seed, rebalance, signals):
        rng = np.random.default_rng(seed)
        close = 50.0 * np.exp(rng.normal(0.01, 0.02, (60, 3)).cumsum(axis=0))
        close[10:][rng.random((50, 3)) < 0.2] = NAN
        stamps = np.arange(60, dtype=np.int64) * DAY_NS + 1
        union = np.sort(np.concatenate([stamps, stamps + DAY_NS // 2]))
        wide = np.full((120, 4), NAN)
        wide[::2, :3] = close
        wide[1::2, 3] = 1e9 * 0.5 ** np.arange(60)  # always the weakest: never held
        portfolio = {"kind": "equal_weight", "n_holdings": 2, "rebalance": rebalance}
        spec = spec_of(signals, portfolio)

        alone = compose(spec, MarketHistory(stamps, ("A", "B", "C"), close), start=9)
        beside = compose(spec, MarketHistory(union, ("A", "B", "C", "D"), wide), start=18)

        np.testing.assert_array_equal(beside.weights[::2, :3], alone.weights)
        assert np.all(np.isnan(beside.weights[1::2, :3]))

    @pytest.mark.parametrize(
        "signal",
        [HOLD, {"kind": "moving_average_cross", "fast_bars": 20, "slow_bars": 100},
         {"kind": "momentum", "lookback_days": 126, "skip_days": 5}],
    )  # fmt: skip
    @pytest.mark.parametrize(
        "rebalance",
        [{"kind": "on_change"}, {"kind": "once"}, {"kind": "bars", "bars": 5},
         {"kind": "calendar", "period": "month"}],
    )  # fmt: skip
    def test_decides_real_stocks_alike_beside_a_market_that_never_closes(
        self, shared_data, signal, rebalance
    ):
        import pandas as pd

        frame = pd.read_parquet(shared_data / "equities_daily_us40a.parquet")
        names = ("AAPL", "KO", "MSFT")
        frame = frame[frame["symbol"].isin(names)].pivot(
            index="date", columns="symbol", values="adj_close"
        )
        ts = pd.DatetimeIndex(frame.index).as_unit("ns").asi8 + 21 * 3_600_000_000_000
        close = np.ascontiguousarray(frame[list(names)].to_numpy(np.float64))
        daily = np.arange(ts[0] // DAY_NS, ts[-1] // DAY_NS + 1) * DAY_NS + DAY_NS - 1000
        union = np.union1d(ts, daily)
        wide = np.full((union.size, 4), NAN)
        wide[np.isin(union, ts), :3] = close
        wide[np.isin(union, daily), 3] = 100.0 + np.arange(daily.size) % 91
        portfolio = {"kind": "given_weights", "rebalance": rebalance,
                     "weights": {"AAPL": 0.4, "KO": 0.3, "MSFT": 0.2}}  # fmt: skip
        spec = spec_of([signal], portfolio)

        alone = compose(spec, MarketHistory(ts, names, close))
        beside = compose(spec, MarketHistory(union, (*names, "COIN"), wide))

        own = np.isin(union, ts)
        np.testing.assert_array_equal(beside.weights[own, :3], alone.weights)
        assert np.all(np.isnan(beside.weights[~own, :3]))
        assert np.nanmax(alone.weights) == 0.4

    def test_runs_momentum_on_real_prices(self):
        root = Path(__file__).resolve().parents[3]
        folder = Path(os.environ.get("CROWETRADE_DATA", root.parent / "shared" / "data"))
        path = folder / "equities_adjclose_wide_us150.parquet"
        if not path.is_file():
            pytest.skip(f"The shared market data are not at {folder}.")
        import pandas as pd

        frame = pd.read_parquet(path)
        frame = frame.set_index("date") if "date" in frame else frame
        ts = pd.DatetimeIndex(frame.index).as_unit("ns").asi8
        history = MarketHistory(
            ts, tuple(frame.columns), np.ascontiguousarray(frame.to_numpy(np.float64))
        )

        found = compose(builtin_examples()["cross_sectional_momentum"], history)

        decided = found.weights[~np.isnan(found.weights[:, 0])]
        assert found.first_decision == 252
        assert found.n_decisions == decided.shape[0] == 247
        np.testing.assert_allclose(decided.sum(axis=1), 0.98)
        assert np.all(np.count_nonzero(decided, axis=1) == 10)
        at = int(found.first_decision)
        momentum = history.close[at - 21] / history.close[at - 252]
        np.testing.assert_array_equal(
            np.sort(np.flatnonzero(found.weights[at])), np.sort(np.argsort(-momentum)[:10])
        )
