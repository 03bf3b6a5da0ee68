"""Other futures: the same bits up to the cut, other valid bars after it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from backtests.engine import Bars
from backtests.marketdata.futures import Futures, bytes_needed, may_go
from backtests.marketdata.panel import Panel

DAY_NS = 86_400_000_000_000
SYMBOLS = ("AA", "BB", "CC")


def bars_panel(seed=0, n_bars=40, **fields):
    """A panel of bars with gaps; nothing here asks for its manifest."""
    wander = np.random.default_rng(seed)
    shape = (n_bars, len(SYMBOLS))
    close = 50.0 * np.exp(np.cumsum(wander.normal(0.0, 0.02, shape), axis=0))
    opened = close * np.exp(wander.normal(0.0, 0.01, shape))
    bars = {
        "open": opened, "high": np.maximum(opened, close) * 1.01,
        "low": np.minimum(opened, close) * 0.99, "close": close,
        "volume": wander.uniform(1e3, 1e5, shape),
    }  # fmt: skip
    lacking = wander.random(shape) < 0.1
    lacking[:, 0] = False
    for values in bars.values():
        values[lacking] = np.nan
    return Panel(None, np.arange(n_bars) * DAY_NS, SYMBOLS, bars | fields)


def same_bits(one, other):
    return one.tobytes() == other.tobytes()


class TestFutures:
    @given(st.integers(0, 2**32), st.integers(0, 38), st.sampled_from([None, 0, 1, 2]))
    def test_keeps_every_bit_up_to_the_cut_and_no_price_after_it(self, seed, cut, gone):
        panel = bars_panel(seed % 7)

        other = Futures(panel).after(cut, np.random.default_rng(seed), gone=gone)

        for name, values in panel.fields.items():
            assert same_bits(values[: cut + 1], other.fields[name][: cut + 1])
        before, after = panel["close"][cut + 1 :], other["close"][cut + 1 :]
        known = ~np.isnan(after)
        assert not np.any(before[known] == after[known])

    @given(st.integers(0, 2**32), st.integers(0, 38), st.sampled_from([None, 0, 1, 2]))
    def test_makes_bars_that_the_engine_takes(self, seed, cut, gone):
        fields = {"half_spread": bars_panel(seed % 7)["close"] * 0.001}
        panel = bars_panel(seed % 7, **fields)

        other = Futures(panel).after(cut, np.random.default_rng(seed), gone=gone)

        assert Bars(other.ts, **other.fields, symbols=SYMBOLS).n_bars == 40

    @given(st.integers(0, 2**32), st.integers(0, 38))
    def test_makes_quotes_that_the_engine_takes(self, seed, cut):
        mid = bars_panel(seed % 7)["close"]
        quotes = {"bid": mid * 0.999, "ask": mid * 1.001}
        panel = Panel(None, np.arange(40) * DAY_NS, SYMBOLS, quotes)

        other = Futures(panel).after(cut, np.random.default_rng(seed))

        quoted = Bars.from_quotes(other.ts, other["bid"], other["ask"], symbols=SYMBOLS)
        assert quoted.n_bars == 40

    def test_keeps_what_is_announced(self):
        split = np.full((40, 3), np.nan)
        split[30, 1] = 2.0
        panel = bars_panel(split=split)

        other = Futures(panel).after(20, np.random.default_rng(1))

        assert same_bits(split, other["split"])

    def test_is_the_same_for_the_same_generator(self):
        one, other = (Futures(bars_panel()).after(9, np.random.default_rng(4)) for _ in range(2))

        assert same_bits(one["close"], other["close"])

    @given(
        st.lists(
            st.tuples(st.integers(0, 38), st.integers(0, 99), st.sampled_from([None, 0, 1, 2])),
            min_size=2, max_size=5,
        )
    )  # fmt: skip
    def test_leaves_nothing_of_the_one_before(self, asked):
        split = np.where(np.isnan(bars_panel(3)["close"]), np.nan, 1.0)
        panel = bars_panel(3, split=split)
        futures = Futures(panel)

        for cut, seed, gone in asked:
            other = futures.after(cut, np.random.default_rng(seed), gone=gone)
            alone = Futures(panel).after(cut, np.random.default_rng(seed), gone=gone)

            assert all(same_bits(other[name], alone[name]) for name in panel.fields)

    def test_takes_its_memory_once(self):
        panel = bars_panel()
        futures = Futures(panel)

        one, other = (futures.after(cut, np.random.default_rng(cut)) for cut in (5, 30))

        assert np.shares_memory(one["close"], other["close"])
        assert not np.shares_memory(panel["close"], other["close"])
        assert not other["close"].flags.writeable
        assert bytes_needed(panel) == panel.n_bytes + 2 * panel["close"].nbytes

    def test_leaps_the_way_it_is_told(self):
        panel, signs = bars_panel(), np.array([1.0, -1.0, 1.0])
        futures = Futures(panel)

        for way in (signs, -signs):
            other = futures.after(9, np.random.default_rng(4), signs=way)
            moved = np.nanmedian(np.log(other["close"][10:] / panel["close"][10:]), axis=0)
            assert np.array_equal(np.sign(moved), way)

    def test_takes_away_an_instrument_that_is_to_go(self):
        other = Futures(bars_panel()).after(9, np.random.default_rng(4), gone=1)

        assert all(np.isnan(values[10:, 1]).all() for values in other.fields.values())
        assert not np.isnan(other["close"][10:, 0]).any()


class TestMayGo:
    def test_leaves_a_price_in_every_bar(self):
        panel = bars_panel()
        panel["close"][25] = [np.nan, 3.0, np.nan]

        assert may_go(panel, 20).tolist() == [0, 2]
        assert may_go(panel, 25).tolist() == [0, 1, 2]

    def test_leaves_whoever_is_delisted(self):
        delisted = np.zeros((40, 3))
        delisted[30, 2] = 1.0

        assert may_go(bars_panel(delisted=delisted), 35).tolist() == [0, 1, 2]
        assert may_go(bars_panel(delisted=delisted), 20).tolist() == [0, 1]

    def test_leaves_an_instrument_that_is_alone(self):
        panel = Panel(None, np.arange(5) * DAY_NS, ("A",), {"close": np.ones((5, 1))})

        assert may_go(panel, 2).size == 0
