import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from strategies.portfolio import equal_weights, given_weights

NAN = float("nan")


def side_of(*rows):
    return np.array(rows, np.int8)


class TestEqualWeights:
    def test_holds_the_strongest(self):
        score = np.array([[0.1, 0.4, 0.3, NAN]])

        found = equal_weights(score, side_of([1, 1, 1, 0]), n_holdings=2, gross=1.0)

        np.testing.assert_allclose(found, [[0.0, 0.5, 0.5, 0.0]])

    def test_leaves_the_slot_of_a_flat_instrument_in_cash(self):
        score = np.array([[0.1, -0.4]])

        found = equal_weights(score, side_of([1, 0]), n_holdings=None, gross=1.0)

        np.testing.assert_allclose(found, [[0.5, 0.0]])

    def test_prefers_the_most_negative_score_among_shorts(self):
        score = np.array([[-0.1, -0.4, 0.2]])

        found = equal_weights(score, side_of([-1, -1, 1]), n_holdings=2, gross=1.0)

        np.testing.assert_allclose(found, [[0.0, -0.5, 0.5]])

    def test_breaks_ties_by_column(self):
        found = equal_weights(np.zeros((1, 3)), side_of([1, 1, 1]), n_holdings=1, gross=2.0)

        np.testing.assert_allclose(found, [[2.0, 0.0, 0.0]])

    @given(
        arrays(np.float64, (4, 5), elements=st.one_of(st.floats(-1, 1), st.just(NAN))),
        st.one_of(st.none(), st.integers(1, 8)),
    )
    def test_keeps_gross_and_the_number_of_holdings(self, score, n_holdings):
        side = np.sign(np.nan_to_num(score)).astype(np.int8)

        found = equal_weights(score, side, n_holdings=n_holdings, gross=0.98)

        assert np.all(np.abs(found).sum(axis=1) <= 0.98 + 1e-12)
        assert np.all(np.count_nonzero(found, axis=1) <= (n_holdings or 5))
        assert np.all((found == 0.0) | (np.sign(found) == side))


class TestGivenWeights:
    def test_follows_the_side(self):
        found = given_weights(side_of([1, 0, -1]), np.array([0.5, 0.3, 0.2]))

        np.testing.assert_allclose(found, [[0.5, 0.0, -0.2]])
