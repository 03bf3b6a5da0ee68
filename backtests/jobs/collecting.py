"""What a study keeps in memory of its trials: a few numbers each, whatever their figures."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from backtests.jobs import ledger, trials
from backtests.models import Run, TrialBatch
from backtests.search import Result, Search
from backtests.validation import SelectionSettings, TrialSummaries, selection_report
from crowetrade_site.core import canonical

FloatArray = NDArray[np.float64]
N_LEADERS = 20
_MOST_CELLS = 60  # of a side of a surface
_MOST_REASONS = 5


class Choice(NamedTuple):
    """What one fold chose by its training, and how that did in its test."""

    fold: int
    trial: int
    train: float
    test: float  # NaN where not computed
    rank: float  # share of the trials that did no better in the test; NaN as `test`


class Collected:
    """All trials of a study, taken chunk by chunk in their order."""

    def __init__(self, found: Search, n_folds: int = 0) -> None:
        self.found, self.n_folds = found, n_folds
        self.n_trials = 0
        self.is_partial = False  # whether some were tried on a share of the time only
        self.leaders: list[Result] = []
        self.reasons: Counter[str] = Counter()
        self.axes = [path for path, axis in found.space.dimensions.items() if axis.is_numeric]
        self._numbers: list[NDArray[np.int64]] = []
        self._objective: list[FloatArray] = []
        self._points: list[FloatArray] = []
        self._moments: list[FloatArray] = []
        self._t_ratios: list[FloatArray] = []  # of all trials, those with a share of the time too
        self._blocks: list[FloatArray] = []
        self._squares: list[FloatArray] = []
        self._train: list[FloatArray] = []
        self._test: list[FloatArray] = []
        self._hashes: dict[str, Any] = {}  # by column: the size of chunks is of no account

    def take(self, table: pa.Table, results: Sequence[Result]) -> None:
        """Take the rows of a chunk."""
        self.n_trials += len(results)
        # What was tried on a share of the time cannot be compared with what ran through it all.
        whole = np.array([result.budget == 1.0 for result in results])
        self.is_partial |= not whole.all()
        feasible = [result for result in results if result.is_feasible and result.budget == 1.0]
        self.leaders = sorted([*self.leaders, *feasible], key=self.found.goals.order)[:N_LEADERS]
        self.reasons.update(result.reason for result in results if not result.is_feasible)
        self._numbers.append(np.array([result.number for result in results], np.int64))
        values = [r.values[0] if r.is_feasible and r.values else np.nan for r in results]
        self._objective.append(np.where(whole, values, np.nan))
        self._points.append(
            np.array(
                [[r.parameters.get(path, np.nan) for path in self.axes] for r in results],
                dtype=np.float64,
            ).reshape(len(results), len(self.axes))
        )
        moments = _matrix(table, trials.MOMENTS)
        self._t_ratios.append(_t_ratios(moments))
        self._moments.append(np.where(whole[:, None], moments, np.nan))
        for part, name in ((self._blocks, "block"), (self._squares, "square")):
            sums = _matrix(table, [f"{name}_{at}" for at in range(trials.N_BLOCKS)])
            part.append(np.where(whole[:, None], sums, np.nan))
        for part, side in ((self._train, "train"), (self._test, "test")):
            if self.n_folds:
                part.append(_matrix(table, [f"{side}_{at}" for at in range(self.n_folds)]))
        for name in table.column_names:
            column = self._hashes.setdefault(name, hashlib.sha256())
            column.update(_bytes_of(table[name]))

    @property
    def digest(self) -> str:
        """Name of every figure of every trial, in the order of the trials."""
        columns = {name: column.hexdigest() for name, column in self._hashes.items()}
        return canonical.digest(columns)

    @property
    def best(self) -> Result | None:
        """The best feasible trial; None if there is none."""
        return self.leaders[0] if self.leaders else None

    def strongest(self, n: int) -> list[int]:
        """Return the trials with the largest Sharpe ratios, from the best on."""
        ratio = _t_ratios(np.vstack(self._moments))
        order = np.argsort(-ratio, kind="stable")[:n]  # those without one come last
        numbers = np.concatenate(self._numbers)
        return [int(numbers[at]) for at in order if np.isfinite(ratio[at])]

    @property
    def has_choices(self) -> bool:
        """Whether any fold has something to choose."""
        return any(not np.isnan(train).all() for train in self._train)

    def choices(self) -> list[Choice]:
        """Return the trial that each fold chooses by its training, of those feasible there.

        What came of a trial in all of the time is of no account: it knows the test. A fold in which
        no trial has a figure chooses nothing.
        """
        train, test = np.vstack(self._train), np.vstack(self._test)
        sign = 1.0 if self.found.goals.maximized[0] else -1.0
        numbers = np.concatenate(self._numbers)
        chosen = []
        for fold in range(self.n_folds):
            worth = np.where(np.isnan(train[:, fold]), -np.inf, sign * train[:, fold])
            at = int(np.argmax(worth))
            if worth[at] == -np.inf:
                continue
            tested = test[~np.isnan(test[:, fold]), fold]
            is_tested = not np.isnan(test[at, fold])
            rank = float(np.mean(sign * tested <= sign * test[at, fold])) if is_tested else np.nan
            chosen.append(
                Choice(fold, int(numbers[at]), float(train[at, fold]), float(test[at, fold]), rank)
            )
        return chosen

    def summary(self, run: Run, bench: trials.Bench) -> dict[str, Any]:
        """Return what the row keeps of the study: leaders, the surface, and what to make of it."""
        scope = ledger.scope_of(bench.market)
        counted = TrialBatch.objects.overlapping(scope)
        n_counted = counted.count_trials()
        family = counted.filter(family=run.strategy_digest)
        return {
            "n_trials": self.n_trials,
            "n_infeasible": sum(self.reasons.values()),
            "reasons": [
                {"reason": reason, "n_trials": n}
                for reason, n in self.reasons.most_common(_MOST_REASONS)
            ],
            "objective": self.found.objectives[0].text,
            "is_maximized": self.found.goals.maximized[0],
            "leaders": [
                {"number": r.number, "parameters": r.parameters, "values": r.values}
                for r in self.leaders
            ],
            "surface": self._surface(),
            "distribution": self._distribution(),
            "ledger": {
                "n_on_this_data": n_counted,
                "n_of_this_family": family.count_trials(),
            },
            "selection": self._selection(bench, max(n_counted, self.n_trials)),
        }

    def _selection(self, bench: trials.Bench, n_counted: int) -> dict[str, Any] | None:
        """Return what is left of the best Sharpe ratio once the search is accounted for.

        All trials that the ledger counts on this data count, those of other studies included.
        """
        moments = np.vstack(self._moments)
        if bench.periods_per_year is None or np.all(np.isnan(moments[:, 1])):
            return None
        n, mean, deviation, skewness, kurtosis = moments.T
        summaries = TrialSummaries(np.nan_to_num(n), mean, deviation, skewness, kurtosis)
        return selection_report(
            summaries,
            periods_per_year=bench.periods_per_year,
            n_trials=n_counted,
            trial_sharpe_variance=self._sharpe_variance(),
            block_returns=np.vstack(self._blocks),
            block_squares=np.vstack(self._squares),
            block_bars=np.diff(trials.edges_of(bench.bars.n_bars)),
            settings=SelectionSettings(seed=bench.spec.seed),
        ).to_dict()

    def _sharpe_variance(self) -> float | None:
        """Return the variance of the trials' Sharpe ratios where some had a share of the time only.

        Those that had all of it were chosen for their ratios, so that their own variance would
        make luck look small. Ratios times the root of their length have one scale.
        """
        if not self.is_partial:
            return None
        count = np.vstack(self._moments)[:, 0]
        known = np.concatenate(self._t_ratios)
        known = known[np.isfinite(known)]
        if np.isnan(count).all() or known.size < 2:
            return None
        return float(np.var(known, ddof=1) / np.nanmax(count))

    def _surface(self) -> dict[str, Any] | None:
        """Return the mean objective over the first two numeric dimensions; None without two."""
        if len(self.axes) < 2:
            return None
        points, values = np.vstack(self._points)[:, :2], np.concatenate(self._objective)
        sides = [np.unique(points[:, axis][~np.isnan(points[:, axis])]) for axis in range(2)]
        if any(side.size < 2 for side in sides):
            return None
        places, labels = zip(*(_cells(points[:, at], sides[at]) for at in range(2)), strict=True)
        shape = (len(labels[0]), len(labels[1]))
        known = ~np.isnan(values) & (places[0] >= 0) & (places[1] >= 0)
        cell = places[0][known] * shape[1] + places[1][known]
        total = np.bincount(cell, weights=values[known], minlength=shape[0] * shape[1])
        n = np.bincount(cell, minlength=shape[0] * shape[1])
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(n > 0, total / n, np.nan).reshape(shape)
        return {
            "paths": self.axes[:2],
            "labels": [list(side) for side in labels],
            "mean": [[None if np.isnan(v) else float(v) for v in row] for row in mean],
        }

    def _distribution(self) -> dict[str, Any] | None:
        """Return a histogram of the objective over all feasible trials."""
        values = np.concatenate(self._objective)
        values = values[~np.isnan(values)]
        if values.size < 2 or values.min() == values.max():
            return None
        counts, edges = np.histogram(values, bins=min(60, max(8, int(values.size**0.5))))
        return {"counts": counts.tolist(), "edges": edges.tolist()}


def _t_ratios(moments: FloatArray) -> FloatArray:
    """Return Sharpe ratios times the root of their number of returns; NaN where there is none."""
    count, mean, deviation = moments[:, :3].T
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(deviation > 0.0, mean / deviation * np.sqrt(count), np.nan)


def _cells(values: FloatArray, side: FloatArray) -> tuple[NDArray[np.int64], list[float]]:
    """Return the cell of each value along a side, -1 where there is none, and the cells' names."""
    if side.size <= _MOST_CELLS:
        place = np.searchsorted(side, values)
        return np.where(np.isnan(values), -1, np.minimum(place, side.size - 1)), side.tolist()
    edges = np.linspace(side[0], side[-1], _MOST_CELLS + 1)
    place = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, _MOST_CELLS - 1)
    return np.where(np.isnan(values), -1, place), (0.5 * (edges[1:] + edges[:-1])).tolist()


def _bytes_of(column: pa.ChunkedArray) -> bytes:
    if pa.types.is_string(column.type):
        return "".join(f"{text or ''}\0" for text in column.to_pylist()).encode()
    numbers = column.to_numpy(zero_copy_only=False)
    return np.ascontiguousarray(numbers, dtype=np.float64).tobytes()


def _matrix(table: pa.Table, names: Sequence[str]) -> FloatArray:
    columns = [table[name].to_numpy(zero_copy_only=False) for name in names]
    return np.column_stack(columns).astype(np.float64)
