"""Products of a unit's totals, as its outcomes come in."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from experiments.statistics.checks import FloatArray

N, Y, X = range(3)  # places of a number of outcomes, their total and that of their covariates
PAIRS: Final = ((N, N), (N, Y), (N, X), (Y, Y), (Y, X), (X, X))
PRODUCTS: Final = ("nn", "ny", "nx", "yy", "yx", "xx")
SECOND: Final = np.array([[0, 1, 2], [1, 3, 4], [2, 4, 5]])  # where n, y, x times n, y, x stand


def product_steps(
    unit: NDArray[np.int64], steps: FloatArray, before: FloatArray | None = None
) -> FloatArray:
    """Return what each step of a unit's totals adds to their products.

    Parameters
    ----------
    unit : int64 array, shape (n,)
        Whose step it is; those of one unit lie together, in the order of time.
    steps : float64 array, shape (n, 3)
        What is added to its number of outcomes, their total and that of its covariate.
    before : float64 array, shape (n, 3), optional
        Totals of the step's unit before its first step; 0 by default.

    Returns
    -------
    float64 array, shape (n, 6)
        Of the products nn, ny, nx, yy, yx, xx.

    Notes
    -----
    ``(a + s)(b + t) - a b = a t + b s + s t``: nothing cancels, however large the totals are. Each
    unit is added up by itself, so that a large one takes no digits from the next. Time grows with
    the steps, and with those of the unit that has most of them.
    """
    had = _totals_before(unit, steps, before)
    columns = [
        had[:, a] * steps[:, b] + had[:, b] * steps[:, a] + steps[:, a] * steps[:, b]
        for a, b in PAIRS
    ]
    return np.stack(columns, axis=1)


def _totals_before(
    unit: NDArray[np.int64], steps: FloatArray, before: FloatArray | None
) -> FloatArray:
    """Return the totals of each step's unit before it, by its place among those of its unit."""
    had = np.zeros(steps.shape) if before is None else np.array(before, dtype=np.float64)
    begins = np.flatnonzero(np.diff(unit, prepend=unit[:1] - 1) != 0)
    lengths = np.diff(np.append(begins, unit.size))
    longest_first = np.argsort(-lengths, kind="stable")
    begins, lengths = begins[longest_first], lengths[longest_first]
    for place in range(1, int(lengths[0]) if lengths.size else 0):
        at = begins[: np.searchsorted(-lengths, -place)] + place
        had[at] = had[at - 1] + steps[at - 1]
    return had
