"""How often a plan is right on resampled histories: false alarms, power, and how long it takes."""

import numpy as np
import pytest

from backtests.jobs.lease import Cancelled, Lease
from backtests.jobs.pairing import Paired
from backtests.jobs.repeating import repeated
from backtests.models import Run
from experiments.plans.analysis_spec import AnalysisSpec
from experiments.statistics.sequential.boundaries import PlannedBoundary
from tests.backtests.jobs.test_answering import noise, paired, plan


def counted(history: Paired, n: int = 300, mean_block: float = 1.0, **section):
    made = plan(history.ends.size, **section)
    return repeated(made, history, repetitions=n, mean_block=mean_block, lease=Lease(Run()))


def autocorrelated(n: int, rho: float, seed: int = 3) -> np.ndarray:
    rng, own = np.random.default_rng(seed), np.zeros((n, 2))
    shocks = rng.standard_t(5, (n, 2))
    for t in range(1, n):
        own[t] = rho * own[t - 1] + shocks[t]
    return 0.01 * own


class TestRepeated:
    @pytest.mark.parametrize("method", ["planned_sequence", "fixed_horizon", "group_sequential"])
    def test_has_about_the_false_alarms_that_the_plan_allows(self, method):
        history = paired(noise(500, 0.002)).centered()

        found = counted(history, method=method, batch_periods=1, minimum_periods=60)

        assert found["allowed"] == pytest.approx(0.05)
        assert 0.015 <= found["share"] <= 0.085
        assert found["lower"] <= 0.05

    def test_raises_an_alarm_about_a_plan_that_takes_dependent_periods_for_independent(self):
        history = paired(autocorrelated(600, 0.7)).centered()

        found = counted(history, mean_block=30.0, batch_periods=1, minimum_periods=30)

        assert found["lower"] > found["allowed"]

    def test_has_the_power_of_the_boundary_and_its_mean_stop(self):
        rng = np.random.default_rng(1)
        own = rng.normal(0.0, 1.0, (1_000, 2))
        own -= own.mean(axis=0)
        own[:, 0] = 0.0
        own[:, 1] += 2.9 * own[:, 1].std() / 1_000**0.5
        made = AnalysisSpec(horizon_periods=1_000)
        chance, share = PlannedBoundary(0.95, 1_000, made.start).power(2.9)

        found = counted(paired(own), 400)

        assert found["share"] == pytest.approx(chance, abs=4 * found["error"])
        assert found["mean_periods"] == pytest.approx(1_000 * share, rel=0.06)

    def test_takes_a_horizon_that_is_longer_or_shorter_than_the_history(self):
        history = paired(noise(300, 0.0006))

        short, long = (counted(history, 100, horizon_periods=n) for n in (150, 900))

        assert (short["horizon"], long["horizon"]) == (150, 900)
        assert long["share"] > short["share"]
        assert short["mean_periods"] <= 150

    def test_tells_who_won(self):
        found = counted(paired(noise(400, 0.002)), 30)

        assert [(row["arm"], row["n_winners"]) for row in found["winners"]] == [("a", 0), ("b", 30)]
        assert (found["share"], found["error"]) == (1.0, 0.0)
        assert found["lower"] == pytest.approx(0.025 ** (1 / 30))

    def test_allows_each_challenger_its_own_where_the_plan_corrects_for_none(self):
        history = paired(noise(300, 0.0, n_arms=4), ("a", "b", "c", "d"))
        made = plan(300, ("a", "b", "c", "d"), correction="none")

        found = repeated(made, history, repetitions=2, mean_block=1.0, lease=Lease(Run()))

        assert found["allowed"] == pytest.approx(0.15)

    def test_does_not_depend_on_how_many_there_are(self):
        history = paired(noise(300, 0.0008))

        few, many = counted(history, 20), counted(history, 40)

        assert few["n_winners"] <= many["n_winners"] <= few["n_winners"] + 20
        assert counted(history, 40) == many

    def test_stops_where_the_run_is_cancelled(self):
        lease = Lease(Run())
        lease._cancelled.set()

        with pytest.raises(Cancelled):
            repeated(plan(300), paired(noise(300, 0.0)), repetitions=9, mean_block=1.0, lease=lease)
