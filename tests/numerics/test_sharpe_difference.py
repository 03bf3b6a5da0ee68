import numpy as np
import pytest

from numerics.errors import DomainError, UndeterminedError
from numerics.sharpe_difference import ratio_difference, resampled_ratio_difference


def pairs(n, seed):
    """Return two correlated series."""
    rng = np.random.default_rng(seed)
    shocks = rng.normal(size=(n, 2))
    return 0.01 * (shocks @ np.array([[1.0, 0.6], [0.0, 0.8]])) + 0.001


class TestRatioDifference:
    def test_is_near_memmel_for_normal_returns(self):
        r = pairs(20_000, 1)
        s, rho = r.mean(axis=0) / r.std(axis=0), np.corrcoef(r.T)[0, 1]
        variance = 2 - 2 * rho + 0.5 * (s @ s - 2 * s[0] * s[1] * rho**2)

        found = ratio_difference(r)

        assert found.difference == pytest.approx(s[0] - s[1])
        assert found.standard_error == pytest.approx(np.sqrt(variance / 20_000), rel=0.03)

    @pytest.mark.parametrize("wrong", [np.ones((20, 2)), pairs(9, 0), np.ones((12, 1)) @ [[1, 2]]])
    def test_refuses_what_does_not_determine_it(self, wrong):
        with pytest.raises(UndeterminedError):
            ratio_difference(wrong)


class TestResampledRatioDifference:
    def test_scatters_as_much_as_the_error_says(self):
        r = pairs(400, 2)

        drawn = resampled_ratio_difference(r, block=1, n_resamples=2_000, seed=3)

        assert drawn.difference.std() == pytest.approx(ratio_difference(r)[1], rel=0.1)
        assert np.median(drawn.standard_error) == pytest.approx(ratio_difference(r)[1], rel=0.1)

    def test_is_the_same_for_the_same_seed(self):
        one, other = (resampled_ratio_difference(pairs(50, 4), n_resamples=9) for _ in range(2))

        np.testing.assert_array_equal(one.difference, other.difference)

    @pytest.mark.parametrize("block", [0, 26])
    def test_refuses_blocks_that_do_not_fit(self, block):
        with pytest.raises(DomainError):
            resampled_ratio_difference(pairs(50, 4), block=block)
