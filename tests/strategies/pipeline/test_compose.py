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
    return MarketHistory(np.arange(close.shape[0], dtype=np.int64) * DAY_NS, names, close)


def spec_of(signals, portfolio):
    return StrategySpec.model_validate({"signals": signals, "portfolio": portfolio})


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
