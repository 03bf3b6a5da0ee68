"""Quotes on one clock: the last bid and ask of every instrument at every stamp."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtests.marketdata.errors import ManifestError, OutsideRangeError
from backtests.marketdata.manifest import Manifest
from backtests.marketdata.options import nearest
from backtests.marketdata.panel import Locate, Panel, open_columns

FIELDS = ("bid", "ask", "close")


def open_quotes(
    manifest: Manifest,
    locate: Locate,
    symbols: Sequence[str] | None = None,
    *,
    max_bytes: int | None = None,
) -> Panel:
    """Return quotes as a panel, one row per stamp at which any of the instruments was quoted.

    Parameters
    ----------
    manifest : Manifest
        Of kind "quotes".
    locate : callable
        Gives the local path of a stored file by its SHA-256.
    symbols : sequence of str, optional
        Which instruments, in this order; all of them by default.
    max_bytes : int, optional
        Largest panel that is made.

    Returns
    -------
    Panel
        Fields ``bid``, ``ask`` and ``close``, their mid, shape (T, N); NaN where an instrument has
        no quote at a stamp: an older one is not carried on. Of several quotes at one stamp the
        last one of the source counts.

    Raises
    ------
    ManifestError
        The dataset holds no quotes, or a file does not match the manifest.
    OutsideRangeError
        An instrument is not in the dataset or named twice, or the panel would be too large.
    """
    if manifest.kind != "quotes":
        raise ManifestError(f"These are {manifest.kind}, not quotes.")
    names = tuple(symbols or manifest.symbols)
    arrays = open_columns(manifest, locate)
    places = _places(names, manifest.symbols)
    column = places[arrays["symbol"]]
    chosen = np.flatnonzero(column >= 0)
    ts, row = np.unique(arrays["ts"][chosen], return_inverse=True)
    n_bytes = 8 * len(FIELDS) * ts.size * len(names)
    if max_bytes is not None and n_bytes > max_bytes:
        raise OutsideRangeError(
            f"{len(names)} instruments at {ts.size:,} stamps would take {n_bytes / 1e9:.1f} GB of "
            f"memory, more than {max_bytes / 1e9:.1f} GB: name fewer instruments."
        )
    cell, last = _last_of_each(row.reshape(-1) * len(names) + column[chosen])
    fields = {
        name: _table(arrays[name][chosen[last]], cell, (ts.size, len(names)))
        for name in ("bid", "ask")
    }
    fields["close"] = 0.5 * (fields["bid"] + fields["ask"])
    for table in fields.values():
        table.flags.writeable = False
    return Panel(manifest, ts, names, fields)


def _places(names: tuple[str, ...], known: tuple[str, ...]) -> NDArray[np.int64]:
    """Return the column of each of the dataset's instruments, -1 for those not asked for."""
    if len(set(names)) < len(names):
        raise OutsideRangeError("Name each instrument only once.")
    places = np.full(len(known), -1, np.int64)
    at = {name: place for place, name in enumerate(known)}
    for column, name in enumerate(names):
        if name not in at:
            raise OutsideRangeError(f"There is no instrument {name!r}{nearest(name, known)}")
        places[at[name]] = column
    return places


def _last_of_each(cell: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct cells, and the place of the last quote of each."""
    distinct, from_the_end = np.unique(cell[::-1], return_index=True)
    return distinct, cell.size - 1 - from_the_end


def _table(values: NDArray[Any], cell: NDArray[np.int64], shape: tuple[int, int]) -> Any:
    table = np.full(shape, np.nan)
    table.reshape(-1)[cell] = values
    return table
