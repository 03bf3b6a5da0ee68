"""The prices a strategy may look at."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strategies.pipeline.errors import HistoryError


@dataclass(frozen=True, eq=False)
class MarketHistory:
    """Adjusted closes of one or more instruments.

    Parameters
    ----------
    ts : int64 array, shape (n_bars,)
        Moment each bar is known [ns UTC], strictly increasing.
    symbols : tuple of str
        One unique name per column.
    close : float64 array, shape (n_bars, n_assets)
        Adjusted for splits and dividends, chained forward from the first bar so that later bars
        never change earlier ones; > 0, NaN where not tradable.

    Raises
    ------
    HistoryError
        Shapes or types do not fit, stamps do not increase, or a price is not positive and finite.
    """

    ts: NDArray[np.int64]
    symbols: tuple[str, ...]
    close: NDArray[np.float64]

    def __post_init__(self) -> None:
        object.__setattr__(self, "symbols", tuple(self.symbols))
        self._require_shapes()
        if np.any(np.diff(self.ts) <= 0):
            raise HistoryError("The stamps must increase strictly.")
        with np.errstate(invalid="ignore"):
            if np.any((self.close <= 0.0) | np.isinf(self.close)):
                raise HistoryError("Prices must be positive and finite, or NaN.")

    def _require_shapes(self) -> None:
        if self.ts.ndim != 1 or self.ts.dtype != np.int64 or self.ts.size == 0:
            raise HistoryError("Stamps must be a non-empty array of int64 nanoseconds.")
        if self.close.dtype != np.float64 or self.close.shape != (self.ts.size, len(self.symbols)):
            raise HistoryError(
                f"Closes must be float64 of shape ({self.ts.size}, {len(self.symbols)}), "
                f"not {self.close.dtype} of {self.close.shape}."
            )
        if len(set(self.symbols)) != len(self.symbols):
            raise HistoryError("Every instrument needs a symbol of its own.")

    @property
    def n_bars(self) -> int:
        """Number of rows."""
        return int(self.ts.size)
