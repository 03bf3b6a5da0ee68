"""What every kind's pipeline takes and hands back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backtests.marketdata.arrays import file_digest
from backtests.marketdata.calendars import END_OF_DAY_NS, Calendar
from backtests.marketdata.columns import Schema
from backtests.marketdata.findings import Ledger
from backtests.marketdata.manifest import StoredField
from backtests.marketdata.options import PERIOD_MONTHS, ImportOptions
from backtests.marketdata.readers import Source

Progress = Callable[[float, str], None]
Int64Array = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Job:
    """One import under way.

    Attributes
    ----------
    source, schema, options, ledger
        The opened file, its columns, what the user stated, and where findings go.
    scratch : Path
        A private folder, removed afterwards; products are moved out of it.
    symbol : str
        Name of the only instrument of a file without a symbol column.
    progress : callable
        Takes the part done in [0, 1] and the step's name.
    """

    source: Source
    schema: Schema
    options: ImportOptions
    ledger: Ledger
    scratch: Path
    symbol: str
    progress: Progress


@dataclass(frozen=True, slots=True)
class Product:
    """Arrays ready to be stored, and their meaning."""

    files: dict[str, Path]
    fields: dict[str, StoredField]
    symbols: tuple[str, ...]
    first: int
    last: int
    n_rows: int
    n_observations: int
    bar_ns: int = 0
    actions: tuple[str, ...] = ()
    currency: str = ""


def store_array(path: Path, dtype: str, shape: tuple[int, ...]) -> StoredField:
    """Describe a finished `.npy` file."""
    return StoredField(file_digest(path), dtype, shape, path.stat().st_size)


def known_moments(
    labels: Int64Array, stamp: str, bar_ns: int, options: ImportOptions, calendar: Calendar | None
) -> Int64Array:
    """Turn the source's labels into the moments at which the values are known.

    Parameters
    ----------
    labels : int64 array, shape (n,)
        Moments [ns UTC], or midnights of dates for ``day`` and ``period_start``.
    stamp : {"start", "end", "day", "period_start"}
    bar_ns : int
        Bar length [ns], used by ``start``.
    options : ImportOptions
        Its `bar` names the calendar period of ``period_start``.
    calendar : Calendar or None

    Returns
    -------
    int64 array, shape (n,)
        Nanoseconds UTC, in the order of the labels: start + bar; end as it is; day: the session's
        close, or the end of the UTC day without a calendar; period_start: the end of the last
        day of the period.
    """
    if stamp == "start":
        return labels + bar_ns
    if stamp == "day":
        return labels + END_OF_DAY_NS if calendar is None else calendar.known(labels)
    if stamp == "period_start":
        months = labels.view("M8[ns]").astype("M8[M]") + PERIOD_MONTHS[options.bar]
        last_days = months.astype("M8[D]") - np.timedelta64(1, "D")
        return last_days.astype("M8[ns]").view(np.int64) + END_OF_DAY_NS
    return labels
