"""What a finished run leaves in the store and in its row."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from backtests import jobs
from backtests.engine import Bars, Bracket, Targets, simulate
from backtests.engine.dtypes import COST_KINDS, OrderKind, OrderStatus
from backtests.jobs import artifacts, backtest
from backtests.lifecycle import RunStatus
from backtests.models import Run
from backtests.runspec import RunSpec
from crowetrade_site.core import storage
from crowetrade_site.core.errors import InvalidInput
from tests.factories.backtests import STRATEGY, bars_dataset, queued, quotes_dataset

DAY_NS = 86_400_000_000_000
EVERY_COST = {
    "fills": {"max_participation": 0.5},
    "costs": {
        "commission_bps": 1, "commission_per_order": 1, "buy_tax_bps": 5, "half_spread_bps": 2,
        "slippage_bps": 1, "impact": {"kind": "sqrt", "y": 0.9}, "borrow_bps_per_year": 50,
    },
    "account": {"max_leverage": 2, "cash_rate": 0.02, "margin_rate": 0.05},
    "capital": 100_000,
}  # fmt: skip
LONG_SHORT = {
    "signals": [
        {"kind": "moving_average_cross", "fast_bars": 2, "slow_bars": 5, "direction": "long_short"}
    ],
    "portfolio": {"kind": "equal_weight", "gross": 1.8, "rebalance": {"kind": "on_change"}},
}
EXPLAINS = {
    **dict.fromkeys(("price_pnl", "currency_pnl", "dividends", "interest"), 1.0),
    **dict.fromkeys(("borrow", *COST_KINDS), -1.0),
}


def table(run, name):
    return pq.read_table(storage.locate(run.artifacts[name]["digest"]))


def columns(run, name) -> dict:
    read = table(run, name)
    return {field: read[field].to_numpy() for field in read.column_names}


def executed(owner, dataset, **more) -> Run:
    run = queued(owner, dataset.name, **more)
    jobs.execute_run(run_id=run.public_id, worker="test")
    ended = Run.objects.with_dataset().get(pk=run.pk)
    assert ended.status == RunStatus.SUCCEEDED, ended.problem
    return ended


@pytest.fixture
def costly(transactional_db, owner, tmp_path):
    """A finished run, long and short on credit, that paid every kind of cost but conversion."""
    return executed(owner, bars_dataset(tmp_path, owner), strategy=LONG_SHORT, **EVERY_COST)


@pytest.fixture
def ambiguous():
    """A result in which one bar touches both exits of a bracket."""
    opened, reach = np.full(4, 100.0), np.array([1.0, 1.0, 10.0, 1.0])
    high, low = opened + reach, opened - reach
    bars = Bars(np.arange(1, 5) * DAY_NS, opened, opened, high, low, symbols=("AAA",))
    bracket = Bracket(stop_loss=0.05, take_profit=0.05)
    weights = np.array([[0.5], [np.nan], [np.nan], [np.nan]])
    return simulate(bars, Targets(weights, kind="weights", bracket=bracket))


class TestArtifacts:
    def test_hold_every_fill_and_order(self, finished):
        fills, orders = table(finished, "fills.parquet"), table(finished, "orders.parquet")

        assert fills.num_rows == finished.summary["n_fills"] > 0
        assert orders.num_rows == finished.summary["n_orders"]
        assert set(fills["symbol"].to_pylist()) <= {"AAA", "BBB", "CCC"}
        assert sum(fills["commission"].to_pylist()) == pytest.approx(
            finished.summary["costs"]["commission"]
        )

    def test_say_codes_in_words(self, finished):
        fills, orders = table(finished, "fills.parquet"), table(finished, "orders.parquet")

        assert set(fills["moment"].to_pylist()) == {"open"}
        assert set(orders["status"].to_pylist()) <= {one.name.lower() for one in OrderStatus}
        assert set(orders["kind"].to_pylist()) <= {one.name.lower() for one in OrderKind}
        assert set(orders["source"].to_pylist()) == {"target"}
        assert set(COST_KINDS) <= set(fills.column_names)

    def test_hold_every_trade_with_its_end(self, finished):
        trades = table(finished, "trades.parquet").to_pylist()
        closed = [trade for trade in trades if trade["exit_bar"] >= 0]

        assert len(closed) == finished.summary["n_trades"] > 0
        assert len(trades) - len(closed) == finished.summary["n_open_trades"] > 0
        assert all(trade["exit_ts"] > trade["ts"] for trade in closed)
        assert {trade["exit_ts"] for trade in trades if trade["exit_bar"] < 0} == {None}

    def test_hold_trades_that_add_up_to_the_profit(self, finished):
        profit = table(finished, "trades.parquet")["pnl"].to_numpy().sum()

        assert profit == pytest.approx(finished.summary["final_equity"] - 1_000_000)

    def test_hold_the_positions_after_every_change(self, finished):
        changes, fills = columns(finished, "positions.parquet"), columns(finished, "fills.parquet")

        assert list(changes) == ["ts", "symbol", "position", "bar"]
        np.testing.assert_array_equal(changes["position"], fills["position"])

    def test_hold_a_ledger_that_adds_up(self, costly):
        column = columns(costly, "curves.parquet")

        explained = sum(sign * column[name] for name, sign in EXPLAINS.items() if name in column)
        np.testing.assert_allclose(column["equity_change"], explained, atol=1e-6)

    def test_leave_out_what_never_happened(self, finished, costly):
        plain = columns(finished, "curves.parquet")
        rich = columns(costly, "curves.parquet")

        assert {"commission", "half_spread", "dividends"} <= set(plain)
        assert not {"tax", "impact", "borrow", "interest", "currency_pnl"} & set(plain)
        assert {"tax", "impact", "slippage", "borrow", "interest"} <= set(rich)
        assert not {"conversion", "currency_pnl"} & set(rich)

    def test_hold_metrics_that_are_plain_json(self, finished):
        content = storage.read(finished.artifacts["metrics.json"]["digest"])

        figures = json.loads(content, parse_constant=pytest.fail)

        assert {"sharpe", "max_drawdown"} <= {metric["name"] for metric in figures["metrics"]}


class TestSummary:
    def test_adds_up_every_kind_of_cost(self, costly):
        costs = costly.summary["costs"]

        assert set(costs) == {*COST_KINDS, "borrow", "interest_paid"}
        assert {kind for kind, amount in costs.items() if amount == 0.0} == {"conversion"}
        total = costly.summary["metrics"]["total_costs"]["value"]
        assert sum(costs.values()) == pytest.approx(total)

    def test_tells_interest_earned_apart(self, costly):
        interest = columns(costly, "curves.parquet")["interest"]

        earned, paid = costly.summary["interest_earned"], costly.summary["costs"]["interest_paid"]
        assert earned - paid == pytest.approx(interest.sum())

    def test_counts_trades(self, finished):
        closed = finished.summary["metrics"]["n_trades"]

        assert closed == {"value": finished.summary["n_trades"], "unit": "trades", "reason": ""}

    def test_has_no_ambiguity_without_stops_and_limits(self, finished):
        assert finished.summary["ambiguity"] is None

    def test_bounds_what_the_bars_leave_open(self, ambiguous):
        summary = artifacts.summarize(ambiguous, ambiguous.metrics(), {}, [])

        found = json.loads(json.dumps(summary))["ambiguity"]
        assert found["n_fills"] > 0
        assert found["pessimistic"] == summary["final_equity"] < found["optimistic"]


class TestQuotes:
    def test_are_traded_at_bid_and_ask(self, transactional_db, owner, tmp_path):
        run = executed(owner, quotes_dataset(tmp_path, owner))

        fills, orders = columns(run, "fills.parquet"), columns(run, "orders.parquet")
        paid = np.abs(fills["price"] - fills["reference_price"])
        assert fills["quantity"].size == orders["quantity"].size > 4
        assert set(np.round(paid, 3)) <= {0.01, 0.02, 0.03}
        np.testing.assert_allclose(fills["half_spread"], paid * np.abs(fills["quantity"]))
        assert "no_costs" not in {caveat["code"] for caveat in run.summary["caveats"]}

    def test_match_the_engines_own_reading_of_them(self, tiny, owner, tmp_path):
        run = queued(owner, quotes_dataset(tmp_path, owner).name)

        market = backtest.load_market(run, RunSpec.model_validate(run.spec))

        bid, ask = market.panel["bid"], market.panel["ask"]
        again = Bars.from_quotes(market.panel.ts, bid, ask, symbols=("XYZ",))
        assert market.bars().content_digest == again.content_digest


class TestDelisting:
    def test_takes_its_haircut_where_the_data_say_so(self, transactional_db, owner, tmp_path):
        from backtests.jobs.imports import import_file_as
        from backtests.marketdata.options import ImportOptions

        path = tmp_path / "leaves.csv"
        rows = [f"2024-01-{day:02},AAA,100,{int(day == 10)}" for day in range(2, 13)]
        path.write_text("\n".join(["date,symbol,close,delisted", *rows]))
        options = ImportOptions.from_mapping({"kind": "bars", "currency": "USD"})
        dataset, _ = import_file_as(path=path, name="leaves", options=options, actor=owner)
        once = {"kind": "equal_weight", "rebalance": {"kind": "once"}}

        run = executed(
            owner, dataset, account={"delisting_haircut": 0.3},
            strategy={"signals": [{"kind": "buy_and_hold"}], "portfolio": once},
        )  # fmt: skip

        assert run.summary["final_equity"] == pytest.approx(700_000)
        assert "delisting" in table(run, "orders.parquet")["source"].to_pylist()


class TestTranslation:
    def test_turns_errors_of_pure_packages_into_refusals(self, tiny, owner):
        run = queued(owner)
        spec = RunSpec.model_validate(run.spec).model_copy(update={"instruments": ["ZZZ"]})

        with pytest.raises(Exception, match="ZZZ") as refusal:
            backtest.load_market(run, spec)

        assert isinstance(refusal.value, (InvalidInput, *backtest.REFUSALS))

    @pytest.mark.parametrize(
        ("costs", "is_said"),
        [
            ({}, True),
            ({"commission_maximum": 5}, True),
            ({"impact": {"kind": "sqrt"}}, False),
            ({"sell_tax_bps": 1}, False),
        ],
    )
    def test_says_when_nothing_is_charged(self, tiny, owner, costs, is_said):
        from backtests.jobs import caveats

        run = queued(owner, strategy=STRATEGY, costs=costs)
        spec = RunSpec.model_validate(run.spec)
        found = caveats._of_costs(spec, backtest.load_market(run, spec))

        assert [caveat["code"] for caveat in found] == (["no_costs"] if is_said else [])
