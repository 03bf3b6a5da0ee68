"""The rows of a study's trials: what is written of each, column by column."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from backtests.engine.metrics import DEFINITIONS
from backtests.search import Result, Search, Trial

FloatArray = NDArray[np.float64]
N_BLOCKS = 16  # of bars, whose returns are summed for the statistics of many trials
FIGURES = ("final_equity", "n_fills", "n_closed_trades")
MOMENTS = ("n_returns", "mean_return", "std_return", "skew_return", "kurtosis_return")
BLOCKS = tuple(f"block_{at}" for at in range(N_BLOCKS))
SQUARES = tuple(f"square_{at}" for at in range(N_BLOCKS))
N_AXES = 2  # of the surface; chunks keep the values of so many searched numbers


def schema(n_objectives: int, n_folds: int = 0, *, is_folded: bool = False) -> pa.Schema:
    """Return the columns of a study's table of trials.

    `is_folded`: each fold has a search of its own, which is told what its training says.
    """
    numbers = _numbers(n_objectives, n_folds, is_folded=is_folded)
    fields: list[pa.Field[Any]] = [pa.field(name, pa.string()) for name in _texts(is_folded)]
    return pa.schema(fields + [pa.field(name, pa.float64()) for name in numbers])


def _texts(is_folded: bool) -> tuple[str, ...]:
    return ("parameters", "reason", "told_reason") if is_folded else ("parameters", "reason")


def _numbers(n_objectives: int, n_folds: int, *, is_folded: bool) -> list[str]:
    names = [f"objective_{at}" for at in range(n_objectives)]
    names += ["violation", *FIGURES, *DEFINITIONS, *MOMENTS, *BLOCKS, *SQUARES]
    names += [f"{side}_{at}" for at in range(n_folds) for side in ("train", "test")]
    if is_folded:
        names += [*(f"told_{at}" for at in range(n_objectives)), "told_violation"]
    return names


def axes_of(found: Search) -> list[str]:
    """Return the searched numbers that a surface is drawn over."""
    numeric = [path for path, axis in found.space.dimensions.items() if axis.is_numeric]
    return numeric[:N_AXES]


class Rows:
    """The rows of some trials on their way: one array a column, no object a trial.

    A figure that is not computed is null; one that was computed to NaN is NaN.
    """

    def __init__(
        self, found: Search, n_trials: int, n_folds: int, *, is_folded: bool = False
    ) -> None:
        self._paths = axes_of(found)
        axes = [f"axis_{at}" for at in range(len(self._paths))]
        names = [*_numbers(len(found.objectives), n_folds, is_folded=is_folded), *axes]
        self._places = {name: at for at, name in enumerate(names)}
        self._values = np.full((len(names), n_trials), np.nan)
        self._known = np.zeros(self._values.shape, np.bool_)
        self._parameters: list[str] = []
        self._reasons: list[str] = []
        self._texts: dict[str, list[Any]] = dict(
            zip(
                _texts(is_folded),
                (self._parameters, self._reasons, [None] * n_trials),
                strict=False,
            )
        )

    def add(self, trial: Trial, judged: Result) -> None:
        """Write what a trial is and what was said of it; trials come in their order."""
        row = len(self._parameters)
        self._parameters.append(json.dumps(trial.parameters, sort_keys=True))
        self._reasons.append(judged.reason)
        self.set("violation", row, judged.violation)
        for at, value in enumerate(judged.values or ()):
            self.set(f"objective_{at}", row, value)
        for at, path in enumerate(self._paths):
            self.set(f"axis_{at}", row, trial.parameters.get(path))

    def tell(self, row: int, judged: Result) -> None:
        """Write what the search inside a fold is told of a trial."""
        self._texts["told_reason"][row] = judged.reason
        self.set("told_violation", row, judged.violation)
        for at, value in enumerate(judged.values or ()):
            self.set(f"told_{at}", row, value)

    def set(self, name: str, row: int, value: float | None) -> None:
        """Write one number; None is none."""
        if value is not None:
            place = self._places[name]
            self._values[place, row], self._known[place, row] = value, True

    def fill(
        self, names: Sequence[str], rows: NDArray[np.int64], values: FloatArray,
        known: NDArray[np.bool_] | None = None,
    ) -> None:  # fmt: skip
        """Write some columns of some rows, shape (n_rows, n_columns)."""
        where = np.ix_(np.array([self._places[name] for name in names]), rows)
        self._values[where] = values.T
        self._known[where] = True if known is None else known.T

    def table(self) -> pa.Table:
        """Return the table; the values of the axes stand behind the columns of `schema`."""
        texts: dict[str, Any] = {
            name: pa.array(column, pa.string()) for name, column in self._texts.items()
        }
        numbers: dict[str, Any] = {
            name: pa.array(self._values[at], mask=~self._known[at], from_pandas=False)
            for name, at in self._places.items()
        }
        return pa.table(texts | numbers)


def returns_of(equity: FloatArray) -> FloatArray:
    """Return the simple return of every bar after the first; NaN where equity was not positive.

    Parameters
    ----------
    equity : float64 array, shape (n_trials, n_bars)

    Returns
    -------
    float64 array, shape (n_trials, n_bars - 1)
    """
    before = equity[:, :-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(before > 0.0, equity[:, 1:] / before - 1.0, np.nan)


def moments_of(returns: FloatArray) -> FloatArray:
    """Return the `MOMENTS` of each trial's returns, shape (n_trials, 5).

    Notes
    -----
    Count, mean, standard deviation (ddof 1), and the population's skewness and excess kurtosis, of
    the returns that are known. NaN from fewer than two, and shapes of what never varies. Powers are
    products: `**` costs more than all the rest of a trial's measuring.
    """
    known = ~np.isnan(returns)
    n = known.sum(axis=1).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(known, returns, 0.0).sum(axis=1) / n
        off = np.where(known, returns - mean[:, np.newaxis], 0.0)
        square = off * off
        total = square.sum(axis=1)
        variance = np.where(total > 0.0, total / n, np.nan)
        skewness = (square * off).sum(axis=1) / n / (variance * np.sqrt(variance))
        kurtosis = (square * square).sum(axis=1) / n / (variance * variance) - 3.0
        found = np.column_stack([n, mean, np.sqrt(total / (n - 1.0)), skewness, kurtosis])
    found[n < 2.0, 1:] = np.nan
    return found


def blocks_of(returns: FloatArray, edges: NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
    """Return sums of returns, and of their squares, over blocks, shape (n_trials, n_blocks)."""
    padded = np.column_stack([returns, np.zeros(returns.shape[0])])
    sums: FloatArray = np.add.reduceat(padded, edges[:-1], axis=1)
    squares: FloatArray = np.add.reduceat(padded * padded, edges[:-1], axis=1)
    return sums, squares


def edges_of(n_bars: int) -> NDArray[np.int64]:
    """Return the returns at which the blocks begin, and their number at the end."""
    return np.linspace(0, n_bars - 1, N_BLOCKS + 1).astype(np.int64)
