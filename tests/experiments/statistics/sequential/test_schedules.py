import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from experiments.statistics.errors import SettingsError
from experiments.statistics.sequential import (
    classic_schedule,
    conditional_power,
    schedule,
    spent,
    with_futility,
)

FIFTHS = np.arange(1, 6) / 5


class TestClassicSchedule:
    @pytest.mark.parametrize(
        ("n_looks", "pocock", "obrien_fleming"),
        [(1, 1.960, 1.960), (2, 2.178, 1.977), (5, 2.413, 2.040), (10, 2.555, 2.087)],
    )
    def test_has_the_published_constants(self, n_looks, pocock, obrien_fleming):
        # Jennison and Turnbull (2000), tables 2.1 and 2.3, alpha 0.05.
        flat = classic_schedule(n_looks, shape=0.5)
        steep = classic_schedule(n_looks)

        assert flat.bounds[-1] == pytest.approx(pocock, abs=5e-4)
        assert steep.bounds[-1] == pytest.approx(obrien_fleming, abs=6e-4)
        assert steep.bounds[0] == pytest.approx(steep.bounds[-1] * math.sqrt(n_looks))

    def test_costs_the_published_inflation(self):
        # Jennison and Turnbull (2000), tables 2.2 and 2.4: alpha 0.05, power 0.8, 5 looks.
        assert classic_schedule(5, shape=0.5).inflation(0.8) == pytest.approx(1.228, abs=1.5e-3)
        assert classic_schedule(5).inflation(0.8) == pytest.approx(1.028, abs=1e-3)

    @pytest.mark.parametrize(("n_looks", "shape"), [(0, 0.0), (3, 0.6), (3, -0.1)])
    def test_refuses_what_is_no_design(self, n_looks, shape):
        with pytest.raises(SettingsError):
            classic_schedule(n_looks, shape=shape)


class TestSchedule:
    @pytest.mark.parametrize(
        ("spending", "bounds"),
        [
            # Published with the Lan-DeMets programs (ldbounds, gsDesign): 5 looks, alpha 0.05.
            ("obrien_fleming", [4.877, 3.357, 2.680, 2.290, 2.031]),
            ("pocock", [2.438, 2.427, 2.410, 2.397, 2.386]),
        ],
    )
    def test_has_the_published_bounds(self, spending, bounds):
        np.testing.assert_allclose(schedule(FIFTHS, spending=spending).bounds, bounds, atol=6e-4)

    @pytest.mark.parametrize(
        ("power", "bounds"),
        [
            (1.0, [2.57582930, 2.49193153, 2.41077200, 2.33907903, 2.27544578]),
            (2.0, [3.09023231, 2.71407840, 2.47273707, 2.27981095, 2.11396790]),
            (3.0, [3.54008380, 2.97430176, 2.60448267, 2.30631808, 2.04543360]),
        ],
    )
    def test_has_the_bounds_of_spotify_confidence(self, power, bounds):
        # spotify-confidence 4.1.0, sequential_bound_solver.bounds(t, 0.05, power, 8, 2).
        found = schedule(FIFTHS, spending="power", power=power).bounds

        np.testing.assert_allclose(found, bounds, rtol=1e-4)

    @given(
        st.lists(st.floats(0.02, 1.0), min_size=1, max_size=6, unique=True),
        st.sampled_from(["obrien_fleming", "pocock", "power"]),
        st.sampled_from([0.8, 0.95, 0.99]),
    )
    @settings(max_examples=30, deadline=None)
    def test_spends_what_its_function_allows(self, shares, spending, confidence):
        times = np.sort(np.array(shares))
        if times.size > 1 and np.min(np.diff(times)) < 0.005:
            return

        design = schedule(times, spending=spending, confidence=confidence)

        allowed = 2 * spent(spending, times[-1:], (1 - confidence) / 2)[0]
        assert design.power(0.0) == pytest.approx(allowed, rel=1e-4, abs=1e-9)

    def test_spends_all_by_the_horizon(self):
        for spending in ("obrien_fleming", "pocock", "power"):
            assert spent(spending, [1.0], 0.025)[0] == pytest.approx(0.025)

    def test_counts_looks_in_periods(self):
        assert schedule(FIFTHS).boundary(252).looks == (50, 101, 151, 202, 252)

    @pytest.mark.parametrize("shares", [[0.0, 1.0], [0.5, 0.5], [0.5, 1.1], [0.9, 0.5]])
    def test_refuses_shares_that_do_not_ascend(self, shares):
        with pytest.raises(SettingsError):
            schedule(shares)

    def test_refuses_a_function_it_does_not_know(self):
        with pytest.raises(SettingsError, match="obrien_fleming"):
            schedule(FIFTHS, spending="haybittle")


class TestWithFutility:
    def test_keeps_the_bounds_and_the_planned_power(self):
        design = schedule(FIFTHS)

        careful = with_futility(design, power=0.8)

        assert careful.bounds == design.bounds
        assert careful.futility[-1] == design.bounds[-1]
        assert np.all(np.diff(careful.futility) > 0)
        drift = careful.drift_for(0.8)
        _, _, gives_up = careful.exits(drift)
        assert np.cumsum(gives_up)[:-1] == pytest.approx(
            spent("pocock", FIFTHS[:-1], 0.2), rel=0.01
        )

    def test_stops_sooner_when_there_is_nothing(self):
        design = schedule(FIFTHS)

        careful = with_futility(design, power=0.8)

        longer = careful.inflation(0.8) / design.inflation(0.8)
        assert careful.expected_share(0.0) * longer < 0.8 * design.expected_share(0.0)

    def test_leaves_less_error_when_it_is_obeyed(self):
        assert with_futility(schedule(FIFTHS)).power(0.0) < 0.05


class TestConditionalPower:
    def test_matches_the_formula_of_the_b_value(self):
        # z = 1.5 at half: B = 1.0607, trend 2.1213; N(1.0607 + 1.0607, 1/2) beyond 1.96.
        expected = norm.sf((1.96 - 2.12132) / math.sqrt(0.5))

        assert conditional_power(1.5, 0.5, 1.96) == pytest.approx(expected, abs=1e-5)

    def test_is_symmetric_and_rises_with_the_drift(self):
        assert conditional_power(-1.5, 0.5, 2.0) == conditional_power(1.5, 0.5, 2.0)
        assert conditional_power(1.0, 0.5, 2.0, 3.0) > conditional_power(1.0, 0.5, 2.0, 1.0)
