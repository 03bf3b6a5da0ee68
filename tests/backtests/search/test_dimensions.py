"""Lists of values and ranges, and the unit interval mapped onto them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from backtests.search import SpaceError
from backtests.search.dimensions import Choices, Range

places = st.floats(0.0, 1.0)
DIMENSIONS = [
    Choices(values=[63, 126, 252]),
    Choices(values=["momentum", "trend", None, True, {"kind": "sqrt"}]),
    Choices(values=[0.5, 1, 2]),
    Range(low=5, high=50, step=5),
    Range(low=3, high=10, step=4),
    Range(low=1, high=1000, step=1, log=True),
    Range(low=0.1, high=0.7, step=0.1),
    Range(low=-1.0, high=1.0),
    Range(low=1e-6, high=10.0, log=True),
]


@pytest.mark.parametrize("dimension", DIMENSIONS, ids=str)
class TestAnyDimension:
    @given(u=places)
    def test_finds_a_value_again(self, dimension, u):
        value = dimension.from_unit(u)

        again = dimension.from_unit(dimension.to_unit(value))

        assert again == pytest.approx(value) if isinstance(value, float) else again == value
        assert dimension.canonical(value) == value
        assert 0.0 <= dimension.to_unit(value) <= 1.0

    def test_reaches_both_ends(self, dimension):
        if isinstance(dimension, Range):
            assert dimension.from_unit(0.0) == dimension.low
            highest = dimension.high if dimension.n_levels is None else dimension.level(
                dimension.n_levels - 1
            )  # fmt: skip
            assert dimension.from_unit(1.0) == highest
        else:
            assert dimension.from_unit(0.0) == dimension.values[0]
            assert dimension.from_unit(1.0) == dimension.values[-1]

    def test_numbers_its_values(self, dimension):
        for index in range(dimension.n_levels or 0):
            assert dimension.index_of(dimension.level(index)) == index


class TestChoices:
    def test_keeps_whole_numbers_whole(self):
        assert [type(value) for value in Choices(values=[63, 126]).values] == [int, int]

    def test_makes_all_numbers_floats_where_one_is(self):
        assert [type(value) for value in Choices(values=[0.5, 1]).values] == [float, float]

    def test_takes_a_number_in_its_other_spelling(self):
        assert Choices(values=[63, 126]).canonical(63.0) == 63
        assert isinstance(Choices(values=[63, 126]).canonical(63.0), int)

    def test_does_not_take_a_truth_for_a_number(self):
        with pytest.raises(SpaceError):
            Choices(values=[0, 1]).canonical(True)

    @pytest.mark.parametrize(
        ("values", "is_ordered"), [([1, 2, 9], True), ([2, 1], False), (["a"], False)]
    )
    def test_knows_whether_it_has_an_order(self, values, is_ordered):
        assert Choices(values=values).is_ordered is is_ordered

    @pytest.mark.parametrize("values", [[1, 1], [1, 1.0], ["a", "a"], []])
    def test_refuses_a_value_twice_and_none(self, values):
        with pytest.raises(ValidationError):
            Choices(values=values)


class TestRange:
    def test_counts_by_steps(self):
        assert [Range(low=3, high=10, step=4).level(i) for i in range(2)] == [3, 7]
        assert Range(low=0.1, high=0.7, step=0.1).n_levels == 7
        assert Range(low=0.1, high=0.7, step=0.1).level(2) == 0.3

    def test_has_whole_numbers_only_by_whole_steps(self):
        assert isinstance(Range(low=0, high=1).from_unit(0.3), float)
        assert isinstance(Range(low=0, high=9, step=1).from_unit(0.3), int)

    def test_spreads_evenly_over_ratios(self):
        assert Range(low=0.01, high=100.0, log=True).from_unit(0.5) == pytest.approx(1.0)

    @given(places)
    def test_has_no_more_than_twelve_digits(self, u):
        value = Range(low=0.0, high=1.0).from_unit(u)

        assert float(f"{value:.12g}") == value

    @pytest.mark.parametrize(
        ("document", "sentence"),
        [
            ({"low": 2, "high": 2}, "low 2 is not below high 2"),
            ({"low": 0, "high": 2, "log": True}, "begins above 0"),
            ({"low": 1, "high": 2, "step": 0}, "step 0 is not above 0"),
            ({"low": 1, "high": 2, "step": 5}, "longer than the range"),
            ({"low": 1, "high": 9, "step": 2, "log": True}, "a logarithmic range has no step"),
            ({"low": "1", "high": 9}, "valid integer"),
            ({"low": True, "high": 9}, "valid integer"),
            ({"low": float("nan"), "high": 9.0}, "finite"),
        ],
    )
    def test_refuses_what_is_no_range(self, document, sentence):
        with pytest.raises(ValidationError, match=sentence):
            Range.model_validate(document)
