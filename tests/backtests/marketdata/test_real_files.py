"""Every file of the real market data, imported."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from backtests.marketdata.arrays import load_mapped
from backtests.marketdata.calendars import ForexWeek
from backtests.marketdata.errors import DatasetRefused
from backtests.marketdata.quality.sessions import find_shifts
from backtests.marketdata.stamps import show_moment
from tests.backtests.marketdata.real_files import (
    REAL_FILES,
    YAHOO_CASES,
    RealFile,
    YahooCase,
    yahoo_options,
)

YAHOO = "dirty/yahoo_repair_cases.csv.gz"


def _labels(case: RealFile) -> str:
    return f"{Path(case.name).name}-{case.options.get('kind', 'auto')}"


class TestCoverage:
    def test_the_table_holds_every_file_of_the_manifest_with_its_rows(self, shared_data):
        with (shared_data / "MANIFEST.csv").open() as stream:
            listed = {row["file"]: int(row["rows"]) for row in csv.DictReader(stream)}

        table = {case.name: case.rows for case in REAL_FILES}

        assert {**table, YAHOO: 4_851} == listed


@pytest.mark.parametrize("case", REAL_FILES, ids=_labels)
class TestImportRealFile:
    def test_refuses_a_faulty_file_for_its_own_fault_and_leaves_nothing(
        self, case, shared_data, run_import, tmp_path
    ):
        if not case.refused:
            outcome = run_import(shared_data / case.name, **case.options)
            assert not outcome.report.errors
            assert outcome.quarantined is None
            return

        with pytest.raises(DatasetRefused) as refusal:
            run_import(shared_data / case.name, **case.options)

        report = refusal.value.report
        assert report.n_refused == case.refused
        assert "row " in str(refusal.value)
        assert "\n" not in str(refusal.value)
        assert not list((tmp_path / "work1").iterdir())

    def test_imports_what_is_sound_and_keeps_the_rest_apart(self, case, shared_data, run_import):
        outcome = run_import(shared_data / case.name, **{**case.options, "quarantine": True})

        report, manifest = outcome.report, outcome.manifest
        counts = {code: report.count(code) for code in case.found}
        assert counts == dict(case.found)
        assert not [code for code in case.absent if report.count(code)]
        assert report.n_source_rows == case.rows
        assert report.n_refused == case.refused
        assert report.n_rows == report.n_accepted + report.n_refused
        assert (manifest.n_rows, len(manifest.symbols)) == (case.n_rows, case.n_symbols)
        if case.first:
            assert show_moment(manifest.first).startswith(case.first)
            assert show_moment(manifest.last).startswith(case.last)
        if case.refused:
            assert pq.read_metadata(outcome.quarantined).num_rows == case.refused


@pytest.mark.parametrize("case", YAHOO_CASES, ids=lambda c: c.case)
class TestYahooCase:
    def test_is_found_for_its_own_fault(self, case: YahooCase, shared_data, run_import):
        options = yahoo_options(case.case, case.interval)
        try:
            report = run_import(shared_data / YAHOO, **options).report
            refused = False
        except DatasetRefused as refusal:
            report = refusal.report
            refused = True

        grave = {f.code for f in report.findings if f.severity != "info"}
        assert refused == case.is_refused
        assert (report.n_rows, report.n_refused) == (case.rows, case.refused)
        assert grave == set(case.codes)


class TestYahooDetails:
    def test_the_clean_control_has_no_error_and_no_warning(self, shared_data, run_import):
        report = run_import(
            shared_data / YAHOO, **yahoo_options("EA-15m-no-bad-divs", "15m")
        ).report

        assert {f.severity for f in report.findings} == {"info"}

    @pytest.mark.parametrize(
        ("case", "row_date", "code"),
        [
            ("4063-T-1d-bad-stock-split", "2023-03-29", "split_misapplied"),
            ("KAP-IL-1d-bad-div", "2022-07-13", "repeated_dividend"),
            ("SCR-TO-1d-bad-div", "2023-10-05", "unbooked_split"),
        ],
    )
    def test_names_the_day(self, case, row_date, code, shared_data, run_import):
        report = run_import(shared_data / YAHOO, **yahoo_options(case, "1d")).report

        (finding,) = report.find(code)
        assert finding.examples[0]["stamp"].startswith(row_date)

    def test_a_split_booked_on_adjusted_prices_is_refused_when_called_raw(
        self, shared_data, run_import
    ):
        options = yahoo_options("4063-T-1d-bad-stock-split", "1d", "fixed")

        with pytest.raises(DatasetRefused, match="state prices='split'"):
            run_import(shared_data / YAHOO, **{**options, "prices": "raw"})


class TestDirtyDetails:
    def test_the_shifted_weeks_are_named_with_their_hours(self, shared_data, run_import):
        with pytest.raises(DatasetRefused) as refusal:
            run_import(
                shared_data / "dirty/fx_eurusd_1h_bidask_clockshift.parquet",
                stamp="start", calendar="fx",
            )  # fmt: skip

        (finding,) = refusal.value.report.find("clock_shift")
        assert "2009-03-01 to 2009-03-06 (5 h early, 1 sessions)" in finding.sentence
        assert "2009-03-08 to 2009-09-18 (4 h early, 28 sessions)" in finding.sentence
        assert finding.sentence.count(" h ") == 2

    def test_the_good_hourly_file_shows_no_shift_in_twelve_years(self, shared_data):

        hour = 3_600_000_000_000
        column = pq.read_table(shared_data / "fx_eurusd_1h_bidask.parquet")["ts"]
        begins = column.to_numpy().astype("M8[ns]").view(np.int64)
        sessions = ForexWeek().sessions(int(begins[0]), int(begins[-1]))

        assert find_shifts(begins, hour, sessions) == []

    def test_repeated_rows_and_the_bad_tick_are_named_by_row_and_moment(
        self, shared_data, run_import
    ):
        outcome = run_import(
            shared_data / "dirty/crypto_30m_dirty.parquet", stamp="start", quarantine=True
        )

        kept = pq.read_table(outcome.quarantined).to_pydict()
        reasons = dict(zip(kept["row"], kept["reason"], strict=True))
        doubled = [row for row, reason in reasons.items() if reason == "duplicate_identical"]
        assert doubled == list(range(8_480, 8_487))
        at = kept["reason"].index("non_positive_price")
        assert kept["symbol"][at] == "LINKUSDT"
        assert kept["source: ts"][at].startswith("2020-03-12 10:30:00")
        assert float(kept["source: low"][at]) == 0.0

    def test_a_saturated_volume_can_be_accepted_knowingly(self, shared_data, run_import):
        outcome = run_import(
            shared_data / "dirty/crypto_30m_dirty.parquet",
            stamp="start", quarantine=True, accept=("volume_saturated",),
        )  # fmt: skip

        assert outcome.report.n_refused == 8
        assert outcome.report.find("volume_saturated")[0].severity == "warning"


class TestPanelFacts:
    def test_symbols_start_where_they_were_listed(self, shared_data, run_import):
        outcome = run_import(shared_data / "equities_daily_us40a.parquet", calendar="XNYS")

        ts = load_mapped(outcome.files["ts.npy"])
        close = load_mapped(outcome.files["close.npy"])
        column = outcome.manifest.symbols.index("TSLA")
        first = ts[np.flatnonzero(~np.isnan(close[:, column]))[0]]
        assert show_moment(int(first)).startswith("2010-06")

    def test_the_misbooked_adjustments_of_zebra_are_found(self, shared_data, run_import):
        report = run_import(shared_data / "equities_daily_us40a.parquet").report

        (finding,) = report.find("adj_close_inconsistent", "ZBRA")
        days = [e["stamp"][:10] for e in finding.examples]
        assert days == ["2003-08-21", "2004-08-25"]

    def test_spin_offs_booked_as_dividends_are_found(self, shared_data, run_import):
        report = run_import(shared_data / "equities_daily_us40a.parquet").report

        found = {
            (f.symbol, e["stamp"][:10]) for f in report.find("huge_dividend") for e in f.examples
        }
        assert found == {
            ("DUK", "2007-01-03"), ("MO", "2007-04-02"), ("MO", "2008-03-31"),
            ("GOOGL", "2014-04-03"), ("TMUS", "2013-05-01"),
        }  # fmt: skip

    def test_the_split_of_apple_is_suspected_by_its_factor(self, shared_data, run_import):
        report = run_import(shared_data / "equity_cfd_15m_aapl.parquet", stamp="start").report

        (finding,) = report.find("unbooked_split")
        assert "split by 4 " in finding.sentence
        assert finding.examples[0]["stamp"].startswith("2020-08-31")
