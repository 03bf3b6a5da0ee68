"""Order of stamps inside each instrument, followed over batches, and repeated rows."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backtests.marketdata.findings import NAT, Ledger, Marks

BoolArray = NDArray[np.bool_]
Int64Array = NDArray[np.int64]
MAX_STEPS = 100_000


class OrderTracker:
    """Follows each instrument's stamps through the batches of a file.

    Memory: a few integers per instrument.
    """

    def __init__(self) -> None:
        self._latest = np.empty(0, dtype=np.int64)
        self._last = np.empty(0, dtype=np.int64)
        self._up = np.empty(0, dtype=np.int64)
        self._down = np.empty(0, dtype=np.int64)
        self._steps: Counter[int] = Counter()

    def follow(self, marks: Marks) -> BoolArray:
        """Return the mask of rows before the latest stamp their instrument has had."""
        if not marks.rows.size:
            return np.zeros(0, dtype=bool)
        self._grow(int(marks.syms.max()) + 1)
        order = np.argsort(marks.syms, kind="stable")
        syms, stamps = marks.syms[order], marks.stamps[order]
        first = np.flatnonzero(np.r_[True, syms[1:] != syms[:-1]])
        owners = syms[first]
        before = np.r_[NAT, stamps[:-1]]
        before[first] = self._last[owners]
        known = before != NAT
        self._count_steps(np.abs(stamps[known] - before[known]))
        up, down = (stamps > before) & known, (stamps < before) & known
        self._up += np.bincount(syms[up], minlength=self._up.size)
        self._down += np.bincount(syms[down], minlength=self._up.size)
        highest = before
        if down.any() or (stamps < self._latest[syms]).any():
            highest = self._running_maximum(syms, stamps, first, owners)
        last = np.r_[first[1:], syms.size] - 1
        self._last[owners] = stamps[last]
        self._latest[owners] = np.maximum(np.maximum(highest[last], stamps[last]), NAT)
        back = np.zeros(syms.size, dtype=bool)
        back[order] = stamps < highest
        return back

    def _running_maximum(
        self,
        syms: NDArray[np.int32],
        stamps: Int64Array,
        first: NDArray[np.intp],
        owners: NDArray[np.int32],
    ) -> Int64Array:
        """Highest stamp strictly before each row, inside its instrument."""
        shifted = np.r_[NAT, stamps[:-1]]
        shifted[first] = self._latest[owners]
        return np.asarray(pd.Series(shifted).groupby(syms).cummax(), dtype=np.int64)

    def _grow(self, size: int) -> None:
        extra = size - self._last.size
        if extra > 0:
            self._latest = np.r_[self._latest, np.full(extra, NAT)]
            self._last = np.r_[self._last, np.full(extra, NAT)]
            self._up = np.r_[self._up, np.zeros(extra, dtype=np.int64)]
            self._down = np.r_[self._down, np.zeros(extra, dtype=np.int64)]

    def _count_steps(self, steps: Int64Array) -> None:
        if len(self._steps) < MAX_STEPS:
            sizes, counts = np.unique(steps[steps > 0], return_counts=True)
            self._steps.update(dict(zip(sizes.tolist(), counts.tolist(), strict=True)))

    def usual_step(self) -> int:
        """Return the most frequent distance of neighbouring stamps [ns], 0 if there is none."""
        if not self._steps:
            return 0
        return min(self._steps, key=lambda step: (-self._steps[step], step))

    def descending(self) -> BoolArray:
        """Return the mask of instruments whose stamps only ever fall."""
        return np.asarray((self._down > 0) & (self._up == 0))


def flag_repeats(
    keys: Int64Array, values: NDArray[np.float64], marks: Marks, ledger: Ledger
) -> BoolArray:
    """Find observations with the same key (instrument and stamp) among all those that share it.

    Parameters
    ----------
    keys : int64 array, shape (n,)
        Rows in source order.
    values : float64 array, shape (n, n_fields)
    marks, ledger
        Where the rows stand, and where findings go.

    Returns
    -------
    bool array, shape (n,)
        Rows refused: the later copies of identical rows, every copy of conflicting ones.
    """
    repeated = pd.Series(keys).duplicated(keep=False).to_numpy()
    if not repeated.any():
        return np.zeros(keys.size, dtype=bool)
    at = np.flatnonzero(repeated)
    frame = pd.DataFrame(values[at])
    frame.insert(0, "key", keys[at])
    copies = frame.duplicated(keep="first").to_numpy()
    distinct = frame.assign(copy=copies).groupby("key")["copy"].transform(lambda c: (~c).sum())
    conflict = distinct.to_numpy() > 1
    identical = np.zeros(keys.size, dtype=bool)
    identical[at] = copies & ~conflict
    conflicting = np.zeros(keys.size, dtype=bool)
    conflicting[at] = conflict
    refused = ledger.flag("duplicate_identical", marks, identical, values[:, 0])
    # An accepted duplicate still cannot be stored twice: the later copy gives way.
    refused = refused | identical
    refused |= ledger.flag("duplicate_conflicting", marks, conflicting, values[:, 0])
    return refused


class RepeatTracker:
    """Finds tick rows equal in every value to an earlier row with the same stamp."""

    def __init__(self) -> None:
        self._tail: pd.DataFrame | None = None

    def follow(self, marks: Marks, values: dict[str, NDArray[np.float64]]) -> BoolArray:
        """Return the mask of repeated rows; carries the last stamp's rows to the next batch."""
        frame = pd.DataFrame({"__ts": marks.stamps, "__sym": marks.syms, **values})
        carried = 0 if self._tail is None else len(self._tail)
        if self._tail is not None:
            frame = pd.concat([self._tail, frame], ignore_index=True)
        shared = frame.duplicated(["__ts", "__sym"], keep=False)
        repeated = np.zeros(len(frame), dtype=bool)
        repeated[shared.to_numpy()] = frame[shared].duplicated().to_numpy()
        if len(frame):
            self._tail = frame[frame["__ts"] == frame["__ts"].iloc[-1]]
        return repeated[carried:]
