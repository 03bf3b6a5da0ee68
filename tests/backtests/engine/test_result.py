from dataclasses import replace

import numpy as np
import pytest

from backtests.engine import ENGINE_VERSION, simulate
from backtests.engine.metrics import DEFINITIONS
from tests.backtests.engine.scenarios import make_scenario


@pytest.fixture(scope="module")
def scenario():
    return make_scenario(3, 40, 3)


@pytest.fixture(scope="module")
def result(scenario):
    return simulate(**scenario.arguments)


class TestResult:
    def test_cannot_be_written_to(self, result):
        for array in (result.equity, result.cash, result.fills, result.orders):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 0

    def test_has_the_digest_of_its_inputs_and_outputs(self, scenario, result):
        again = simulate(**scenario.arguments)
        other_costs = replace(scenario.costs, commission_bps=7.0)
        other = simulate(**replace(scenario, costs=other_costs).arguments)

        assert result.digest == again.digest
        assert result.digest != other.digest
        assert result.engine_version == ENGINE_VERSION

    def test_is_shown_in_one_line(self, result):
        assert repr(result).startswith("Result(equity 100,000.00 to ")
        assert len(repr(result)) < 400

    def test_adds_costs_up_per_bar_and_in_total(self, result):
        for kind, total in result.costs.items():
            assert result.costs_by_bar()[kind].sum() == pytest.approx(total)

    def test_offers_every_metric(self, result):
        metrics = result.metrics()

        assert set(metrics) == set(DEFINITIONS)
        assert metrics["total_costs"].value == pytest.approx(sum(result.costs.values()))
        assert metrics.periods_per_year == 365.0

    def test_becomes_pandas_frames(self, result):
        curves = result.curves_to_pandas()
        fills = result.fills_to_pandas()
        orders = result.orders_to_pandas()

        np.testing.assert_array_equal(curves["equity"], result.equity)
        assert str(curves.index.tz) == "UTC"
        assert list(result.positions_to_pandas().columns) == list(result.symbols)
        assert len(fills) == result.fills.size
        assert set(fills["symbol"]) <= set(result.symbols)
        assert set(orders["status"]) <= {
            "working", "filled", "partly_filled", "rejected", "cancelled",
        }  # fmt: skip

    def test_records_where_equal_bytes_may_be_expected(self, result):
        assert {"python", "numpy", "numba", "cpu"} <= set(result.environment)
