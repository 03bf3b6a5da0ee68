"""Splits of time into training and test that do not leak.

Ranges are half open, ``[start, stop)``, in rows of a dataset's bars. A split is iterable as
``train, test`` of row numbers, so that it serves where scikit-learn's splitters do.

References
----------
.. [1] Lopez de Prado (2018), Advances in Financial Machine Learning, chapters 7 and 12.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backtests.validation.checks import FloatArray, require_count
from backtests.validation.errors import SettingsError, ShapeError

DAY_NS = 86_400_000_000_000
_MOST_SPLITS = 100_000


class Range(NamedTuple):
    """Rows from `start` up to but not including `stop`."""

    start: int
    stop: int


@dataclass(frozen=True)
class Split:
    """One fit and what it is tested on.

    Attributes
    ----------
    train_ranges, test_ranges : tuple of Range
        In order, not empty, none touching the next.
    """

    train_ranges: tuple[Range, ...]
    test_ranges: tuple[Range, ...]

    @property
    def train(self) -> NDArray[np.int64]:
        """Rows to fit on, ascending."""
        return _rows(self.train_ranges)

    @property
    def test(self) -> NDArray[np.int64]:
        """Rows to judge on, ascending."""
        return _rows(self.test_ranges)

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        yield self.train
        yield self.test


def walk_forward_splits(
    n_bars: int,
    *,
    train_bars: int,
    test_bars: int,
    purge_bars: int = 0,
    embargo_bars: int = 0,
    anchored: bool = False,
    keep_remainder: bool = False,
) -> tuple[Split, ...]:
    """Return train and test windows that walk through time.

    Parameters
    ----------
    n_bars : int
        Rows of the dataset, >= 1.
    train_bars, test_bars : int
        Lengths, >= 1; of an anchored walk `train_bars` is the first training's.
    purge_bars : int
        Rows left out before each test, >= 0: as many as a label or holding period looks ahead.
    embargo_bars : int
        Further rows left out there, >= 0. No training follows a test in a walk, so there is nothing
        to guard behind it: the embargo widens the gap.
    anchored : bool
        Every training begins at row 0 (expanding) instead of `train_bars` before its end (rolling).
    keep_remainder : bool
        Add the rows after the last whole test as a shorter one.

    Returns
    -------
    tuple of Split
        Tests follow one another without a gap or an overlap from row ``train + purge + embargo``.

    Raises
    ------
    SettingsError
        A length outside its domain, or too few bars for a single split.
    """
    require_count("n_bars", n_bars, 1)
    require_count("train_bars", train_bars, 1)
    require_count("test_bars", test_bars, 1)
    gap = require_count("purge_bars", purge_bars, 0)
    gap += require_count("embargo_bars", embargo_bars, 0)
    splits = []
    for start in range(train_bars + gap, n_bars, test_bars):
        stop = min(start + test_bars, n_bars)
        if stop - start < test_bars and not keep_remainder:
            break
        begin = 0 if anchored else start - gap - train_bars
        splits.append(Split((Range(begin, start - gap),), (Range(start, stop),)))
    if not splits:
        raise SettingsError(
            f"{n_bars} bars are too few for {train_bars} to train, {gap} between and {test_bars} "
            "to test."
        )
    return tuple(splits)


def days_of(ts: ArrayLike) -> NDArray[np.int64]:
    """Return the UTC day of each bar, counted from 1970; a stamp at midnight closes its day.

    Parameters
    ----------
    ts : int64 array, shape (n_bars,)
        Stamps of bar ends [ns UTC]. Where sessions cross midnight, count them by the dataset's
        calendar instead.
    """
    return (np.asarray(ts, dtype=np.int64) - 1) // DAY_NS


def walk_forward_splits_by_day(
    days: ArrayLike,
    *,
    train_days: int,
    test_days: int,
    purge_days: int = 0,
    embargo_days: int = 0,
    anchored: bool = False,
    keep_remainder: bool = False,
) -> tuple[Split, ...]:
    """Return `walk_forward_splits` whose lengths are days that have bars, not bars.

    Parameters
    ----------
    days : int64 array, shape (n_bars,)
        Day or session of each bar, not descending: `days_of` stamps, or the calendar's sessions.
    train_days, test_days, purge_days, embargo_days, anchored, keep_remainder
        As there.

    Raises
    ------
    ShapeError
        Days that descend.
    SettingsError
        As there.
    """
    edges = _edges(days)
    by_day = walk_forward_splits(
        edges.size - 1,
        train_bars=train_days,
        test_bars=test_days,
        purge_bars=purge_days,
        embargo_bars=embargo_days,
        anchored=anchored,
        keep_remainder=keep_remainder,
    )
    return tuple(
        Split(_in_bars(split.train_ranges, edges), _in_bars(split.test_ranges, edges))
        for split in by_day
    )


def count_bars_of_days(days: ArrayLike, n_days: int) -> int:
    """Return how many bars the longest stretch of `n_days` consecutive days has; 0 for none.

    Parameters
    ----------
    days : int64 array, shape (n_bars,)
        Day or session of each bar, not descending.
    n_days : int
        >= 0. A purge or an embargo in bars that is as long as so many days everywhere.
    """
    edges = _edges(days)
    span = min(require_count("n_days", n_days, 0), edges.size - 1)
    return int((edges[span:] - edges[: edges.size - span]).max())


@dataclass(frozen=True)
class CombinatorialSplits(Sequence[Split]):
    """Every way to test on k of N groups, and the backtest paths that these make.

    Attributes
    ----------
    splits : tuple of Split
        C(N, k) of them, in the order of `itertools.combinations`.
    groups : tuple of Range
        N, covering all bars, as equal in length as can be.
    paths : int64 array, shape (n_paths, n_groups)
        Number of the split whose test supplies a group to a path.
    """

    splits: tuple[Split, ...]
    groups: tuple[Range, ...]
    paths: NDArray[np.int64]

    @overload
    def __getitem__(self, at: int) -> Split: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Split, ...]: ...
    def __getitem__(self, at: int | slice) -> Split | tuple[Split, ...]:
        return self.splits[at]

    def __len__(self) -> int:
        return len(self.splits)

    @property
    def n_paths(self) -> int:
        """``k / N C(N, k)``."""
        return int(self.paths.shape[0])

    def assemble(self, outcomes: Sequence[ArrayLike]) -> FloatArray:
        """Return the paths of what was predicted or earned in each split's test.

        Parameters
        ----------
        outcomes : sequence of float arrays
            One per split, a value for each row of its `test`.

        Returns
        -------
        float64 array, shape (n_paths, n_bars)
            Each row covers every bar exactly once, out of sample.

        Raises
        ------
        ShapeError
            A number of arrays or of values that does not fit the splits.
        """
        if len(outcomes) != len(self.splits):
            raise ShapeError(f"There are {len(outcomes)} outcomes of {len(self.splits)} splits.")
        paths = np.empty((self.n_paths, self.groups[-1].stop))
        for number, (split, outcome) in enumerate(zip(self.splits, outcomes, strict=True)):
            rows, values = split.test, np.asarray(outcome, dtype=np.float64)
            if values.shape != rows.shape:
                raise ShapeError(f"Split {number} has {rows.size} test rows, not {values.shape}.")
            for path, group in np.argwhere(self.paths == number):
                start, stop = self.groups[group]
                first = int(np.searchsorted(rows, start))
                paths[path, start:stop] = values[first : first + stop - start]
        return paths


def combinatorial_purged_splits(
    n_bars: int,
    *,
    n_groups: int = 6,
    n_test_groups: int = 2,
    purge_bars: int = 0,
    embargo_bars: int = 0,
) -> CombinatorialSplits:
    """Return combinatorial purged cross-validation: C(N, k) splits that make k/N C(N, k) paths.

    Parameters
    ----------
    n_bars : int
        Rows of the dataset, >= n_groups.
    n_groups, n_test_groups : int
        N >= 2 and 1 <= k < N; (6, 2) gives 15 splits and 5 paths.
    purge_bars : int
        Rows left out of training on *both* sides of each test block, >= 0: the horizon of a label,
        whose rows before the block look into it and whose rows after it the block looks into.
    embargo_bars : int
        Further rows left out after each test block, >= 0.

    Raises
    ------
    SettingsError
        A setting outside its domain, more than 100,000 splits, or a split with no row to train on.
    """
    require_count("n_groups", n_groups, 2)
    require_count("n_test_groups", n_test_groups, 1)
    require_count("purge_bars", purge_bars, 0)
    require_count("embargo_bars", embargo_bars, 0)
    require_count("n_bars", n_bars, n_groups)
    if n_test_groups >= n_groups:
        raise SettingsError(f"Of {n_groups} groups {n_test_groups} cannot all be tested.")
    if math.comb(n_groups, n_test_groups) > _MOST_SPLITS:
        raise SettingsError(f"{n_groups} groups make more than {_MOST_SPLITS} splits.")
    edges = np.linspace(0, n_bars, n_groups + 1).astype(np.int64).tolist()
    groups = tuple(Range(*pair) for pair in itertools.pairwise(edges))
    chosen = list(itertools.combinations(range(n_groups), n_test_groups))
    splits = tuple(
        _purged(_joined(groups[g] for g in picked), n_bars, purge_bars, embargo_bars)
        for picked in chosen
    )
    if not all(split.train_ranges for split in splits):
        raise SettingsError("Purge and embargo leave a split with no row to train on.")
    return CombinatorialSplits(splits, groups, _paths(chosen, n_groups))


def _purged(tests: tuple[Range, ...], n_bars: int, purge: int, embargo: int) -> Split:
    """Return the split of some test blocks: training is what lies far enough from all of them."""
    starts = [0, *(block.stop + purge + embargo for block in tests)]
    stops = [*(block.start - purge for block in tests), n_bars]
    trains = (Range(*pair) for pair in zip(starts, stops, strict=True))
    return Split(tuple(block for block in trains if block.start < block.stop), tests)


def _joined(blocks: Iterator[Range]) -> tuple[Range, ...]:
    """Return ascending blocks with those that touch made one."""
    joined: list[Range] = []
    for block in blocks:
        if joined and joined[-1].stop == block.start:
            joined[-1] = Range(joined[-1].start, block.stop)
        else:
            joined.append(block)
    return tuple(joined)


def _paths(chosen: list[tuple[int, ...]], n_groups: int) -> NDArray[np.int64]:
    """Give the i-th split that tests a group to the i-th path."""
    by_group: list[list[int]] = [[] for _ in range(n_groups)]
    for number, picked in enumerate(chosen):
        for group in picked:
            by_group[group].append(number)
    return np.array(by_group, dtype=np.int64).T


def _rows(ranges: tuple[Range, ...]) -> NDArray[np.int64]:
    return np.concatenate([np.arange(start, stop, dtype=np.int64) for start, stop in ranges])


def _edges(days: ArrayLike) -> NDArray[np.int64]:
    """Return the first row of every day, and the number of rows."""
    each = np.asarray(days, dtype=np.int64)
    if each.ndim != 1 or each.size == 0:
        raise ShapeError(f"Days must be a vector that is not empty, not {each.shape}.")
    step = np.diff(each)
    if bool(np.any(step < 0)):
        raise ShapeError("Days descend.")
    return np.concatenate(([0], np.flatnonzero(step) + 1, [each.size])).astype(np.int64)


def _in_bars(ranges: tuple[Range, ...], edges: NDArray[np.int64]) -> tuple[Range, ...]:
    return tuple(Range(int(edges[start]), int(edges[stop])) for start, stop in ranges)
