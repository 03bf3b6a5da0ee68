import numpy as np
import pytest

from strategies.portfolio import every_n_bars, on_change, on_new_period, once


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

        assert np.flatnonzero(on_new_period(ts, period, 1)).tolist() == expected


class TestOnChange:
    def test_finds_changes_after_the_first_bar(self):
        weights = np.array([[0.0], [1.0], [1.0], [0.5], [0.5]])

        assert np.flatnonzero(on_change(weights, 0)).tolist() == [0, 1, 3]
        assert np.flatnonzero(on_change(weights, 2)).tolist() == [2, 3]


class TestOnce:
    def test_is_the_first_bar_alone(self):
        assert np.flatnonzero(once(4, 2)).tolist() == [2]
