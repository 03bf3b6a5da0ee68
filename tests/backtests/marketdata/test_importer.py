"""One file in, one dataset out: equal data give equal digests, bad files are refused."""

from __future__ import annotations

import gzip
import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backtests.marketdata.arrays import load_mapped
from backtests.marketdata.errors import DatasetRefused, UnreadableFileError
from backtests.marketdata.importer import ImportOutcome, import_file, inspect_file
from backtests.marketdata.manifest import Manifest
from backtests.marketdata.options import ImportOptions

BARS = """ts,symbol,open,high,low,close,volume
2024-03-04T10:00:00Z,AA,10,11,9,10.5,100
2024-03-04T11:00:00Z,AA,10.5,12,10,11,200
2024-03-04T10:00:00Z,BB,20,21,19,20.5,300
2024-03-04T12:00:00Z,BB,20.5,22,20,21,400
"""


def _import(frame: pd.DataFrame, *, suffix: str = "csv", **options: object) -> ImportOutcome:
    """Import a frame through a file of the given format and forget the arrays."""
    with tempfile.TemporaryDirectory() as folder:
        path, work = Path(folder) / f"prices.{suffix}", Path(folder) / "work"
        work.mkdir()
        writers = {
            "csv": lambda: frame.to_csv(path, index=False),
            "csv.gz": lambda: path.write_bytes(gzip.compress(frame.to_csv(index=False).encode())),
            "parquet": lambda: frame.to_parquet(path, index=False),
            "arrow": lambda: _write_arrow(frame, path),
        }
        writers[suffix]()
        return import_file(path, ImportOptions(**options), work)


def _write_arrow(frame: pd.DataFrame, path: Path) -> None:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=7)


@st.composite
def closes(draw: st.DrawFn) -> pd.DataFrame:
    """Closes of a few instruments on a few days, long, ordered by day, with absences."""
    n_days, names = draw(st.integers(2, 8)), draw(st.sampled_from([["A"], ["A", "B"], ["B", "C"]]))
    prices = st.floats(50.0, 60.0).map(lambda p: round(p, 4))
    days = pd.date_range("2024-01-02", periods=n_days, freq="D").strftime("%Y-%m-%d")
    rows = [
        (day, name, draw(prices))
        for day in days
        for name in names
        if day == days[0] or draw(st.booleans())
    ]
    return pd.DataFrame(rows, columns=["date", "symbol", "close"])


class TestDigest:
    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(closes(), st.randoms())
    def test_does_not_depend_on_how_instruments_interleave(self, frame, random):
        waiting = {name: list(part.index) for name, part in frame.groupby("symbol")}
        order = []
        while waiting:
            name = random.choice(sorted(waiting))
            order.append(waiting[name].pop(0))
            if not waiting[name]:
                del waiting[name]

        assert _import(frame.loc[order]).digest == _import(frame).digest

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(closes(), st.sampled_from(["csv.gz", "parquet", "arrow"]), st.integers(1, 5))
    def test_does_not_depend_on_layout_format_or_batches(self, frame, suffix, batch_rows):
        wide = frame.pivot_table(index="date", columns="symbol", values="close").reset_index()

        digests = {
            _import(frame).digest,
            _import(frame, suffix=suffix, batch_rows=batch_rows).digest,
            _import(wide, kind="bars", layout="wide").digest,
            _import(wide, suffix=suffix, kind="bars", layout="wide").digest,
        }
        assert len(digests) == 1

    def test_does_not_depend_on_how_the_stamps_are_written(self):
        utc = pd.date_range("2024-03-08 15:00", periods=60, freq="h", tz="UTC")
        close = np.round(100.0 + np.sin(np.arange(60.0)), 4)
        eastern = utc.tz_convert("America/New_York")
        same = {
            "iso": utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "offset": eastern.map(lambda t: t.isoformat()),
            "seconds": utc.as_unit("s").astype("int64"),
            "milliseconds": utc.as_unit("ms").astype("int64"),
        }
        digests = {
            _import(pd.DataFrame({"ts": ts, "close": close}), stamp="end", symbol="X").digest
            for ts in same.values()
        }
        naive = pd.DataFrame({"ts": eastern.strftime("%Y-%m-%d %H:%M:%S"), "close": close})
        local = _import(naive, stamp="end", symbol="X", timezone="America/New_York")

        assert digests == {local.digest}

    def test_a_start_stamped_and_an_end_stamped_file_agree(self):
        ends = pd.date_range("2024-01-02 01:00", periods=24, freq="h", tz="UTC")
        close = np.arange(100.0, 124.0)
        starts = ends - pd.Timedelta("1h")

        by_end = _import(pd.DataFrame({"ts": ends, "close": close}), suffix="parquet", stamp="end")
        by_start = _import(
            pd.DataFrame({"ts": starts, "close": close}), suffix="parquet", stamp="start"
        )

        assert by_end.digest == by_start.digest
        assert by_start.manifest.bar_ns == 3_600_000_000_000

    def test_changes_with_one_price_the_currency_or_the_meaning(self, run_import):
        digests = {
            run_import(BARS, stamp="end").digest,
            run_import(BARS.replace("10.5,100", "10.4,100"), stamp="end").digest,
            run_import(BARS, stamp="start", bar="1h").digest,
            run_import(BARS, stamp="end", currency="USD").digest,
            run_import(BARS, stamp="end", prices="adjusted").digest,
        }
        assert len(digests) == 5

    def test_does_not_depend_on_rows_that_hold_nothing(self, run_import):
        rows = "date,symbol,close\n2024-01-02,A,5\n2024-01-03,A,6\n2024-01-03,B,7\n"

        assert run_import(rows).digest == run_import(rows + "2024-01-04,B,\n").digest

    def test_does_not_depend_on_the_working_memory(self, shared_data, run_import):
        path = shared_data / "crypto_1h_ethusdt.parquet"

        whole = run_import(path, stamp="start")
        pieces = run_import(path, stamp="start", memory_mb=1, batch_rows=10_000)

        assert whole.digest == pieces.digest


class TestStoredArrays:
    def test_hold_the_bars_in_rows_of_time_and_columns_of_symbols(self, run_import):
        outcome = run_import(BARS, stamp="start", bar="1h")

        ts = load_mapped(outcome.files["ts.npy"])
        close = load_mapped(outcome.files["close.npy"])
        assert outcome.manifest.symbols == ("AA", "BB")
        assert ts.dtype == np.int64
        assert close.flags["C_CONTIGUOUS"]
        np.testing.assert_array_equal(close, [[10.5, 20.5], [11.0, np.nan], [np.nan, 21.0]])
        hours = ts.view("M8[ns]").astype("M8[h]").astype(str)
        assert hours.tolist() == ["2024-03-04T11", "2024-03-04T12", "2024-03-04T13"]

    def test_bid_ask_bars_become_mids_and_half_the_closing_spread(self, run_import):
        sides = "bid_open,bid_high,bid_low,bid_close,ask_open,ask_high,ask_low,ask_close"
        text = f"date,{sides}\n2024-01-02,1.0,1.4,0.8,1.2,1.2,1.6,1.0,1.3\n"

        outcome = run_import(text)

        fields = ("open", "high", "low", "close", "half_spread", "half_spread_open")
        stored = [load_mapped(outcome.files[f"{name}.npy"])[0, 0] for name in fields]
        np.testing.assert_allclose(stored, [1.1, 1.5, 0.9, 1.25, 0.05, 0.1], rtol=1e-13)

    def test_a_crossed_open_has_no_spread_and_is_a_warning(self, run_import):
        sides = "bid_open,bid_high,bid_low,bid_close,ask_open,ask_high,ask_low,ask_close"
        text = f"date,{sides}\n2024-01-02,1.3,1.4,0.8,1.2,1.1,1.6,1.0,1.3\n"

        outcome = run_import(text)

        assert load_mapped(outcome.files["half_spread_open.npy"])[0, 0] == 0.0
        assert outcome.report.count("crossed_inside_bar") == 1

    def test_actions_are_neutral_where_nothing_happens(self, run_import):
        text = (
            "date,symbol,close,Stock Splits,Dividends\n"
            "2024-01-02,A,10,0,0\n2024-01-03,A,5.1,2,\n2024-01-03,B,7,,0.1\n"
        )
        outcome = run_import(text)

        split = load_mapped(outcome.files["split.npy"])
        dividend = load_mapped(outcome.files["dividend.npy"])
        np.testing.assert_array_equal(split, [[1, 1], [2, 1]])
        np.testing.assert_array_equal(dividend, [[0, 0], [0, 0.1]])
        assert outcome.manifest.actions == ("split", "dividend")

    def test_a_manifest_is_written_beside_them_and_reads_back(self, run_import, tmp_path):
        outcome = run_import(BARS, stamp="end")

        raw = (tmp_path / "work1" / "manifest.json").read_bytes()
        report = json.loads((tmp_path / "work1" / "quality.json").read_text())
        assert Manifest.from_bytes(raw) == outcome.manifest
        assert report["n_accepted"] == 4
        assert outcome.manifest.source["options"]["stamp"] == "end"

    def test_ticks_keep_the_order_of_the_source(self, run_import):
        text = "ts,symbol,price,qty\n" + "".join(
            f"2024-01-02T10:00:0{s}Z,{name},{price},1\n"
            for s, name, price in [(0, "B", 5.0), (0, "A", 9.0), (1, "B", 5.1), (1, "B", 5.0)]
        )
        outcome = run_import(text)

        symbols = load_mapped(outcome.files["symbol.npy"])
        price = load_mapped(outcome.files["price.npy"])
        assert outcome.manifest.kind == "trades"
        assert symbols.tolist() == [1, 0, 1, 1]
        assert price.tolist() == [5.0, 9.0, 5.1, 5.0]

    def test_monthly_factors_are_known_after_their_month(self, run_import):
        text = "month,MktRF\n2024-01-01,0.01\n2024-02-01,0.02\n2024-03-01,0.03\n"

        outcome = run_import(text, stamp="period_start", bar="1mo", lag="1d")

        table = pq.read_table(outcome.files["reference.parquet"])
        known = table["known_at"].to_numpy().view("M8[ns]").astype("M8[D]").astype(str)
        assert known.tolist() == ["2024-02-01", "2024-03-01", "2024-04-01"]


class TestRefusals:
    @pytest.mark.parametrize(
        ("text", "options", "message"),
        [
            ("", {}, "empty"),
            ("date,close\n", {}, "no data row"),
            ("date,clsoe\n2024-01-02,5\n", {"kind": "bars"}, "did you mean 'clsoe'"),
            ("date,open,high,low,clse\n2024-01-02,5,6,4,5\n", {"kind": "bars"}, "'clse'"),
            ("date,x,y\n2024-01-02,1,2\n", {}, "state kind:"),
            ("when,close\n2024-01-02,5\n", {}, "no column 'ts'"),
            ("date,AA,aa \n2024-01-02,1,2\n", {"kind": "bars"}, "stands twice"),
            ("date,symbol,close\n2024-01-02,AA,1\n2024-01-02,aa,2\n", {}, "differ only in case"),
            ("ts,close\n2024-01-02 10:00:00,1\n", {"stamp": "end"}, "state their time zone"),
            ("ts,close\n2024-01-02T10:00:00Z,1\n", {}, "stamp: start"),
            ("ts,close\n2024-01-02T10:00:00Z,1\n", {"stamp": "start"}, "bar='1h'"),
            ("date,close\n2024-01-02,1\n", {"where": {"clos": "1"}}, "did you mean 'close'"),
            ("date,close\n2024-01-02,1\n", {"start": "2025-01-01"}, "No row"),
            ("date,close\nxx,1\n", {"quarantine": True}, "No row is left"),
        ],
    )
    def test_name_what_is_wrong(self, text, options, message, run_import):
        with pytest.raises(DatasetRefused, match=message):
            run_import(text, **options)

    @pytest.mark.parametrize(
        ("row", "code"),
        [
            ("2024-01-04,A,5,4,3,5,1", "ohlc_contradiction"),
            ("2024-01-04,A,5,6,0,5,1", "non_positive_price"),
            ("2024-01-04,A,5,6,4,5,-1", "negative_volume"),
            ("2024-01-04,A,5,6,4,5,2147483647", "volume_saturated"),
            ("2024-01-04,A,5,6,,5,1", "partly_nan"),
            ("2024-01-04,A,5,6,4,5,", "partly_nan"),
            ("2024-01-04,A,5,6,4,5O,1", "unparsable"),
            ("2024-01-04,A,5,6,4,inf,1", "unparsable"),
            ("2024-99-04,A,5,6,4,5,1", "unparsable"),
            (",A,5,6,4,5,1", "missing_stamp"),
            ("2024-01-04,,5,6,4,5,1", "missing_symbol"),
            ("2024-01-03,A,5,6,4,5,1", "duplicate_identical"),
            ("2024-01-01,A,5,6,4,5,1", "out_of_order"),
            ("2024-01-04,A,5,6,4,5,1,9", "malformed_line"),
        ],
    )
    def test_a_bad_row_is_refused_or_taken_out_and_counted(self, row, code, run_import):
        text = (
            "date,symbol,open,high,low,close,volume\n"
            "2024-01-02,A,5,6,4,5,1\n2024-01-03,A,5,6,4,5,1\n" + row + "\n2024-01-05,A,5,6,4,5,1\n"
        )
        with pytest.raises(DatasetRefused) as refusal:
            run_import(text)

        outcome = run_import(text, quarantine=True)

        report = outcome.report
        assert refusal.value.report.find(code)
        assert refusal.value.report.to_json()["findings"][0]["examples"][0]["line"] == 4
        assert (report.n_rows, report.n_accepted, report.n_refused) == (4, 3, 1)
        kept = pq.read_table(outcome.quarantined).to_pylist()
        assert [(r["line"], r["reason"]) for r in kept] == [(4, code)]

    def test_a_refusal_names_the_line_of_a_text(self, run_import):
        text = "date,close\n2024-01-02,5\n\n2024-01-03,6\n2024-01-04,-7\n"

        with pytest.raises(DatasetRefused, match=r"First: line 5, stamp 2024-01-04T00:00:00, "):
            run_import(text)

    def test_a_refusal_names_the_row_of_a_table_from_0(self, tmp_path):
        source = tmp_path / "a.parquet"
        pd.DataFrame({"date": ["2024-01-02", "2024-01-03"], "close": [5.0, -7.0]}).to_parquet(
            source
        )

        report = inspect_file(source, ImportOptions(), tmp_path)

        assert "First: row 1 (counted from 0), stamp 2024-01-03T00:00:00, " in report.headline
        assert report.to_json()["findings"][0]["examples"][0]["row"] == 1

    def test_conflicting_rows_are_all_taken_out(self, run_import):
        text = "date,close\n2024-01-02,5\n2024-01-03,6\n2024-01-03,7\n2024-01-04,5\n"

        report = run_import(text, quarantine=True).report

        assert report.count("duplicate_conflicting") == report.n_refused == 2

    def test_an_instrument_without_a_value_is_refused_or_dropped(self, run_import):
        text = "date,AA,BB\n2024-01-02,1,\n2024-01-03,2,\n"

        with pytest.raises(DatasetRefused, match="BB: the instrument has no value"):
            run_import(text, kind="bars")

        assert run_import(text, kind="bars", quarantine=True).manifest.symbols == ("AA",)

    def test_a_wide_cell_is_refused_without_its_neighbours(self, run_import):
        outcome = run_import(
            "date,AA,BB\n2024-01-02,1,5\n2024-01-03,-2,5\n", kind="bars", quarantine=True
        )

        assert (outcome.report.n_rows, outcome.report.n_refused) == (4, 1)
        (kept,) = pq.read_table(outcome.quarantined).to_pylist()
        assert (kept["symbol"], kept["source: value"]) == ("AA", "-2")

    def test_binary_rubbish_and_truncated_files_are_named(self, tmp_path):
        rubbish = tmp_path / "x.csv"
        rubbish.write_bytes(bytes(range(256)) * 10)
        cut = tmp_path / "y.csv.gz"
        cut.write_bytes(gzip.compress(BARS.encode() * 50)[:60])

        for path in (rubbish, cut, tmp_path / "absent.csv"):
            with pytest.raises(UnreadableFileError, match=path.name):
                import_file(path, ImportOptions(stamp="end"), tmp_path)
        assert sorted(p.name for p in tmp_path.iterdir()) == ["x.csv", "y.csv.gz"]

    def test_cancelling_leaves_nothing(self, tmp_path):
        source, work = tmp_path / "a.csv", tmp_path / "work"
        source.write_text(BARS)
        work.mkdir()

        def cancel(_fraction: float, step: str) -> None:
            if step == "placing":
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            import_file(source, ImportOptions(stamp="end"), work, cancel)
        assert not list(work.iterdir())

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(
        st.lists(
            st.tuples(st.integers(1, 9), st.sampled_from(["A", "B"]),
                      st.sampled_from(["5", "-1", "x", "", "5.5"])),
            min_size=1, max_size=30,
        )
    )  # fmt: skip
    def test_every_row_is_accepted_or_refused(self, rows):
        frame = pd.DataFrame(
            [(f"2024-01-0{d}", s, p) for d, s, p in [(1, "C", "5"), *rows]],
            columns=["date", "symbol", "close"],
        )
        report = _import(frame, quarantine=True).report

        assert report.n_rows == report.n_accepted + report.n_refused == len(frame)
        assert sum(finding.n_refused for finding in report.findings) == report.n_refused
        assert all(finding.n_refused <= finding.count for finding in report.findings)

    def test_reference_rows_are_counted_and_kept_like_others(self, run_import):
        text = (
            "date,rate\n2024-01-02,1\n2024-01-02,1\n2024-01-03,2\n2024-01-03,3\n"
            "2024-01-04,4\n2024-01-05,x\n2024-01-06,1,1\n"
        )
        outcome = run_import(text, kind="reference", quarantine=True)

        report = outcome.report
        assert (report.n_rows, report.n_accepted, report.n_refused) == (7, 2, 5)
        kept = pq.read_table(outcome.quarantined).to_pydict()
        assert list(zip(kept["line"], kept["reason"], strict=True)) == [
            (3, "duplicate_identical"), (4, "duplicate_conflicting"),
            (5, "duplicate_conflicting"), (7, "unparsable"), (8, "malformed_line"),
        ]  # fmt: skip


class TestInspectFile:
    def test_reports_and_keeps_nothing(self, tmp_path):
        source, work = tmp_path / "a.csv", tmp_path / "work"
        source.write_text("date,close\n2024-01-02,5\n2024-01-03,-5\n")
        work.mkdir()

        report = inspect_file(source, ImportOptions(), work)

        assert report.count("non_positive_price") == 1
        assert not list(work.iterdir())
