"""Planted look-ahead is found, and what only knows the past is left alone."""

import tracemalloc

import numpy as np
import pytest

from backtests.engine import Bars, Bracket, Callback, Compiled, Costs, Fills, Targets, simulate
from backtests.jobs.prefixes import (
    MOST_CUTS,
    N_CUTS,
    Played,
    bytes_needed,
    check_prefixes,
    choose_cuts,
    count_decisions,
)
from backtests.marketdata.panel import Panel
from tests.backtests.engine.test_strategies import ask_orders
from tests.backtests.marketdata.test_futures import DAY_NS, SYMBOLS, bars_panel

NAN = float("nan")


def bars_of(panel):
    return Bars(panel.ts, **panel.fields, symbols=SYMBOLS)


def playing(decide, **settings):
    """Return what plays weights that a function of all closes decides."""

    def play(panel):
        weights = decide(panel["close"])
        return Played(simulate(bars_of(panel), Targets(weights), **settings), 0, weights)

    return play


def checked(play, panel=None, seed=1):
    panel = bars_panel(n_bars=120) if panel is None else panel
    return check_prefixes(panel, play(panel), play, np.random.default_rng(seed))


def filled(close):
    """Return closes without gaps, carried on from the bar before."""
    known = close.copy()
    for row in range(1, known.shape[0]):
        known[row] = np.where(np.isnan(known[row]), known[row - 1], known[row])
    return known


def by_the_past(close):
    known = filled(close)
    weights = np.where(known > np.roll(known, 1, axis=0), 0.3, 0.0)
    weights[0] = NAN
    return weights


def by_the_next_bar(close):
    known = filled(close)
    return np.where(np.roll(known, -1, axis=0) > known, 0.3, 0.0)


def by_the_mean_of_all(close):
    return np.where(close < np.nanmean(close, axis=0), 0.3, 0.0)


def by_who_is_there_in_the_end(close):
    alive = ~np.isnan(close[-1])
    return np.where(np.ones(close.shape, bool) & alive, 0.3, 0.0)


def seldom_by_the_next_bar(close):
    """Rebalance every 15 bars by the bar to come: most cuts see nothing of it."""
    weights = by_the_next_bar(close)
    weights[np.arange(close.shape[0]) % 15 != 0] = NAN
    return weights


def wide_panel(seed, n_bars, n_assets, drift=None, dying=0.0):
    """Bars of many instruments, some of which end before the others."""
    drawn = np.random.default_rng(seed)
    shape = (n_bars, n_assets)
    body = drawn.normal(0.0, 0.015, shape) + (0.0 if drift is None else drift)
    close = 50.0 * np.exp(np.cumsum(drawn.normal(0.0, 0.008, shape) + body, axis=0))
    opened = close * np.exp(-body)
    bars = {
        "open": opened, "high": np.maximum(opened, close) * 1.002,
        "low": np.minimum(opened, close) * 0.998, "close": close,
    }  # fmt: skip
    ends = np.where(drawn.random(n_assets) < dying, drawn.integers(n_bars // 3, n_bars - 5), n_bars)
    over = np.arange(n_bars)[:, None] >= ends
    for values in bars.values():
        values[over] = NAN
    names = tuple(f"S{i:03}" for i in range(n_assets))
    return Panel(None, np.arange(n_bars) * DAY_NS, names, bars)


def playing_bars(decide):
    """Return what plays weights that a function of whole bars decides."""

    def play(panel):
        weights = decide(panel.fields)
        bars = Bars(panel.ts, **panel.fields, symbols=panel.symbols)
        return Played(simulate(bars, Targets(weights)), 0, weights)

    return play


def by_the_shape_of_the_next_bar(bars):
    """Hold what closes above its open tomorrow: no leap of all its prices shows it."""
    rises = np.zeros(bars["close"].shape)
    rises[:-1] = bars["close"][1:] > bars["open"][1:]
    return rises / rises.shape[1]


def by_what_came_out_best(bars):
    """Hold what rose most over all bars, far ahead of all others."""
    weights = np.full(bars["close"].shape, NAN)
    weights[::21] = 0.0
    weights[::21, np.argmax(bars["close"][-1] / bars["close"][0])] = 1.0
    return weights


def by_the_past_of_survivors(bars):
    """Hold each month what rose most lately, of those that are there at the end."""
    close = bars["close"]
    weights = np.full(close.shape, NAN)
    for bar in range(60, close.shape[0], 21):
        rose = np.where(np.isnan(close[-1]), NAN, close[bar] / close[bar - 60])
        weights[bar] = 0.0
        weights[bar, np.argsort(-np.nan_to_num(rose), kind="stable")[:5]] = 0.2
    return weights


class TestCheckPrefixes:
    @pytest.mark.parametrize(
        ("decide", "market"),
        [
            (by_the_shape_of_the_next_bar, {"n_bars": 600, "n_assets": 1}),
            (by_the_shape_of_the_next_bar, {"n_bars": 300, "n_assets": 20}),
            (
                by_what_came_out_best,
                {"n_bars": 1000, "n_assets": 2, "drift": np.array([0.0002, 0.002])},
            ),
            (
                by_what_came_out_best,
                {"n_bars": 1000, "n_assets": 20, "drift": np.r_[0.002, np.zeros(19)]},
            ),
            (by_the_past_of_survivors, {"n_bars": 400, "n_assets": 200, "dying": 0.4}),
        ],
    )
    @pytest.mark.parametrize("seed", range(3))
    def test_finds_what_a_leap_alone_would_not_show(self, decide, market, seed):
        found = checked(playing_bars(decide), wide_panel(seed, **market), seed=seed + 100)

        assert found.first.what == "target"

    @pytest.mark.parametrize(
        "decide",
        [
            by_the_next_bar,
            by_the_mean_of_all,
            by_who_is_there_in_the_end,
            seldom_by_the_next_bar,
        ],
    )
    @pytest.mark.parametrize("seed", range(5))
    def test_finds_decisions_by_bars_to_come(self, decide, seed):
        found = checked(playing(decide), seed=seed)

        assert found.differences
        assert found.first.what == "target"
        assert 0 <= found.first.bar <= found.first.cut

    @pytest.mark.parametrize("seed", range(5))
    def test_finds_nothing_in_decisions_by_the_past(self, seed):
        found = checked(playing(by_the_past), seed=seed)

        assert found.differences == ()
        assert found.first is None
        assert found.n_responding == len(found.cuts)

    @pytest.mark.parametrize(
        "how",
        [
            {"fills": Fills(at="next_close", latency_bars=2)},
            {"fills": Fills(max_participation=0.001), "costs": Costs(commission_bps=2.0)},
            {"costs": Costs(half_spread_bps="corwin_schultz", borrow_bps_per_year=50.0)},
        ],
    )
    def test_finds_nothing_in_the_engine_itself(self, how):
        found = checked(playing(by_the_past, **how))

        assert found.differences == ()

    def test_finds_a_strategy_that_reads_the_next_bar_of_what_it_has_kept(self):
        def play(panel):
            close = filled(panel["close"])

            def peeks(view):
                after = close[min(view.bar + 1, close.shape[0] - 1)]
                return np.where(after > close[view.bar], 0.3, 0.0)

            return Played(simulate(bars_of(panel), Callback(peeks, kind="weights")), 0)

        found = checked(play)

        assert found.differences
        assert found.first.what in {"order", "fill"}

    def test_finds_nothing_in_orders_of_every_kind_by_the_past(self):
        def play(panel):
            return Played(simulate(bars_of(panel), Compiled(ask_orders)), 0)

        panel = bars_panel(n_bars=120)
        for values in panel.fields.values():
            values[-1, 1:] = NAN  # so that the instrument that is traded stays

        found = checked(play, panel)

        assert found.differences == ()
        assert found.n_responding == len(found.cuts)

    def test_finds_nothing_in_exits_of_brackets(self):
        def play(panel):
            weights = by_the_past(panel["close"])
            targets = Targets(weights, bracket=Bracket(0.02, 0.03))
            return Played(simulate(bars_of(panel), targets), 0, weights)

        assert checked(play).differences == ()

    def test_responds_to_nothing_where_nothing_is_held(self):
        found = checked(playing(lambda close: np.zeros(close.shape)))

        assert (found.differences, found.n_responding) == ((), 0)

    def test_counts_bars_from_that_in_which_the_account_opens(self):
        def play(panel):
            weights = by_the_next_bar(panel["close"])
            bars = Bars(
                panel.ts[50:], **{n: v[50:] for n, v in panel.fields.items()}, symbols=SYMBOLS
            )
            return Played(simulate(bars, Targets(weights[50:])), 50, weights)

        found = checked(play)

        assert max(found.cuts) < 70
        assert found.first.bar == found.first.cut

    def test_is_the_same_for_the_same_generator(self):
        assert checked(playing(by_the_next_bar)) == checked(playing(by_the_next_bar))

    def test_tells_how_far_it_is(self):
        told = []
        panel, play = bars_panel(n_bars=60), playing(by_the_past)
        base, seeded = play(panel), np.random.default_rng(1)

        found = check_prefixes(panel, base, play, seeded, on_progress=lambda *at: told.append(at))

        n = len(found.cuts)
        assert told == [(2 * i, 2 * n) for i in range(n + 1)]

    @pytest.mark.parametrize("seed", range(5))
    def test_finds_who_waits_for_a_low_to_come(self, seed):
        """The account opens with the first decision, so that the stretch lies before it."""
        panel = bars_panel(seed, n_bars=120)
        first = int(np.argmin(panel["close"][10:60, 0])) + 10

        def play(panel):
            close = panel["close"]
            weights = np.full(close.shape, NAN)
            weights[int(np.argmin(close[10:60, 0])) + 10 :] = 0.3
            bars = Bars(
                panel.ts[first:], **{n: v[first:] for n, v in panel.fields.items()}, symbols=SYMBOLS
            )
            result = simulate(bars, Targets(weights[first:]))
            return Played(result, first, weights, decides_from=0)

        found = checked(play, panel, seed=seed)

        assert min(found.cuts) < 0
        assert found.first is not None
        assert (found.first.what, found.first.bar) == ("target", 0)

    @pytest.mark.parametrize("seed", range(5))
    def test_finds_a_dividend_that_is_paid_a_bar_early(self, seed):
        paid = np.zeros((120, 3))
        paid[60, 0] = 0.5
        panel = bars_panel(seed, n_bars=120, dividend=paid)

        def play(panel):
            early = {**panel.fields, "dividend": np.roll(panel["dividend"], -1, axis=0)}
            weights = by_the_past(panel["close"])
            weights[:, 0] = 0.3
            bars = Bars(panel.ts, **early, symbols=SYMBOLS)
            return Played(simulate(bars, Targets(weights)), 0, weights)

        found = checked(play, panel, seed=seed)

        assert 59 in found.cuts
        assert (found.first.what, found.first.bar) == ("action", 59)

    @pytest.mark.parametrize("way", [1.0, -1.0])
    def test_finds_what_only_a_rise_or_a_fall_would_change(self, way):
        """One random leap would find it at every second cut."""
        flat = bars_panel(n_bars=120)
        for values in flat.fields.values():
            values[:] = 50.0

        def decide(close):
            return np.full(close.shape, 0.3 if way * (close[-1, 0] - 50.0) > 0.0 else 0.1)

        found = [checked(playing(decide), flat, seed) for seed in range(8)]

        n_cuts = sum(len(one.cuts) for one in found)
        assert sum(len(one.differences) for one in found) > 0.9 * n_cuts

    def test_takes_no_more_memory_than_it_says(self):
        panel = wide_panel(0, n_bars=1000, n_assets=60)
        play = playing_bars(lambda bars: by_the_past(bars["close"]))
        base = play(panel)
        tracemalloc.start()

        check_prefixes(panel, base, play, np.random.default_rng(1))

        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert 0.4 * bytes_needed(panel, base) < peak < bytes_needed(panel, base)


class TestChooseCuts:
    def cuts_of(self, base, panel, seed=3):
        return choose_cuts(panel, base, np.random.default_rng(seed))

    def test_spreads_over_the_run_and_takes_bars_that_decide(self):
        panel = bars_panel(n_bars=240)
        base = playing(seldom_by_the_next_bar)(panel)

        cuts = self.cuts_of(base, panel)

        fills = base.result.fills["bar"]
        first = int(fills.min())
        spread = [cut for cut in cuts if cut > first and cut + 1 not in fills]
        assert {first - 1, first} <= set(cuts)
        assert N_CUTS <= len(cuts) <= N_CUTS + 5
        assert all(cut % 15 == 0 for cut in spread)
        assert max(cuts) < 239

    def test_are_more_where_more_is_decided(self):
        panel = bars_panel(n_bars=2500)
        base = playing(by_the_past)(panel)

        cuts = self.cuts_of(base, panel)

        assert count_decisions(base) == 2499
        assert MOST_CUTS <= len(cuts) <= MOST_CUTS + 5

    def test_look_into_the_stretch_before_the_first_fill(self):
        def late(close):
            weights = by_the_past(close)
            weights[:100] = NAN
            return weights

        panel = bars_panel(n_bars=120)
        base = playing(late)(panel)

        for seed in range(5):
            cuts = self.cuts_of(base, panel, seed)
            assert {100, 101} <= set(cuts)
            assert any(cut < 50 for cut in cuts)

    def test_are_where_other_bars_can_tell(self):
        def early(close):
            weights = np.full(close.shape, NAN)
            weights[5], weights[40] = 0.3, 0.0
            return weights

        panel = bars_panel(n_bars=400)
        base = playing(early)(panel)

        assert max(self.cuts_of(base, panel)) <= 41
        assert checked(playing(early), panel).n_responding >= 0.9 * len(self.cuts_of(base, panel))

    def test_of_two_bars_is_the_first(self):
        panel = bars_panel(n_bars=2)
        base = playing(by_the_past)(panel)

        assert self.cuts_of(base, panel) == (0,)
