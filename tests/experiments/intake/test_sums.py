"""Sums of a batch are those of its rows, in whatever order and pieces they come."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from experiments.intake import MetricTerms, Terms, bins_of, sums_of
from experiments.intake.sums import Taken

TERMS = Terms(
    False, ("a", "b"),
    (MetricTerms("cut", bound=1.0), MetricTerms("x", needs_x=True),
     MetricTerms("q", is_quantile=True)),
    10, 0,
)  # fmt: skip
rows = st.lists(
    st.tuples(
        st.integers(0, 2), st.integers(0, 1), st.integers(1, 3), st.integers(-50, 50),
        st.floats(-5, 5), st.floats(-5, 5),
    ),
    min_size=1, max_size=40,
)  # fmt: skip


def taken(some) -> Taken:
    metric, arm, allocation, at, value, x = (np.array(column) for column in zip(*some, strict=True))
    return Taken(metric, arm, allocation, at, at, value, x)


def by_key(sums) -> dict:
    keys = zip(
        sums.metric.tolist(),
        sums.period.tolist(),
        sums.allocation.tolist(),
        sums.arm.tolist(),
        strict=True,
    )
    values = np.stack(
        [sums.n, sums.total, sums.squares, sums.x_total, sums.x_squares, sums.x_product]
    )
    return {key: values[:, at] for at, key in enumerate(keys)}


class TestSumsOf:
    def test_match_sums_worked_by_hand(self):
        sums = sums_of(
            taken(
                [(0, 1, 1, 12, 3.0, np.nan), (0, 1, 1, 19, -0.5, np.nan), (1, 0, 1, 5, 2.0, 3.0)]
            ),
            TERMS,
        )

        assert by_key(sums).keys() == {(0, 10, 1, 1), (1, 0, 1, 0)}
        np.testing.assert_array_equal(by_key(sums)[0, 10, 1, 1], [2, 0.5, 1.25, 0, 0, 0])
        np.testing.assert_array_equal(by_key(sums)[1, 0, 1, 0], [1, 2, 4, 3, 9, 6])

    def test_have_a_square_wherever_they_have_a_total(self):
        """One value of 1e-200 kept an experiment from being analyzed ever after."""
        sums = sums_of(taken([(1, 0, 1, 5, 1e-200, -5e-320), (1, 1, 1, 5, 2e-60, 1e-59)]), TERMS)

        tiny, small = (by_key(sums)[1, 0, 1, arm] for arm in (0, 1))
        np.testing.assert_array_equal(tiny, [1, 0, 0, 0, 0, 0])
        np.testing.assert_allclose(small, [1, 2e-60, 4e-120, 1e-59, 1e-118, 2e-119])

    @given(rows)
    def test_ascend_by_key(self, some):
        keys = list(by_key(sums_of(taken(some), TERMS)))

        assert keys == sorted(set(keys))

    @given(rows, rows)
    def test_of_two_batches_add_up_to_those_of_both(self, first, second):
        whole, parts = by_key(sums_of(taken(first + second), TERMS)), {}
        for some in (first, second):
            for key, values in by_key(sums_of(taken(some), TERMS)).items():
                parts[key] = parts.get(key, 0.0) + values

        assert whole.keys() == parts.keys()
        for key, values in whole.items():
            np.testing.assert_allclose(values, parts[key], atol=1e-9)


class TestBinsOf:
    @given(rows)
    def test_count_every_outcome_of_a_quantile_metric(self, some):
        found = bins_of(taken(some), TERMS)

        n_quantile = sum(metric == 2 for metric, *_ in some)
        assert (0 if found is None else found.n.sum()) == n_quantile
