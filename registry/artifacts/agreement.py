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
        The same, each output's in units of its own largest absolute value.
    n_decisions_differing : int or None
        Rows of another label; None of what predicts numbers.
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


def compare(before: Outputs, after: Outputs) -> Agreement:
    """Compare outputs of the same names.

    Parameters
    ----------
    before, after : mapping of str to array
        With `predict` among them.

    Raises
    ------
    ArtifactError
        They are not of the same names.
    """
    if before.keys() != after.keys():
        raise ArtifactError("The converted model has other methods.")
    apart = {name: _difference(before[name], after[name]) for name in before}
    relative = [apart[name] / (_largest(before[name]) or 1.0) for name in before]
    return Agreement(
        len(before["predict"]), max(apart.values()), max(relative),
        _decisions(before["predict"], after["predict"]) if _decides(before) else None,
    )  # fmt: skip


def _decides(outputs: Outputs) -> bool:
    return len(outputs) > 1 or not np.issubdtype(outputs["predict"].dtype, np.floating)


def _decisions(before: NDArray[Any], after: NDArray[Any]) -> int:
    return int(np.sum(before != after)) if before.shape == after.shape else len(before)


def _difference(before: NDArray[Any], after: NDArray[Any]) -> float:
    """Return the largest absolute difference; infinite where shapes, labels or NaN differ."""
    if before.shape != after.shape:
        return math.inf
    if not (_is_number(before) and _is_number(after)):
        return 0.0 if np.array_equal(before, after) else math.inf
    differs = ~((before == after) | (np.isnan(before) & np.isnan(after)))
    differences = np.abs(before[differs] - after[differs])
    return float(np.max(np.where(np.isnan(differences), math.inf, differences), initial=0.0))


def _largest(values: NDArray[Any]) -> float:
    if not _is_number(values):
        return 1.0
    return float(np.max(np.abs(values), initial=0.0, where=np.isfinite(values)))


def _is_number(values: NDArray[Any]) -> bool:
    return bool(np.issubdtype(values.dtype, np.number))
