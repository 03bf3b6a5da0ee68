import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from scipy.stats import t as student

from experiments.statistics.errors import SampleError, SettingsError
from experiments.statistics.sequential import RunningMean
from experiments.statistics.sequential.running import normal_score, student_reach
from numerics.hac import fixed_b_law, long_run_covariance

seeds = st.integers(0, 2**32 - 1)


def series(seed, n=240):
    return np.random.default_rng(seed).standard_t(4, n) + 3.0


class TestRunningMean:
    def test_is_the_ordinary_error_without_batches_and_lags(self):
        values = series(0)

        looks = RunningMean().extend(values)

        assert np.isnan(looks.error[0])
        for n in (2, 3, 50, 240):
            part = values[:n]
            assert looks.mean[n - 1] == pytest.approx(part.mean())
            assert looks.error[n - 1] == pytest.approx(part.std(ddof=1) / math.sqrt(n))
            assert looks.freedom[n - 1] == pytest.approx(n - 1)

    @pytest.mark.parametrize(("batch", "lag"), [(10, 0), (10, 1), (1, 10), (4, 3)])
    def test_is_newey_west_over_batches_with_its_law_under_noise(self, batch, lag):
        values = series(1)

        looks = RunningMean(batch, lag).extend(values)

        n_batches = values.size // batch
        sums = values.reshape(n_batches, batch).sum(axis=1)
        expected, freedom = fixed_b_law(n_batches, lag)
        variance = long_run_covariance(sums[:, None], lag)[0, 0] / expected / batch
        assert looks.error[-1] == pytest.approx(math.sqrt(variance / values.size))
        assert looks.freedom[-1] == pytest.approx(freedom)

    @pytest.mark.parametrize("n", [100, 103, 109])
    def test_counts_the_open_batch_by_its_periods(self, n):
        values = series(4, n)

        looks = RunningMean(10, 0).extend(values)

        sums, rest = values[:100].reshape(10, 10).sum(axis=1), values[100:]
        off = rest.sum() - rest.size * values[:100].mean()
        squares = np.sum((sums - sums.mean()) ** 2) + off * off
        variance = squares / (9 + rest.size / 10) / 10
        assert looks.error[-1] == pytest.approx(math.sqrt(variance / n))

    def test_has_no_error_until_there_are_batches_enough(self):
        looks = RunningMean(10, 1).extend(series(2, 60))

        assert np.isnan(looks.error[:39]).all()
        assert np.isfinite(looks.error[39:]).all()

    @given(seeds, st.lists(st.integers(0, 60), max_size=6))
    @settings(max_examples=40, deadline=None)
    def test_in_parts_gives_what_it_gives_at_once(self, seed, parts):
        values = series(seed)
        cuts = np.minimum(np.cumsum(parts, dtype=np.int64), values.size)
        at_once, in_parts = RunningMean(7, 2), RunningMean(7, 2)

        whole = at_once.extend(values)
        pieces = [in_parts.extend(piece) for piece in np.split(values, cuts)]

        for name in ("periods", "mean", "error", "freedom"):
            joined = np.concatenate([getattr(piece, name) for piece in pieces])
            np.testing.assert_array_equal(joined, getattr(whole, name))

    @given(seeds, st.floats(0.01, 100.0), st.floats(-1e4, 1e4))
    @settings(max_examples=40, deadline=None)
    def test_scales_and_shifts_with_the_unit(self, seed, scale, shift):
        values = series(seed)

        plain, moved = RunningMean(6, 1), RunningMean(6, 1)
        looks, other = plain.extend(values), moved.extend(scale * values + shift)

        np.testing.assert_allclose(other.error, scale * looks.error, rtol=1e-6)
        np.testing.assert_allclose(other.freedom, looks.freedom)

    @pytest.mark.parametrize("value", [0.0, 0.1, -1e9])
    def test_has_no_error_of_a_constant(self, value):
        looks = RunningMean(5, 1).extend(np.full(100, value))

        assert np.isnan(looks.error).all()

    def test_knows_the_correlation_of_neighboring_batches(self):
        values = series(3, 400)
        sums = values.reshape(40, 10).sum(axis=1)
        running = RunningMean(10, 1)

        running.extend(values)

        u = sums - sums.mean()
        assert running.neighbor_correlation == pytest.approx(u[1:] @ u[:-1] / (u @ u))

    def test_takes_a_known_variance(self):
        looks = RunningMean(variance=4.0).extend([1.0, 2.0, 3.0])

        np.testing.assert_allclose(looks.error, 2.0 / np.sqrt([1, 2, 3]))
        assert np.isinf(looks.freedom).all()

    @pytest.mark.parametrize("value", [math.nan, math.inf])
    def test_refuses_what_is_not_finite(self, value):
        with pytest.raises(SampleError):
            RunningMean().extend([1.0, value])

    @pytest.mark.parametrize("settings_", [{"batch": 0}, {"lag": -1}, {"variance": 0.0}])
    def test_refuses_settings_outside_their_domain(self, settings_):
        with pytest.raises(SettingsError):
            RunningMean(**settings_)


class TestNormalScore:
    @pytest.mark.parametrize("freedom", [8.0, 34.0, 500.0])
    @pytest.mark.parametrize("ratio", [0.5, 2.0, 4.0, 7.0])
    def test_is_as_far_out_as_the_student_ratio(self, ratio, freedom):
        exact = norm.isf(student.sf(ratio, freedom))

        found = normal_score(np.array([ratio, -ratio]), np.array([freedom, freedom]))

        assert found[0] == pytest.approx(exact, abs=0.02)
        assert found[1] == -found[0]

    @given(st.floats(0.0, 8.0), st.floats(3.0, 1e6))
    def test_is_undone_by_the_reach(self, score, freedom):
        ratio = student_reach(np.array([score]), np.array([freedom]))

        back = normal_score(ratio, np.array([freedom]))

        assert back[0] == pytest.approx(score, rel=1e-6, abs=1e-5)

    def test_is_the_ratio_itself_where_the_variance_is_known(self):
        assert normal_score(np.array([1.5]), np.array([math.inf]))[0] == 1.5
        assert student_reach(np.array([1.5]), np.array([math.inf]))[0] == 1.5
