"""Raw prices turned into adjusted ones on import, and splits that adj_close proves."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from backtests.marketdata.arrays import load_mapped
from backtests.marketdata.errors import DatasetRefused


class TestAdjustBy:
    TEXT = (
        "date,open,high,low,close,volume,adj_close\n"
        "2024-01-02,100,104,98,104,10,51\n2024-01-03,50,52,49,51,30,51\n"
    )

    def test_multiplies_prices_by_the_row_s_own_factor_and_leaves_volume(self, run_import):
        outcome = run_import(self.TEXT, adjust_by="adj_close")

        stored = {name: load_mapped(path)[..., 0] for name, path in outcome.files.items()}
        assert stored["close.npy"].tolist() == [51.0, 51.0]
        assert stored["high.npy"][0] == 51.0
        np.testing.assert_allclose(stored["open.npy"], [100 * 51 / 104, 50], rtol=1e-15)
        assert stored["volume.npy"].tolist() == [10.0, 30.0]
        assert "adj_close.npy" not in stored
        assert outcome.manifest.prices == "adjusted"
        assert outcome.report.count("prices_adjusted") == 1

    def test_actions_become_applied_ones(self, run_import):
        text = "date,close,adj_close,split\n2024-01-02,100,50,1\n2024-01-03,51,51,2\n"

        outcome = run_import(text, adjust_by="adj_close")

        assert outcome.manifest.actions == ()
        assert "split_applied" in outcome.manifest.fields

    def test_needs_both_columns(self, run_import):
        with pytest.raises(DatasetRefused, match="there is no adj_close"):
            run_import("date,close\n2024-01-02,5\n", adjust_by="adj_close")


class TestShippedStocks:
    """Raw OHLC with adj_close, four unbooked splits and no actions, from an installed package."""

    OPTIONS = {"kind": "bars", "layout": "long", "calendar": "XNYS", "currency": "USD"}

    @pytest.fixture
    def stocks(self) -> Path:
        found = importlib.util.find_spec("bokeh_sampledata")
        if found is None or found.origin is None:
            pytest.skip("bokeh_sampledata is not installed")
        return Path(found.origin).parent / "_data/stocks.csv.gz"

    def test_splits_proven_by_adj_close_refuse_the_file(self, stocks, run_import):
        with pytest.raises(DatasetRefused, match="adj_close proves a split by 2") as refusal:
            run_import(stocks, **self.OPTIONS, quarantine=True)

        errors = refusal.value.report.errors
        assert [(f.code, f.symbol, f.count) for f in errors] == [
            ("unbooked_split", "AAPL", 2), ("unbooked_split", "MSFT", 1),
        ]  # fmt: skip

    def test_accepted_they_are_warnings_that_say_so(self, stocks, run_import):
        report = run_import(stocks, **self.OPTIONS, accept=("unbooked_split",)).report

        (proven,) = [f for f in report.find("unbooked_split", "MSFT") if f.accepted]
        assert proven.severity == "warning"
        assert np.array(proven.stamps, "M8[ns]").astype("M8[D]").astype(str) == ["2003-02-18"]

    def test_adjusted_the_return_is_that_of_adj_close(self, stocks, run_import):
        outcome = run_import(stocks, **self.OPTIONS, adjust_by="adj_close")

        table = pd.read_csv(stocks)
        own = table[table["Ticker"] == "AAPL"]["Adj Close"].to_numpy()
        place = outcome.manifest.symbols.index("AAPL")
        close = load_mapped(outcome.files["close.npy"])[:, place]
        high = load_mapped(outcome.files["high.npy"])[:, place]
        assert close[-1] / close[0] == own[-1] / own[0]
        assert (high >= close).all()
        assert not outcome.report.count("unbooked_split")
