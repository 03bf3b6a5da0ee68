import numpy as np
import pytest

from backtests.engine import Account, Bars, Costs, Fills, Targets, simulate
from tests.backtests.engine.scenarios import DAY_NS, START_NS

NAN = float("nan")


def run(close, target, *, kind="units", costs=None, account=None, **columns):
    close = np.asarray(close, float)
    ts = START_NS + np.arange(close.shape[0]) * DAY_NS
    columns = {"open": close, **{name: np.asarray(v, float) for name, v in columns.items()}}
    n_assets = 1 if close.ndim == 1 else close.shape[1]
    symbols = [f"S{at}" for at in range(n_assets)]
    bars = Bars(ts, close, **columns, symbols=symbols)
    return simulate(bars, Targets(target, kind), costs=costs or Costs(),
                    account=account or Account(1_000.0))  # fmt: skip


def sentences(result):
    return {caveat.code: caveat.text for caveat in result.caveats}


class TestCaveats:
    def test_says_nothing_of_an_ordinary_run(self):
        result = run([10.0] * 4, [5.0, NAN, 0.0, NAN], volume=[1e3] * 4)

        assert result.caveats == ()

    def test_tells_of_shorts_that_pay_no_fee(self):
        one = sentences(run([10.0] * 3, [-5.0, NAN, NAN]))
        two = sentences(run([[10.0, 10.0]] * 3, [[-5.0, -5.0], [NAN, NAN], [NAN, NAN]]))

        assert one["unfinanced_short"].startswith("1 instrument was held short at some close:")
        assert two["unfinanced_short"].startswith("2 instruments were held short at some close:")
        assert "unfinanced_leverage" not in one

    def test_tells_of_borrowed_money(self):
        account = Account(1_000.0, max_leverage=3.0)

        found = sentences(run([10.0] * 3, [250.0, NAN, NAN], account=account))

        assert found["unfinanced_leverage"].startswith("Cash was negative at 2 closes:")

    def test_tells_of_gross_exposure_above_equity(self):
        account = Account(1_000.0, max_leverage=3.0)
        values = [[80.0, -60.0], [0.0, 0.0], [NAN, NAN]]

        found = sentences(run([[10.0, 10.0]] * 3, values, account=account))

        assert found["unfinanced_leverage"].startswith(
            "Gross exposure was above equity at 1 close:"
        )

    def test_does_not_call_a_full_investment_leverage(self):
        rng = np.random.default_rng(0)
        close = 10.0 * np.exp(rng.normal(0.0, 0.02, (300, 3)).cumsum(axis=0))

        found = sentences(run(close, np.full((300, 3), 1 / 3), kind="weights",
                              costs=Costs(commission_bps=5.0)))  # fmt: skip

        assert "unfinanced_leverage" not in found
        assert "unfinanced_short" not in found

    def test_counts_fills_larger_than_the_volume_allows(self):
        target = [5.0, 8.0, 0.0, NAN]

        none = sentences(run([10.0] * 4, target, volume=[1e3] * 4))
        one = sentences(run([10.0] * 4, target, volume=[1e3, 1e3, 1e3, 50.0]))
        many = sentences(run([10.0] * 4, target, volume=[1.0, 49.0, 0.0, 50.0]))
        empty = sentences(run([10.0] * 4, target, volume=[1e3, 1e3, 1e3, 0.0]))

        assert "larger_than_volume" not in none
        assert one["larger_than_volume"].startswith("1 fill was larger than 10 % of the bar")
        assert many["larger_than_volume"].startswith("3 fills were larger than 10 %")
        assert "1 of them in bars without any volume" in many["larger_than_volume"]
        assert "which had none" in empty["larger_than_volume"]

    @pytest.mark.parametrize(
        ("costs", "spread", "applies"),
        [
            (Costs(half_spread_bps=2.0), [0.1] * 3, True),
            (Costs(), [0.1] * 3, False),
            (Costs(half_spread_bps=2.0), [0.1, NAN, NAN], False),
        ],
    )
    def test_says_that_a_measured_spread_replaced_the_assumed_one(self, costs, spread, applies):
        found = sentences(run([10.0] * 3, [5.0, NAN, NAN], costs=costs, half_spread=spread))

        assert ("measured_spread" in found) == applies
        assert not applies or "2 bps" in found["measured_spread"]

    def test_does_not_report_a_hair_cut_off_a_full_investment(self):
        result = run([10.0] * 3, [1.0, NAN, NAN], kind="weights",
                     costs=Costs(commission_bps=5.0))  # fmt: skip

        assert result.orders["filled"][0] < result.orders["quantity"][0]
        assert "buying_power" not in sentences(result)

    def test_reports_a_deep_cut(self):
        found = sentences(run([10.0] * 3, [150.0, NAN, NAN]))

        assert found["buying_power"].startswith("1 of 1 order was filled in part or refused")
        assert "33.33%" in found["buying_power"]

    def test_reports_small_cuts_of_most_that_was_traded(self):
        found = sentences(run([10.0] * 3, [101.5, NAN, NAN]))

        assert "1.48%" in found["buying_power"]

    def test_reports_refusals(self):
        account = Account(1_000.0, on_shortfall="reject")
        values = [[99.0, 2.0], [NAN, NAN], [NAN, NAN]]

        found = sentences(run([[10.0, 10.0]] * 3, values, account=account))

        assert found["buying_power"].startswith("1 of 2 orders was filled in part or refused")

    def test_tells_of_orders_that_latency_lets_nobody_fill(self):
        close = np.linspace(10.0, 20.0, 30)
        bars = Bars(START_NS + np.arange(30) * DAY_NS, close, close, symbols="A")
        late = Fills(latency_bars=1)

        at_every_bar = simulate(bars, Targets(np.full(30, 0.5)), fills=late)
        now_and_then = simulate(bars, Targets(np.full(6, 0.5), at_bars=range(0, 30, 5)), fills=late)

        assert at_every_bar.fills.size == 0
        assert sentences(at_every_bar)["orders_overtaken"].startswith(
            "29 of 30 orders were replaced"
        )
        assert "orders_overtaken" not in sentences(now_and_then)

    def test_speaks_of_one_and_of_many(self):
        one = sentences(run([10.0, 10.0, NAN], [5.0, 0.0, NAN]))
        two = sentences(run([10.0, 10.0, NAN, NAN], [5.0, 0.0, NAN, NAN]))

        assert one["orders_waiting"] == "1 order was still waiting when the bars ended."
        assert one["stale_marks"].startswith("1 instrument-bar valued")
        assert two["stale_marks"].startswith("2 instrument-bars valued")
