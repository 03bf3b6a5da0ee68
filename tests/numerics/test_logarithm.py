import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from numerics.logarithm import write_log1p


class TestWriteLog1p:
    @pytest.mark.parametrize("reach", [1e-12, 1e-3, 0.1, 0.125, 0.2, 0.99])
    def test_agrees_with_numpy(self, reach):
        values = np.linspace(-reach, 3.0 * reach, 1_001)
        out = np.empty(values.size)

        write_log1p(values, out)

        np.testing.assert_allclose(out, np.log1p(values), rtol=8e-16, atol=0.0)

    @given(arrays(np.float64, st.integers(0, 30), elements=st.floats(-0.999, 1e6)))
    @settings(deadline=None)
    def test_compiled_agrees_with_plain_python(self, values):
        out, plain = np.empty(values.size), np.empty(values.size)

        write_log1p(values, out)
        write_log1p.py_func(values, plain)

        np.testing.assert_array_equal(out, plain)
