"""What a finished run leaves in the store."""

import json

import pytest

from backtests.jobs import backtest
from backtests.runspec import RunSpec
from crowetrade_site.core import storage
from crowetrade_site.core.errors import InvalidInput
from tests.factories.backtests import queued


class TestArtifacts:
    def test_hold_every_fill_and_order(self, finished):
        import pyarrow.parquet as pq

        fills, orders = (
            pq.read_table(storage.locate(finished.artifacts[name]["digest"]))
            for name in ("fills.parquet", "orders.parquet")
        )

        assert fills.num_rows == finished.summary["n_fills"] > 0
        assert orders.num_rows == finished.summary["n_orders"]
        assert set(fills["symbol"].to_pylist()) <= {"AAA", "BBB", "CCC"}
        assert sum(fills["commission"].to_pylist()) == pytest.approx(
            finished.summary["costs"]["commission"]
        )

    def test_hold_a_ledger_that_adds_up(self, finished):
        import numpy as np
        import pyarrow.parquet as pq

        table = pq.read_table(storage.locate(finished.artifacts["curves.parquet"]["digest"]))
        column = {name: table[name].to_numpy() for name in table.column_names}

        explained = (
            column["price_pnl"] + column["dividends"] - column["commission"] - column["half_spread"]
        )
        np.testing.assert_allclose(column["equity_change"], explained, atol=1e-6)

    def test_hold_metrics_that_are_plain_json(self, finished):
        content = storage.read(finished.artifacts["metrics.json"]["digest"])

        figures = json.loads(content, parse_constant=pytest.fail)

        assert {"sharpe", "max_drawdown"} <= {metric["name"] for metric in figures["metrics"]}


class TestTranslation:
    def test_turns_errors_of_pure_packages_into_refusals(self, tiny, owner):
        run = queued(owner)
        spec = RunSpec.model_validate(run.spec).model_copy(update={"instruments": ["ZZZ"]})

        with pytest.raises(Exception, match="ZZZ") as refusal:
            backtest.load_market(run, spec)

        assert isinstance(refusal.value, (InvalidInput, *backtest.REFUSALS))
