"""How sound a dataset is: counted from the report of a real import with planted faults."""

import numpy as np
import pandas as pd
import pytest

from backtests.marketdata.importer import import_file
from backtests.marketdata.options import ImportOptions
from backtests.marketdata.soundness import quality_figures

HOURS = 24 * 20


def frame(symbols=("AAA", "BBB")):
    """Hourly closes of a market that never stops; each instrument wanders by itself."""
    wander = np.random.default_rng(5)
    stamps = pd.date_range("2024-01-01", periods=HOURS, freq="h", tz="UTC")
    parts = [
        pd.DataFrame({"ts": stamps.strftime("%Y-%m-%dT%H:%M:%SZ"), "symbol": symbol,
                      "close": 100.0 * np.exp(np.cumsum(wander.normal(0.0, 0.002, HOURS)))})
        for symbol in symbols
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def figures(bars, folder, **options):
    """Import bars through the real importer, and count what its report says."""
    path, work = folder / "bars.csv", folder / "work"
    bars.to_csv(path, index=False)
    work.mkdir()
    outcome = import_file(path, ImportOptions(stamp="end", **options), work)
    manifest = outcome.manifest
    return quality_figures(outcome.report.to_json(), manifest.kind, len(manifest.symbols))


class TestQualityFigures:
    def test_of_sound_bars_count_no_fault(self, tmp_path):
        found = figures(frame(), tmp_path, calendar="24/7")

        assert (found["n_errors"], found["n_refused"], found["n_missing_bars"]) == (0, 0, 0)
        assert (found["n_instruments"], found["n_rows"]) == (2, 2 * HOURS)
        assert (found["refused_share"], found["missing_share"]) == (0.0, 0.0)

    def test_count_the_bars_that_are_missing(self, tmp_path):
        bars = frame().drop(index=[100, 101, 102])

        found = figures(bars, tmp_path, calendar="24/7")

        assert found["n_missing_bars"] == 3
        assert found["missing_share"] == pytest.approx(3 / (2 * HOURS))
        assert found["n_instruments_with_faults"] == 1
        assert found["n_warnings"] >= 1

    def test_count_rows_that_were_taken_out(self, tmp_path):
        bars = frame()
        bars.loc[[7, 8], "close"] = -1.0

        found = figures(bars, tmp_path, calendar="24/7", quarantine=True)

        assert (found["n_refused"], found["n_errors"]) == (2, 1)
        assert found["refused_share"] == pytest.approx(2 / (2 * HOURS))

    def test_count_errors_that_were_accepted(self, tmp_path):
        bars = frame()
        bars["volume"] = 5.0
        bars.loc[3, "volume"] = -1.0

        found = figures(bars, tmp_path, calendar="24/7", accept=("negative_volume",))

        assert (found["n_errors"], found["n_accepted_errors"]) == (0, 1)

    def test_say_nothing_of_gaps_that_nobody_looked_for(self, tmp_path):
        found = figures(frame().drop(index=[100, 101]), tmp_path)

        assert not {"n_missing_bars", "missing_share"} & set(found)
        assert found["n_infos"] >= 1

    def test_of_no_report_are_none(self):
        assert quality_figures({}, "bars", 3) == {}
