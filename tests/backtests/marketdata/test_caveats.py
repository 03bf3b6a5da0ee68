from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backtests.marketdata.caveats import caveats_for, facts_for
from backtests.marketdata.findings import Ledger, Marks
from backtests.marketdata.manifest import Manifest, StoredField
from backtests.marketdata.stamps import DAY_NS

CLOSE_NS = 21 * 3_600_000_000_000
ALL = (0, 10_000 * DAY_NS)


def _ledger(*symbols: str, accept: tuple[str, ...] = ()) -> Ledger:
    ledger = Ledger("x.csv", accept)
    ledger.symbols.extend(symbols)
    return ledger


def _flag(ledger: Ledger, code: str, days: list[int], sym: int = 0) -> None:
    stamps = np.array(days, dtype=np.int64) * DAY_NS
    marks = Marks(np.arange(stamps.size), stamps, np.full(stamps.size, sym, dtype=np.int32))
    ledger.flag(code, marks, np.ones(stamps.size, dtype=bool))


def _report(ledger: Ledger) -> dict[str, Any]:
    return json.loads(json.dumps(ledger.settle().to_json()))


class TestCaveatsFor:
    def test_one_sentence_per_code_names_instruments_and_counts(self):
        ledger = _ledger(*"ABCDEFG")
        for sym in range(7):
            _flag(ledger, "jump", [5, 9, *([11] if sym == 4 else [])], sym)

        (caveat,) = caveats_for(_report(ledger), list("ABCDEFG"), *ALL)

        assert caveat["code"] == "jump"
        assert caveat["text"].startswith("15 lone jumps of 7 instruments (E, A, B and 4 more) are ")

    def test_a_few_instruments_are_all_named(self):
        ledger = _ledger(*"ABC")
        for sym in range(3):
            _flag(ledger, "jump", [5], sym)

        (caveat,) = caveats_for(_report(ledger), list("ABC"), *ALL)

        assert caveat["text"].startswith("3 lone jumps of A, B, C are ")

    @pytest.mark.parametrize(
        ("symbols", "words"),
        [
            ("", "the file"),
            ("A", "A and the file"),
            ("ABC", "A, B, C and the file"),
            ("ABCD", "4 instruments (A, B, C and 1 more) and the file"),
        ],
    )
    def test_the_file_is_no_instrument(self, symbols, words):
        findings = [
            {"code": "jump", "severity": "warning", "symbol": symbol, "count": 9 - place}
            for place, symbol in enumerate(["", *symbols])
        ]

        (caveat,) = caveats_for({"findings": findings}, list("ABCDE"), *ALL)

        assert f" lone jumps of {words} are " in caveat["text"]

    def test_other_instruments_do_not_concern_the_run(self):
        ledger = _ledger("A", "B")
        _flag(ledger, "jump", [5], sym=1)

        assert caveats_for(_report(ledger), ["A"], *ALL) == []

    def test_counts_only_what_lies_in_the_window_with_its_first_day_whole(self):
        ledger = _ledger("A")
        _flag(ledger, "huge_dividend", [5, 9, 30])

        inside = caveats_for(_report(ledger), ["A"], 9 * DAY_NS + CLOSE_NS, 20 * DAY_NS + CLOSE_NS)
        between = caveats_for(_report(ledger), ["A"], 10 * DAY_NS, 20 * DAY_NS)

        assert inside[0]["text"].startswith("1 dividends of A ")
        assert between == []

    def test_many_rows_are_judged_by_their_first_and_last(self):
        ledger = _ledger("A")
        _flag(ledger, "outside_sessions", list(range(100, 400)))

        finding = _report(ledger)["findings"][0]
        assert (len(finding["stamps"]), finding["count"]) == (64, 300)
        assert caveats_for(_report(ledger), ["A"], 300 * DAY_NS, 500 * DAY_NS)
        assert not caveats_for(_report(ledger), ["A"], 400 * DAY_NS, 500 * DAY_NS)

    def test_a_report_without_stamps_concerns_every_window(self):
        finding = {"code": "jump", "severity": "warning", "symbol": "A", "count": 2}

        assert caveats_for({"findings": [finding]}, ["A"], 0, 1)[0]["code"] == "jump"

    def test_accepted_errors_and_rows_taken_out_are_told(self):
        ledger = _ledger("A", accept=("volume_saturated",))
        _flag(ledger, "volume_saturated", [3, 4])
        _flag(ledger, "ohlc_contradiction", [7])
        _flag(ledger, "duplicate_identical", [8, 9])

        accepted, taken = caveats_for(_report(ledger), ["A"], *ALL)

        assert accepted["code"] == "volume_saturated"
        assert accepted["text"].startswith("An error accepted at import remains in A: 2 rows")
        assert taken["code"] == "quarantined"
        assert "duplicate_identical 2, ohlc_contradiction 1" in taken["text"]

    @pytest.mark.parametrize(
        ("window", "material"), [((0, 1_000), False), ((500, 560), True), ((600, 700), False)]
    )
    def test_gaps_are_told_where_they_are_a_share_of_the_window(self, window, material, run_import):
        days = pd.date_range("2020-01-01", periods=1_000, freq="D")
        kept = np.r_[0:510, 515:1_000]
        frame = pd.DataFrame({"date": days[kept].strftime("%Y-%m-%d"), "close": 5.0 + kept % 7})
        report = run_import(frame.to_csv(index=False), calendar="24/7", symbol="A").report
        first, last = (int(days[0].value) + d * DAY_NS for d in window)

        found = [c["code"] for c in caveats_for(report.to_json(), ["A"], first, last)]

        assert ("gaps" in found) == material

    def test_an_intraday_gap_keeps_a_stamp_for_each_bar_missing(self, run_import):
        hours = pd.date_range("2024-01-01", periods=200, freq="h", tz="UTC").delete([50, 51, 120])
        frame = pd.DataFrame({"ts": hours, "close": 5.0 + np.arange(197) % 7})
        report = run_import(frame.to_csv(index=False), calendar="24/7", stamp="start").report

        (finding,) = report.find("gaps")
        assert (finding.count, len(finding.stamps)) == (3, 3)
        assert finding.spacing_ns == pytest.approx(DAY_NS / 24, rel=0.01)

    def test_proven_splits_are_told_apart_from_suspected_ones(self):
        ledger = _ledger("A", accept=("unbooked_split",))
        ledger.note("unbooked_split", 2, symbol="A", is_proven=True)
        ledger.note("unbooked_split", 1, symbol="A", factor="2")

        (caveat,) = caveats_for(_report(ledger), ["A"], *ALL)

        assert caveat["text"].startswith("3 moves of A look like splits")
        assert "2 of them proven by adj_close" in caveat["text"]

    def test_survivors_are_told_for_any_instrument_and_window(self):
        ledger = _ledger("A")
        ledger.note("survivors", 40, exits=1, expected=32)
        ledger.report.survivors = True

        (caveat,) = caveats_for(_report(ledger), ["A"], 0, 1)

        assert caveat["text"].startswith("1 of 40 instruments ever stopped trading")


class TestFactsFor:
    @staticmethod
    def _codes(fields: tuple[str, ...] = ("close",), **changes: object) -> set[str]:
        stored = {name: StoredField("ab" * 32, "<f8", (2, 1), 144) for name in fields}
        stated = {
            "kind": "bars", "symbols": ("A",), "fields": stored, "first": 0,
            "last": 365 * DAY_NS, "n_rows": 252, "n_observations": 252, "bar_ns": DAY_NS,
            "calendar": "XNYS", "currency": "USD",
        }  # fmt: skip
        return {fact["code"] for fact in facts_for(Manifest(**{**stated, **changes}))}

    def test_raw_daily_shares_without_dividends_leave_them_out(self):
        assert self._codes() == {"no_dividends"}
        assert self._codes(calendar="") == {"no_dividends"}
        assert self._codes(("close", "dividend")) == set()

    @pytest.mark.parametrize(
        "changes",
        [{"calendar": "24/7"}, {"calendar": "fx"}, {"symbols": ("EURUSD",)}, {"bar_ns": 60},
         {"calendar": "", "n_rows": 365}],
    )  # fmt: skip
    def test_what_pays_no_dividends_is_not_warned_of(self, changes):
        assert self._codes(**changes) == set()

    def test_adjusted_prices_and_a_missing_currency_are_told(self):
        assert self._codes(prices="adjusted", currency="") == {"adjusted_prices", "no_currency"}
