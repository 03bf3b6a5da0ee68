"""Rules with parameters that a sweep runs compiled, with the indicators they share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from backtests.engine.config import require_number
from backtests.engine.decisions import Targets
from backtests.engine.dtypes import FloatArray, IntArray
from backtests.engine.errors import SettingsError
from backtests.engine.inputs import Bars
from numerics.indicators import (
    crossings,
    exponential_moving_average,
    simple_moving_averages,
    weighted_moving_average,
)

_MOST_BARS = 10_000_000
_BLOCK = 65_536  # combinations
Average = Literal["simple", "exponential", "weighted"]


class Lines(NamedTuple):
    """Indicators that many combinations share, each computed once.

    Attributes
    ----------
    table : float64 array, shape (n_lines, n_bars)
    pairs : int32 array, shape (n_combinations, 2)
        Long while the first line is above the second.
    """

    table: FloatArray
    pairs: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Position:
    """What a rule holds while it is in the market.

    Parameters
    ----------
    size : float
        In the unit of `kind`, not 0; short below zero.
    kind, sized_at
        As `Targets` has them.
    begins : {"at_cross", "when_above"}
        Whether the first position waits for a crossing, or is taken as well when the first line is
        above already at the first bar at which both are known.
    """

    size: float = 1.0
    kind: Literal["weights", "units", "notional"] = "weights"
    sized_at: Literal["decision", "fill"] = "decision"
    begins: Literal["at_cross", "when_above"] = "at_cross"

    def __post_init__(self) -> None:
        require_number("Position.size", self.size)
        if self.size == 0.0:
            raise SettingsError("Position.size must not be 0.")
        if self.begins not in ("at_cross", "when_above"):
            raise SettingsError(
                f"Position.begins must be at_cross or when_above, not {self.begins!r}."
            )
        Targets(np.ones((1, 1)), self.kind, sized_at=self.sized_at)  # refuses what it does not know


class CrossingRule(Protocol):
    """A rule that is long while one line is above another."""

    position: Position

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of what a combination sets."""

    def lines(self, bars: Bars, combinations: FloatArray) -> Lines:
        """Return the lines of all combinations, shape (n_combinations, n_parameters)."""


@dataclass(frozen=True, slots=True)
class AverageCross:
    """Long while the average over `fast` bars is above the one over `slow` bars.

    Parameters
    ----------
    average : {"simple", "exponential", "weighted"}
    position : Position
    """

    average: Average = "simple"
    position: Position = Position()

    def __post_init__(self) -> None:
        if self.average not in ("simple", "exponential", "weighted"):
            raise SettingsError(
                f"AverageCross.average must be simple, exponential or weighted, "
                f"not {self.average!r}."
            )

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of what a combination sets."""
        return ("fast", "slow")

    def lines(self, bars: Bars, combinations: FloatArray) -> Lines:
        """Return one average per distinct window."""
        windows, place = _distinct(combinations, self.parameters)
        if np.any(combinations[:, 0] >= combinations[:, 1]):
            raise SettingsError(
                "Every fast window must be shorter than its slow one. Where the two ranges "
                "overlap, give the pairs as rows of an array."
            )
        return Lines(self._averages(bars, windows), place)

    def _averages(self, bars: Bars, windows: IntArray) -> FloatArray:
        close = np.ascontiguousarray(bars.close[:, 0])
        if self.average == "simple":
            return simple_moving_averages(close, windows)
        average: Callable[..., Any] = (
            exponential_moving_average if self.average == "exponential" else weighted_moving_average
        )
        return np.array([average(close, int(window)) for window in windows])


@dataclass(frozen=True, slots=True)
class Trend:
    """Long while the close is above the one `lookback` bars ago.

    Parameters
    ----------
    position : Position
    """

    position: Position = Position()

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of what a combination sets."""
        return ("lookback",)

    def lines(self, bars: Bars, combinations: FloatArray) -> Lines:
        """Return the closes, and the closes shifted by each distinct lookback."""
        lookbacks, place = _distinct(combinations, self.parameters)
        close = bars.close[:, 0]
        table = np.full((lookbacks.size + 1, close.size), np.nan)
        table[0] = close
        for row, lookback in enumerate(lookbacks, start=1):
            table[row, lookback:] = close[: max(close.size - lookback, 0)]
        pairs = np.zeros((place.shape[0], 2), np.int32)
        pairs[:, 1] = place[:, 0] + 1
        return Lines(table, pairs)


def targets_of(rule: CrossingRule, bars: Bars, combination: Sequence[float]) -> Targets:
    """Return what one combination of a rule decides, as `simulate` takes it."""
    lines = rule.lines(bars, np.array([combination], dtype=np.float64))
    return targets_between(lines, 0, rule.position)


def targets_between(lines: Lines, number: int, position: Position) -> Targets:
    """Return what the lines of one combination decide, by its number."""
    first, second = (lines.table[at] for at in lines.pairs[number])
    found = crossings(first, second)
    rows, is_above = found.rows, found.is_above
    known = np.flatnonzero(~(np.isnan(first) | np.isnan(second)))
    waits = position.begins == "at_cross"
    if waits and rows.size and known.size and rows[0] == known[0]:
        rows, is_above = rows[1:], is_above[1:]  # above from the start is no crossing
    values = np.where(is_above, position.size, 0.0).reshape(-1, 1)
    return Targets(values, position.kind, sized_at=position.sized_at, at_bars=rows)


def _distinct(combinations: FloatArray, names: Sequence[str]) -> tuple[IntArray, NDArray[np.int32]]:
    """Return the distinct whole numbers, and the place of each number among them.

    Notes
    -----
    Without sorting, and block by block: a million combinations must not need copies of their own.
    """
    blocks = [combinations[at : at + _BLOCK] for at in range(0, combinations.shape[0], _BLOCK)]
    if not all(_are_windows(block) for block in blocks):
        raise SettingsError(
            f"{' and '.join(names)} must be whole numbers from 1 to {_MOST_BARS:,}."
        )
    row_of = np.zeros(int(combinations.max()) + 1, np.int32)
    for block in blocks:
        row_of[block.astype(np.int64)] = 1
    distinct = np.flatnonzero(row_of)
    row_of[distinct] = np.arange(distinct.size)
    place = np.empty(combinations.shape, np.int32)
    for at, block in enumerate(blocks):
        place[at * _BLOCK : at * _BLOCK + block.shape[0]] = row_of[block.astype(np.int64)]
    return distinct, place


def _are_windows(numbers: FloatArray) -> bool:
    return bool(np.all((numbers >= 1.0) & (numbers <= _MOST_BARS) & (numbers == np.rint(numbers))))
