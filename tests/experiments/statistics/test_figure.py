import pytest

from experiments.statistics.errors import NotComputedError, SampleError
from experiments.statistics.figure import figure_of


def refusing(error):
    def compute():
        raise error("there is one unit")

    return compute


class TestFigureOf:
    def test_holds_what_was_computed(self):
        found = figure_of(lambda: 0.25)

        assert found.value == 0.25
        assert found.is_computed
        assert found.because == ""

    def test_says_why_nothing_was(self):
        found = figure_of(refusing(NotComputedError))

        assert found.value is None
        assert not found.is_computed
        assert found.because == "not computed, because there is one unit"

    def test_does_not_hide_what_should_not_have_come_in(self):
        with pytest.raises(SampleError):
            figure_of(refusing(SampleError))
