"""One wrong row, one reason; the others are taken."""

import numpy as np
import pytest

from experiments.intake import MetricTerms, Reason, Terms, judge, of_rows, refusals
from experiments.intake.judging import MOST_REFUSALS, keys_of

DAY = 86_400 * 10**9
NOW, START = 100 * DAY, 10 * DAY
METRICS = (
    MetricTerms("return"),
    MetricTerms("filled", is_binary=True),
    MetricTerms("ratio", needs_x=True),
)
SHADOW = Terms(False, ("champion", "challenger"), METRICS, DAY, 0)
ASSIGNED = Terms(True, ("champion", "challenger"), METRICS, DAY, 0)
GOOD = {"metric": "return", "value": 0.5, "at": 20 * DAY, "arm": "champion", "unit": "AAPL"}


def judged(row, terms=SHADOW):
    sent = of_rows([GOOD, row, GOOD])
    return judge(sent, terms, started_ns=START, now_ns=NOW)


class TestJudge:
    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"valu": 1.0}, Reason.UNKNOWN_FIELD),
            ({"metric": "retrun"}, Reason.UNKNOWN_METRIC),
            ({"metric": None}, Reason.UNKNOWN_METRIC),
            ({"at": "yesterday"}, Reason.BAD_TIME),
            ({"value": float("nan")}, Reason.NOT_FINITE),
            ({"value": float("inf")}, Reason.NOT_FINITE),
            ({"value": 1e101}, Reason.NOT_FINITE),
            ({"value": "1"}, Reason.NOT_FINITE),
            ({"x": float("inf")}, Reason.NOT_FINITE),
            ({"metric": "filled"}, Reason.NOT_BINARY),
            ({"metric": "ratio"}, Reason.MISSING_X),
            ({"arm": "chalenger"}, Reason.UNKNOWN_ARM),
            ({"arm": None}, Reason.UNKNOWN_ARM),
            ({"key": ""}, Reason.BAD_KEY),
            ({"at": NOW + 6 * 60 * 10**9}, Reason.IN_FUTURE),
            ({"at": START - 1}, Reason.BEFORE_START),
        ],
    )
    def test_refuses_one_row_for_one_reason(self, change, reason):
        found = judged(GOOD | change)

        assert found.good.tolist() == [0, 2]
        assert found.counts() == {reason: 1}

    @pytest.mark.parametrize("unit", [None, "", "x" * 10_000_000, "a\x00b", 7])
    def test_refuses_what_is_no_unit(self, unit):
        assert judged(GOOD | {"unit": unit}, ASSIGNED).counts() == {Reason.BAD_UNIT: 1}

    @pytest.mark.parametrize(
        "change",
        [
            {"metric": "filled", "value": 1},
            {"metric": "filled", "value": False},
            {"metric": "ratio", "x": 0.0},
            {"at": START},
            {"at": NOW + 4 * 60 * 10**9},
        ],
    )
    def test_takes_what_is_at_the_border(self, change):
        assert judged(GOOD | change).counts() == {}

    def test_names_the_first_thing_that_is_wrong(self):
        assert judged({"metric": "no", "value": None}).counts() == {Reason.UNKNOWN_METRIC: 1}


class TestRefusals:
    def test_are_the_first_with_their_rows(self):
        sent = of_rows([GOOD, *[GOOD | {"metric": "no"}] * 30])

        found = refusals(judge(sent, SHADOW, started_ns=START, now_ns=NOW), SHADOW)

        assert [one.row for one in found] == list(range(1, MOST_REFUSALS + 1))
        assert "return, filled, ratio" in found[0].detail


class TestKeysOf:
    def test_are_of_unit_metric_and_time_by_default(self):
        sent = of_rows([GOOD, GOOD | {"key": f"{20 * DAY}"}, GOOD | {"value": 9}])
        rows = np.arange(3)

        assert len(set(keys_of(sent, ASSIGNED, rows))) == 1
        assert set(keys_of(sent, ASSIGNED, rows[:1])) != set(keys_of(sent, SHADOW, rows[:1]))

    def test_a_key_is_of_one_metric_and_unit(self):
        """An order may be the key of its return and of its slippage."""
        order = GOOD | {"key": "order-1"}
        sent = of_rows([order, order | {"metric": "hit"}, order | {"unit": "MSFT"}])

        assert len(set(keys_of(sent, ASSIGNED, np.arange(3)))) == 3
