import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.statistics.errors import SampleError, SettingsError
from experiments.statistics.sequential import (
    averaged,
    calibrated,
    discoveries,
    multiplied,
    p_value_of,
)

log_e_values = st.lists(st.floats(-50.0, 800.0), min_size=1, max_size=12)


class TestAveraged:
    def test_is_the_mean_of_the_e_values(self):
        assert averaged(np.log([1.0, 3.0, 8.0])) == pytest.approx(math.log(4.0))

    def test_counts_a_lost_bet_as_nothing(self):
        assert averaged([-math.inf, math.log(4.0)]) == pytest.approx(math.log(2.0))

    @given(log_e_values)
    def test_does_not_overflow(self, logs):
        assert max(logs) - math.log(len(logs)) - 1e-9 <= averaged(logs) <= max(logs) + 1e-9


class TestMultiplied:
    def test_adds_the_logarithms(self):
        assert multiplied([1.0, -0.5, 2.0]) == 2.5


class TestPValueOf:
    def test_is_one_over_the_evidence(self):
        assert p_value_of(math.log(20.0)) == pytest.approx(0.05)
        assert p_value_of(-3.0) == 1.0


class TestCalibrated:
    def test_is_an_e_value_on_average(self):
        # The mean of k p^(k - 1) over uniform p is 1; here by the midpoint rule.
        p = (np.arange(200_000) + 0.5) / 200_000

        mean = np.mean([math.exp(calibrated(float(one))) for one in p[::20]])

        assert mean == pytest.approx(1.0, abs=0.05)

    @pytest.mark.parametrize("p", [0.0, 1.1, math.nan])
    def test_refuses_what_is_no_p_value(self, p):
        with pytest.raises(SampleError):
            calibrated(p)


class TestDiscoveries:
    def test_matches_a_case_worked_by_hand(self):
        # k = 4 at 0.1: thresholds 40, 20, 13.3, 10 for the largest, second, third, fourth.
        found = discoveries(np.log([50.0, 5.0, 14.0, 15.0]), 0.1)

        assert found.tolist() == [True, False, True, True]

    @given(log_e_values, st.floats(0.01, 0.5))
    def test_rejects_the_largest(self, logs, level):
        found = discoveries(logs, level)

        values = np.array(logs)
        if found.any() and not found.all():
            assert values[found].min() >= values[~found].max()

    def test_refuses_a_level_outside_its_domain(self):
        with pytest.raises(SettingsError):
            discoveries([1.0], 1.0)
