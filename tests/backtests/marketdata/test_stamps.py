from __future__ import annotations

import pytest

from backtests.marketdata.errors import DatasetRefused, OptionsError
from backtests.marketdata.stamps import parse_moment, show_moment

AMBIGUOUS = "ts,close\n2024-11-03 00:30:00,1\n2024-11-03 01:30:00,2\n2024-11-03 02:30:00,3\n"
NONEXISTENT = "ts,close\n2024-03-10 01:30:00,1\n2024-03-10 02:30:00,2\n2024-03-10 03:45:00,3\n"
LOCAL = {"stamp": "end", "timezone": "America/New_York"}


class TestStampReader:
    @pytest.mark.parametrize(
        ("text", "code"), [(AMBIGUOUS, "ambiguous_time"), (NONEXISTENT, "nonexistent_time")]
    )
    def test_clock_changes_are_refused_by_row(self, text, code, run_import):
        with pytest.raises(DatasetRefused) as refusal:
            run_import(text, **LOCAL)

        (finding,) = refusal.value.report.find(code)
        assert finding.examples[0]["row"] == 3
        assert run_import(text, **LOCAL, quarantine=True).report.n_accepted == 2

    @pytest.mark.parametrize(
        ("text", "options", "first"),
        [
            ("date,close\n20240102,1\n20240103,2\n", {}, "2024-01-02T23:59:59.999999Z"),
            ("date,close\n2024-01-02,1\n", {"calendar": "XNYS"}, "2024-01-02T21:00:00Z"),
            ("date,close\n2024-07-05,1\n", {"calendar": "XNYS"}, "2024-07-05T20:00:00Z"),
            ("date,close\n2024-07-03,1\n", {"calendar": "XNYS"}, "2024-07-03T17:00:00Z"),
            ("date,close\n02/01/2024,1\n", {"time_format": "%d/%m/%Y"},
             "2024-01-02T23:59:59.999999Z"),
            ("ts,close\n1704189600,1\n", {"stamp": "end"}, "2024-01-02T10:00:00Z"),
            ("ts,close\n1704189600000000000,1\n", {"stamp": "end"}, "2024-01-02T10:00:00Z"),
            ("ts,close\n2024-01-02 00:00:00+01:00,1\n", {"stamp": "day"},
             "2024-01-02T23:59:59.999999Z"),
            ("ts,close\n2024-01-02T10:00:00.123456789Z,1\n", {"stamp": "end"},
             "2024-01-02T10:00:00.123456789Z"),
            ("date,close\n2024-01-02,1\n", {"stamp": "period_start", "bar": "1q"},
             "2024-03-31T23:59:59.999999Z"),
        ],
    )  # fmt: skip
    def test_reads_what_files_write(self, text, options, first, run_import):
        assert show_moment(run_import(text, **options).manifest.first) == first

    def test_an_unknown_zone_is_refused(self, run_import):
        with pytest.raises(OptionsError, match="no time zone 'Mars/Base'"):
            run_import(AMBIGUOUS, stamp="end", timezone="Mars/Base")


class TestParseMoment:
    def test_reads_utc_where_no_offset_is_given(self):
        assert parse_moment("1970-01-02") == 86_400_000_000_000
        assert parse_moment("1970-01-01T01:00:00+01:00") == 0

    def test_refuses_other_text(self):
        with pytest.raises(OptionsError, match="'soon' is not an ISO"):
            parse_moment("soon")
