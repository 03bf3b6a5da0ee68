from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtests.marketdata.calendars import AlwaysOpen, ForexWeek, get_calendar
from backtests.marketdata.findings import Ledger, Marks
from backtests.marketdata.quality.sessions import check_days, check_intraday, find_shifts
from backtests.marketdata.stamps import DAY_NS, parse_moment

HOUR_NS = 3_600_000_000_000
START, END = parse_moment("2023-10-01"), parse_moment("2024-04-30")


def _hours(sessions) -> np.ndarray:
    parts = [np.arange(a, b, HOUR_NS) for a, b in zip(sessions.opens, sessions.closes, strict=True)]
    return np.concatenate(parts)


def _marks(n: int) -> tuple[Marks, Ledger]:
    ledger = Ledger("x.csv")
    ledger.symbols.append("X")
    return Marks(np.arange(1, n + 1), np.zeros(n, dtype=np.int64), np.zeros(n, np.int32)), ledger


class TestFindShifts:
    @given(st.integers(0, 25), st.integers(1, 5), st.integers(-12, 12).filter(bool))
    def test_names_the_weeks_that_were_moved_and_by_how_much(self, first, length, hours):
        sessions = ForexWeek().sessions(START, END)
        begins = _hours(sessions)
        week = np.searchsorted(sessions.opens, begins, side="right") - 1
        moved = (week >= first) & (week < first + length)
        # Neighbouring weeks do not overlap: the weekend is two days long.
        begins = np.sort(np.where(moved, begins + hours * HOUR_NS, begins))

        (shift,) = find_shifts(begins, HOUR_NS, sessions)

        assert (shift.hours, shift.n_sessions) == (hours, length)

    def test_pre_market_bars_and_half_days_are_no_shift(self):
        calendar = get_calendar("XNYS", START, END)
        sessions = calendar.sessions(START, END)
        early = [np.arange(a - 5 * HOUR_NS, b, HOUR_NS // 2) for a, b in
                 zip(sessions.opens, sessions.closes, strict=True)]  # fmt: skip

        assert find_shifts(np.concatenate(early), HOUR_NS // 2, sessions) == []


class TestCheckIntraday:
    def test_counts_the_missing_bars_and_not_the_weekends(self):
        sessions = ForexWeek().sessions(START, END)
        begins = np.delete(_hours(sessions), [10, 11, 12, 300])
        marks, ledger = _marks(begins.size)

        check_intraday(begins, HOUR_NS, sessions, marks, ledger)

        (finding,) = ledger.settle().findings
        assert (finding.code, finding.count) == ("gaps", 4)
        assert "in 2 gaps" in finding.sentence
        assert "longest has 3 bars" in finding.sentence

    def test_flags_bars_on_a_closed_market(self):
        sessions = ForexWeek().sessions(START, END)
        saturday = parse_moment("2023-12-02T12:00:00Z")
        begins = np.sort(np.append(_hours(sessions), saturday))
        marks, ledger = _marks(begins.size)

        check_intraday(begins, HOUR_NS, sessions, marks, ledger)

        assert ledger.settle().count("outside_sessions") == 1

    @given(st.sets(st.integers(1, 98), max_size=40))
    def test_finds_every_hole_of_a_market_that_never_closes(self, holes):
        begins = np.delete(np.arange(100) * HOUR_NS, sorted(holes))
        marks, ledger = _marks(begins.size)

        check_intraday(begins, HOUR_NS, AlwaysOpen().sessions(0, DAY_NS * 5), marks, ledger)

        assert ledger.settle().count("gaps") == len(holes)


class TestCheckDays:
    @pytest.mark.parametrize(
        ("day", "code"), [("2023-12-25", "outside_sessions"), ("2023-12-26", "gaps")]
    )
    def test_compares_with_the_exchange(self, day, code):
        calendar = get_calendar("XNYS", START, END)
        days = calendar.days(START, END)
        odd = parse_moment(day)
        days = np.sort(np.append(days, odd)) if code != "gaps" else days[days != odd]
        marks, ledger = _marks(days.size)

        check_days(days, calendar, marks, ledger)

        assert {f.code: f.count for f in ledger.settle().findings} == {code: 1}
