import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from experiments.statistics.errors import (
    NotComputedError,
    SampleError,
    SettingsError,
    ShapeError,
)
from experiments.statistics.sketches import QuantileSketch

samples = arrays(np.float64, st.integers(1, 60), elements=st.floats(-1e6, 1e6))


class TestQuantileSketch:
    @given(samples, st.floats(0.01, 0.99), st.sampled_from([0.001, 0.01, 0.1]))
    @settings(deadline=None)
    def test_misses_the_order_statistic_by_the_stated_share_at_most(self, values, p, share):
        exact = np.sort(values)[int(np.floor(p * (values.size - 1)))]

        found = QuantileSketch.of(values, share).quantile(p)

        assert abs(found - exact) <= share * abs(exact) * (1 + 1e-9) + 1e-12

    @given(samples)
    def test_bins_are_in_the_order_of_the_values(self, values):
        bins = QuantileSketch.bins_of(np.sort(values))

        assert np.all(np.diff(bins) >= 0)

    @given(samples, st.data())
    @settings(deadline=None)
    def test_merges_to_that_of_the_whole(self, values, data):
        cut = data.draw(st.integers(1, values.size))
        whole = QuantileSketch.of(values)
        parts = [QuantileSketch.of(part) for part in (values[:cut], values[cut:]) if part.size]

        merged = parts[0].merged(*parts[1:])

        np.testing.assert_array_equal(merged.bins, whole.bins)
        np.testing.assert_array_equal(merged.counts, whole.counts)

    def test_comes_from_stored_bins_in_any_order(self):
        values = np.random.default_rng(0).standard_t(3, 500)
        bins = QuantileSketch.bins_of(values)

        stored = QuantileSketch.of_counts(bins, np.ones(bins.size))

        assert stored.quantile(0.3) == QuantileSketch.of(values).quantile(0.3)
        assert stored.n == 500.0

    def test_counts_small_values_as_zero(self):
        assert QuantileSketch.of([0.0, 1e-15, -1e-14]).bins.tolist() == [0]
        assert QuantileSketch.of([0.0, 1e-15, -1e-14]).quantile(0.5) == 0.0

    def test_without_values_has_no_quantile(self):
        with pytest.raises(NotComputedError):
            QuantileSketch.of_counts([], []).quantile(0.5)

    def test_refuses_what_cannot_be(self):
        with pytest.raises(SampleError):
            QuantileSketch.of([np.inf])
        with pytest.raises(SampleError):
            QuantileSketch.of_counts([1], [-1.0])
        with pytest.raises(ShapeError):
            QuantileSketch.of_counts([1, 2], [1.0])
        with pytest.raises(SettingsError):
            QuantileSketch.of([1.0], 0.0)
        with pytest.raises(SettingsError):
            QuantileSketch.of([1.0]).merged(QuantileSketch.of([1.0], 0.01))
