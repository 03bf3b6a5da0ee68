"""Exits that an entry brings with it, and what one bar leaves open about them."""

import numpy as np
import pytest

from backtests.engine import (
    Account,
    Bars,
    Bracket,
    Callback,
    Compiled,
    Fills,
    Order,
    Orders,
    Targets,
    compiled,
    simulate,
)
from backtests.engine.dtypes import REDUCES_ONLY, OrderReason
from backtests.engine.errors import OrderError, SettingsError
from tests.backtests.engine.scenarios import DAY_NS, START_NS
from tests.backtests.engine.test_orders import BAR, FLAT, ends, make_bars, order, prices, run

NAN = float("nan")
RICH = Account(1_000_000.0, max_leverage=10.0)


def buy_with_bracket(t, view, params, desk):
    if t == 0:
        compiled.bracket(desk, 0, 10.0, params[0], params[1])


def guarded_by_hand(t, view, params, desk):
    """Hold 10 until bar 2, with a stop at 95 that no entry brought along."""
    if t == 0:
        compiled.target(desk, 0, 10.0)
    if t == 1:
        at = compiled.stop(desk, 0, -10.0, 95.0)
        desk.requests[at]["flags"] = REDUCES_ONLY
    if t == 2:
        compiled.target(desk, 0, 0.0)


def ways_to_enter(n_bars, stop_loss, take_profit):
    """Return the same bracketed purchase of 10 units, decided in each way there is."""
    both = Bracket(stop_loss, take_profit)
    values = np.full(n_bars, NAN)
    values[0] = 10.0
    entry = Order(0, 10.0, bracket=both, bar=0)
    return {
        "targets": Targets(values, "units", bracket=both),
        "orders": Orders([entry]),
        "compiled": Compiled(buy_with_bracket, [stop_loss, take_profit]),
        "callback": Callback(lambda view: entry if view.bar == 0 else None),
    }


class TestBracket:
    @pytest.mark.parametrize("way", ["targets", "orders", "compiled", "callback"])
    @pytest.mark.parametrize(
        ("bars", "exits", "ambiguous"),
        [
            # Bought at 100: the stop is at 95, the limit at 110.
            ([FLAT, FLAT, (100.0, 112.0, 99.0, 111.0)], [110.0], 0),
            ([FLAT, FLAT, (100.0, 101.0, 94.0, 96.0)], [95.0], 0),
            ([FLAT, FLAT, (93.0, 94.0, 92.0, 93.0)], [93.0], 0),  # gapped below the stop
            ([FLAT, FLAT, (115.0, 116.0, 114.0, 115.0)], [115.0], 0),  # and above the limit
            ([FLAT, FLAT, (100.0, 112.0, 94.0, 100.0)], [95.0], 1),  # both: the stop
            ([FLAT, (100.0, 111.0, 99.0, 100.0), FLAT], [110.0], 0),  # in the bar of the entry
            ([FLAT, (100.0, 101.0, 94.0, 100.0), FLAT], [95.0], 0),
            ([FLAT, FLAT, FLAT], [], 0),
        ],
    )
    def test_closes_what_its_entry_opened(self, way, bars, exits, ambiguous):
        result = simulate(make_bars(*bars), ways_to_enter(len(bars), 0.05, 0.1)[way], account=RICH)

        assert prices(result) == pytest.approx([100.0, *exits])
        assert result.fills["is_ambiguous"].tolist() == [0] + [ambiguous] * len(exits)
        assert result.positions()[-1].tolist() == [0.0 if exits else 10.0]

    @pytest.mark.parametrize(
        ("policy", "price"), [("pessimistic", 95.0), ("optimistic", 110.0), ("path", 110.0)]
    )
    def test_settles_what_is_ambiguous_by_the_policy_and_reports_the_range(self, policy, price):
        # Path: open 105, the high 112 is nearer than the low 94.
        bars = make_bars(FLAT, FLAT, (105.0, 112.0, 94.0, 100.0))
        decided = ways_to_enter(3, 0.05, 0.1)["targets"]

        result = simulate(bars, decided, fills=Fills(intrabar=policy), account=RICH)

        assert prices(result) == pytest.approx([100.0, price])
        assert result.ambiguity.n_fills == 1
        assert result.ambiguity.pessimistic == pytest.approx(1e6 - 50.0)  # 10 x (95 - 100)
        assert result.ambiguity.optimistic == pytest.approx(1e6 + 100.0)  # 10 x (110 - 100)
        text = {caveat.code: caveat.text for caveat in result.caveats}["ambiguous_fills"]
        assert text.startswith("1 fill depends on the order of events inside a bar")
        assert policy in text

    def test_has_no_ambiguity_where_nothing_depends_on_it(self):
        result = simulate(make_bars(FLAT, FLAT, FLAT), ways_to_enter(3, 0.05, 0.1)["targets"])

        assert result.ambiguity is None
        assert "ambiguous_fills" not in {caveat.code for caveat in result.caveats}

    @pytest.mark.parametrize(
        ("policy", "bar", "exits", "is_ambiguous"),
        [
            # Buy limit 100 in a bar that opens at 105; stop 95, limit 110.
            # Below the entry on the way down: certain.
            ("optimistic", (105.0, 106.0, 94.0, 101.0), [95.0], False),
            ("pessimistic", (105.0, 106.0, 94.0, 101.0), [95.0], False),
            # The high may have come before the entry: pessimistic does not believe in it.
            ("pessimistic", (105.0, 112.0, 99.0, 104.0), [], True),
            ("optimistic", (105.0, 112.0, 99.0, 104.0), [110.0], True),
            ("path", (105.0, 112.0, 99.0, 104.0), [], True),  # 99 is nearer: low first
            # The close is beyond the limit: certain.
            ("pessimistic", (105.0, 112.0, 99.0, 111.0), [110.0], False),
        ],
    )
    def test_knows_what_comes_after_an_entry_by_limit(self, policy, bar, exits, is_ambiguous):
        if policy == "path" and exits == []:
            bar = (107.0, 112.0, 99.0, 104.0)  # the high is nearer and comes before the entry
        entry = order(10, "limit", limit_price=100.0, bracket=Bracket(0.05, 0.1))

        result = run(make_bars(FLAT, bar), entry, fills=Fills(intrabar=policy))

        assert prices(result) == pytest.approx([100.0, *exits])
        assert (result.ambiguity is not None) == is_ambiguous

    def test_guards_shorts_the_other_way_round(self):
        bars = make_bars(FLAT, FLAT, (100.0, 106.0, 99.0, 105.0))

        result = run(bars, order(-10, bracket=Bracket(0.05, 0.1)))

        assert prices(result) == pytest.approx([100.0, 105.0])

    @pytest.mark.parametrize(("stop_loss", "take_profit"), [(0.05, None), (None, 0.1)])
    def test_may_have_one_exit_alone(self, stop_loss, take_profit):
        bars = make_bars(FLAT, FLAT, (100.0, 112.0, 94.0, 100.0))

        result = run(bars, order(10, bracket=Bracket(stop_loss, take_profit)))

        assert prices(result) == pytest.approx([100.0, 95.0 if stop_loss else 110.0])
        assert result.ambiguity is None

    @pytest.mark.parametrize(
        ("units", "exits", "name"),
        [(1.0, Bracket(stop_loss=5.0), "stop_loss of 5"),
         (-1.0, Bracket(take_profit=1.0), "take_profit of 1")],
    )  # fmt: skip
    def test_is_refused_where_no_price_reaches_an_exit(self, units, exits, name):
        with pytest.raises(OrderError, match=rf"Order 0 of bar 0 for 0 has a {name} times"):
            Orders([Order(0, units, bar=0, bracket=exits)])
        with pytest.raises(SettingsError, match=rf"Targets.bracket has a {name} times .* 5 %"):
            Targets([units, NAN], "units", bracket=exits)

        Orders([Order(0, -units, bar=0, bracket=exits)])  # the other way round it may be meant
        Targets([-units, NAN], "units", bracket=exits)

    def test_ends_when_the_position_is_closed_otherwise(self):
        bars = make_bars(FLAT, FLAT, FLAT, (94.0, 112.0, 90.0, 100.0))

        result = run(bars, order(10, bracket=Bracket(0.05, 0.1)), order(-10, bar=1))

        assert prices(result) == [100.0, 100.0]
        assert ends(result)[1:3] == [("CANCELLED", "POSITION_CLOSED")] * 2

    def test_never_sells_more_than_is_held(self):
        bars = make_bars(FLAT, FLAT, FLAT, (94.0, 95.0, 90.0, 92.0))

        result = run(bars, order(10, bracket=Bracket(0.05, 0.1)), order(-4, bar=1))

        assert result.fills["quantity"].tolist() == [10.0, -4.0, -6.0]

    @pytest.mark.parametrize("n_copies", [1, 2])
    @pytest.mark.parametrize(
        ("target", "fills", "held"),
        [
            (0.0, [10.0, -10.0], 0.0),
            (4.0, [10.0, -6.0, -4.0], 0.0),  # the stop sells what the target leaves
            (-5.0, [10.0, -15.0], -5.0),
        ],
    )
    def test_closes_once_what_a_target_closes_too(self, n_copies, target, fills, held):
        # Decided at a close of 97, opened at 94: the target's order and the stop at 95 both fill.
        down = (94.0, 95.0, 93.0, 94.0)
        bars = make_bars(FLAT, FLAT, (100.0, 101.0, 96.0, 97.0), down, down, n_copies=n_copies)
        values = np.full((5, n_copies), NAN)
        values[[0, 2], 0] = [10.0, target]

        result = simulate(bars, Targets(values, "units", bracket=Bracket(0.05, 0.5)), account=RICH)

        assert result.fills["quantity"].tolist() == fills
        assert set(result.fills["bar"][1:].tolist()) == {3}
        assert result.positions()[-1, 0] == held

    @pytest.mark.parametrize(("target", "held"), [(0.0, 0.0), (4.0, 0.0), (-5.0, -5.0)])
    def test_closes_once_what_a_late_target_closes_too(self, target, held):
        # The stop fills in bar 3; the target of bar 2 works from bar 5 on.
        down = (97.0, 98.0, 93.0, 94.0)
        bars = make_bars(FLAT, FLAT, FLAT, FLAT, FLAT, down, down, down, down)
        values = np.array([10.0, NAN, NAN, NAN, target, NAN, NAN, NAN, NAN])
        decided = Targets(values, "units", bracket=Bracket(0.05, 0.5))

        result = simulate(bars, decided, fills=Fills(latency_bars=2), account=RICH)

        assert result.positions()[-1].tolist() == [held]
        if held == 0.0:
            assert result.fills["quantity"].tolist() == [10.0, -10.0]
            assert ends(result)[-1] == ("CANCELLED", "POSITION_CLOSED")

    def test_closes_once_what_an_order_closes_too(self):
        bars = make_bars(FLAT, FLAT, (100.0, 101.0, 96.0, 97.0), (94.0, 95.0, 93.0, 94.0))

        result = run(bars, order(10, bracket=Bracket(0.05, 0.5)), order(-10, bar=2))

        assert result.fills["quantity"].tolist() == [10.0, -10.0]
        assert ends(result)[1:3] == [("CANCELLED", "POSITION_CLOSED")] * 2

    def test_is_not_bought_again_for_a_part_that_was_to_be_kept(self):
        # 0.5 of 0.9 was to be kept; the stop at 95 sells all of it before that order's turn.
        bars = make_bars(FLAT, FLAT, FLAT, (98.0, 99.0, 94.0, 96.0), FLAT)
        targets = Targets([0.9, NAN, 0.5, NAN, NAN], bracket=Bracket(0.05, 0.5), sized_at="fill")

        result = simulate(bars, targets, fills=Fills("next_close"), account=RICH)

        assert result.positions()[-1].tolist() == [0.0]
        assert prices(result) == [100.0, 95.0]

    def test_comes_with_what_turns_out_to_enlarge_at_its_fill(self):
        # Decided as a sale at a close of 106, filled as a purchase at 80: its stop is at 76.
        bars = make_bars(FLAT, (100.0, 106.0, 100.0, 106.0), (80.0, 81.0, 79.0, 80.0),
                         (75.0, 76.0, 74.0, 75.0))  # fmt: skip
        targets = Targets([0.5, 0.5, NAN, NAN], bracket=Bracket(0.05), sized_at="fill")

        result = simulate(bars, targets)

        bought = result.fills["quantity"] > 0.0
        assert result.fills["quantity"][bought].sum() == pytest.approx(
            -result.fills["quantity"][~bought].sum()
        )
        assert result.positions()[-1].tolist() == [0.0]

    def test_guards_the_rest_of_an_entry_after_a_first_part_was_sold(self):
        # 5 of 10 bought and sold again; the other 5 come later and have their stop at 95.
        dear, down = (101.0, 102.0, 101.0, 101.0), (94.0, 95.0, 93.0, 94.0)
        bars = make_bars(FLAT, FLAT, dear, FLAT, down, volume=[50.0, 50.0, 50.0, 50.0, 500.0])
        entry = order(10, "limit", limit_price=100.0, bracket=Bracket(0.05, 0.5))

        result = run(bars, entry, order(-5, bar=1), fills=Fills(max_participation=0.1))

        assert result.fills["quantity"].tolist() == [5.0, -5.0, 5.0, -5.0]
        assert prices(result)[-1] == 94.0

    def test_shrinks_a_waiting_target_whoever_placed_the_exit(self):
        bars = make_bars(FLAT, FLAT, FLAT, (98.0, 99.0, 94.0, 96.0), FLAT, FLAT)

        result = simulate(bars, Compiled(guarded_by_hand), fills=Fills("next_close"), account=RICH)

        assert result.fills["quantity"].tolist() == [10.0, -10.0]
        assert result.positions()[-1].tolist() == [0.0]

    def test_ends_the_rest_of_an_entry_with_its_exit(self):
        # 10 of 30 bought in bar 1, stopped out in bar 2: the 20 that still wait are withdrawn.
        bars = make_bars(FLAT, FLAT, (94.0, 95.0, 90.0, 92.0), FLAT, volume=[100.0, 100, 400, 400])
        entry = order(30, "limit", limit_price=100.0, bracket=Bracket(0.05, 0.1))

        result = run(bars, entry, fills=Fills(max_participation=0.1))

        assert result.positions()[-1].tolist() == [0.0]
        assert OrderReason.SIBLING_FILLED in result.orders["reason"].tolist()

    def test_brings_exits_with_every_target_that_enlarges(self):
        # 10 at 100 (stop 95), 10 more at 110 (stop 104.5): the later stop is met first.
        high = (110.0, 110.0, 110.0, 110.0)
        bars = make_bars(FLAT, FLAT, high, (104.0, 104.0, 104.0, 104.0), (94.0, 94.0, 94.0, 94.0))
        targets = Targets([10.0, 20.0, NAN, NAN, NAN], "units", bracket=Bracket(0.05))

        result = simulate(bars, targets, account=RICH)

        assert prices(result) == [100.0, 110.0, 104.0, 94.0]
        assert result.fills["quantity"].tolist() == [10.0, 10.0, -10.0, -10.0]

    def test_is_adjusted_for_splits(self):
        half = (50.0, 50.0, 50.0, 50.0)
        bars = make_bars(FLAT, FLAT, half, (50.0, 50.0, 47.0, 48.0),
                         split=[NAN, NAN, 2.0, NAN])  # fmt: skip

        result = run(bars, order(10, bracket=Bracket(0.05, 0.1)))

        assert prices(result) == [100.0, 47.5]
        assert result.fills["quantity"].tolist() == [10.0, -20.0]

    def test_lands_on_ticks_that_cost_the_account(self):
        # 5 % below 100.5 is 95.475: rounded down to 95.25; 10 % above is 110.55: up to 110.75.
        up = (100.5, 100.5, 100.5, 100.5)
        result = run(make_bars(FLAT, up, tick_size=0.25), order(10, bracket=Bracket(0.05, 0.1)))

        assert result.orders["stop_price"][1] == 95.25
        assert result.orders["limit_price"][2] == 110.75


class TestReducesOnly:
    def test_fills_nothing_without_a_position(self):
        result = run(make_bars(FLAT, BAR), order(-1, "stop", stop_price=95.0, reduces_only=True))

        assert prices(result) == []

    def test_sells_at_the_open_that_gapped_over_its_stop(self):
        bars = make_bars(FLAT, (90.0, 92.0, 89.0, 91.0))
        guard = order(-1, "stop", stop_price=95.0, reduces_only=True)

        result = run(bars, order(1), guard)  # bought at 90, already below the stop

        assert prices(result) == [90.0, 90.0]

    def test_waits_for_the_close_after_the_one_that_opened_its_position(self):
        # Bars of closes alone: bought at 94, below its stop of 95, and not sold there too.
        closes = np.array([100.0, 100.0, 94.0, 97.0, 93.0])
        bars = Bars(START_NS + np.arange(5) * DAY_NS, closes, symbols="A")
        guard = order(-10, "stop", stop_price=95.0, reduces_only=True, bar=1)

        assert prices(run(bars, order(10, bar=1), guard)) == [94.0, 93.0]

    def test_sells_at_the_close_of_the_bar_whose_open_was_bought_whatever_orders_the_inside(self):
        bars = make_bars(FLAT, FLAT, (100.0, 103.0, 99.0, 102.0), FLAT)
        ends = START_NS + np.arange(8) * (DAY_NS // 2) - DAY_NS // 2
        table = np.repeat(np.array([FLAT, FLAT, (100.0, 103.0, 99.0, 102.0), FLAT]), 2, axis=0)
        table[4, 3] = table[5, 0] = 102.0
        finer = Bars(ends, table[:, 3], table[:, 0], table[:, 1], table[:, 2], symbols="A")
        asked = order(10, bar=1), order(-10, "market_on_close", reduces_only=True, bar=1)

        assert prices(run(bars, *asked)) == [100.0, 102.0]
        assert prices(run(bars, *asked, intrabar=finer)) == [100.0, 102.0]

    def test_is_booked_after_what_enlarges_the_position(self):
        # Long 5; one open at 90 meets a purchase of 10 and a stop of 15: nothing is left.
        down = (90.0, 91.0, 89.0, 90.0)
        guard = order(-15, "stop", stop_price=95.0, reduces_only=True, bar=1)

        result = run(make_bars(FLAT, FLAT, down, down), order(5), guard, order(10, bar=1))

        assert result.fills["quantity"].tolist() == [5.0, 10.0, -15.0]
        assert result.positions()[-1].tolist() == [0.0]

    def test_finds_the_volume_that_a_refused_order_left(self):
        # Ten units of volume at 90; the purchase that comes first cannot be paid.
        down = (90.0, 91.0, 89.0, 90.0)
        bars = make_bars(FLAT, FLAT, down, FLAT, volume=[1000.0, 1000.0, 100.0, 1000.0])
        asked = order(10, bracket=Bracket(0.05, 0.5)), order(10, bar=1)

        result = run(bars, *asked, fills=Fills(max_participation=0.1), account=Account(1000.0))

        assert prices(result) == [100.0, 90.0]

    @pytest.mark.parametrize(("policy", "exits"), [("pessimistic", []), ("optimistic", [103.0])])
    def test_does_not_use_what_may_have_come_before_the_position(self, policy, exits):
        # Bought by limit at 100 in a bar that opens at 102.5; 103 may have come before.
        bars = make_bars(FLAT, (102.5, 103.5, 99.0, 101.0))
        entry = order(1, "limit", limit_price=100.0)
        gain = order(-1, "limit", limit_price=103.0, reduces_only=True)

        result = run(bars, entry, gain, fills=Fills(intrabar=policy))

        assert prices(result) == [100.0, *exits]
        assert result.ambiguity.n_fills == 1


class TestIntrabar:
    def finer(self, *bars):
        """Return two finer bars for each of three days, the last two of the third day given."""
        table = np.array([FLAT] * 4 + list(bars), float)
        ends = START_NS + np.repeat(np.arange(3), 2) * DAY_NS - np.tile([DAY_NS // 2, 0], 3)
        return Bars(ends, table[:, 3], table[:, 0], table[:, 1], table[:, 2], symbols="A")

    @pytest.mark.parametrize(
        ("first", "second", "price"),
        [
            ((100.0, 112.0, 99.0, 108.0), (108.0, 108.0, 94.0, 100.0), 110.0),
            ((100.0, 101.0, 94.0, 96.0), (96.0, 112.0, 96.0, 100.0), 95.0),
            # A gap between the finer bars: their open is what is paid.
            ((100.0, 101.0, 99.0, 99.0), (94.0, 112.0, 94.0, 100.0), 94.0),
        ],
    )
    def test_tells_what_the_bar_does_not(self, first, second, price):
        bars = make_bars(FLAT, FLAT, (100.0, 112.0, 94.0, 100.0))
        decided = ways_to_enter(3, 0.05, 0.1)["targets"]

        result = simulate(bars, decided, intrabar=self.finer(first, second), account=RICH)

        assert prices(result) == pytest.approx([100.0, price])
        assert result.ambiguity is None

    def test_finds_what_the_bar_itself_does_not_show(self):
        # The range of the third bar ends at 99, one of its finer bars reaches 94.
        bars = make_bars(FLAT, FLAT, (100.0, 101.0, 99.0, 100.0))
        finer = self.finer((100.0, 100.0, 94.0, 98.0), (98.0, 101.0, 98.0, 100.0))
        decided = ways_to_enter(3, 0.05, 0.1)

        for way in decided.values():
            assert prices(simulate(bars, way, intrabar=finer, account=RICH)) == [100.0, 95.0]

    def test_wakes_exits_at_the_open_of_the_finer_bar_that_filled_the_entry(self):
        # The second half opens at 98, below the limit of 99: bought at 98; 10 % more is 107.8.
        bars = make_bars(FLAT, FLAT, (100.0, 108.0, 97.0, 100.0))
        finer = self.finer((100.0, 100.0, 99.5, 99.5), (98.0, 108.0, 97.0, 100.0))
        entry = order(10, "limit", limit_price=99.0, bracket=Bracket(0.05, 0.1), bar=1)

        result = simulate(bars, Orders([entry]), intrabar=finer, account=RICH)

        assert prices(result) == pytest.approx([98.0, 107.8])
        assert result.ambiguity is None
