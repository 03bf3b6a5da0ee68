"""Reading datasets back: memory-mapped, without a copy."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtests.marketdata.arrays import load_mapped
from backtests.marketdata.errors import ManifestError, OutsideRangeError
from backtests.marketdata.manifest import Manifest
from backtests.marketdata.options import nearest
from backtests.marketdata.stamps import DAY_NS, parse_moment, show_moment

Locate = Callable[[str], Path]
Moment = int | str
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Panel:
    """Bars of several instruments on one clock.

    Attributes
    ----------
    manifest : Manifest
    ts : int64 array, shape (T,)
        Moments at which the bars are known [ns UTC], strictly increasing.
    symbols : tuple of str
        One per column.
    fields : dict of name to float64 array, shape (T, N)
        Read-only views; a row of all NaN = the instrument does not trade in that bar.
    """

    manifest: Manifest
    ts: NDArray[np.int64]
    symbols: tuple[str, ...]
    fields: dict[str, FloatArray]

    def __getitem__(self, name: str) -> FloatArray:
        if name not in self.fields:
            known = tuple(self.fields)
            raise OutsideRangeError(f"There is no field {name!r}{nearest(name, known)}")
        return self.fields[name]

    def __len__(self) -> int:
        return int(self.ts.size)

    @property
    def n_bytes(self) -> int:
        """Bytes mapped."""
        return int(self.ts.nbytes + sum(f.nbytes for f in self.fields.values()))

    def window(self, start: Moment | None = None, end: Moment | None = None) -> Panel:
        """Return the bars known in [start, end], as views.

        Parameters
        ----------
        start, end : int [ns UTC] or ISO text, optional
            An end that is a plain date means the whole day.

        Raises
        ------
        OutsideRangeError
            The window reaches days on which the dataset has nothing, or holds no bar.
        """
        first = int(self.ts[0]) if start is None else _moment(start)
        last = int(self.ts[-1]) if end is None else _moment(end, ends=True)
        data_range = f"{show_moment(int(self.ts[0]))} to {show_moment(int(self.ts[-1]))}"
        too_early = first // DAY_NS < int(self.ts[0]) // DAY_NS
        too_late = last // DAY_NS > int(self.ts[-1]) // DAY_NS
        a, b = np.searchsorted(self.ts, first), np.searchsorted(self.ts, last, side="right")
        if too_early or too_late or a >= b:
            raise OutsideRangeError(
                f"The window {show_moment(first)} to {show_moment(last)} is not inside the data, "
                f"which reach from {data_range}."
            )
        return self.rows(int(a), int(b))

    def rows(self, start: int, stop: int, *, where: NDArray[np.bool_] | None = None) -> Panel:
        """Return the bars at places [start, stop) as views, or copies of those `where` chooses."""
        cut: Any = slice(start, stop) if where is None else start + np.flatnonzero(where)
        return replace(self, ts=self.ts[cut], fields={n: f[cut] for n, f in self.fields.items()})

    def select(self, symbols: Sequence[str]) -> Panel:
        """Return some instruments in the order asked for.

        A run of neighbouring columns stays a view; any other choice copies them.

        Raises
        ------
        OutsideRangeError
            A symbol is not in the dataset, or is named twice.
        """
        places = {name: i for i, name in enumerate(self.symbols)}
        for name in symbols:
            if name not in places:
                raise OutsideRangeError(
                    f"There is no instrument {name!r}{nearest(name, self.symbols)}"
                )
        if len(set(symbols)) < len(symbols) or not symbols:
            raise OutsideRangeError("Name at least one instrument, and each only once.")
        at = [places[name] for name in symbols]
        run = at == list(range(at[0], at[0] + len(at)))
        index: Any = slice(at[0], at[0] + len(at)) if run else at
        fields = {n: f[:, index] for n, f in self.fields.items()}
        return replace(self, symbols=tuple(symbols), fields=fields)


def open_columns(manifest: Manifest, locate: Locate) -> dict[str, NDArray[Any]]:
    """Map every array of a dataset of bars, quotes or trades, read-only.

    Raises
    ------
    ManifestError
        The dataset is a reference table, or a file does not have the shape the manifest states.
    """
    if manifest.kind == "reference":
        raise ManifestError("A reference table is a Parquet file; read it with pyarrow.")
    arrays: dict[str, NDArray[Any]] = {}
    for name, stored in manifest.fields.items():
        array = load_mapped(locate(stored.sha256))
        if array.shape != stored.shape or array.dtype.str != stored.dtype:
            raise ManifestError(
                f"The array {name!r} has shape {array.shape} of {array.dtype.str}; the manifest "
                f"states {stored.shape} of {stored.dtype}."
            )
        arrays[name] = array
    return arrays


def open_panel(manifest: Manifest, locate: Locate) -> Panel:
    """Map a dataset of bars.

    Parameters
    ----------
    manifest : Manifest
        Of kind "bars".
    locate : callable
        Gives the local path of a stored file by its SHA-256.

    Raises
    ------
    ManifestError
        The dataset holds no bars, or a file does not match the manifest.
    """
    if manifest.kind != "bars":
        raise ManifestError(f"A panel is made of bars; this dataset holds {manifest.kind}.")
    arrays = open_columns(manifest, locate)
    ts = arrays.pop("ts")
    return Panel(manifest, ts, manifest.symbols, arrays)


class PanelCache:
    """The panels a process has open, least recently used dropped first; safe across threads.

    Parameters
    ----------
    max_bytes : int
        Mapped bytes kept; the newest panel stays even if it is larger by itself.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._panels: OrderedDict[str, Panel] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, manifest: Manifest, locate: Locate) -> Panel:
        """Return the panel of a manifest, opening it when it is not held.

        Raises
        ------
        ManifestError
            As `open_panel`.
        """
        digest = manifest.digest
        with self._lock:
            if digest in self._panels:
                self._panels.move_to_end(digest)
                return self._panels[digest]
            panel = open_panel(manifest, locate)
            self._panels[digest] = panel
            while self.n_bytes > self._max_bytes and len(self._panels) > 1:
                self._panels.popitem(last=False)
            return panel

    @property
    def n_bytes(self) -> int:
        """Bytes mapped by the panels held."""
        return sum(panel.n_bytes for panel in self._panels.values())

    def __len__(self) -> int:
        return len(self._panels)

    def __contains__(self, digest: str) -> bool:
        return digest in self._panels


def _moment(value: Moment, *, ends: bool = False) -> int:
    if not isinstance(value, str):
        return int(value)
    whole_day = ends and len(value.strip()) <= 10
    return parse_moment(value) + (DAY_NS - 1 if whole_day else 0)
