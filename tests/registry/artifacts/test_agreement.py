"""How far the outputs of two models are apart."""

import math

import numpy as np
import pytest

from registry.artifacts.agreement import compare, outputs_of
from registry.artifacts.errors import ArtifactError


class TestCompare:
    @pytest.mark.parametrize(
        ("before", "after", "expected"),
        [
            ([1.0, 2.0], [1.0, 2.5], 0.5),
            ([1.0, math.nan], [1.0, math.nan], 0.0),
            ([1.0, math.nan], [1.0, 2.0], math.inf),
            (["a", "b"], ["a", "b"], 0.0),
            (["a", "b"], ["a", "c"], math.inf),
            ([1.0], [1.0, 1.0], math.inf),
            ([True, False], [True, True], math.inf),
            ([math.inf], [math.inf], 0.0),
            ([], [], 0.0),
        ],
    )
    def test_takes_the_largest_and_infinite_where_it_has_none(self, before, after, expected):
        found = compare({"predict": np.array(before)}, {"predict": np.array(after)})

        assert found.max_abs_difference == expected

    def test_measures_each_output_by_its_own_size(self):
        before = {"predict": np.array([0.0, 1e-3]), "decision_function": np.array([100.0, 0.0])}
        after = {"predict": np.array([0.0, 1.1e-3]), "decision_function": np.array([101.0, 0.0])}

        found = compare(before, after)

        assert found.max_abs_difference == 1.0
        assert found.max_rel_difference == pytest.approx(0.1)

    def test_counts_decisions_where_there_are_any(self):
        labels = {"predict": np.array([0, 1, 1])}
        returns = {"predict": np.array([0.1, 0.2, 0.3])}

        assert compare(labels, {"predict": np.array([1, 1, 0])}).n_decisions_differing == 2
        assert compare(returns, {"predict": returns["predict"] * 2}).n_decisions_differing == 0
        assert compare(returns, {"predict": returns["predict"] * -1}).n_decisions_differing == 3

    def test_takes_a_sign_within_the_tolerance_of_nothing_for_rounding(self):
        before = {"predict": np.array([1.0, -1.0, 1e-9])}
        after = {"predict": np.array([1.0, -1.0, -1e-9])}

        assert compare(before, after, 1e-5).n_decisions_differing == 0
        assert compare(before, after).n_decisions_differing == 1

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ([[1e9, 0.5], [1e9, -0.5]], [[1e9, -0.5], [1e9, 0.5]]),
            ([1e6, 0.5, -0.5], [1e6, -0.5, 0.5]),
        ],
    )
    def test_excuses_nothing_by_a_large_value_elsewhere(self, before, after):
        found = compare({"predict": np.array(before)}, {"predict": np.array(after)}, 1e-5)

        assert found.max_rel_difference > 1e-5
        assert found.n_decisions_differing == 2

    def test_allows_a_large_value_its_own_rounding(self):
        before, after = np.array([1e6, 0.5, -0.5]), np.array([1e6 + 0.06, 0.5, -0.5])

        found = compare({"predict": before}, {"predict": after})

        assert found.max_rel_difference < 1e-7

    def test_does_not_wrap_numbers_without_a_sign(self):
        before, after = np.array([0], dtype=np.uint8), np.array([255], dtype=np.uint8)

        assert compare({"predict": before}, {"predict": after}).max_abs_difference == 255.0

    def test_refuses_outputs_of_other_names(self):
        with pytest.raises(ArtifactError, match="other methods"):
            compare({"predict": np.zeros(1)}, {"predict_proba": np.zeros(1)})

    def test_tells_an_infinite_difference_as_none(self):
        found = compare({"predict": np.array(["a"])}, {"predict": np.array(["b"])}).document()

        assert found["max_abs_difference"] is None
        assert found["n_decisions_differing"] == 1


class TestOutputsOf:
    def test_refuses_what_predicts_nothing(self):
        from sklearn.preprocessing import StandardScaler

        with pytest.raises(ArtifactError, match="a StandardScaler predicts nothing"):
            outputs_of(StandardScaler(), np.zeros((1, 1)))
