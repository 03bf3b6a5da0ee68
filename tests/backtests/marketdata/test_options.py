from __future__ import annotations

import json

import pytest

from backtests.marketdata.errors import OptionsError
from backtests.marketdata.findings import Ledger
from backtests.marketdata.options import ImportOptions, parse_duration


class TestParseDuration:
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            ("30s", 30),
            ("1m", 60),
            ("15min", 900),
            ("4h", 14_400),
            ("1d", 86_400),
            ("2w", 1_209_600),
        ],
    )
    def test_reads_units(self, text, seconds):
        assert parse_duration(text) == seconds * 1_000_000_000

    @pytest.mark.parametrize("text", ["", "0m", "h", "1.5h", "-1m", "1mo", "1 fortnight"])
    def test_refuses_other_text(self, text):
        with pytest.raises(OptionsError, match="Bar length"):
            parse_duration(text)


class TestImportOptions:
    @pytest.mark.parametrize(
        "wrong",
        [
            {"kind": "ticks"}, {"layout": "tall"}, {"stamp": "middle"}, {"prices": "clean"},
            {"stamp": "period_start"}, {"stamp": "period_start", "bar": "1d"}, {"bar": "1x"},
            {"batch_rows": 0}, {"lag": "soon"}, {"series": "weather"},
            {"adjust_by": "volume"}, {"adjust_by": "adj_close", "prices": "adjusted"},
            {"adjust_by": "adj_close", "accept": ("non_positive_price",)},
        ],
    )  # fmt: skip
    def test_refuses_what_is_not_allowed(self, wrong):
        with pytest.raises(OptionsError):
            ImportOptions(**wrong)

    def test_an_unknown_key_names_the_nearest(self):
        with pytest.raises(OptionsError, match="did you mean 'timezone'"):
            ImportOptions.from_mapping({"time_zone": "UTC"})

    def test_survives_json(self):
        options = ImportOptions(
            stamp="start", bar="1h", keep=("x",), where={"a": "b"}, accept=("spike",)
        )

        again = ImportOptions.from_mapping(json.loads(json.dumps(options.to_json())))

        assert again == options


class TestAccept:
    @pytest.mark.parametrize("code", ["unparsable", "duplicate_conflicting", "gaps", "nonsense"])
    def test_takes_only_errors_whose_rows_can_be_stored(self, code):
        with pytest.raises(OptionsError, match="can be accepted"):
            Ledger("x.csv", (code,))
