import math

import numpy as np
import pytest

from experiments.statistics.errors import SettingsError
from experiments.statistics.sequential import (
    MixtureBoundary,
    PlannedBoundary,
    ScheduledBoundary,
    planned_constant,
)
from experiments.statistics.sequential.boundaries import crossing_chance
from experiments.statistics.sequential.crossing import crossing


class TestMixtureBoundary:
    def test_has_the_values_of_confseq(self):
        # Howard's confseq, test/uniform_boundaries_unittest.cpp: TwoSidedNormalMixture(100, 0.05),
        # targets "from a reference implementation in R".
        boundary = MixtureBoundary.tuned(0.95, 100)
        n = np.array([100])

        assert boundary.rho == pytest.approx(12.60056, abs=1e-5)
        assert boundary.reach(n)[0] * 10.0 == pytest.approx(30.35209, abs=1e-5)
        assert boundary.log_e_values(n, np.array([1.0]))[0] == pytest.approx(-0.6510052, abs=1e-5)

    def test_has_the_interval_and_p_value_of_gbstats(self):
        # gbstats 0.8.0, SequentialTwoSidedTTest with sequential_tuning_parameter 800 of samples
        # of 400 and 600 with means 0.1 and 0.25, mean squares 1.3 and 1.1.
        boundary = MixtureBoundary.tuned(0.95, 800)
        n, error = np.array([1_000]), math.sqrt(0.004965136129137535)

        half = boundary.reach(n)[0] * error

        assert 0.15 + half == pytest.approx(0.3640407826097021, rel=1e-9)
        assert boundary.p_values(n, np.array([0.15 / error]))[0] == pytest.approx(
            0.42189238882875174, rel=1e-9
        )

    def test_is_narrowest_where_it_was_tuned(self):
        # The best rho is the root of an equation whose published approximation is used.
        at = np.array([500])
        best = MixtureBoundary.tuned(0.95, 500)

        others = [MixtureBoundary(0.95, best.rho * factor).reach(at)[0] for factor in (0.8, 1.25)]

        assert best.reach(at)[0] < min(others)

    def test_has_p_alpha_on_the_boundary(self):
        boundary = MixtureBoundary.tuned(0.9, 300)
        n = np.array([10, 300, 5_000])

        np.testing.assert_allclose(boundary.p_values(n, boundary.reach(n)), 0.1)

    @pytest.mark.parametrize(("confidence", "rho"), [(0.0, 1.0), (1.0, 1.0), (0.9, 0.0)])
    def test_refuses_settings_outside_their_domain(self, confidence, rho):
        with pytest.raises(SettingsError):
            MixtureBoundary(confidence, rho)


class TestPlannedBoundary:
    def test_spends_its_share_of_the_error_by_the_horizon(self):
        boundary = PlannedBoundary(0.95, 2_000, 250)

        assert crossing(boundary.constant, 0.25, 0.125) == pytest.approx(0.045, rel=1e-4)

    def test_is_open_before_the_start(self):
        reach = PlannedBoundary(0.95, 2_000, 250).reach(np.array([249, 250]))

        assert math.isinf(reach[0])
        assert math.isfinite(reach[1])

    def test_has_p_alpha_on_the_boundary_before_and_after_the_horizon(self):
        boundary = PlannedBoundary(0.95, 800, 100)
        n = np.array([100, 400, 800, 801, 5_000])

        np.testing.assert_allclose(boundary.p_values(n, boundary.reach(n)), 0.05, rtol=2e-3)

    def test_has_nothing_after_the_horizon_without_a_reserve(self):
        boundary = PlannedBoundary(0.95, 800, 100, reserve=0.0)
        n = np.array([801])

        assert math.isinf(boundary.reach(n)[0])
        assert math.isnan(boundary.p_values(n, np.array([9.0]))[0])

    def test_has_the_power_of_brownian_motion(self):
        power, share = PlannedBoundary(0.95, 2_000, 250).power(2.8016)
        null, _ = PlannedBoundary(0.95, 2_000, 250).power(0.0)

        assert null == pytest.approx(0.045, rel=1e-3)
        assert 0.73 < power < 0.75
        assert 0.69 < share < 0.72

    @pytest.mark.parametrize(
        "plan",
        [
            {"start": 800},
            {"shape": 0.46},
            {"shape": -0.1},
            {"reserve": 1.0},
            {"confidence": 1.0},
            {"start": 0},
        ],
    )
    def test_refuses_settings_outside_their_domain(self, plan):
        with pytest.raises(SettingsError):
            PlannedBoundary(**{"confidence": 0.95, "horizon": 800, "start": 100, **plan})


class TestPlannedConstant:
    def test_is_that_of_the_absolute_maximum_of_brownian_motion(self):
        # P(max |B| on (0, 1) > 2.2414) = 0.05, the continuous O'Brien-Fleming boundary.
        assert planned_constant(0.05, 0.0, 1e-3) == pytest.approx(2.2414, abs=2e-3)

    def test_nears_the_fixed_test_when_looking_starts_at_the_end(self):
        assert planned_constant(0.05, 0.0, 0.9999) == pytest.approx(1.96, abs=0.02)

    def test_refuses_a_level_it_cannot_resolve(self):
        with pytest.raises(SettingsError):
            planned_constant(1e-12, 0.15, 0.125)


class TestCrossingChance:
    def test_interpolates_what_it_stands_for(self):
        constants = np.linspace(0.9, 5.0, 23)

        found = crossing_chance(0.15, 0.125, constants)

        expected = [crossing(constant, 0.15, 0.125) for constant in constants]
        np.testing.assert_allclose(found, expected, rtol=5e-3)

    def test_is_one_at_zero(self):
        assert crossing_chance(0.15, 0.125, np.array([0.0]))[0] == 1.0


class TestScheduledBoundary:
    def test_is_open_between_looks(self):
        boundary = ScheduledBoundary(0.95, (10, 20), (2.8, 2.0))

        np.testing.assert_array_equal(
            boundary.reach(np.array([9, 10, 15, 20, 21])), [math.inf, 2.8, math.inf, 2.0, math.inf]
        )

    @pytest.mark.parametrize(
        ("looks", "bounds"), [((), ()), ((10,), (1.0, 2.0)), ((10, 10), (2.0, 2.0)), ((0,), (2.0,))]
    )
    def test_refuses_looks_that_are_none(self, looks, bounds):
        with pytest.raises(SettingsError):
            ScheduledBoundary(0.95, looks, bounds)
