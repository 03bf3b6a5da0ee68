"""The little language of objectives and constraints."""

import contextlib
import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtests.search import ExpressionError
from backtests.search.expressions import parse

METRICS = {"sharpe": 1.5, "turnover": 2.0, "max_drawdown": 0.4, "signals.0.fast": 5, "n": 0}
numbers = st.floats(-1e6, 1e6)


class TestEvaluate:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("sharpe", 1.5),
            ("sharpe - 0.5 * turnover", 0.5),
            ("-sharpe ** 2 + +1", -1.25),
            ("2 * (sharpe + turnover) / 4", 1.75),
            ("min(sharpe, turnover, 0.1)", 0.1),
            ("max(sharpe, turnover) + abs(-3)", 5.0),
            ("sqrt(turnover * 2) + log(1)", 2.0),
            ("signals.0.fast * 1e1", 50.0),
            ("1_000 + .5", 1000.5),
            ("max_drawdown < 0.3", 0.0),
            ("0.1 < max_drawdown <= 0.4", 1.0),
            ("not n > 0 and sharpe > 1", 1.0),
            ("sharpe > 2 or turnover == 2", 1.0),
            ("sharpe != 1.5", 0.0),
        ],
    )  # fmt: skip
    def test_follows_arithmetic(self, text, value):
        assert parse(text).evaluate(METRICS).value == pytest.approx(value)

    @given(numbers, numbers)
    def test_agrees_with_python(self, a, b):
        text = "a * 2 - abs(b) / 3 + min(a, b) ** 2"
        expected = a * 2 - abs(b) / 3 + min(a, b) ** 2

        assert parse(text).evaluate({"a": a, "b": b}).value == expected

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("sortino", "sortino: not computed, because no negative return."),
            ("calmar + 1", "calmar: not computed."),
            ("omega", "omega: not computed."),
            ("sharpe / n", "sharpe / n divides by zero."),
            ("log(n)", "log(n) is not a finite real number."),
            ("(-sharpe) ** 0.5", "is not a finite real number."),
            ("9 ** 9 ** 9 ** 9", "is not a finite real number."),
            ("1e308 * 10", "is not a finite real number."),
        ],
    )
    def test_says_why_there_is_no_number(self, text, sentence):
        found = parse(text).evaluate(
            METRICS | {"sortino": None, "omega": math.nan},
            {"sortino": "not computed, because no negative return"},
        )

        assert found.value is None
        assert sentence in found.reason

    @pytest.mark.parametrize("number", [np.int64(3), np.float32(3), 3, True + 2])
    def test_takes_numbers_of_any_make(self, number):
        assert parse("a").evaluate({"a": number}).value == 3.0


class TestViolation:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("max_drawdown < 0.3", 0.1),
            ("max_drawdown < 0.5", 0.0),
            ("turnover < 2", 1e-12),
            ("turnover <= 2", 0.0),
            ("sharpe >= 2 and max_drawdown < 0.3", 0.6),
            ("sharpe >= 2 or max_drawdown < 0.3", 0.1),
            ("not sharpe > 1", 1.0),
            ("1.6 < sharpe < 1.4", 0.2),
        ],
    )
    def test_measures_how_far_off(self, text, value):
        assert parse(text).violation(METRICS).value == pytest.approx(value)

    @given(numbers, numbers, numbers)
    def test_is_zero_exactly_where_the_condition_holds(self, a, b, c):
        for text in ("a < b", "a <= b < c", "a > b or b == c", "not (a < b and b != c)"):
            condition = parse(text)
            values = {"a": a, "b": b, "c": c}

            broken = condition.violation(values).value

            assert (broken == 0.0) is (condition.evaluate(values).value == 1.0)


class TestParse:
    @pytest.mark.parametrize(
        "text",
        [
            "__import__('os')", "a.__class__()", "(lambda: 1)()", "[1][0]", "a if b else c",
            "'text'", "f'{a}'", "a @ b", "a // b", "a % b", "a & b", "a is b",
            "a in b", "min(a, b, key=c)", "min(*a)", "x := 3", "a; b", "1j", "", "a b", "2x",
            "sqrt(", "a.0.()", "0x1f", "2a", "0b1", "1ea", "2 3",
        ],
    )  # fmt: skip
    def test_takes_nothing_but_the_language(self, text):
        with pytest.raises(ExpressionError):
            parse(text)

    def test_names_the_nearest_known_name(self):
        with pytest.raises(ExpressionError, match=r"did you mean 'sharpe'\?"):
            parse("sharp - 1", names=METRICS)

    def test_names_the_nearest_function(self):
        with pytest.raises(ExpressionError, match="calls 'mim'; did you mean 'min'"):
            parse("mim(a, b)")

    @pytest.mark.parametrize("text", ["a < 1 + (b < 2)", "(a < 1) * 2", "a and b", "not a"])
    def test_does_not_take_a_comparison_for_a_number(self, text):
        with pytest.raises(ExpressionError, match="where it has the other"):
            parse(text)

    @pytest.mark.parametrize("text", ["(" * 300 + "1" + ")" * 300, "-" * 900 + "1", "1" * 1001,
                                      "1" * 400 + "**9"])  # fmt: skip
    def test_refuses_the_monstrous_quickly(self, text):
        began = time.monotonic()

        with pytest.raises(ExpressionError):
            parse(text)

        assert time.monotonic() - began < 5.0

    @given(st.text(max_size=40))
    def test_never_fails_in_another_way(self, text):
        with contextlib.suppress(ExpressionError):
            parse(text).evaluate({})

    def test_knows_its_names(self):
        assert parse("signals.0.fast < a + min(a, 1e3)").names == {"signals.0.fast", "a"}
