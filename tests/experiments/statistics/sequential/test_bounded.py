import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from experiments.statistics.errors import SampleError, SettingsError
from experiments.statistics.sequential import (
    BoundedStream,
    bernstein_sequence,
    betting_evidence,
    betting_sequence,
)

PATTERN = np.array([0.3, 0.5, 0.45, 0.62, 0.41, 0.58, 0.39, 0.52, 0.47, 0.55] * 20)
unit_values = arrays(np.float64, st.integers(1, 80), elements=st.floats(0.0, 1.0))


class TestBernsteinSequence:
    def test_has_the_values_of_confseq(self):
        # confseq 0.0.11, predmix.predmix_empbern_cs(PATTERN) after 50 and 200 values.
        sequence = bernstein_sequence(PATTERN, low=0.0, high=1.0)

        np.testing.assert_allclose(
            sequence.lower[[49, 199]], [0.32715134319239025, 0.4386136263099488], rtol=1e-12
        )
        np.testing.assert_allclose(
            sequence.upper[[49, 199]], [0.6339390116965689, 0.5201589624122898], rtol=1e-12
        )


class TestBettingSequence:
    def test_has_the_values_of_confseq(self):
        # confseq 0.0.11, betting.betting_cs(PATTERN, breaks=4000) with bets lambda_predmix_eb at
        # alpha / 2; it rounds outwards as we do, up to one step of the grid.
        sequence = betting_sequence(PATTERN, low=0.0, high=1.0, resolution=4_000)

        np.testing.assert_allclose(
            sequence.lower[[9, 49, 199]], [0.24975, 0.411, 0.4565], atol=2.6e-4
        )
        np.testing.assert_allclose(
            sequence.upper[[9, 49, 199]], [0.7275, 0.552, 0.502], atol=2.6e-4
        )

    def test_is_tighter_than_bernstein(self):
        values = np.random.default_rng(0).beta(10, 10, 1_000)

        betting = betting_sequence(values, low=0.0, high=1.0)
        bernstein = bernstein_sequence(values, low=0.0, high=1.0)

        assert betting.upper[-1] - betting.lower[-1] < bernstein.upper[-1] - bernstein.lower[-1]

    @pytest.mark.parametrize("value", [0.0, 1.0])
    def test_keeps_a_bound_that_is_the_mean(self, value):
        sequence = betting_sequence(np.full(500, value), low=0.0, high=1.0)

        assert sequence.lower[-1] <= value <= sequence.upper[-1]
        assert sequence.upper[-1] - sequence.lower[-1] < 0.05


class TestBoundedStream:
    @pytest.mark.parametrize("is_betting", [False, True])
    @given(unit_values, st.lists(st.integers(0, 30), max_size=4))
    @settings(max_examples=25, deadline=None)
    def test_in_parts_gives_what_it_gives_at_once(self, is_betting, values, parts):
        cuts = np.minimum(np.cumsum(parts, dtype=np.int64), values.size)
        at_once = BoundedStream(0.0, 1.0, is_betting=is_betting, resolution=50)
        in_parts = BoundedStream(0.0, 1.0, is_betting=is_betting, resolution=50)

        whole = at_once.extend(values)
        pieces = [in_parts.extend(piece) for piece in np.split(values, cuts)]

        np.testing.assert_array_equal(np.concatenate([p.lower for p in pieces]), whole.lower)
        np.testing.assert_array_equal(np.concatenate([p.upper for p in pieces]), whole.upper)

    @pytest.mark.parametrize("is_betting", [False, True])
    @given(unit_values)
    @settings(max_examples=25, deadline=None)
    def test_mirrors_mirrored_values(self, is_betting, values):
        stream = BoundedStream(0.0, 1.0, is_betting=is_betting, resolution=64)
        mirrored = BoundedStream(0.0, 1.0, is_betting=is_betting, resolution=64)

        one, other = stream.extend(values), mirrored.extend(1.0 - values)

        np.testing.assert_allclose(
            one.lower, 1.0 - other.upper, atol=1.0 / 60 if is_betting else 1e-9
        )

    @given(unit_values, st.floats(0.1, 10.0), st.floats(-5.0, 5.0))
    @settings(max_examples=25, deadline=None)
    def test_scales_with_the_unit(self, values, scale, shift):
        plain = bernstein_sequence(values, low=0.0, high=1.0)
        moved = bernstein_sequence(
            np.clip(values * scale + shift, shift, shift + scale), low=shift, high=shift + scale
        )

        np.testing.assert_allclose(moved.lower, plain.lower * scale + shift, atol=1e-6)

    def test_refuses_values_outside_its_bounds(self):
        with pytest.raises(SampleError, match="1 values lie outside"):
            bernstein_sequence([0.5, 1.5], low=0.0, high=1.0)

    def test_says_that_it_clips(self):
        sequence = bernstein_sequence([0.5, 1.5], low=0.0, high=1.0, is_clipped=True)

        assert "1 values were moved" in sequence.warnings[0]

    @pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (1.0, 0.0), (-math.inf, 0.0)])
    def test_refuses_bounds_that_are_none(self, low, high):
        with pytest.raises(SettingsError):
            BoundedStream(low, high)


class TestBettingEvidence:
    def test_has_the_values_of_confseq(self):
        # confseq 0.0.11, log of betting.betting_mart(PATTERN, m, convex_comb=True), bets as above.
        found = [betting_evidence(PATTERN, mean=m, low=0.0, high=1.0)[-1] for m in (0.4, 0.48, 0.5)]

        np.testing.assert_allclose(
            found, [15.477492454538439, -0.7855733890449804, 2.6401279756781104], rtol=1e-10
        )

    def test_averages_at_most_one_without_a_difference(self):
        rng = np.random.default_rng(1)
        evidence = [
            betting_evidence(rng.random(50), mean=0.5, low=0.0, high=1.0)[-1] for _ in range(4_000)
        ]

        e_values = np.exp(evidence)
        assert e_values.mean() < 1.0 + 3.0 * e_values.std() / math.sqrt(4_000)

    def test_refuses_a_mean_on_the_bound(self):
        with pytest.raises(SettingsError):
            betting_evidence([0.5], mean=1.0, low=0.0, high=1.0)
