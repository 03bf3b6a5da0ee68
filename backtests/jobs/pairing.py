"""The returns of finished runs, paired: every arm over the very same stretches of time."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from backtests.models import Run
from backtests.runspec import ReplaySpec
from backtests.selectors.arms import CURVES, FEWEST_BARS, find_arms, too_few
from crowetrade_site.core import storage

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
YEAR_NS = 365.25 * 86_400e9


@dataclass(frozen=True)
class Paired:
    """Returns of arms between the bars that all of them have.

    Attributes
    ----------
    runs : dict of str to Run
        By label, in the order of the columns: the control first.
    ends : int64 array, shape (n_periods,)
        Ends of the periods [UTC ns].
    returns : float64 array, shape (n_periods, n_arms)
        Simple returns; 0 once an account is lost.
    begin : int
        The first common bar [UTC ns].
    n_bars : dict of str to int
        Bars of each run; those beyond `n_common` are only its own.
    """

    runs: Mapping[str, Run]
    ends: IntArray
    returns: FloatArray
    begin: int
    n_bars: Mapping[str, int]

    @property
    def labels(self) -> list[str]:
        """Labels of the arms, the control first."""
        return list(self.runs)

    @property
    def n_common(self) -> int:
        """Bars that all runs have: one more than periods."""
        return self.ends.size + 1

    @property
    def years(self) -> float:
        """Length of the whole time."""
        return float((int(self.ends[-1]) - self.begin) / YEAR_NS)

    @property
    def period_seconds(self) -> int:
        """Usual length of a period: the median, at least a second."""
        lengths = np.diff(self.ends, prepend=self.begin)
        return max(1, int(np.median(lengths)) // 1_000_000_000)

    def centered(self) -> "Paired":
        """Return the same without the means, so that no arm is better."""
        off = self.returns - self.returns.mean(axis=0)
        return Paired(self.runs, self.ends, off, self.begin, self.n_bars)


def load_paired(section: ReplaySpec) -> Paired:
    """Return the paired returns of a replay's runs.

    Raises
    ------
    NotFound, Conflict, Gone, InvalidInput
        As `find_arms`, or the runs have too few bars in common.

    Notes
    -----
    An account is looked at where all runs have a bar; between two such moments its return holds all
    that happened, so that no arm's return covers another stretch of time than that of its pair.
    """
    runs = find_arms(section)
    curves = {label: _equity(run) for label, run in runs.items()}
    common = reduce(np.intersect1d, (ts for ts, _ in curves.values()))
    if common.size < FEWEST_BARS:
        raise too_few(int(common.size), "the common history of all runs")
    columns = [_returns(equity[np.searchsorted(ts, common)]) for ts, equity in curves.values()]
    return Paired(
        runs, common[1:], np.column_stack(columns), int(common[0]),
        {label: int(ts.size) for label, (ts, _) in curves.items()},
    )  # fmt: skip


def _equity(run: Run) -> tuple[IntArray, FloatArray]:
    path = storage.locate(run.artifacts[CURVES]["digest"])
    table = pq.read_table(path, columns=["ts", "equity"])
    return table["ts"].to_numpy().view(np.int64), table["equity"].to_numpy()


def _returns(equity: FloatArray) -> FloatArray:
    before = equity[:-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(before > 0.0, equity[1:] / before - 1.0, 0.0)
