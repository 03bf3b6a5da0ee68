"""What a study keeps in memory of its trials: a few numbers each, whatever their figures."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from backtests.jobs import ledger, rows, trials
from backtests.jobs.blocks import Blocks
from backtests.models import Run, TrialBatch
from backtests.search import Result, Search
from backtests.validation import (
    SelectionSettings,
    TrialSummaries,
    choose_leaders,
    selection_report,
)
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
    """All trials of a study, taken chunk by chunk in their order.

    Of each some 80 bytes are kept, in arrays, and 256 in a file; no trial is an object but the few
    that lead.
    """

    def __init__(self, found: Search, n_trials: int, n_folds: int = 0) -> None:
        self.found, self.n_folds = found, n_folds
        self.n_trials = 0
        self.is_partial = False  # whether some were tried on a share of the time only
        self.leaders: list[Result] = []
        self.reasons: Counter[str] = Counter()
        self.axes = rows.axes_of(found)
        names = {
            "objective": ["objective_0"],
            "points": [f"axis_{at}" for at in range(len(self.axes))],
            "moments": rows.MOMENTS,
            "train": [f"train_{at}" for at in range(n_folds)],
            "test": [f"test_{at}" for at in range(n_folds)],
        }
        self._names = {part: tuple(columns) for part, columns in names.items()}
        self._kept = {part: np.empty((len(names), n_trials)) for part, names in self._names.items()}
        self._block_ratio = np.full(n_trials, np.nan)
        self._blocks = Blocks()  # of trials that ran through all of the time
        self._numbers = np.empty(n_trials, np.int64)
        self._is_whole = np.empty(n_trials, np.bool_)
        self._hashes: dict[str, Any] = {}  # by column: the size of chunks is of no account

    def take(self, table: pa.Table, columns: Sequence[str], *, is_whole: bool = True) -> None:
        """Take the rows of a chunk, with their numbers; those columns have part in the digest.

        What was tried on a share of the time cannot be compared with what ran through it all.
        """
        place = slice(self.n_trials, self.n_trials + table.num_rows)
        self.n_trials = place.stop
        self._is_whole[place] = is_whole
        self.is_partial |= not is_whole
        self._numbers[place] = table["number"].to_numpy()
        for part, names in self._names.items():
            for at, name in enumerate(names):
                self._kept[part][at, place] = _numbers_of(table[name])
        objectives = [_numbers_of(table[f"objective_{at}"]) for at in range(self._n_objectives)]
        feasible = ~np.isnan(objectives).any(axis=0) & (_numbers_of(table["violation"]) == 0.0)
        self._kept["objective"][0, place][~(feasible & is_whole)] = np.nan
        if is_whole:
            sums, squares = (
                np.array([_numbers_of(table[name]) for name in names])
                for names in (rows.BLOCKS, rows.SQUARES)
            )
            self._blocks.take(sums, squares)
            self._block_ratio[place] = _block_ratios(sums)
            self._lead(table, objectives, np.flatnonzero(feasible))
        counted = pc.value_counts(table["reason"].filter(pa.array(~feasible)))
        self.reasons.update({str(one["values"]): one["counts"].as_py() for one in counted})
        for name in columns:
            column = self._hashes.setdefault(name, hashlib.sha256())
            column.update(_bytes_of(table[name]))

    @property
    def _n_objectives(self) -> int:
        return len(self.found.objectives)

    def _lead(
        self, table: pa.Table, objectives: Sequence[FloatArray], feasible: NDArray[np.int64]
    ) -> None:
        """Keep the best of the leaders so far and the feasible rows of a chunk."""
        sign = -1.0 if self.found.goals.maximized[0] else 1.0
        order = np.argsort(sign * objectives[0][feasible], kind="stable")
        for at in feasible[order[:N_LEADERS]].tolist():
            parameters = json.loads(table["parameters"][at].as_py())
            values = tuple(float(column[at]) for column in objectives)
            self.leaders.append(Result(table["number"][at].as_py(), parameters, values))
        self.leaders = sorted(self.leaders, key=self.found.goals.order)[:N_LEADERS]

    def _all(self, part: str) -> FloatArray:
        """Return some columns of all trials taken, shape (n_columns, n_trials)."""
        return self._kept[part][:, : self.n_trials]

    def _comparable(self, part: str) -> FloatArray:
        """Return the same, NaN of the trials that had a share of the time only."""
        taken = self._all(part)
        return (
            np.where(self._is_whole[: self.n_trials], taken, np.nan) if self.is_partial else taken
        )

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
        """Return the trials that look best for their risk, by descending Sharpe ratio."""
        ratio = _t_ratios(self._comparable("moments"))
        chosen = choose_leaders(ratio, self._block_ratio[: self.n_trials], n)
        return [int(self._numbers[at]) for at in chosen]

    @property
    def has_choices(self) -> bool:
        """Whether any fold has something to choose."""
        return not np.isnan(self._all("train")).all()

    def choices(self) -> list[Choice]:
        """Return the trial that each fold chooses by its training, of those feasible there.

        What came of a trial in all of the time is of no account: it knows the test. A fold in which
        no trial has a figure chooses nothing.
        """
        sign = 1.0 if self.found.goals.maximized[0] else -1.0
        chosen = []
        sides = zip(self._all("train"), self._all("test"), strict=True)
        for fold, (train, test) in enumerate(sides):
            worth = np.where(np.isnan(train), -np.inf, sign * train)
            at = int(np.argmax(worth))
            if worth[at] == -np.inf:
                continue
            tested = test[~np.isnan(test)]
            is_tested = not np.isnan(test[at])
            rank = float(np.mean(sign * tested <= sign * test[at])) if is_tested else np.nan
            number = int(self._numbers[at])
            chosen.append(Choice(fold, number, float(train[at]), float(test[at]), rank))
        return chosen

    def summary(self, run: Run, bench: trials.Bench) -> dict[str, Any]:
        """Return what the row keeps of the study: leaders, the surface, and what to make of it."""
        scope = ledger.scope_of(bench.market)
        counted = TrialBatch.objects.overlapping(scope)
        n_counted = counted.count_trials()
        family = counted.filter(family=ledger.family_of(run.spec))
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
        """Return what is left of the best trial once the search is accounted for.

        Of the one that leads by objective and constraints, whose figures the page shows; None where
        none is feasible. All trials that the ledger counts on this data count, those of other
        studies included.
        """
        n, mean, deviation, skewness, kurtosis = self._comparable("moments")
        if bench.periods_per_year is None or self.best is None:
            return None
        summaries = TrialSummaries(np.nan_to_num(n), mean, deviation, skewness, kurtosis)
        return selection_report(
            summaries,
            periods_per_year=bench.periods_per_year,
            chosen=int(np.flatnonzero(self._numbers == self.best.number)[0]),
            n_trials=n_counted,
            trial_sharpe_variance=self._sharpe_variance(),
            block_returns=self._blocks.stored(),
            block_bars=np.diff(rows.edges_of(bench.bars.n_bars)),
            settings=SelectionSettings(seed=bench.spec.seed),
        ).to_dict()

    def _sharpe_variance(self) -> float | None:
        """Return the variance of the trials' Sharpe ratios where some had a share of the time only.

        Those that had all of it were chosen for their ratios, so that their own variance would
        make luck look small. Ratios times the root of their length have one scale.
        """
        if not self.is_partial:
            return None
        count = self._comparable("moments")[0]
        known = _t_ratios(self._all("moments"))
        known = known[np.isfinite(known)]
        if np.isnan(count).all() or known.size < 2:
            return None
        return float(np.var(known, ddof=1) / np.nanmax(count))

    def _surface(self) -> dict[str, Any] | None:
        """Return the mean objective over the first two numeric dimensions; None without two."""
        if len(self.axes) < 2:
            return None
        points, values = self._all("points"), self._all("objective")[0]
        sides = [np.unique(axis[~np.isnan(axis)]) for axis in points]
        if any(side.size < 2 for side in sides):
            return None
        places, labels = zip(*map(_cells, points, sides), strict=True)
        shape = (len(labels[0]), len(labels[1]))
        known = ~np.isnan(values) & (places[0] >= 0) & (places[1] >= 0)
        cell = places[0][known] * shape[1] + places[1][known]
        total = np.bincount(cell, weights=values[known], minlength=shape[0] * shape[1])
        n = np.bincount(cell, minlength=shape[0] * shape[1])
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(n > 0, total / n, np.nan).reshape(shape)
        return {
            "paths": self.axes,
            "labels": [list(side) for side in labels],
            "mean": [[None if np.isnan(v) else float(v) for v in row] for row in mean],
        }

    def _distribution(self) -> dict[str, Any] | None:
        """Return a histogram of the objective over all feasible trials."""
        values = self._all("objective")[0]
        values = values[~np.isnan(values)]
        if values.size < 2 or values.min() == values.max():
            return None
        counts, edges = np.histogram(values, bins=min(60, max(8, int(values.size**0.5))))
        return {"counts": counts.tolist(), "edges": edges.tolist()}


def _t_ratios(moments: FloatArray) -> FloatArray:
    """Return Sharpe ratios times the root of their number of returns; NaN where there is none."""
    count, mean, deviation = moments[:3]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(deviation > 0.0, mean / deviation * np.sqrt(count), np.nan)


def _block_ratios(sums: FloatArray) -> FloatArray:
    """Return the mean of each trial's sums over its standard error, shape (n_blocks, n_trials)."""
    error = sums.std(axis=0, ddof=1) / np.sqrt(sums.shape[0])
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(error > 0.0, sums.mean(axis=0) / error, np.nan)


def _cells(values: FloatArray, side: FloatArray) -> tuple[NDArray[np.int64], list[float]]:
    """Return the cell of each value along a side, -1 where there is none, and the cells' names."""
    if side.size <= _MOST_CELLS:
        place = np.searchsorted(side, values)
        return np.where(np.isnan(values), -1, np.minimum(place, side.size - 1)), side.tolist()
    edges = np.linspace(side[0], side[-1], _MOST_CELLS + 1)
    place = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, _MOST_CELLS - 1)
    return np.where(np.isnan(values), -1, place), (0.5 * (edges[1:] + edges[:-1])).tolist()


def _bytes_of(column: pa.ChunkedArray) -> bytes:
    """Return what is hashed of a column: texts with a zero behind each, numbers as they are."""
    if pa.types.is_string(column.type):
        return "".join(f"{text or ''}\0" for text in column.to_pylist()).encode()
    return np.ascontiguousarray(_numbers_of(column)).tobytes()


def _numbers_of(column: pa.ChunkedArray) -> FloatArray:
    """Return a column of numbers, NaN where there is none."""
    numbers: FloatArray = column.to_numpy(zero_copy_only=False).astype(np.float64, copy=False)
    return numbers
