"""How each file of the real market data is imported, and what must be found in it.

The facts come from the data set's own MANIFEST.csv and README, measured by other means than the
importer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class RealFile:
    """One way to import one file.

    Attributes
    ----------
    name : str
        Path below the data folder.
    rows : int
        Data rows of the file.
    options : mapping
        Arguments of `ImportOptions`.
    refused : int
        Rows refused; more than 0 means the import fails without quarantine.
    found : mapping of code to count
        Findings that must be there, summed over instruments.
    absent : tuple of str
        Codes that must not be there.
    n_rows, n_symbols : int
        Of the dataset imported (stamps of a panel; rows of other kinds), after quarantine.
    first, last : str
        First and last stamp as known, UTC, to the second; empty where there is none.
    """

    name: str
    rows: int
    options: Mapping[str, Any] = field(default_factory=dict)
    refused: int = 0
    found: Mapping[str, int] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    n_rows: int = 0
    n_symbols: int = 1
    first: str = ""
    last: str = ""


STOCKS = {"calendar": "XNYS", "currency": "USD"}
ADJUSTED = {**STOCKS, "kind": "bars", "prices": "adjusted"}

REAL_FILES = (
    RealFile(
        "equities_daily_us40a.parquet", 201_654, STOCKS,
        found={"survivors": 40, "gaps": 5, "huge_dividend": 5},
        absent=("outside_sessions", "split_double"),
        n_rows=5_402, n_symbols=40, first="1999-11-01T21:00:00", last="2021-04-21T20:00:00",
    ),
    RealFile("equities_actions_us40a.csv", 2_519, {"series": "actions"}, n_rows=2_519,
             n_symbols=38, first="1999-11-03T23:59:59", last="2021-04-14T23:59:59"),
    RealFile(
        "equities_adjclose_wide_us150.parquet", 5_402, ADJUSTED,
        found={"survivors": 150, "closes_only": 1}, absent=("gaps", "empty_instrument"),
        n_rows=5_402, n_symbols=150, first="1999-11-01T21:00:00", last="2021-04-21T20:00:00",
    ),
    RealFile("equities_sectors.csv", 156, {"kind": "reference", "series": "sectors"},
             n_rows=156, n_symbols=156),
    RealFile(
        "equities_adjclose_ragged_us20.parquet", 7_126, ADJUSTED,
        found={"survivors": 20, "closes_only": 1}, absent=("gaps",),
        n_rows=7_126, n_symbols=20, first="1989-12-29T21:00:00", last="2018-04-11T20:00:00",
    ),
    RealFile("index_sp500_daily.parquet", 5_031, STOCKS, absent=("gaps", "survivors", "jump"),
             n_rows=5_031, first="1999-01-04T21:00:00", last="2018-12-31T21:00:00"),
    RealFile("index_sp500_close_1990_2022.parquet", 8_313, STOCKS, found={"closes_only": 1},
             n_rows=8_313, first="1990-01-02T21:00:00", last="2022-12-28T21:00:00"),
    RealFile("index_vix_daily.parquet", 9_235, {}, refused=47, found={"ohlc_contradiction": 47},
             n_rows=9_188, first="1990-01-02T23:59:59", last="2026-07-23T23:59:59"),
    RealFile("index_vix_daily.parquet", 9_235, {"kind": "reference", "series": "levels"},
             n_rows=9_235, n_symbols=4, first="1990-01-02T23:59:59", last="2026-07-23T23:59:59"),
    RealFile("factor_etfs_adjclose_daily.parquet", 2_264, ADJUSTED,
             found={"survivors": 5, "closes_only": 1}, absent=("gaps",), n_rows=2_264,
             n_symbols=5, first="2014-01-02T21:00:00", last="2022-12-28T21:00:00"),
    RealFile(
        "factors_french_monthly.parquet", 819,
        {"kind": "reference", "series": "factors", "stamp": "period_start", "bar": "1mo"},
        n_rows=819, n_symbols=35, first="1949-01-31T23:59:59", last="2017-03-31T23:59:59",
    ),
    RealFile("rates_us_treasury_daily.parquet", 6_816, {"kind": "reference", "series": "rates"},
             found={"empty_values": 4_832}, n_rows=6_816, n_symbols=11,
             first="1990-01-02T23:59:59", last="2017-03-29T23:59:59"),
    RealFile("rates_us_primary_credit_steps.csv", 56, {"kind": "reference", "series": "rates"},
             n_rows=56, first="2003-01-09T23:59:59", last="2023-07-27T23:59:59"),
    RealFile(
        "fx_eurusd_1m_2017h1.parquet", 186_348,
        {"stamp": "start", "calendar": "fx", "symbol": "EURUSD"},
        # 310 minutes inside weeks and one at a week's edge.
        found={"gaps": 311, "currency_inferred": 1}, absent=("outside_sessions", "clock_shift"),
        n_rows=186_348, first="2017-01-02T07:01:00", last="2017-06-30T20:59:00",
    ),
    RealFile(
        "fx_eurusd_1h_bidask.parquet", 74_439,
        {"stamp": "start", "calendar": "fx", "symbol": "EURUSD"},
        absent=("crossed_bar", "crossed_inside_bar", "clock_shift", "ohlc_contradiction"),
        n_rows=74_439, first="2007-01-01T22:00:00", last="2018-12-31T22:00:00",
    ),
    # EURGBP is quoted in pounds, the other two in dollars.
    RealFile("fx_daily_bidask.parquet", 11_214,
             {"calendar": "fx", "currency": "USD", "accept": ("currency_mismatch",)},
             found={"currency_mismatch": 1},
             absent=("crossed_bar", "outside_sessions"), n_rows=3_738, n_symbols=3,
             first="2007-01-01T23:59:59", last="2018-12-31T23:59:59"),
    RealFile(
        "crypto_1h_ethusdt.parquet", 53_059, {"stamp": "start", "calendar": "24/7"},
        found={"gaps": 133}, absent=("outside_sessions", "stale"),
        n_rows=53_059, first="2017-08-17T05:00:00", last="2023-09-11T12:00:00",
    ),
    RealFile(
        "crypto_btcperp_1m_2022_01.parquet", 45_031,
        {"stamp": "end", "calendar": "24/7", "columns": {"volume": "volume_usd"}},
        absent=("gaps",), n_rows=45_031, first="2021-12-31T23:01:00", last="2022-02-01T05:31:00",
    ),
    RealFile("crypto_cfd_30m_btcusd.parquet", 78_408, {"stamp": "start"},
             found={"no_calendar": 1}, n_rows=78_408, first="2017-05-23T00:30:00",
             last="2023-09-11T12:00:00"),
    RealFile(
        "equity_cfd_15m_aapl.parquet", 43_105, {"stamp": "start", "calendar": "XNYS"},
        found={"unbooked_split": 1}, absent=("spike", "unit_switch"),
        n_rows=43_105, first="2017-02-01T14:45:00", last="2023-09-08T20:00:00",
    ),
    RealFile(
        "equity_spy_1m_2011_01.parquet", 14_180, {"stamp": "end", "calendar": "XNYS"},
        # 14,180 rows less 390 regular minutes on each of 20 days.
        found={"outside_sessions": 6_380}, absent=("gaps", "clock_shift"),
        n_rows=14_180, first="2011-01-03T09:01:00", last="2011-02-01T01:00:00",
    ),
    RealFile("index_cfd_1h_us500.parquet", 53_257, {"stamp": "start"}, n_rows=53_257,
             first="2013-05-23T01:00:00", last="2023-09-11T10:00:00"),
    RealFile("ticks_fx_eurusd_quotes.parquet", 248_039, {"symbol": "EURUSD"},
             found={"shared_stamps": 2_501}, absent=("crossed_quote", "locked_quote"),
             n_rows=248_039, first="2014-05-04T21:00:00", last="2014-05-09T20:59:58"),
    RealFile("ticks_btcusdt_spot_trades.parquet", 19_904, {}, absent=("identical_trades",),
             n_rows=19_904, first="2024-08-08T23:54:14", last="2024-08-09T00:05:04"),
    RealFile("ticks_btcusdt_spot_quotes.parquet", 73_174, {},
             absent=("crossed_quote", "locked_quote", "out_of_order"), n_rows=73_174,
             first="2024-08-08T23:54:14", last="2024-08-09T00:05:04"),
    RealFile(
        "dirty/crypto_30m_dirty.parquet", 10_063, {"stamp": "start", "calendar": "24/7"},
        refused=68,
        found={"volume_saturated": 60, "non_positive_price": 1, "duplicate_identical": 7,
               "out_of_order": 6},
        n_rows=9_995, n_symbols=3, first="2020-02-01T00:30:00", last="2022-06-15T00:00:00",
    ),
    RealFile(
        "dirty/fx_eurusd_1h_bidask_clockshift.parquet", 6_176,
        {"stamp": "start", "calendar": "fx", "symbol": "EURUSD"}, refused=3_584,
        found={"crossed_bar": 207, "crossed_inside_bar": 371}, n_rows=2_592,
        first="2009-09-20T20:00:00", last="2010-03-01T00:00:00",
    ),
    RealFile("dirty/ticks_fx_eurusd_quotes_crossed.parquet", 102_682, {"symbol": "EURUSD"},
             refused=9_999, found={"crossed_quote": 9_999, "locked_quote": 12_154},
             n_rows=92_683, first="2014-05-06T05:00:00", last="2014-05-07T04:59:59"),
    RealFile(
        "dirty/ticks_btcusd_bitstamp_2011_2012.parquet", 9_999, {}, refused=1_698,
        found={"identical_trades": 1_695, "zero_quantity": 1, "spike": 2, "shared_stamps": 4_243},
        n_rows=8_301, first="2011-09-13T13:53:36", last="2012-05-31T08:41:18",
    ),
)  # fmt: skip


def yahoo_options(case: str, interval: str, variant: str = "bad") -> dict[str, Any]:
    """Options that take one of the twelve recorded faults out of their common file."""
    clock = {"1d": {"stamp": "day"}, "1wk": {"stamp": "start", "bar": "1w"}}
    return {
        "where": {"case": case, "variant": variant},
        "prices": "split",
        "symbol": case,
        "keep": (),
        **clock.get(interval, {"stamp": "start", "bar": interval}),
    }


@dataclass(frozen=True)
class YahooCase:
    """One recorded fault: its name, bar length, rows, rows refused, and the codes that find it."""

    case: str
    interval: str
    rows: int
    refused: int
    codes: tuple[str, ...]
    is_refused: bool


YAHOO_CASES = (
    YahooCase("4063-T-1d-bad-stock-split", "1d", 22, 0,
              ("split_misapplied", "descending_order"), False),
    YahooCase("8TRA-DE-1d-missing-div-adjust", "1d", 5, 0, ("adj_close_inconsistent",), False),
    YahooCase("AET-L-1d-100x-error", "1d", 23, 9, ("spike", "descending_order"), True),
    YahooCase("ALPHA-PA-1d-bad-stock-split", "1d", 29, 1, ("spike", "split_misapplied"), True),
    YahooCase("ASAI-L-1h-bad-unit", "1h", 20, 1, ("spike",), True),
    YahooCase("AV-L-1wk-bad-stock-split", "1wk", 84, 0,
              ("split_misapplied", "adj_close_inconsistent"), False),
    YahooCase("EA-15m-no-bad-divs", "15m", 319, 0, (), False),
    YahooCase("KAP-IL-1d-bad-div", "1d", 665, 0, ("repeated_dividend",), False),
    YahooCase("KEN-TA-1d-bad-div", "1d", 651, 4,
              ("repeated_dividend", "ohlc_contradiction", "adj_close_inconsistent"), True),
    YahooCase("MOB-ST-1d-bad-stock-split", "1d", 16, 1, ("spike", "split_misapplied"), True),
    YahooCase("SCR-TO-1d-bad-div", "1d", 722, 0, ("unbooked_split",), False),
    YahooCase("SSW-JO-1d-100x-error", "1d", 29, 4,
              ("unit_switch", "ohlc_contradiction", "descending_order"), True),
)  # fmt: skip
