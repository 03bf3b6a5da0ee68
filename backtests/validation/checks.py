"""Checks at the border of every public function."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backtests.validation.errors import NotComputedError, SampleError, SettingsError, ShapeError

FloatArray = NDArray[np.float64]

AT_ONCE = 65_536  # trials looked at together, which bounds the memory
_NO_SPREAD = 1e-13  # of the largest value: what rounding makes of a constant


@dataclass(frozen=True)
class StoredBlocks:
    """Sums by block of trials that do not stay in memory: read in segments, as often as needed.

    Attributes
    ----------
    n_trials : int
        Trials that have a finite sum, and sum of squares, in every block.
    n_blocks : int
    read : callable
        Yields sums and sums of squares, float64 arrays of shape (n_blocks, k), trial by trial in
        one order, whenever it is called.
    """

    n_trials: int
    n_blocks: int
    read: Callable[[], Iterator[tuple[FloatArray, FloatArray]]]


def require(condition: bool, because: str) -> None:
    """Raise `NotComputedError` unless the condition holds."""
    if not condition:
        raise NotComputedError(because)


def require_settings(**is_inside: bool) -> None:
    """Raise `SettingsError` that names the first argument outside its domain."""
    for name, holds in is_inside.items():
        if not holds:
            raise SettingsError(f"{name} is outside its domain.")


def require_count(name: str, value: int, least: int) -> int:
    """Return a whole number of at least `least`, or raise `SettingsError`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise SettingsError(f"{name} must be a whole number of at least {least}, not {value!r}.")
    return int(value)


def require_finite(**numbers: float) -> None:
    """Raise `SettingsError` that names the first number that is not finite."""
    for name, value in numbers.items():
        if not math.isfinite(value):
            raise SettingsError(f"{name} must be finite, not {value!r}.")


def matrix_of(values: ArrayLike, name: str) -> FloatArray:
    """Return a finite matrix, or raise `ShapeError` or `SampleError`."""
    matrix: FloatArray = np.asarray(values, dtype=np.float64)
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise ShapeError(f"{name} must be a matrix that is not empty, not {matrix.shape}.")
    if not bool(np.isfinite(matrix).all()):
        raise SampleError(f"{name} has missing or infinite values.")
    return matrix


def vector_of(values: ArrayLike, name: str) -> FloatArray:
    """Return a finite vector, or raise `ShapeError` or `SampleError`."""
    vector: FloatArray = np.asarray(values, dtype=np.float64)
    if vector.ndim != 1 or vector.size == 0:
        raise ShapeError(f"{name} must be a vector that is not empty, not {vector.shape}.")
    if not bool(np.isfinite(vector).all()):
        raise SampleError(f"{name} has missing or infinite values.")
    return vector


def constant_columns(matrix: FloatArray) -> NDArray[np.bool_]:
    """Return which columns vary no more than rounding does."""
    scale = np.abs(matrix).max(axis=0)
    still: NDArray[np.bool_] = np.ptp(matrix, axis=0) <= _NO_SPREAD * scale
    return still
