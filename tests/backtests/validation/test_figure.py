import pytest

from backtests.validation.errors import NotComputedError, SettingsError
from backtests.validation.figure import figure_of


def refuse(error):
    raise error


class TestFigureOf:
    def test_keeps_the_value(self):
        found = figure_of(lambda: 0.25, "probability", "A quarter.")

        assert found.is_computed
        assert found.to_dict() == {
            "value": 0.25, "unit": "probability", "definition": "A quarter.", "reason": "",
        }  # fmt: skip

    def test_keeps_the_reason(self):
        found = figure_of(lambda: refuse(NotComputedError("nothing traded")), "ratio", "One.")

        assert found.value is None
        assert found.reason == "not computed, because nothing traded"

    def test_lets_a_wrong_setting_through(self):
        with pytest.raises(SettingsError):
            figure_of(lambda: refuse(SettingsError("no")), "ratio", "One.")
