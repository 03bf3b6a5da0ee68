"""Quotes put on one clock."""

import numpy as np
import pytest

from backtests.marketdata.errors import ManifestError, OutsideRangeError
from backtests.marketdata.quotes import open_quotes

QUOTES = """\
ts,symbol,bid,ask
2024-01-02T10:00:00Z,BB,20,21
2024-01-02T10:00:00Z,AA,10,11
2024-01-02T10:00:01Z,AA,11,12
2024-01-02T10:00:01Z,AA,12,14
2024-01-02T10:00:02Z,BB,22,22
"""


@pytest.fixture
def stored(run_import):
    outcome = run_import(QUOTES, kind="quotes", currency="USD")
    places = {sha: outcome.files[name] for name, sha in outcome.manifest.files.items()}
    return outcome.manifest, places.__getitem__


class TestOpenQuotes:
    def test_has_a_row_for_every_stamp_and_a_column_for_every_instrument(self, stored):
        panel = open_quotes(*stored)

        nan = np.nan
        assert panel.symbols == ("AA", "BB")
        assert np.diff(panel.ts).tolist() == [10**9, 10**9]
        np.testing.assert_array_equal(panel["bid"], [[10, 20], [12, nan], [nan, 22]])
        np.testing.assert_array_equal(panel["ask"], [[11, 21], [14, nan], [nan, 22]])
        np.testing.assert_array_equal(panel["close"], [[10.5, 20.5], [13, nan], [nan, 22]])

    def test_leaves_out_the_stamps_of_others(self, stored):
        panel = open_quotes(*stored, ["BB"])

        np.testing.assert_array_equal(panel["bid"], [[20], [22]])

    def test_has_the_instruments_in_the_order_asked_for(self, stored):
        panel = open_quotes(*stored, ["BB", "AA"])

        assert panel["bid"][0].tolist() == [20, 10]

    def test_cannot_be_written_to(self, stored):
        with pytest.raises(ValueError, match="read-only"):
            open_quotes(*stored)["bid"][0] = 1.0

    @pytest.mark.parametrize(
        ("symbols", "sentence"), [(["AB"], "did you mean"), (["AA", "AA"], "only once")]
    )
    def test_refuses_instruments_that_are_not_there(self, stored, symbols, sentence):
        with pytest.raises(OutsideRangeError, match=sentence):
            open_quotes(*stored, symbols)

    def test_refuses_a_panel_that_is_too_large(self, stored):
        with pytest.raises(OutsideRangeError, match="name fewer instruments"):
            open_quotes(*stored, max_bytes=100)

    def test_refuses_what_is_no_quotes(self, run_import):
        bars = run_import("date,symbol,close\n2024-01-02,AA,1\n2024-01-03,AA,2\n", kind="bars")

        with pytest.raises(ManifestError, match="These are bars, not quotes"):
            open_quotes(bars.manifest, str)
