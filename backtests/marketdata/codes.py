"""Every finding's code: how grave it is, whether rows can be taken out, and what to do."""

from __future__ import annotations

from dataclasses import dataclass

ERROR, WARNING, INFO = "error", "warning", "info"


@dataclass(frozen=True, slots=True)
class Code:
    """One kind of finding.

    Attributes
    ----------
    severity : {"error", "warning", "info"}
    text : str
        What is wrong; ``{n}`` stands for the count.
    advice : str
        What the user can do.
    quarantinable : bool
        An error whose rows can be taken out; otherwise the file is refused in any case.
    """

    severity: str
    text: str
    advice: str
    quarantinable: bool = True


_OUT = "take them out with quarantine, or mend the source"

CODES: dict[str, Code] = {
    # structure
    "missing_column": Code(ERROR, "a column is missing", "name it in columns", False),
    "kind_unknown": Code(ERROR, "the kind of rows is not clear", "state kind", False),
    "empty_file": Code(ERROR, "the file holds no row", "check the export", False),
    "nothing_left": Code(ERROR, "no row is left after the checks", "see the other findings", False),
    "naive_times": Code(ERROR, "clock times without a time zone", "state timezone", False),
    "stamp_not_stated": Code(ERROR, "it is not stated what the stamps mark", "state stamp", False),
    "bar_unknown": Code(ERROR, "the bar length cannot be inferred", "state bar", False),
    "symbol_twice": Code(ERROR, "an instrument stands twice", "rename or remove one", False),
    "too_large": Code(ERROR, "the table is too large", "split it", False),
    "ignored_columns": Code(INFO, "{n} columns are not numeric and were left out", ""),
    # single values
    "malformed_line": Code(ERROR, "{n} lines have the wrong number of fields", _OUT),
    "unparsable": Code(ERROR, "{n} rows hold a value that cannot be read", _OUT),
    "missing_stamp": Code(ERROR, "{n} rows have no stamp", _OUT),
    "missing_symbol": Code(ERROR, "{n} rows name no instrument", _OUT),
    "ambiguous_time": Code(
        ERROR, "{n} local times happened twice (clocks set back)", "export in UTC, or quarantine"
    ),
    "nonexistent_time": Code(
        ERROR, "{n} local times never happened (clocks set forward)", "check the time zone stated"
    ),
    # order
    "descending_order": Code(WARNING, "rows run from new to old; they were turned round", ""),
    "out_of_order": Code(
        ERROR,
        "{n} rows step back in time",
        "sort the file, or accept out_of_order, which sorts it; quarantine would take them out",
    ),
    "duplicate_identical": Code(ERROR, "{n} rows repeat an earlier row exactly", _OUT),
    "duplicate_conflicting": Code(
        ERROR, "{n} rows share a stamp but disagree", "find the right one; quarantine takes all out"
    ),
    "shared_stamps": Code(INFO, "{n} rows share their stamp with the row before; order kept", ""),
    # bars
    "partly_nan": Code(ERROR, "{n} bars have some values and lack others", _OUT),
    "empty_bars": Code(INFO, "{n} rows hold no price (not trading)", ""),
    "empty_instrument": Code(
        ERROR, "the instrument has no value at all", "drop its column, or quarantine"
    ),
    "ohlc_contradiction": Code(ERROR, "{n} bars have open or close outside [low, high]", _OUT),
    "non_positive_price": Code(ERROR, "{n} rows have a price of zero or less", _OUT),
    "negative_volume": Code(ERROR, "{n} rows have a negative volume", _OUT),
    "volume_saturated": Code(
        ERROR,
        "{n} rows have a volume stuck at an integer limit (the true one was larger)",
        "accept it and do not use volume, or get the field as 64-bit",
    ),
    "crossed_bar": Code(ERROR, "{n} bars have bid close above ask close", _OUT),
    "crossed_inside_bar": Code(
        WARNING, "{n} bars have another bid price above its ask", "distrust spreads of this source"
    ),
    "bad_action": Code(ERROR, "{n} rows have a negative split or dividend", _OUT),
    "wick": Code(WARNING, "{n} bars reach twice or half their own body", "look for bad ticks"),
    "closes_only": Code(INFO, "closes only: orders fill at the next close, never inside a bar", ""),
    # ticks
    "crossed_quote": Code(ERROR, "{n} quotes have the bid above the ask", _OUT),
    "locked_quote": Code(INFO, "{n} quotes have bid equal to ask", ""),
    "negative_size": Code(ERROR, "{n} rows have a negative quantity", _OUT),
    "zero_quantity": Code(ERROR, "{n} trades have a quantity of zero", _OUT),
    "identical_trades": Code(
        ERROR,
        "{n} trades repeat an earlier row in every value; a doubled tape looks the same",
        "take them out with quarantine, or accept them if the venue prints like that",
    ),
    "identical_quotes": Code(INFO, "{n} quotes repeat an earlier row in every value", ""),
    # series
    "spike": Code(
        ERROR, "{n} prices leap by a factor and come back (unit error or bad print)", _OUT
    ),
    "unit_switch": Code(
        ERROR,
        "the price level changes by a factor of about {factor} and stays (unit or currency switch)",
        "bring the series to one unit",
        False,
    ),
    "jump": Code(WARNING, "{n} lone jumps far outside the series' usual moves", "check the source"),
    "unbooked_split": Code(
        WARNING,
        "a move close to a split by {factor} that no action column books",
        "add the split, import with adjust_by='adj_close', or confirm the move",
    ),
    "dividend_unit": Code(
        WARNING,
        "dividends fall by about the split factor across {n} splits that the prices hold already: "
        "they look like cash per share of their own day, not per share as quoted here",
        "divide earlier dividends by the later splits, or import raw prices",
    ),
    "split_misapplied": Code(
        WARNING,
        "{n} moves match a booked split of {factor} although prices are said to be adjusted for it",
        "the split was missed, or applied twice or on the wrong day, in these rows",
    ),
    "split_double": Code(
        ERROR,
        "{n} booked splits do not show in the prices, which look adjusted already; "
        "applying them would count them twice",
        "state prices='split'",
        False,
    ),
    "adj_close_inconsistent": Code(
        WARNING, "{n} rows where adj_close moves unlike splits and dividends say", "distrust it"
    ),
    "huge_dividend": Code(
        WARNING,
        "{n} dividends above 20% of the price: a spin-off or class split booked as cash?",
        "check against the company's notice",
    ),
    "repeated_dividend": Code(
        WARNING, "{n} dividends repeat one of a few days before", "one of them is a phantom"
    ),
    "stale": Code(WARNING, "{n} bars repeat one price over a long run", "check the feed"),
    # calendar and universe
    "no_calendar": Code(INFO, "no calendar is stated: gaps were not looked for", ""),
    "gaps": Code(WARNING, "{n} bars are missing while the market was open", "see the longest"),
    "outside_sessions": Code(WARNING, "{n} bars lie outside the market's sessions", "check zone"),
    "clock_shift": Code(
        ERROR,
        "{n} bars lie in weeks whose clock is shifted against the calendar",
        "correct the stamps of these weeks, or take them out with quarantine",
    ),
    "survivors": Code(
        WARNING,
        "{exits} of {n} instruments ever stopped trading, where about {expected} of a universe "
        "kept as it was would have: a panel of survivors, in which past returns look better than "
        "an investor could have had",
        "add delisted instruments, or read results with that in mind",
    ),
    "currency_mismatch": Code(
        ERROR,
        "{n} currency pair is quoted in {quote}, not in {currency}",
        "import the pairs of one quote currency, or state theirs",
        False,
    ),
    "currency_inferred": Code(
        INFO, "no currency is stated: all {n} currency pairs are quoted in {currency}", ""
    ),
    "prices_adjusted": Code(
        INFO,
        "open, high, low and close were multiplied by adj_close / close; volume is left as it "
        "was, in shares of its own day where the source gives it so",
        "",
    ),
    "empty_values": Code(INFO, "{n} values are missing", ""),
}

# Errors a user may knowingly take as warnings: the rows can be stored as they are.
ACCEPTABLE = frozenset({
    "ohlc_contradiction", "non_positive_price", "negative_volume", "volume_saturated",
    "crossed_bar", "crossed_quote", "identical_trades", "zero_quantity", "spike", "unit_switch",
    "clock_shift", "split_double", "out_of_order", "nonexistent_time", "unbooked_split",
    "currency_mismatch",
})  # fmt: skip
