from __future__ import annotations

import pytest

from backtests.marketdata.manifest import Manifest
from backtests.marketdata.periods import periods_per_year
from backtests.marketdata.stamps import DAY_NS, parse_moment

MINUTE_NS = 60_000_000_000


def _manifest(**changes: object) -> Manifest:
    stated = {
        "kind": "bars", "symbols": ("A",), "fields": {}, "n_rows": 1, "n_observations": 1,
        "first": parse_moment("2015-01-02"), "last": parse_moment("2020-12-31"),
    }  # fmt: skip
    return Manifest(**{**stated, **changes})


class TestPeriodsPerYear:
    @pytest.mark.parametrize(
        ("calendar", "bar_ns", "expected"),
        [
            ("XNYS", DAY_NS, 252.0),
            ("XNYS", 7 * DAY_NS, 52.18),
            ("XNYS", MINUTE_NS, 252.0 * 390),
            ("XNYS", 60 * MINUTE_NS, 252.0 * 7),
            ("24/7", DAY_NS, 365.25),
            ("24/7", 60 * MINUTE_NS, 8766.0),
            ("fx", DAY_NS, 260.9),
        ],
    )
    def test_counts_sessions_and_their_bars(self, calendar, bar_ns, expected):
        found = periods_per_year(_manifest(calendar=calendar, bar_ns=bar_ns))

        assert found == pytest.approx(expected, rel=0.006)

    @pytest.mark.parametrize(
        "changes",
        [{"bar_ns": DAY_NS}, {"calendar": "XNYS"}, {"calendar": "XXXX", "bar_ns": DAY_NS},
         {"calendar": "24/7", "bar_ns": DAY_NS, "kind": "quotes"}],
    )  # fmt: skip
    def test_is_unknown_without_calendar_length_or_bars(self, changes):
        assert periods_per_year(_manifest(**changes)) is None

    def test_bars_outside_sessions_count_where_they_are_many(self, shared_data, run_import):
        path = shared_data / "equity_spy_1m_2011_01.parquet"

        manifest = run_import(path, stamp="end", calendar="XNYS").manifest

        # 709 bars on an average of 20 days.
        assert periods_per_year(manifest) == pytest.approx(252 * 709, rel=0.03)
