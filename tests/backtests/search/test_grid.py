"""Grids by index."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtests.search import Grid, SpaceError, UnsatisfiableError, build_space, digest
from backtests.search.dimensions import Choices, Range
from backtests.search.expressions import parse


def space(*, constraints=(), **dimensions):
    return build_space(dimensions, [parse(text) for text in constraints])


class TestGrid:
    @given(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    def test_is_the_product_of_its_values_in_order(self, sizes):
        lists = [list(range(10 * place, 10 * place + size)) for place, size in enumerate(sizes)]
        grid = Grid(space(**{f"d{i}": Choices(values=values) for i, values in enumerate(lists)}))

        points = [tuple(grid.at(i).values()) for i in range(grid.n_trials)]

        assert points == list(itertools.product(*lists))

    def test_finds_a_point_of_a_huge_grid_at_once(self):
        grid = Grid(space(**{f"d{i}": Range(low=0, high=999, step=1) for i in range(9)}))

        assert grid.n_trials == 10**27
        assert list(grid.at(10**27 - 1).values()) == [999] * 9
        assert list(grid.at(1_002).values()) == [0] * 7 + [1, 2]

    def test_has_each_conditional_point_once(self):
        grid = Grid(
            space(
                kind=Choices(values=["a", "b", "c"]),
                x=Choices(values=[1, 2, 3], when={"kind": "a"}),
                y=Choices(values=[1, 2], when={"kind": ["a", "b"]}),
            )
        )

        points = [grid.at(i) for i in range(grid.n_trials)]

        assert grid.n_trials == 3 * 2 + 2 + 1
        assert len({digest(point) for point in points}) == 9
        assert points[-1] == {"kind": "c"}

    def test_leaves_out_what_breaks_a_constraint(self):
        grid = Grid(
            space(
                fast=Choices(values=[5, 10, 20]), slow=Choices(values=[10, 20, 40]),
                constraints=["fast < slow"],
            )
        )  # fmt: skip

        assert [tuple(grid.at(i).values()) for i in range(grid.n_trials)] == [
            (5, 10), (5, 20), (5, 40), (10, 20), (10, 40), (20, 40),
        ]  # fmt: skip

    def test_says_when_nothing_is_left(self):
        with pytest.raises(UnsatisfiableError, match="No point of the grid"):
            Grid(space(a=Choices(values=[1, 2]), constraints=["a > 3"])).at(0)

    def test_does_not_enumerate_without_end(self):
        wide = {f"d{i}": Range(low=0, high=999, step=1) for i in range(3)}

        with pytest.raises(SpaceError, match="at most 2000 points"):
            Grid(space(**wide, constraints=["d0 <= d1"]), most_enumerated=2_000).at(0)

    def test_needs_values_that_can_be_counted(self):
        with pytest.raises(SpaceError, match="x: a grid needs a list of values"):
            Grid(space(x=Range(low=0.0, high=1.0)))

    @pytest.mark.parametrize("number", [-1, 3])
    def test_has_no_points_beyond_its_end(self, number):
        with pytest.raises(SpaceError, match="The grid has 3 points"):
            Grid(space(a=Choices(values=[1, 2, 3]))).at(number)
