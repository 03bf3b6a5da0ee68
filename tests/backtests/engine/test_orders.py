"""Every kind of order against bars worked by hand."""

from dataclasses import replace

import numpy as np
import pytest

from backtests.engine import Account, Bars, Fills, Order, Orders, simulate
from backtests.engine.dtypes import OrderReason, OrderStatus
from tests.backtests.engine.scenarios import DAY_NS, START_NS

NAN = float("nan")
HOUR_NS = DAY_NS // 24
# One order decided at bar 0 meets bar 1: open 100, high 110, low 90, close 104.
FLAT = (100.0, 100.0, 100.0, 100.0)
BAR = (100.0, 110.0, 90.0, 104.0)


def make_bars(*bars, step_ns=DAY_NS, n_copies=1, **columns):
    """Return bars of one instrument, or of copies of it, from (open, high, low, close) each."""
    table = np.repeat(np.array(bars, float)[:, :, None], n_copies, axis=2)
    ts = START_NS + np.arange(len(bars)) * step_ns
    symbols = [chr(ord("A") + copy) for copy in range(n_copies)]
    columns = {name: np.asarray(values, float) for name, values in columns.items()}
    session = columns.pop("session", None)
    return Bars(ts, table[:, 3], table[:, 0], table[:, 1], table[:, 2], symbols=symbols,
                session=None if session is None else session.astype(int), **columns)  # fmt: skip


def run(bars, *orders, **more):
    more.setdefault("account", Account(1_000_000.0, max_leverage=10.0))
    return simulate(bars, Orders([o if o.bar >= 0 else replace(o, bar=0) for o in orders]),
                    **more)  # fmt: skip


def prices(result):
    return result.fills["reference_price"].tolist()


def ends(result):
    return [
        (OrderStatus(order["status"]).name, OrderReason(order["reason"]).name)
        for order in result.orders
    ]


def order(quantity, kind="market", **more):
    return Order(0, float(quantity), kind, **more)


class TestOrder:
    @pytest.mark.parametrize(
        ("asked", "bar", "price"),
        [
            # At the market: the open; on the close: the close.
            (order(1), BAR, 100.0),
            (order(-1), BAR, 100.0),
            (order(1, "market_on_open"), BAR, 100.0),
            (order(-1, "market_on_open"), BAR, 100.0),
            (order(1, "market_on_close"), BAR, 104.0),
            (order(-1, "market_on_close"), BAR, 104.0),
            # Limits: at the open when that is better, at the limit inside, or not at all.
            (order(1, "limit", limit_price=102.0), BAR, 100.0),
            (order(1, "limit", limit_price=95.0), BAR, 95.0),
            (order(1, "limit", limit_price=90.0), BAR, 90.0),
            (order(1, "limit", limit_price=89.0), BAR, None),
            (order(-1, "limit", limit_price=98.0), BAR, 100.0),
            (order(-1, "limit", limit_price=105.0), BAR, 105.0),
            (order(-1, "limit", limit_price=110.0), BAR, 110.0),
            (order(-1, "limit", limit_price=111.0), BAR, None),
            # Stops: at the open when that is worse, at the stop inside, or not at all.
            (order(1, "stop", stop_price=98.0), BAR, 100.0),
            (order(1, "stop", stop_price=105.0), BAR, 105.0),
            (order(1, "stop", stop_price=110.0), BAR, 110.0),
            (order(1, "stop", stop_price=111.0), BAR, None),
            (order(-1, "stop", stop_price=102.0), BAR, 100.0),
            (order(-1, "stop", stop_price=95.0), BAR, 95.0),
            (order(-1, "stop", stop_price=90.0), BAR, 90.0),
            (order(-1, "stop", stop_price=89.0), BAR, None),
            # Stop-limits whose limit allows the stop: as stops, unless they gap beyond the limit.
            (order(1, "stop_limit", stop_price=105.0, limit_price=107.0), BAR, 105.0),
            (order(1, "stop_limit", stop_price=98.0, limit_price=101.0), BAR, 100.0),
            (order(1, "stop_limit", stop_price=98.0, limit_price=99.0), BAR, 99.0),
            (order(1, "stop_limit", stop_price=111.0, limit_price=112.0), BAR, None),
            (order(-1, "stop_limit", stop_price=95.0, limit_price=93.0), BAR, 95.0),
            (order(-1, "stop_limit", stop_price=102.0, limit_price=99.0), BAR, 100.0),
            (order(-1, "stop_limit", stop_price=102.0, limit_price=101.0), BAR, 101.0),
            (order(-1, "stop_limit", stop_price=89.0, limit_price=80.0), BAR, None),
            # Trails from the close of the decision, 100: stops at 107, 93, 110, 90.
            (order(1, "trailing_stop", trail=7.0), BAR, 107.0),
            (order(-1, "trailing_stop", trail=7.0), BAR, 93.0),
            (order(1, "trailing_stop", trail=0.1, trail_is_fraction=True), BAR, 110.0),
            (order(-1, "trailing_stop", trail=0.1, trail_is_fraction=True), BAR, 90.0),
            (order(-1, "trailing_stop", trail=11.0), BAR, None),
            (order(1, "trailing_stop", trail=11.0), BAR, None),
            # Gapped: the open.
            (order(-1, "trailing_stop", trail=7.0), (80.0, 85.0, 79.0, 82.0), 80.0),
            (order(1, "trailing_stop", trail=7.0), (120.0, 125.0, 119.0, 122.0), 120.0),
        ],
    )
    def test_meets_a_bar_at_the_price_of_its_kind(self, asked, bar, price):
        result = run(make_bars(FLAT, bar), asked)

        assert prices(result) == ([] if price is None else pytest.approx([price]))
        assert ends(result) == [("WORKING", "END_OF_BARS") if price is None else ("FILLED", "NONE")]

    @pytest.mark.parametrize(
        ("asked", "touch", "through"),
        [
            (order(1, "limit", limit_price=90.0), [90.0], []),
            (order(-1, "limit", limit_price=110.0), [110.0], []),
            (order(1, "limit", limit_price=100.0), [100.0], [100.0]),  # the low is beyond
            (order(1, "limit", limit_price=91.0), [91.0], [91.0]),
            (order(1, "stop", stop_price=110.0), [110.0], [110.0]),  # stops are not limits
        ],
    )
    def test_must_be_traded_through_when_asked(self, asked, touch, through):
        bars = make_bars(FLAT, BAR)

        assert prices(run(bars, asked)) == touch
        assert prices(run(bars, asked, fills=Fills(limit_fill="through"))) == through

    @pytest.mark.parametrize(
        ("policy", "close", "filled"),
        [
            # A buy stop at 105 with a limit at 95 behind it: high 110 first, then low 90?
            ("pessimistic", 104.0, []),
            ("optimistic", 104.0, [95.0]),
            # The close has come back to the limit: certain under each policy.
            ("pessimistic", 94.0, [95.0]),
            ("optimistic", 94.0, [95.0]),
            # Path 100 -> 90 -> 110 -> close: after the stop at 105 only the close comes back.
            ("path", 104.0, []),
            ("path", 94.0, [95.0]),
        ],
    )
    def test_waits_for_a_limit_behind_its_stop(self, policy, close, filled):
        bars = make_bars(FLAT, (100.0, 110.0, 90.0, close))
        asked = order(1, "stop_limit", stop_price=105.0, limit_price=95.0)

        result = run(bars, asked, fills=Fills(intrabar=policy))

        assert prices(result) == filled
        assert (result.ambiguity is not None) == (close > 95.0)  # or else the close settles it

    def test_becomes_a_limit_once_its_stop_was_met(self):
        bars = make_bars(FLAT, (100.0, 110.0, 99.0, 104.0), (104.0, 104.0, 94.0, 96.0))

        result = run(bars, order(1, "stop_limit", stop_price=105.0, limit_price=95.0))

        assert result.fills["bar"].tolist() == [2]
        assert prices(result) == [95.0]

    def test_trails_the_best_price_of_the_bars_it_has_seen_and_never_back(self):
        # Stop 97 from the close 100; after high 110: 107; after high 108 still 107.
        bars = make_bars(
            FLAT, (100.0, 110.0, 99.0, 109.0), (108.5, 108.8, 107.5, 108.0),
            (108.0, 108.0, 106.0, 107.0),
        )  # fmt: skip

        result = run(bars, order(-1, "trailing_stop", trail=3.0))

        assert result.fills["bar"].tolist() == [3]
        assert prices(result) == [107.0]

    def test_trails_by_a_fraction_of_the_best_price(self):
        # Buys back 10 % above the lowest low, 80: at 88.
        bars = make_bars(FLAT, (100.0, 101.0, 80.0, 82.0), (82.0, 90.0, 81.0, 90.0))

        result = run(bars, order(1, "trailing_stop", trail=0.1, trail_is_fraction=True))

        assert result.fills["bar"].tolist() == [2]
        assert prices(result) == pytest.approx([88.0])

    def test_starts_a_trail_at_a_given_stop(self):
        result = run(make_bars(FLAT, BAR), order(-1, "trailing_stop", trail=50.0, stop_price=99.0))

        assert prices(result) == [99.0]

    def test_waits_through_bars_in_which_nothing_trades(self):
        nothing = (NAN, NAN, NAN, NAN)
        bars = make_bars(FLAT, nothing, BAR)
        kinds = [order(1), order(1, "limit", limit_price=95.0), order(1, "market_on_close")]

        result = run(bars, *kinds)

        assert result.fills["bar"].tolist() == [2, 2, 2]
        assert prices(result) == [100.0, 95.0, 104.0]

    def test_waits_for_its_latency(self):
        bars = make_bars(FLAT, BAR, BAR, (120.0, 120.0, 120.0, 120.0))

        result = run(bars, order(1), fills=Fills(latency_bars=2))

        assert result.fills["bar"].tolist() == [3]


class TestTimeInForce:
    TOUCHED_LATE = (FLAT, FLAT, FLAT, BAR)

    @pytest.mark.parametrize(
        ("force", "more", "end"),
        [
            ("gtc", {}, ("FILLED", "NONE")),
            ("day", {}, ("CANCELLED", "EXPIRED")),
            ("ioc", {}, ("CANCELLED", "NOT_AT_ONCE")),
            ("fok", {}, ("CANCELLED", "NOT_AT_ONCE")),
            ("gtd", {"good_until": START_NS + 3 * DAY_NS}, ("FILLED", "NONE")),
            ("gtd", {"good_until": START_NS + 3 * DAY_NS - 1}, ("CANCELLED", "EXPIRED")),
        ],
    )
    def test_says_how_long_an_order_waits(self, force, more, end):
        asked = order(1, "limit", limit_price=95.0, time_in_force=force, **more)

        result = run(make_bars(*self.TOUCHED_LATE), asked)

        assert ends(result) == [end]

    def test_ends_a_day_order_with_the_session_of_its_first_bar(self):
        late = (*[FLAT] * 5, BAR)
        asked = order(1, "limit", limit_price=95.0, time_in_force="day")

        same = run(make_bars(*late, session=[0, 0, 0, 0, 0, 0]), asked)
        next_one = run(make_bars(*late, session=[0, 1, 1, 1, 1, 2]), asked)
        whole = run(make_bars(*late, session=[0, 1, 1, 1, 1, 1]), asked)

        assert ends(same) == ends(whole) == [("FILLED", "NONE")]
        assert ends(next_one) == [("CANCELLED", "EXPIRED")]
        assert next_one.orders["closed_bar"].tolist() == [5]

    def test_takes_the_utc_day_for_the_session_and_midnight_for_its_end(self):
        # Bars of six hours that end at 0, 6, 12, 18, 24 (bar 4) and 30 o'clock.
        asked = order(1, "limit", limit_price=95.0, time_in_force="day")

        at_midnight = run(make_bars(*[FLAT] * 4, BAR, step_ns=6 * HOUR_NS), asked)
        after = run(make_bars(*[FLAT] * 5, BAR, step_ns=6 * HOUR_NS), asked)

        assert ends(at_midnight) == [("FILLED", "NONE")]
        assert ends(after) == [("CANCELLED", "EXPIRED")]

    def test_ends_a_child_with_the_session_in_which_it_woke(self):
        sessions = [0, 1, 2, 2, 3]
        bars = make_bars(FLAT, FLAT, BAR, FLAT, BAR, session=sessions)
        entry = order(1, "limit", limit_price=95.0)
        child = order(-1, "limit", limit_price=109.0, time_in_force="day", parent=0)

        result = run(bars, entry, child)  # woken in session 2; bar 4 would have filled it

        assert ends(result)[1] == ("CANCELLED", "EXPIRED")

    @pytest.mark.parametrize(
        ("force", "filled", "end"),
        [
            ("gtc", [10.0, 5.0], ("FILLED", "NONE")),
            ("day", [10.0], ("PARTLY_FILLED", "EXPIRED")),
            ("ioc", [10.0], ("PARTLY_FILLED", "NOT_AT_ONCE")),
            ("fok", [], ("CANCELLED", "NOT_AT_ONCE")),
        ],
    )
    @pytest.mark.parametrize("kind", ["market", "limit"])
    def test_decides_about_what_the_volume_leaves(self, kind, force, filled, end):
        bars = make_bars(FLAT, BAR, BAR, volume=[100.0] * 3)
        more = {"limit_price": 95.0} if kind == "limit" else {}

        result = run(bars, order(15, kind, time_in_force=force, **more),
                     fills=Fills(max_participation=0.1))  # fmt: skip

        assert result.fills["quantity"].tolist() == filled
        assert ends(result) == [end]

    def test_sells_what_volume_left_of_a_stop_without_waiting_for_it_again(self):
        # The stop at 95 is met in bar 1; the other 5 go at the open of bar 2, 104.
        bars = make_bars(FLAT, BAR, (104.0, 105.0, 103.0, 104.0), volume=[100.0] * 3)

        result = run(bars, order(-15, "stop", stop_price=95.0), fills=Fills(max_participation=0.1))

        assert result.fills["quantity"].tolist() == [-10.0, -5.0]
        assert prices(result) == [95.0, 104.0]


class TestGroup:
    def test_lets_one_cancel_the_other(self):
        pair = [order(1, "limit", limit_price=95.0, group=1),
                order(-1, "limit", limit_price=120.0, group=1)]  # fmt: skip

        result = run(make_bars(FLAT, BAR, (125.0, 125.0, 125.0, 125.0)), *pair)

        assert prices(result) == [95.0]
        assert ends(result) == [("FILLED", "NONE"), ("CANCELLED", "SIBLING_FILLED")]

    @pytest.mark.parametrize(
        ("policy", "price"), [("pessimistic", 108.0), ("optimistic", 95.0), ("path", 95.0)]
    )
    def test_is_ambiguous_when_one_bar_reaches_both(self, policy, price):
        pair = [order(1, "limit", limit_price=95.0, group=1),
                order(1, "stop", stop_price=108.0, group=1)]  # fmt: skip

        # The path goes to the low first: 100 -> 90 and 110 are as near.
        result = run(make_bars(FLAT, BAR), *pair, fills=Fills(intrabar=policy))

        assert prices(result) == [price]
        assert result.fills["is_ambiguous"].tolist() == [1]

    def test_keeps_groups_of_other_bars_and_numbers_apart(self):
        asked = [order(1, "limit", limit_price=95.0, group=1),
                 order(1, "limit", limit_price=94.0, group=2),
                 order(1, "limit", limit_price=93.0, group=1, bar=1)]  # fmt: skip

        result = run(make_bars(FLAT, FLAT, BAR), *asked)

        assert sorted(prices(result)) == [93.0, 94.0, 95.0]

    def test_shrinks_by_what_a_sibling_filled_in_part(self):
        # 10 of 15 bought in bar 1; the short straddle side shrinks from 15 to 5 too.
        bars = make_bars(FLAT, BAR, (94.0, 94.0, 94.0, 94.0), volume=[100.0] * 3)
        pair = [order(15, "limit", limit_price=95.0, group=1),
                order(-15, "stop", stop_price=86.0, group=1)]  # fmt: skip

        result = run(bars, *pair, fills=Fills(max_participation=0.1))

        assert result.fills["quantity"].tolist() == [10.0, 5.0]
        assert result.orders["quantity"].tolist() == [15.0, -5.0]
        assert ends(result)[1] == ("CANCELLED", "SIBLING_FILLED")


class TestParent:
    def test_wakes_its_children_with_its_fill(self):
        bars = make_bars(FLAT, (120.0, 121.0, 119.0, 120.0), BAR, (120.0, 121.0, 119.0, 120.0))
        entry = order(1, "limit", limit_price=95.0)
        child = order(-1, "limit", limit_price=115.0, parent=0)

        result = run(bars, entry, child)  # 115 was there in bar 1, but the child was not

        assert result.fills["bar"].tolist() == [2, 3]
        assert prices(result) == [95.0, 120.0]

    @pytest.mark.parametrize(
        "parent",
        [
            order(1, "limit", limit_price=50.0, time_in_force="ioc"),
            order(1, "limit", limit_price=50.0, time_in_force="day"),
        ],
    )
    def test_takes_its_children_with_it(self, parent):
        result = run(make_bars(FLAT, FLAT, FLAT), parent, order(-1, parent=0), order(1, parent=1))

        assert ends(result)[1:] == [("CANCELLED", "PARENT_CLOSED")] * 2

    def test_takes_its_children_with_it_when_refused_at_once(self):
        bars = make_bars(FLAT, FLAT, FLAT, lot_size=10.0)

        result = run(bars, order(3), order(-20, parent=0), order(-20, "stop", stop_price=9.0))

        assert ends(result) == [("REJECTED", "TOO_SMALL"), ("CANCELLED", "PARENT_CLOSED"),
                                ("WORKING", "END_OF_BARS")]  # fmt: skip

    def test_starts_the_trail_of_a_child_at_the_price_it_filled_at(self):
        bars = make_bars(FLAT, (102.0, 103.0, 101.0, 102.0), (102.0, 103.0, 98.5, 99.0))
        child = order(-1, "trailing_stop", trail=3.0, parent=0)

        result = run(bars, order(1), child)  # 102 - 3 = 99; after the high of 103: 100

        assert prices(result) == [102.0, 100.0]

    def test_prices_both_sides_of_a_stop_limit_below_a_long_entry(self):
        # 100 less 5 % is the stop, less 6 % the limit; the open of bar 2 gaps over the stop.
        bars = make_bars(FLAT, FLAT, (94.5, 96.0, 93.0, 94.0))
        child = order(-1, "stop_limit", stop_price=0.05, limit_price=0.06, parent=0, is_offset=True)

        result = run(bars, order(1), child)

        assert prices(result) == [100.0, 94.5]
