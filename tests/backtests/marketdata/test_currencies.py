from __future__ import annotations

import pytest

from backtests.marketdata.currencies import quote_currency
from backtests.marketdata.errors import DatasetRefused


class TestQuoteCurrency:
    @pytest.mark.parametrize("symbol", ["EURGBP", "EUR/GBP", "EUR_GBP", "EURGBP=X", "eurgbp"])
    def test_is_the_second_half_of_a_pair(self, symbol):
        assert quote_currency(symbol) == "GBP"

    @pytest.mark.parametrize("symbol", ["AAPL", "GOOGLX", "ETHUSDT", "BTCUSD", "USDUSD", "EURUS"])
    def test_is_empty_for_anything_else(self, symbol):
        assert quote_currency(symbol) == ""


class TestSettleCurrency:
    @staticmethod
    def _text(*symbols: str) -> str:
        return "date,symbol,close\n" + "".join(f"2024-01-02,{s},1.1\n" for s in symbols)

    def test_is_that_of_all_pairs_where_none_is_stated(self, run_import):
        outcome = run_import(self._text("EURUSD", "GBP/USD"))

        assert outcome.manifest.currency == "USD"
        assert outcome.report.count("currency_inferred") == 2

    @pytest.mark.parametrize("currency", ["", "USD"])
    def test_a_pair_quoted_in_another_one_refuses_the_file(self, currency, run_import):
        text = self._text("EURUSD", "EURGBP", "GBPUSD")

        with pytest.raises(DatasetRefused, match="EURGBP is quoted in GBP, not in USD"):
            run_import(text, currency=currency, quarantine=True)

        accepted = run_import(text, currency=currency, accept=("currency_mismatch",))
        (finding,) = accepted.report.find("currency_mismatch")
        assert (finding.symbol, finding.accepted) == ("EURGBP", True)
        assert accepted.manifest.currency == currency

    def test_a_symbol_that_is_no_pair_infers_nothing(self, run_import):
        assert run_import(self._text("EURUSD", "AAPL")).manifest.currency == ""
