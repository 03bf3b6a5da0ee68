"""Currency pairs, told by their names, and the currency their prices are in."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backtests.marketdata.product import Job

# ISO 4217: the currencies that are quoted against each other, and the four precious metals.
ISO_CODES = frozenset({
    "AED", "ARS", "AUD", "BGN", "BRL", "CAD", "CHF", "CLP", "CNH", "CNY", "COP", "CZK",
    "DKK", "EGP", "EUR", "GBP", "HKD", "HUF", "IDR", "ILS", "INR", "ISK", "JPY", "KRW",
    "KWD", "KZT", "MAD", "MXN", "MYR", "NGN", "NOK", "NZD", "PEN", "PHP", "PKR", "PLN",
    "QAR", "RON", "RSD", "RUB", "SAR", "SEK", "SGD", "THB", "TRY", "TWD", "UAH", "USD",
    "VND", "ZAR", "XAG", "XAU", "XPD", "XPT",
})  # fmt: skip
_PAIR = re.compile(r"^([A-Z]{3})[/_-]?([A-Z]{3})(=X)?$")
MAX_NAMED = 5


def quote_currency(symbol: str) -> str:
    """Return the currency a pair's price is in, empty for anything that is no pair.

    Parameters
    ----------
    symbol : str
        Such as "EURUSD", "EUR/USD", "EUR_USD" or "EURUSD=X"; both halves must be ISO 4217 codes.
    """
    match = _PAIR.match(symbol.strip().upper())
    if match is None or match[1] == match[2] or not {match[1], match[2]} <= ISO_CODES:
        return ""
    return match[2]


def settle_currency(symbols: Sequence[str], job: Job) -> str:
    """Return the currency of a dataset, recording pairs that are quoted in another one.

    Stated, it must be the quote currency of every pair. Not stated, it is the one that all pairs
    share; where they do not, those outside the most frequent one are an error.
    """
    stated, ledger = job.options.currency, job.ledger
    quotes = {symbol: quote for symbol in symbols if (quote := quote_currency(symbol))}
    if not quotes:
        return stated
    counts = Counter(quotes.values())
    usual = stated.upper() or min(counts, key=lambda code: (-counts[code], code))
    foreign = sorted(symbol for symbol, quote in quotes.items() if quote != usual)
    if not stated and not foreign and len(quotes) == len(set(symbols)):
        ledger.note("currency_inferred", len(quotes), currency=usual)
        return usual
    for symbol in foreign:
        ledger.note(
            "currency_mismatch", 1, symbol=symbol,
            detail=f"{_mismatch(foreign, quotes)}, not in {usual}"
            f"{', the currency stated' if stated else ' like the other pairs'}; profits in "
            "several currencies cannot be added up: import the pairs of one quote currency, or "
            "state theirs.",
        )  # fmt: skip
    return stated


def _mismatch(foreign: Sequence[str], quotes: dict[str, str]) -> str:
    named = ", ".join(f"{symbol} is quoted in {quotes[symbol]}" for symbol in foreign[:MAX_NAMED])
    more = len(foreign) - MAX_NAMED
    return f"{named}, and {more} more" if more > 0 else named
