"""Sums by block of a study's trials, kept in a file: of a million trials they are 256 MB."""

import os
import weakref
from collections.abc import Iterator
from tempfile import TemporaryFile
from typing import IO

import numpy as np
from numpy.typing import NDArray

from backtests.jobs.rows import N_BLOCKS
from backtests.validation import StoredBlocks

FloatArray = NDArray[np.float64]
SEGMENT = 32_768  # trials written and read together


class Blocks:
    """Sums of returns and of their squares, of the trials that have all of them, in order.

    Only what fills no segment is in memory, so that a small study has no file. The file has no
    name, and is gone with the object or its process.
    """

    def __init__(self) -> None:
        self.n_trials = 0
        self._file: IO[bytes] | None = None
        self._filling = np.empty((2, N_BLOCKS, SEGMENT))

    def take(self, sums: FloatArray, squares: FloatArray) -> None:
        """Take some trials, shape (n_blocks, n_trials); those that lack a sum are left out."""
        both = np.stack([sums, squares])
        both = both[:, :, np.isfinite(both).all(axis=(0, 1))]
        while both.shape[2]:
            place = self.n_trials % SEGMENT
            part, both = both[:, :, : SEGMENT - place], both[:, :, SEGMENT - place :]
            self._filling[:, :, place : place + part.shape[2]] = part
            self.n_trials += part.shape[2]
            if self.n_trials % SEGMENT == 0:
                self._put_away()

    def _put_away(self) -> None:
        if self._file is None:
            self._file = TemporaryFile(buffering=0)  # noqa: SIM115 - closed with the object
            weakref.finalize(self, self._file.close)
        left = self._filling.data.cast("B")
        while left:
            left = left[self._file.write(left) :]

    def stored(self) -> StoredBlocks:
        """Return the trials taken so far, to be read as often as needed, by several threads."""
        return StoredBlocks(self.n_trials, N_BLOCKS, self._read)

    def _read(self) -> Iterator[tuple[FloatArray, FloatArray]]:
        for number in range(self.n_trials // SEGMENT):
            sums, squares = self._segment(number)
            yield sums, squares
        left = self.n_trials % SEGMENT
        if left:
            sums, squares = np.ascontiguousarray(self._filling[:, :, :left])
            yield sums, squares

    def _segment(self, number: int) -> FloatArray:
        """Return a segment; by its place in the file, since threads share that."""
        assert self._file is not None  # noqa: S101 - there is a full segment
        segment = np.empty(self._filling.shape)
        view, begin = segment.data.cast("B"), number * segment.nbytes
        at = 0
        while at < segment.nbytes:
            n_read = os.preadv(self._file.fileno(), [view[at:]], begin + at)
            if n_read == 0:
                raise OSError("A temporary file of the study has become shorter.")
            at += n_read
        return segment
