"""Whether two models say the same of the same rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from registry.artifacts.errors import ArtifactError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Outputs = Mapping[str, "NDArray[Any]"]
_LEAST_PART = 0.05  # of the largest value of a column


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far the outputs of two models are apart.

    Attributes
    ----------
    n_rows : int
        Rows that both predicted.
    max_abs_difference : float
        The largest of any output; infinite where shapes, labels or NaN differ.
    max_rel_difference : float
        The largest of any value in units of its size: its own absolute value, or what is usual in
        its column, if that is more.
    n_decisions_differing : int or None
        Rows of another label, or of what predicts numbers, of another sign; where both are within
        the tolerance of nothing, the sign is no decision.
    """

    n_rows: int
    max_abs_difference: float
    max_rel_difference: float
    n_decisions_differing: int | None

    def document(self) -> dict[str, Any]:
        """Return plain values; None stands for an infinite difference."""
        told = asdict(self)
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in told.items()
        }


def outputs_of(estimator: Any, rows: Any) -> dict[str, NDArray[Any]]:
    """Return what an estimator says of rows, by each of its methods that says something.

    Raises
    ------
    ArtifactError
        It has no `predict`.
    """
    names = ("predict", "predict_proba", "decision_function")
    methods = {name: getattr(estimator, name, None) for name in names}
    if methods["predict"] is None:
        raise ArtifactError(f"a {type(estimator).__name__} predicts nothing")
    return {name: np.asarray(call(rows)) for name, call in methods.items() if call is not None}


def compare(before: Outputs, after: Outputs, tolerance: float = 0.0) -> Agreement:
    """Compare outputs of the same names.

    Parameters
    ----------
    before, after : mapping of str to array
        With `predict` among them.
    tolerance : float
        Of relative differences: up to it a change of sign is rounding.

    Raises
    ------
    ArtifactError
        They are not of the same names.

    Notes
    -----
    A column is one of the last axis, or all of an output with a single axis. Usual in it is the
    median of absolute values, so that a few large ones excuse nothing about the others, but at
    least a twentieth of the largest: rounding of sums is in units of what was added up, and most
    values of a column may be nothing.
    """
    if before.keys() != after.keys():
        raise ArtifactError("The converted model has other methods.")
    apart = {name: _differences(before[name], after[name]) for name in before}
    relative = {name: apart[name] / _sizes(before[name], apart[name]) for name in before}
    said = before["predict"], after["predict"]
    return Agreement(
        len(before["predict"]), max(map(_largest, apart.values())),
        max(map(_largest, relative.values())),
        _decisions(*said) if _decides(before) else _signs(*said, relative["predict"] > tolerance),
    )  # fmt: skip


def _decides(outputs: Outputs) -> bool:
    return len(outputs) > 1 or not np.issubdtype(outputs["predict"].dtype, np.floating)


def _decisions(before: NDArray[Any], after: NDArray[Any]) -> int:
    return _n_rows(before != after) if before.shape == after.shape else len(before)


def _signs(before: NDArray[Any], after: NDArray[Any], is_apart: NDArray[np.bool_]) -> int:
    if before.shape != after.shape:
        return len(before)
    return _n_rows((np.sign(before) != np.sign(after)) & is_apart)


def _n_rows(differs: NDArray[np.bool_]) -> int:
    return int(np.sum(differs.reshape(len(differs), -1).any(axis=1))) if differs.size else 0


def _differences(before: NDArray[Any], after: NDArray[Any]) -> NDArray[np.float64]:
    """Return absolute differences; infinite where shapes, labels or NaN differ."""
    if before.shape != after.shape:
        return np.array(math.inf)
    if not (_is_number(before) and _is_number(after)):
        return np.array(0.0 if np.array_equal(before, after) else math.inf)
    is_same = (before == after) | (np.isnan(before) & np.isnan(after))
    # As floats: whole numbers without a sign wrap around.
    with np.errstate(invalid="ignore"):
        differences = np.abs(before.astype(np.float64) - after.astype(np.float64))
    differences[np.isnan(differences)] = math.inf
    return np.where(is_same, 0.0, differences)


def _sizes(values: NDArray[Any], differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the size of each value, as `compare` has it; 1 where all of a column is nothing."""
    if differences.shape != values.shape or not _is_number(values) or not values.size:
        return np.array(1.0)
    sizes = np.abs(values.astype(np.float64))
    sizes[~np.isfinite(sizes)] = 0.0
    by_column = sizes.reshape(-1, values.shape[-1] if values.ndim > 1 else 1)
    usual = np.maximum(np.median(by_column, axis=0), by_column.max(axis=0) * _LEAST_PART)
    usual[usual == 0.0] = 1.0
    found: NDArray[np.float64] = np.maximum(by_column, usual).reshape(values.shape)
    return found


def _largest(values: NDArray[np.float64]) -> float:
    return float(np.max(values, initial=0.0))


def _is_number(values: NDArray[Any]) -> bool:
    return bool(np.issubdtype(values.dtype, np.number))
