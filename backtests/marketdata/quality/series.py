"""Checks along one instrument's history: spikes, jumps, splits, dividends, stale runs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backtests.marketdata.findings import Ledger
from backtests.marketdata.quality.adjustments import (
    check_adjustment,
    check_dividends,
    find_proven_splits,
)
from backtests.marketdata.quality.history import Series, split_name

# Real panics have halved a price and doubled it back within days; not by three.
SPIKE_FACTOR = 3.0
JUMP_MINIMUM = 0.35  # log move; a 3-for-2 split is 0.405
JUMP_SIGMAS = 10.0
SPIKE_BARS = 50
COMES_BACK = 0.4
MAX_CANDIDATES = 5_000
SIGMA_FLOOR = 0.002
UNIT_FACTORS = (100.0, 1_000.0, 10_000.0, 1_000_000.0)
STALE_WITH_VOLUME, STALE_BARS = 10, 60

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IndexArray = NDArray[np.intp]


def check_series(series: Series, ledger: Ledger) -> BoolArray:
    """Run every check along time; return the mask of bars refused."""
    close = series.values["close"]
    # An accepted zero or negative price has no logarithm; nothing along time can be judged.
    if close.size < 2 or not (close > 0.0).all():
        return np.zeros(close.size, dtype=bool)
    applied = _applied_splits(series, ledger)
    proven = find_proven_splits(series, ledger)
    steps = log_moves(close, applied, series.values.get("dividend"), series.prices) + proven
    refused = check_spikes(steps, series, ledger, booked=_booked(series))
    check_adjustment(series, ledger, proven)
    check_dividends(series, ledger)
    _check_stale(series, ledger)
    return refused


def log_moves(
    close: FloatArray, split: FloatArray | None, dividend: FloatArray | None, prices: str
) -> FloatArray:
    """Return log returns, shape (n,), the first 0, with the actions the prices do not hold yet."""
    moves = np.zeros(close.size)
    shares = split if split is not None and prices == "raw" else np.ones(close.size)
    # A price before a huge dividend fell for a reason; only a full adjustment has it already.
    cash = dividend if dividend is not None and prices != "adjusted" else np.zeros(close.size)
    with np.errstate(divide="ignore", invalid="ignore"):
        moves[1:] = np.log((close[1:] + cash[1:]) * shares[1:] / close[:-1])
    moves[~np.isfinite(moves)] = 0.0
    return moves


def robust_sigma(moves: FloatArray) -> float:
    """Return 1.4826 times the median absolute move, floored."""
    return max(SIGMA_FLOOR, 1.4826 * float(np.median(np.abs(moves[1:])))) if moves.size > 1 else 0.0


def check_spikes(
    moves: FloatArray, series: Series, ledger: Ledger, booked: IndexArray | None = None
) -> BoolArray:
    """Sort large moves into spikes, unit switches, unbooked splits and lone jumps.

    Parameters
    ----------
    moves : float64 array, shape (n,)
        Log returns free of booked actions, the first 0.
    series, ledger
        Whose moves they are, and where findings go.
    booked : int array, optional
        Positions of booked splits; moves beside them are judged as splits, not as jumps.

    Returns
    -------
    bool array, shape (n,)
        Bars refused: those between a leap and its return.
    """
    sigma = robust_sigma(moves)
    large = np.flatnonzero(np.abs(moves) > max(JUMP_MINIMUM, JUMP_SIGMAS * sigma))
    spikes, lone = _split_candidates(moves, large[:MAX_CANDIDATES], sigma)
    close = series.values["close"]
    refused = ledger.flag("spike", series.marks, spikes, close)
    near_booked = _near(lone, booked)
    _check_misapplied(moves, series, ledger, booked, sigma)
    jumps = np.zeros(moves.size, dtype=bool)
    for i in lone[~near_booked]:
        if not _name_jump(int(i), moves, sigma, series, ledger):
            jumps[i] = True
    ledger.flag("jump", series.marks, jumps, close)
    return refused


def _split_candidates(
    moves: FloatArray, large: IndexArray, sigma: float
) -> tuple[BoolArray, IndexArray]:
    level = np.cumsum(moves)
    spikes = np.zeros(moves.size, dtype=bool)
    returns: set[int] = set()
    lone = []
    threshold = max(np.log(SPIKE_FACTOR), JUMP_SIGMAS * sigma)
    for i in large:
        if int(i) in returns or spikes[i]:
            continue
        back = _return_of(int(i), moves, level) if abs(moves[i]) > threshold else 0
        if back:
            spikes[i:back] = True
            returns.add(back)
        else:
            lone.append(i)
    return spikes, np.array(lone, dtype=np.intp)


def _return_of(i: int, moves: FloatArray, level: FloatArray) -> int:
    """Position of the bar that undoes the leap at i, 0 if none does soon."""
    after = slice(i + 1, i + 1 + SPIKE_BARS)
    undone = np.abs(level[after] - level[i - 1]) < COMES_BACK * abs(moves[i])
    opposite = moves[after] * np.sign(moves[i]) < -0.5 * abs(moves[i])
    hits = np.flatnonzero(undone & opposite)
    return i + 1 + int(hits[0]) if hits.size else 0


def _name_jump(i: int, moves: FloatArray, sigma: float, series: Series, ledger: Ledger) -> bool:
    """Recognize a unit switch or a split in a lone move; say whether it was one."""
    size = abs(float(moves[i]))
    shown = [series.example(i)]
    here = series.marks.stamps[i : i + 1]
    for unit in UNIT_FACTORS:
        if abs(size - np.log(unit)) < 0.15:
            ledger.note(
                "unit_switch", 1, symbol=series.symbol, examples=shown, stamps=here,
                factor=f"{unit:g}",
            )  # fmt: skip
            return True
    slack = max(0.03, min(3.0 * sigma, 0.08))
    name, factor = split_name(float(moves[i]))
    if series.prices == "adjusted" or abs(size - factor) > slack:
        return False
    if "open" in series.values:
        # A split shows overnight; a move made during the session is a move.
        gap = float(np.log(series.values["open"][i] / series.values["close"][i - 1]))
        if abs(abs(gap) - factor) > 2.0 * slack:
            return False
    ledger.note(
        "unbooked_split", 1, symbol=series.symbol, examples=shown, stamps=here, factor=name
    )  # fmt: skip
    return True


def _near(places: IndexArray, booked: IndexArray | None, reach: int = 5) -> BoolArray:
    if booked is None or not booked.size:
        return np.zeros(places.size, dtype=bool)
    distance = np.abs(places[:, None] - booked[None, :])
    return np.asarray(distance.min(axis=1) <= reach)


def _booked(series: Series) -> IndexArray | None:
    split = series.values.get("split")
    return None if split is None else np.flatnonzero(np.abs(np.log(split)) > 0.2)


def _applied_splits(series: Series, ledger: Ledger) -> FloatArray | None:
    """Leave out splits of raw prices that do not move at all where the split is booked."""
    split = series.values.get("split")
    if split is None or series.prices != "raw":
        return split
    close = series.values["close"]
    raw = np.zeros(close.size)
    raw[1:] = np.diff(np.log(close))
    factor = np.log(split)
    unmoved = (np.abs(factor) > 0.3) & (np.abs(raw) < 0.5 * np.abs(factor))
    unmoved[0] = False
    if not unmoved.any():
        return split
    at = np.flatnonzero(unmoved)
    ledger.note(
        "split_double",
        at.size,
        symbol=series.symbol,
        examples=[series.example(int(i), f"split {split[i]:g}") for i in at],
        stamps=series.marks.stamps[at],
    )
    return np.where(unmoved, 1.0, split)


def _check_misapplied(
    moves: FloatArray, series: Series, ledger: Ledger, booked: IndexArray | None, sigma: float
) -> None:
    """Find moves of a split's size beside the booked split, in prices said to be adjusted."""
    if booked is None or not booked.size or series.prices == "raw":
        return
    close = series.values["close"]
    for i in booked:
        factor = abs(float(np.log(series.values["split"][i])))
        near = np.arange(max(1, i - 5), min(moves.size, i + 6))
        slack = min(max(0.06, 3.0 * sigma), 0.5 * factor)
        # A dividend booked beside the split may explain the same move: look at both.
        alone = np.log(close[near] / close[near - 1])
        like = [np.abs(np.abs(m) - factor) < slack for m in (moves[near], alone)]
        hits = near[like[0] | like[1]]
        if hits.size:
            ledger.note(
                "split_misapplied",
                hits.size,
                symbol=series.symbol,
                examples=[series.example(int(j)) for j in hits],
                stamps=series.marks.stamps[hits],
                factor=f"{series.values['split'][i]:g}",
            )


def _check_stale(series: Series, ledger: Ledger) -> None:
    prices = [series.values[n] for n in ("open", "high", "low", "close") if n in series.values]
    same = np.ones(prices[0].size, dtype=bool)
    for price in prices:
        same[1:] &= price[1:] == price[:-1]
    same[0] = False
    if not same.any():
        return
    edges = np.flatnonzero(np.diff(np.r_[False, same, False]))
    starts, stops = edges[::2], edges[1::2]
    lengths = stops - starts + 1
    volume = series.values.get("volume")
    traded = np.zeros(starts.size, dtype=bool)
    if volume is not None:
        total = np.r_[0.0, np.cumsum(volume > 0.0)]
        traded = total[stops] - total[starts] >= 0.9 * (stops - starts)
    long_run = (lengths >= STALE_BARS) | (traded & (lengths >= STALE_WITH_VOLUME))
    stale = np.zeros(same.size, dtype=bool)
    for start, stop in zip(starts[long_run], stops[long_run], strict=True):
        stale[start:stop] = True
    ledger.flag("stale", series.marks, stale, series.values["close"])
