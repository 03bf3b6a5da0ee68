"""The ways of deciding: equal decisions give equal results, and nonsense gives an error."""

from dataclasses import replace

import numpy as np
import pytest
from numba import njit

from backtests.engine import (
    Account,
    Bars,
    Bracket,
    Callback,
    Cancel,
    Compiled,
    Order,
    Orders,
    Targets,
    compiled,
    runner,
    simulate,
)
from backtests.engine.dtypes import OrderReason, OrderStatus
from backtests.engine.errors import (
    OrderError,
    SettingsError,
    ShapeError,
    StrategyError,
    TargetsError,
)
from tests.backtests.engine.scenarios_full import make_full
from tests.backtests.engine.test_orders import FLAT, make_bars, order

NAN = float("nan")


def follow_plan(t, view, params, desk):
    for asset in range(view.close.shape[1]):
        value = params[t * view.close.shape[1] + asset]
        if not np.isnan(value):
            compiled.target(desk, asset, value)


def ask_orders(t, view, params, desk):
    price = view.close[t, 0]
    if t % 3 == 0:
        compiled.market(desk, 0, 5.0)
    if t % 4 == 1:
        compiled.limit(desk, 0, 3.0, 0.99 * price)
    if t % 5 == 2:
        compiled.bracket(desk, 0, 4.0, 0.02, 0.03)
    if t % 7 == 3:
        compiled.stop(desk, 0, -2.0, 0.97 * price)
    if t % 7 == 5:
        compiled.stop_limit(desk, 0, -2.0, 0.99 * price, 0.98 * price)
    if t % 11 == 6:
        compiled.trailing_stop(desk, 0, -3.0, 0.02, True)
    if t % 13 == 12:
        compiled.cancel_all(desk, 0)


def same_orders(t, price):
    if t % 3 == 0:
        yield Order(0, 5.0, bar=t)
    if t % 4 == 1:
        yield Order(0, 3.0, "limit", limit_price=0.99 * price, bar=t)
    if t % 5 == 2:
        yield Order(0, 4.0, bracket=Bracket(0.02, 0.03), bar=t)
    if t % 7 == 3:
        yield Order(0, -2.0, "stop", stop_price=0.97 * price, bar=t)
    if t % 7 == 5:
        yield Order(0, -2.0, "stop_limit", stop_price=0.99 * price, limit_price=0.98 * price, bar=t)
    if t % 11 == 6:
        yield Order(0, -3.0, "trailing_stop", trail=0.02, trail_is_fraction=True, bar=t)


def asked(view):
    found = [*same_orders(view.bar, float(view.close[-1, 0]))]
    return [*found, Cancel(instrument=0)] if view.bar % 13 == 12 else found


def raises(t, view, params, desk):
    if t == 1:
        raise ValueError("enough")


def writes_outside(t, view, params, desk):
    desk.requests[10_000]["quantity"] = 1.0


def writes_into_targets_outside(t, view, params, desk):
    compiled.target(desk, 5, 1.0)


def reads_ahead(t, view, params, desk):
    compiled.market(desk, 0, view.close[t + 1, 0])


def writes_into_its_view(t, view, params, desk):
    view.close[t, 0] = 1.0


def imports(t, view, params, desk):
    import math  # noqa: F401


def raises_once(t, view, params, desk):
    params[0] += 1.0
    if params[0] == 1.0:
        raise ValueError("once")


def asks_too_much(t, view, params, desk):
    for _ in range(65):
        compiled.market(desk, 0, 1.0)


def asks_nothing_of_nobody(t, view, params, desk):
    if t == 1:
        compiled.market(desk, 7, 1.0)


def asks_for_no_units(t, view, params, desk):
    if t == 1:
        compiled.market(desk, 0, 0.0)


def targets_infinity(t, view, params, desk):
    compiled.target(desk, 0, np.inf)


@njit
def _peek(close, t):
    return close[t + 1, 0]


def reads_ahead_by_a_helper(t, view, params, desk):
    compiled.market(desk, 0, _peek(view.close, t))


class TestSimulate:
    @pytest.mark.parametrize("kind", ["weights", "units", "notional"])
    @pytest.mark.parametrize("seed", range(6))
    def test_gives_equal_results_for_equal_targets(self, seed, kind):
        scenario = make_full(seed, 40, 3, "targets")
        values = scenario.decisions.values
        ways = [
            Targets(values, kind),
            Callback(lambda view: values[view.bar].copy(), kind=kind),
            Compiled(follow_plan, values.reshape(-1), kind=kind),
        ]

        results = [simulate(**{**scenario.arguments, "decisions": way}) for way in ways]

        for other in results[1:]:
            np.testing.assert_array_equal(other.equity, results[0].equity)
            assert other.fills.tobytes() == results[0].fills.tobytes()
            assert other.orders.tobytes() == results[0].orders.tobytes()

    @pytest.mark.parametrize("seed", range(8))
    def test_gives_equal_results_for_equal_orders(self, seed):
        scenario = make_full(seed, 60, 2, "orders")
        scenario.facts["lot_size"] = np.zeros(2)
        close = np.where(np.isnan(scenario.columns["close"]), 50.0, scenario.columns["close"])
        scenario.columns.update(dict.fromkeys(("open", "high", "low", "close"), close))
        scenario.columns.pop("delisted", None)
        if "volume" in scenario.columns:
            scenario.columns["volume"] = np.full(close.shape, 500.0)
        fills = replace(scenario.fills, minimum_notional=0.0)
        arguments = {**scenario.arguments, "fills": fills, "intrabar": None}

        compiled_one = simulate(**{**arguments, "decisions": Compiled(ask_orders)})
        called = simulate(**{**arguments, "decisions": Callback(asked)})

        assert called.orders.tobytes() == compiled_one.orders.tobytes()
        assert called.fills.tobytes() == compiled_one.fills.tobytes()
        np.testing.assert_array_equal(called.equity, compiled_one.equity)
        assert called.fills.size > 10

    @pytest.mark.parametrize("seed", range(4))
    def test_replays_a_table_of_orders_as_a_strategy_would_ask_for_them(self, seed):
        scenario = make_full(seed, 40, 2, "orders")
        by_bar = {}
        table = list(scenario.decisions.orders)
        for at, one in enumerate(table):
            by_bar.setdefault(one.bar, []).append((at, one))

        def on_bar(view):
            mine = by_bar.get(view.bar, [])
            first = mine[0][0] if mine else 0
            return [
                type(one)(**{**{n: getattr(one, n) for n in one.__slots__},
                             "parent": one.parent - first if one.parent >= 0 else -1})
                for _, one in mine
            ]  # fmt: skip

        replayed = simulate(**scenario.arguments)
        called = simulate(**{**scenario.arguments, "decisions": Callback(on_bar)})

        assert called.orders.tobytes() == replayed.orders.tobytes()
        np.testing.assert_array_equal(called.equity, replayed.equity)

    def test_drops_nothing_when_its_tables_are_small(self, monkeypatch):
        bars = make_bars(*[FLAT] * 50)
        decided = Callback(lambda view: [Order(0, 1.0)] * 40)
        whole = simulate(bars, decided, account=Account(1e9))

        monkeypatch.setattr(runner, "FIRST_ROWS", 0)
        small = simulate(bars, decided, account=Account(1e9))

        assert small.fills.size == 49 * 40
        assert small.orders.size == 50 * 40
        assert small.digest == whole.digest

    def test_does_nothing_for_weights_that_are_all_missing(self):
        result = simulate(make_bars(FLAT, FLAT), Targets([NAN, NAN]))

        assert result.orders.size == 0

    def test_keeps_the_reason_of_an_order_that_ended_at_the_last_decision(self):
        bars = make_bars(FLAT, FLAT, lot_size=10.0)

        result = simulate(bars, Orders([order(3, bar=1)]))

        assert result.orders["status"].tolist() == [OrderStatus.REJECTED]
        assert result.orders["reason"].tolist() == [OrderReason.TOO_SMALL]


class TestTargets:
    def test_sizes_units_alike_at_the_decision_and_at_the_fill(self):
        bars = make_bars(FLAT, (50.0, 50.0, 50.0, 50.0))

        result = simulate(bars, Targets([7.0, NAN], "units", sized_at="fill"))

        assert result.fills["quantity"].tolist() == [7.0]

    def test_sizes_money_at_the_price_of_the_fill(self):
        bars = make_bars(FLAT, (50.0, 50.0, 50.0, 50.0))

        result = simulate(bars, Targets([700.0, NAN], "notional", sized_at="fill"))

        assert result.fills["quantity"].tolist() == [14.0]  # 700 / 50

    def test_names_the_row_that_is_infinite(self):
        with pytest.raises(TargetsError, match="Row 1"):
            Targets([[0.0], [np.inf]])


class TestOrders:
    @pytest.mark.parametrize(
        ("orders", "problem"),
        [
            ([order(1)], "Order 0 has no bar"),
            ([order(0, bar=2)], "Order 0 of bar 2 for 0 needs a quantity"),
            ([order(NAN, bar=2)], "needs a quantity"),
            ([order(np.inf, bar=2)], "needs a quantity"),
            ([order(1, "limit", bar=1)], "needs a limit price above 0"),
            ([order(1, "stop", bar=1, stop_price=-1.0)], "needs a stop price above 0"),
            ([order(1, "trailing_stop", bar=1)], "needs a trail"),
            (
                [order(1, "trailing_stop", bar=1, trail=1.0, trail_is_fraction=True)],
                "needs a trail",
            ),
            ([order(1, "wish", bar=1)], "unknown kind 'wish', none of market, limit"),
            ([order(1, bar=1, time_in_force="forever")], "unknown time in force 'forever'"),
            ([order(1, bar=1, time_in_force="gtd")], "needs good_until"),
            ([order(1, bar=1, parent=0)], "names a parent"),
            ([order(1, bar=1), order(1, bar=2, parent=0)], "Order 1 of bar 2 .* names a parent"),
            ([order(1, "limit", bar=1, limit_price=0.1, is_offset=True)], "names a parent"),
            ([Order("B", 1.0, bar=1)], "names 'B': Orders needs symbols"),
            (order(1, bar=1), r"Orders\(\[order\]\)"),
            ([Order(None, 1.0, bar=1)], "names None"),
            ([Order(0, "many", bar=1)], "has 'many' for its quantity"),
            ([Cancel(0)], "not an Order"),
        ],
    )
    def test_names_the_order_that_means_nothing(self, orders, problem):
        with pytest.raises(OrderError, match=problem):
            Orders(orders)

    @pytest.mark.parametrize(
        ("orders", "problem"),
        [
            (Orders([order(1, bar=9)]), "bar 9 for instrument 0 comes after the last of 2 bars"),
            (Orders([Order(3, 1.0, bar=1)]), "bar 1 for instrument 3 names no instrument"),
            (Orders([Order("B", 1.0, bar=1)], ["B"]), "other symbols"),
        ],
    )
    def test_names_the_order_that_does_not_fit_the_bars(self, orders, problem):
        with pytest.raises(OrderError, match=problem):
            simulate(make_bars(FLAT, FLAT), orders)


class TestCompiled:
    @pytest.mark.parametrize(
        ("strategy", "bar", "problem"),
        [
            (raises, 1, "the strategy raised ValueError: enough"),
            (writes_outside, 0, "the strategy raised IndexError"),
            (writes_into_targets_outside, 0, "the strategy raised IndexError"),
            (reads_ahead, 0, "the strategy raised IndexError"),
            (asks_too_much, 0, "asked for 65 orders; max_orders allows 64"),
            (asks_nothing_of_nobody, 1, "order 0 for instrument 7 names no instrument"),
            (asks_for_no_units, 1, "order 0 for A needs a quantity"),
            (targets_infinity, 0, "the target of A is infinite"),
        ],
    )
    def test_names_the_bar_at_which_it_went_wrong(self, strategy, bar, problem):
        with pytest.raises(StrategyError, match=problem) as caught:
            simulate(make_bars(FLAT, FLAT, FLAT), Compiled(strategy))

        assert caught.value.bar == bar

    def test_cannot_write_into_its_view(self):
        with pytest.raises(
            SettingsError, match=r"compile writes_into_its_view: .* view, .* cannot"
        ):
            simulate(make_bars(FLAT, FLAT), Compiled(writes_into_its_view))

    @pytest.mark.parametrize(
        ("on_bar", "problem"),
        [
            (5, "needs a function .*, not 5"),
            (lambda t, view, params: None, r"with \(t, view, params, desk\); .* takes \(t, view"),
        ],
    )
    def test_needs_a_function_of_four(self, on_bar, problem):
        with pytest.raises(SettingsError, match=problem):
            Compiled(on_bar)

    def test_cannot_import(self):
        with pytest.raises(SettingsError, match="cannot compile imports"):
            simulate(make_bars(FLAT, FLAT), Compiled(imports))

    def test_says_so_when_it_does_not_raise_again(self):
        with pytest.raises(StrategyError, match="raised, and not when asked again"):
            simulate(make_bars(FLAT, FLAT), Compiled(raises_once, [0.0]))

    def test_cannot_look_ahead_by_a_helper_of_its_own(self):
        with pytest.raises(StrategyError, match="IndexError"):
            simulate(make_bars(FLAT, FLAT, FLAT), Compiled(reads_ahead_by_a_helper))


class TestCallback:
    @pytest.mark.parametrize(
        ("answer", "problem"),
        [
            ("buy", "Item 0 is 'b', not an Order"),
            (7, "it returned 7; expected orders"),
            ([1.0], "Item 0 is 1.0, not an Order; targets are a numpy array"),
            ({"A": 1.0}, "Item 0 is 'A', not an Order; targets are a numpy array"),
            (np.ones(3), "it returned an array of float64 with shape"),
            (np.array(["x"]), "it returned an array of"),
            (np.array([np.inf]), "the target of A is infinite"),
            ([Order("B", 1.0)], "names 'B', which the bars do not have"),
            ([Order(5, 1.0)], "order 0 for instrument 5 names no instrument"),
            ([Order(0, 0.0)], "needs a quantity"),
            ([Order(0, 1.0), Order(0, 1.0, parent=1)], "names a parent"),
            ([Cancel(0), Order(0, 1.0, parent=0)], "names a parent"),
            ([Cancel(99)], "withdraws an order that does not work"),
            ([Order(0, 1.0)] * 11, "asked for 11 orders; max_orders allows 10"),
        ],
    )
    def test_names_the_bar_of_an_answer_that_means_nothing(self, answer, problem):
        def on_bar(view):
            return answer if view.bar == 1 else None

        with pytest.raises(StrategyError, match=problem) as caught:
            simulate(make_bars(FLAT, FLAT, FLAT), Callback(on_bar, max_orders=10))

        assert caught.value.bar == 1
        assert caught.value.at.startswith("2020-01-02")

    def test_is_made_of_an_object_not_of_its_class(self):
        class Silent:
            def on_bar(self, view):
                """Decide nothing."""

        with pytest.raises(SettingsError, match=r"not its class: Callback\(Silent\(\)\)"):
            Callback(Silent)

    @pytest.mark.parametrize("name", ["ts", "open", "high", "low", "close", "adjusted", "position"])
    def test_cannot_write_into_its_view(self, name):
        def on_bar(view):
            getattr(view, name)[0] = 1

        with pytest.raises(StrategyError, match=r"raised ValueError: .*read-only"):
            simulate(make_bars(FLAT, FLAT), Callback(on_bar))

    def test_sees_nothing_after_its_bar(self):
        seen = []

        def on_bar(view):
            columns = (view.ts, view.open, view.high, view.low, view.close, view.adjusted)
            seen.append({len(column) for column in columns})

        simulate(make_bars(FLAT, FLAT, FLAT), Callback(on_bar))

        assert seen == [{1}, {2}, {3}]

    def test_comes_through_when_it_is_interrupted(self):
        def on_bar(_view):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            simulate(make_bars(FLAT), Callback(on_bar))

    def test_withdraws_orders_by_row_and_by_instrument(self):
        def on_bar(view):
            if view.bar == 0:
                return [order(1, "limit", limit_price=5.0), order(2, "limit", limit_price=6.0)]
            if view.bar == 1:
                assert view.working_orders.tolist() == [0, 1]
                return Cancel(0)
            return Cancel(instrument="A")

        result = simulate(make_bars(FLAT, FLAT, FLAT, FLAT), Callback(on_bar))

        assert result.orders["closed_bar"].tolist() == [1, 2]
        assert set(result.orders["reason"].tolist()) == {OrderReason.WITHDRAWN}

    def test_joins_a_group_across_a_cancel(self):
        bars = make_bars(FLAT, FLAT, (100.0, 110.0, 90.0, 104.0))
        pair = [order(1, "limit", limit_price=95.0, group=1), Cancel(instrument=1),
                order(1, "stop", stop_price=108.0, group=1)]  # fmt: skip
        two = {name: np.repeat(getattr(bars, name), 2, 1) for name in ("open", "high", "low")}
        bars = Bars(bars.ts, np.repeat(bars.close, 2, 1), **two, symbols=["A", "B"])

        result = simulate(bars, Callback(lambda view: pair if view.bar == 0 else None))

        assert result.orders["group"].tolist() == [0, 0]
        assert result.fills["reference_price"].tolist() == [108.0]


class TestShapes:
    def test_refuses_targets_for_other_bars(self):
        with pytest.raises(ShapeError):
            simulate(make_bars(FLAT), Targets([1.0, 1.0]))
