"""Splits, dividends and adjusted closes of one instrument, checked against each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backtests.marketdata.actions import adjustment_gap
from backtests.marketdata.findings import Ledger
from backtests.marketdata.quality.history import Series, split_name

ADJUSTMENT_TOLERANCE = 0.005
HUGE_DIVIDEND = 0.2
REPEAT_DAYS, REPEAT_LIKENESS = 7, 0.15
DAY_NS = 86_400_000_000_000
# A 6-for-5 split is 0.18; smaller steps of the factor are dividends.
SPLIT_MINIMUM = 0.3
FACTOR_TOLERANCE, MOVE_TOLERANCE = 0.03, 0.25
UNIT_DIVIDENDS = 4

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


def find_proven_splits(series: Series, ledger: Ledger) -> FloatArray:
    """Find splits that nobody booked but the file's own adj_close knows of.

    Returns
    -------
    float64 array, shape (n,)
        Log of the shares per old share at each such bar, 0 elsewhere.

    Notes
    -----
    At such a bar ``adj_close / close`` steps up by a split's factor, beyond what booked actions
    ask for, while the close falls by about the same: either alone is an error of another kind
    (a factor applied on the wrong day, or a crash), both together are a split.
    """
    steps = np.zeros(series.values["close"].size)
    gap = _gap(series)
    if gap is None:
        return steps
    close = series.values["close"]
    moves = np.zeros(close.size)
    moves[1:] = np.diff(np.log(close))
    if "split" in series.values and series.prices == "raw":
        moves += np.log(series.values["split"])
    for i in np.flatnonzero(np.abs(gap) > SPLIT_MINIMUM):
        name, factor = split_name(-float(gap[i]))
        if abs(abs(gap[i]) - factor) > FACTOR_TOLERANCE or abs(moves[i] + gap[i]) > MOVE_TOLERANCE:
            continue
        steps[i] = gap[i]
        ledger.note(
            "unbooked_split",
            1,
            symbol=series.symbol,
            examples=[series.example(int(i))],
            stamps=series.marks.stamps[i : i + 1],
            detail=f"adj_close proves a split by {name} that no action column books; add the "
            "split, import with adjust_by='adj_close', or accept it if you know.",
            is_proven=True,
        )
    return steps


def check_adjustment(series: Series, ledger: Ledger, proven: FloatArray) -> None:
    """Flag the rows where adj_close moves unlike splits and dividends say."""
    gap = _gap(series)
    if gap is None:
        return
    adjusted = series.values["adj_close"]
    # Adjusted closes are printed to about four decimals: allow for it where they are small.
    slack = ADJUSTMENT_TOLERANCE + 2e-4 / np.minimum(adjusted, np.r_[adjusted[0], adjusted[:-1]])
    wrong = (np.abs(gap) > slack) & (proven == 0.0)
    ledger.flag("adj_close_inconsistent", series.marks, wrong, adjusted)


def _gap(series: Series) -> FloatArray | None:
    """How the adjustment factor moves beyond the booked actions, None where nothing tells."""
    if "adj_close" not in series.values or series.prices == "adjusted":
        return None
    adjusted = series.values["adj_close"]
    if not (adjusted > 0.0).all():
        return None
    split = series.values.get("split") if series.prices == "raw" else None
    return adjustment_gap(series.values["close"], adjusted, split, series.values.get("dividend"))


def check_dividends(series: Series, ledger: Ledger) -> None:
    """Flag dividends too large to be cash, repeated within days, or per share of another unit."""
    cash = series.values.get("dividend")
    if cash is None:
        return
    close = series.values["close"]
    before = np.r_[close[0], close[:-1]]
    ledger.flag("huge_dividend", series.marks, cash > HUGE_DIVIDEND * before, cash)
    paid = np.flatnonzero(cash > 0.0)
    soon = np.diff(series.marks.stamps[paid]) < REPEAT_DAYS * DAY_NS
    alike = np.abs(np.diff(np.log(cash[paid]))) < REPEAT_LIKENESS
    repeated = np.zeros(cash.size, dtype=bool)
    repeated[paid[1:][soon & alike]] = True
    ledger.flag("repeated_dividend", series.marks, repeated, cash)
    ledger.flag("dividend_unit", series.marks, _unit_breaks(series, cash / before), cash)


def _unit_breaks(series: Series, yields: FloatArray) -> BoolArray:
    """Mark applied splits across which the dividend yield falls by about the split's factor."""
    found = np.zeros(yields.size, dtype=bool)
    split = series.values.get("split")
    if split is None or series.prices != "split":
        return found
    booked = np.flatnonzero(np.abs(np.log(split)) > SPLIT_MINIMUM)
    edges = np.r_[0, booked, yields.size]
    paid = np.flatnonzero(yields > 0.0)
    for start, at, stop in zip(edges[:-2], booked, edges[2:], strict=True):
        earlier = yields[paid[(paid >= start) & (paid < at)]][-UNIT_DIVIDENDS:]
        later = yields[paid[(paid >= at) & (paid < stop)]][:UNIT_DIVIDENDS]
        if min(earlier.size, later.size) < 2:
            continue
        fall = float(np.log(np.median(earlier) / np.median(later)))
        factor = float(np.log(split[at]))
        found[at] = abs(fall - factor) < 0.4 * abs(factor)
    return found
