"""Checks at the border of every public function."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.statistics.errors import (
    NotComputedError,
    SampleError,
    SettingsError,
    ShapeError,
)
from numerics.errors import DomainError, UndeterminedError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

NO_SPREAD = 1e-13  # of the largest value: what rounding makes of a constant
LARGEST = 1e60  # values beyond it have no fourth power, and those below its inverse are zero
_LARGEST_SUM = 1e140


def require(condition: bool, because: str) -> None:
    """Raise `NotComputedError` unless the condition holds."""
    if not condition:
        raise NotComputedError(because)


def require_count(name: str, value: float, least: int) -> int:
    """Return a whole number of at least `least`, or raise `SettingsError`."""
    is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_whole or value < least:
        raise SettingsError(f"{name} must be a whole number of at least {least}, not {value!r}.")
    return int(value)


def require_finite(**numbers: float) -> None:
    """Raise `SettingsError` that names the first number that is not finite."""
    for name, value in numbers.items():
        if not math.isfinite(value):
            raise SettingsError(f"{name} must be finite, not {value!r}.")


def require_positive(**numbers: float) -> None:
    """Raise `SettingsError` that names the first number that is not finite and above zero."""
    for name, value in numbers.items():
        if not 0.0 < value < math.inf:
            raise SettingsError(f"{name} must be finite and above zero, not {value!r}.")


def require_fraction(**numbers: float) -> None:
    """Raise `SettingsError` that names the first number not strictly between zero and one."""
    for name, value in numbers.items():
        if not 0.0 < value < 1.0:
            raise SettingsError(f"{name} must lie between 0 and 1, not {value!r}.")


def vector_of(values: ArrayLike, name: str) -> FloatArray:
    """Return a finite vector, or raise `ShapeError` or `SampleError`."""
    vector = _floats(values, name)
    if vector.ndim != 1 or vector.size == 0:
        raise ShapeError(f"{name} must be a vector that is not empty, not {vector.shape}.")
    return _measured(vector, name)


def matrix_of(values: ArrayLike, name: str) -> FloatArray:
    """Return a finite matrix, of one row for a vector, or raise as `vector_of`."""
    matrix = _floats(values, name)
    matrix = matrix[np.newaxis] if matrix.ndim == 1 else matrix
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise ShapeError(f"{name} must be a matrix that is not empty, not {matrix.shape}.")
    return _measured(matrix, name)


def integers_of(values: ArrayLike, name: str) -> IntArray:
    """Return a vector of whole numbers, which may be empty, or raise as `vector_of`."""
    column = np.asarray(values)
    if column.ndim != 1:
        raise ShapeError(f"{name} must be a vector, not {column.shape}.")
    if column.size and column.dtype.kind not in "iu":
        raise SampleError(f"{name} must hold whole numbers, not {column.dtype}.")
    return column.astype(np.int64)


def numbers_of(values: ArrayLike, name: str) -> FloatArray:
    """Return a vector of sums, which may be empty, or raise as `vector_of`."""
    column = _floats(values, name)
    if column.ndim != 1:
        raise ShapeError(f"{name} must be a vector, not {column.shape}.")
    if not bool(np.all(np.abs(column) <= _LARGEST_SUM)):
        raise SampleError(f"{name} has missing or infinite values.")
    return column


def pair_of(first: ArrayLike, second: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return two finite vectors of one length, or raise `ShapeError` or `SampleError`."""
    one, other = vector_of(first, "control"), vector_of(second, "treatment")
    if one.size != other.size:
        raise ShapeError(f"There are {one.size} values of one arm and {other.size} of the other.")
    return one, other


def is_still(values: FloatArray) -> bool:
    """Say whether a sample varies no more than rounding does."""
    return float(np.ptp(values)) <= NO_SPREAD * float(np.abs(values).max())


@contextmanager
def translating() -> Iterator[None]:
    """Let what shared mathematics refuses be a refusal of this package."""
    try:
        yield
    except UndeterminedError as refusal:
        raise NotComputedError(str(refusal)) from refusal
    except DomainError as refusal:
        raise SettingsError(str(refusal)) from refusal


def _floats(values: ArrayLike, name: str) -> FloatArray:
    try:
        given = np.asarray(values)
        if given.dtype.kind in "biuf" or given.size == 0:
            return given.astype(np.float64, copy=False)
        if given.dtype.kind == "O":  # decimals, fractions
            return given.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as fault:
        raise SampleError(f"{name} must hold numbers and have one shape.") from fault
    raise SampleError(f"{name} must hold numbers, not {given.dtype}.")


def _measured(values: FloatArray, name: str) -> FloatArray:
    """Return values with what is too small for a fourth power set to zero; refuse the others."""
    size = np.abs(values)
    if not bool(np.all(size <= LARGEST)):
        raise SampleError(f"{name} has missing, infinite or absurdly large values.")
    if bool(np.all((size >= 1.0 / LARGEST) | (size == 0.0))):
        return values
    return np.where(size < 1.0 / LARGEST, 0.0, values)
