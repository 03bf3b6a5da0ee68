from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from statsmodels.stats.multitest import multipletests

from numerics.errors import DomainError
from numerics.multiplicity import (
    benjamini_hochberg,
    benjamini_yekutieli,
    bonferroni,
    holm,
    sidak,
)

# Benjamini and Hochberg (1995), section 4.1: fifteen endpoints of a trial of thrombolysis.
THROMBOLYSIS = [
    0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262,
    0.5719, 0.6528, 0.7590, 1.0000,
]  # fmt: skip
METHODS = {
    "bonferroni": bonferroni,
    "sidak": sidak,
    "holm": holm,
    "fdr_bh": benjamini_hochberg,
    "fdr_by": benjamini_yekutieli,
}
p_values = arrays(np.float64, st.integers(1, 40), elements=st.floats(0.0, 1.0))


class TestAdjustedPValues:
    @pytest.mark.parametrize(
        ("adjust", "n_rejected"),
        [(bonferroni, 3), (holm, 3), (benjamini_hochberg, 4), (benjamini_yekutieli, 3)],
    )
    def test_reject_as_many_as_in_the_example_of_1995(self, adjust, n_rejected):
        assert np.sum(adjust(THROMBOLYSIS) <= 0.05) == n_rejected

    @pytest.mark.parametrize("name", METHODS)
    @given(p=p_values)
    @settings(deadline=None)
    def test_agree_with_statsmodels(self, name, p):
        # Sidak of 1 takes the logarithm of 0 there; Holm collects garbage, slowly late in a suite.
        with np.errstate(divide="ignore"), patch("gc.collect"):
            expected = multipletests(p, method=name)[1]

        np.testing.assert_allclose(METHODS[name](p), expected, rtol=1e-9, atol=1e-12)

    @pytest.mark.parametrize("name", METHODS)
    def test_count_tests_whose_p_values_were_not_kept(self, name):
        p = np.array([0.001, 0.0004, 0.02])
        others = np.ones(97)

        found = METHODS[name](p, 100)

        np.testing.assert_allclose(found, METHODS[name](np.append(p, others))[:3], rtol=1e-12)

    @pytest.mark.parametrize("adjust", METHODS.values())
    @pytest.mark.parametrize("p", [[], [0.1, np.nan], [-0.1], [1.1], [[0.1]]])
    def test_refuse_what_is_no_probability(self, adjust, p):
        with pytest.raises(DomainError):
            adjust(p)

    def test_refuse_fewer_tests_than_p_values(self):
        with pytest.raises(DomainError, match="only 1"):
            holm([0.1, 0.2], 1)

    def test_count_a_billion_tests_as_well(self):
        million, more = (benjamini_yekutieli([1e-12], m)[0] / m for m in (1_000_000, 1_000_001))

        assert more == pytest.approx(million + 1e-18, rel=1e-12)
        assert benjamini_yekutieli([1e-12], 10**9)[0] == pytest.approx(1e-3 * 21.3004815, rel=1e-8)
