"""Other futures: the same bits up to the cut, other valid bars after it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from backtests.engine import Bars
from backtests.marketdata.futures import (
    LARGEST,
    NOISE,
    Futures,
    bytes_needed,
    may_go,
    may_go_together,
)
from backtests.marketdata.panel import Panel

DAY_NS = 86_400_000_000_000
SYMBOLS = ("AA", "BB", "CC")
LEAVING = st.lists(st.integers(0, 2), unique=True).map(lambda gone: np.array(gone, np.intp))


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
    @given(st.integers(0, 2**32), st.integers(0, 38), LEAVING, st.booleans())
    def test_keeps_every_bit_up_to_the_cut_and_no_price_after_it(self, seed, cut, gone, mirrored):
        panel = bars_panel(seed % 7)

        other = Futures(panel).after(
            cut, np.random.default_rng(seed), gone=gone, is_mirrored=mirrored
        )

        for name, values in panel.fields.items():
            assert same_bits(values[: cut + 1], other.fields[name][: cut + 1])
        before, after = panel["close"][cut + 1 :], other["close"][cut + 1 :]
        known = ~np.isnan(after)
        assert not np.any(before[known] == after[known])

    @given(st.integers(0, 2**32), st.integers(0, 38), LEAVING, st.booleans())
    def test_makes_bars_that_the_engine_takes(self, seed, cut, gone, mirrored):
        plain = bars_panel(seed % 7)
        split = np.full(plain["close"].shape, np.nan)
        split[30, 1] = 4.0
        fields = {
            "half_spread": plain["close"] * 0.001, "half_spread_open": plain["open"] * 0.9,
            "dividend": np.nan_to_num(plain["close"]) * 0.01, "split": split,
        }  # fmt: skip
        panel = bars_panel(seed % 7, **fields)

        other = Futures(panel).after(
            cut, np.random.default_rng(seed), gone=gone, is_mirrored=mirrored
        )

        assert Bars(other.ts, **other.fields, symbols=SYMBOLS).n_bars == 40

    @given(st.integers(0, 2**32), st.integers(0, 38), st.booleans())
    def test_makes_quotes_that_the_engine_takes(self, seed, cut, mirrored):
        mid = bars_panel(seed % 7)["close"]
        quotes = {"bid": mid * 0.999, "ask": mid * 1.001}
        panel = Panel(None, np.arange(40) * DAY_NS, SYMBOLS, quotes)

        other = Futures(panel).after(cut, np.random.default_rng(seed), is_mirrored=mirrored)

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
            st.tuples(st.integers(0, 38), st.integers(0, 99), LEAVING, st.booleans()),
            min_size=2, max_size=5,
        )
    )  # fmt: skip
    def test_leaves_nothing_of_the_one_before(self, asked):
        split = np.where(np.isnan(bars_panel(3)["close"]), np.nan, 1.0)
        panel = bars_panel(3, split=split)
        futures = Futures(panel)

        for cut, seed, gone, mirrored in asked:
            other, alone = (
                any_one.after(cut, np.random.default_rng(seed), gone=gone, is_mirrored=mirrored)
                for any_one in (futures, Futures(panel))
            )

            assert all(same_bits(other[name], alone[name]) for name in panel.fields)

    def test_takes_its_memory_once(self):
        panel = bars_panel()
        futures = Futures(panel)

        one, other = (futures.after(cut, np.random.default_rng(cut)) for cut in (5, 30))

        assert np.shares_memory(one["close"], other["close"])
        assert not np.shares_memory(panel["close"], other["close"])
        assert not other["close"].flags.writeable
        assert bytes_needed(panel) == panel.n_bytes + 5 * panel["close"].nbytes

    def test_leaps_the_way_it_is_told(self):
        panel, signs = bars_panel(), np.array([1.0, -1.0, 1.0])
        futures = Futures(panel)

        for way in (signs, -signs):
            other = futures.after(9, np.random.default_rng(4), signs=way)
            moved = np.nanmedian(np.log(other["close"][10:] / panel["close"][10:]), axis=0)
            assert np.array_equal(np.sign(moved), way)

    def test_turns_what_came_upside_down(self):
        panel = bars_panel()

        other = Futures(panel).after(9, np.random.default_rng(4), is_mirrored=True)

        rose = panel["close"][10:, 0] > panel["open"][10:, 0]
        assert np.array_equal(other["close"][10:, 0] < other["open"][10:, 0], rose)
        moves = (np.log(one["close"][[9, 39], 0]) for one in (panel, other))
        was, now = (float(last - first) for first, last in moves)
        assert abs(now + was) < LARGEST + 5 * NOISE  # but for the leap and what wanders round it

    def test_turns_prices_upside_down_per_unit_of_before(self):
        split = np.full((40, 3), np.nan)
        split[30, 0] = 2.0
        split_later = bars_panel(split=split)
        for name in ("open", "high", "low", "close"):
            split_later[name][30:, 0] /= 2.0

        whole, halved = (
            Futures(panel).after(9, np.random.default_rng(4), is_mirrored=True)["close"][:, 0]
            for panel in (bars_panel(), split_later)
        )

        assert np.allclose(halved[30:], whole[30:] / 2.0)
        assert np.array_equal(halved[:30], whole[:30])

    def test_takes_away_an_instrument_that_is_to_go(self):
        other = Futures(bars_panel()).after(9, np.random.default_rng(4), gone=np.array([1]))

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

    def test_lets_those_go_together_that_leave_a_price_in_every_bar(self):
        panel = bars_panel()
        panel["close"][25] = [2.0, 3.0, np.nan]

        assert may_go_together(panel, 20, np.array([1, 0, 2])).tolist() == [1, 2]
        assert may_go_together(panel, 20, np.array([0, 1, 2])).tolist() == [0]

    def test_leaves_an_instrument_that_is_alone(self):
        panel = Panel(None, np.arange(5) * DAY_NS, ("A",), {"close": np.ones((5, 1))})

        assert may_go(panel, 2).size == 0
