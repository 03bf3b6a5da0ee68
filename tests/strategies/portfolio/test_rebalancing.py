import numpy as np
import pytest

from strategies.portfolio import (
    at_first_eligible,
    at_own_bars,
    every_n_bars,
    on_change,
    on_new_period,
    once,
)


def stamps(*days):
    return np.array(days, "datetime64[ns]").astype(np.int64)


class TestEveryNBars:
    def test_counts_from_the_first_bar(self):
        assert np.flatnonzero(every_n_bars(8, 3, 1)).tolist() == [1, 4, 7]


class TestOnNewPeriod:
    @pytest.mark.parametrize(
        ("period", "expected"),
        [
            ("day", [1, 2, 3, 4]),
            ("week", [1, 3, 4]),
            ("month", [1, 4]),
            ("quarter", [1, 4]),
            ("year", [1]),
        ],
    )
    def test_starts_at_the_first_bar_and_with_each_period(self, period, expected):
        ts = stamps("2021-01-01", "2021-01-02", "2021-01-03", "2021-01-04", "2021-04-01")
        ts += 16 * 3_600_000_000_000

        assert np.flatnonzero(on_new_period(ts, period, 1)).tolist() == expected

    def test_gives_a_bar_that_ends_at_midnight_to_the_period_it_closes(self):
        ts = stamps("2021-01-31T23:00", "2021-02-01T00:00", "2021-02-01T01:00")

        for period in ("day", "week", "month"):
            assert np.flatnonzero(on_new_period(ts, period, 0)).tolist() == [0, 2]


class TestOnChange:
    def test_finds_changes_after_the_first_bar(self):
        weights = np.array([[0.0], [1.0], [1.0], [0.5], [0.5]])

        assert np.flatnonzero(on_change(weights, 0)).tolist() == [0, 1, 3]
        assert np.flatnonzero(on_change(weights, 2)).tolist() == [2, 3]


class TestOnce:
    def test_is_the_first_bar_alone(self):
        assert np.flatnonzero(once(4, 2)).tolist() == [2]


class TestAtOwnBars:
    def test_lets_an_instrument_follow_at_its_next_bar(self):
        due = np.array([True, False, True, True, False, False])
        printed = np.array([[1, 0], [1, 1], [1, 0], [0, 0], [1, 1], [1, 1]], bool)

        acts = at_own_bars(due, printed, np.ones_like(printed))

        assert np.flatnonzero(acts[:, 0]).tolist() == [0, 2, 4]
        assert np.flatnonzero(acts[:, 1]).tolist() == [1, 4]

    def test_owes_nothing_to_an_instrument_that_was_not_concerned(self):
        due = np.array([True, False, True])
        printed = np.array([[0], [1], [1]], bool)

        acts = at_own_bars(due, printed, np.array([[0], [1], [1]], bool))

        assert np.flatnonzero(acts).tolist() == [2]


class TestAtFirstEligible:
    def test_is_each_instruments_first_eligible_bar(self):
        eligible = np.array([[1, 0], [1, 0], [0, 1], [1, 1]], bool)

        acts = at_first_eligible(eligible, 1)

        assert acts.astype(int).tolist() == [[0, 0], [1, 0], [0, 1], [0, 0]]
