from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.assignment.buckets import N_BUCKETS
from experiments.assignment.errors import LayerError
from experiments.assignment.layers import (
    WHOLE,
    Range,
    allocate_ranges,
    edges,
    free_ranges,
    is_inside,
    read_ranges,
    require_exclusive,
    total_share,
)

shares = st.integers(1, 400_000).map(lambda parts: parts / 1_000_000)


class TestAllocateRanges:
    def test_takes_the_first_that_is_free(self):
        assert allocate_ranges(0.2, [Range(0.0, 0.3)]) == (Range(0.3, 0.5),)

    def test_takes_several_pieces_where_one_is_too_small(self):
        taken = [Range(0.1, 0.4), Range(0.5, 0.9)]

        assert allocate_ranges(0.25, taken) == (
            Range(0.0, 0.1), Range(0.4, 0.5), Range(0.9, 0.95),
        )  # fmt: skip

    def test_gives_the_whole_of_an_empty_layer(self):
        assert allocate_ranges(1.0, []) == WHOLE

    def test_adds_up_without_rounding(self):
        taken: list[Range] = []

        for _ in range(10):
            taken.extend(allocate_ranges(0.1, taken))

        assert free_ranges(taken) == ()
        assert read_ranges(taken) == WHOLE

    def test_refuses_more_than_there_is(self):
        with pytest.raises(LayerError, match=r"no room for 30.0000% of its units: 20.0000% are"):
            allocate_ranges(0.3, [Range(0.0, 0.5), Range(0.7, 1.0)])

    @pytest.mark.parametrize("share", [0.0, -0.1, 1.1, float("nan"), 1e-7])
    def test_refuses_what_is_no_share(self, share):
        with pytest.raises(LayerError):
            allocate_ranges(share, [])

    @given(st.lists(st.tuples(shares, st.booleans()), max_size=30))
    def test_keeps_experiments_apart_as_they_come_and_go(self, steps):
        owners: dict[str, tuple[Range, ...]] = {"holdout": (Range(0.95, 1.0),)}

        for number, (share, leaves) in enumerate(steps):
            taken = [one for ranges in owners.values() for one in ranges]
            try:
                given = allocate_ranges(share, taken)
            except LayerError:
                assert total_share(free_ranges(taken)) < share + 1e-9
                continue
            assert total_share(given) == pytest.approx(share, abs=1e-12)
            owners[f"experiment-{number}"] = given
            require_exclusive(owners)
            if leaves and len(owners) > 2:
                owners.pop(next(name for name in owners if name != "holdout"))

    @given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=6), shares)
    def test_respects_ranges_that_are_not_whole_millionths(self, pairs, share):
        taken = [Range(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]]

        try:
            given = allocate_ranges(share, taken)
        except LayerError:
            return

        for one in given:
            require_exclusive({"new": [one], "old": []})
            for old in taken:
                assert one.stop <= old.start or old.stop <= one.start


class TestReadRanges:
    def test_sorts_and_joins(self):
        assert read_ranges([[0.5, 1], [0, 0.25], [0.25, 0.3]]) == (
            Range(0.0, 0.3), Range(0.5, 1.0),
        )  # fmt: skip

    @pytest.mark.parametrize(
        "pairs",
        [
            "ab", [1], [[0.1]], [[0.2, 0.1]], [[0.1, 0.1]], [[-0.1, 0.5]], [[0.5, 1.1]],
            [["a", "b"]], [[False, True]], [[float("nan"), 1.0]], [[0.0, 0.5], [0.4, 0.6]], None,
        ],
    )  # fmt: skip
    def test_refuses_what_is_none(self, pairs):
        with pytest.raises(LayerError):
            read_ranges(pairs)


class TestRequireExclusive:
    def test_names_both(self):
        owners = {"momentum": [Range(0.0, 0.5)], "carry": [Range(0.4, 0.6)]}

        with pytest.raises(LayerError, match=r"momentum with .* and carry with "):
            require_exclusive(owners)

    def test_lets_neighbours_be(self):
        require_exclusive({"momentum": [Range(0.0, 0.5)], "carry": [Range(0.5, 0.6)], "none": []})


class TestIsInside:
    @given(
        st.lists(st.floats(0, 1), min_size=2, max_size=8, unique=True),
        st.integers(0, N_BUCKETS - 1),
    )
    def test_compares_as_exact_arithmetic_does(self, ends, bucket):
        ends = sorted(ends[: len(ends) // 2 * 2])
        ranges = read_ranges(list(zip(ends[::2], ends[1::2], strict=True)))
        at = Fraction(bucket, N_BUCKETS)

        inside = any(Fraction(one.start) <= at < Fraction(one.stop) for one in ranges)

        assert is_inside(bucket, edges(ranges)) is inside

    @pytest.mark.parametrize("cut", [0.1, 0.3, 1 / 3, 0.7])
    def test_neighbours_neither_share_nor_lose_a_bucket(self, cut):
        left, right = edges([Range(0.0, cut)]), edges([Range(cut, 1.0)])

        for bucket in (left[1] - 1, left[1], left[1] + 1, N_BUCKETS - 1):
            assert is_inside(bucket, left) is not is_inside(bucket, right)
