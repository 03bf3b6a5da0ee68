"""The record of a run, filled by name: numbers, and the addresses of arrays kept alive with it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtests.engine.dtypes import RUN

_FIELDS: tuple[str, ...] = RUN.names or ()
_PLACE = {name: place for place, name in enumerate(_FIELDS)}
_IS_REAL = tuple(RUN[name] == np.float64 for name in _FIELDS)


class Prepared:
    """A run before its first bar: the record that the loop reads, and the arrays it points to.

    Attributes
    ----------
    run : array of `RUN`, shape (1,)
    arrays : dict
        Every array by the name of its address; kept here so that the addresses stay good.

    Notes
    -----
    Every field of the record is eight bytes wide; seen as two lists of them, one of whole numbers
    and one of real ones, a field is set in a seventh of the time that its name would take.
    """

    def __init__(self) -> None:
        self._hold(np.zeros(len(_FIELDS), np.int64))
        self.arrays: dict[str, NDArray[Any]] = {}

    def _hold(self, words: NDArray[np.int64]) -> None:
        self._words, self.run = words, words.view(RUN)
        record = self._words.data.cast("B")
        self._whole, self._real = record.cast("q"), record.cast("d")

    def __getstate__(self) -> tuple[NDArray[np.int64], dict[str, NDArray[Any]]]:
        return self._words, self.arrays

    def __setstate__(self, state: tuple[NDArray[np.int64], dict[str, NDArray[Any]]]) -> None:
        """Take over a copied or unpickled record, which points to where the arrays are now."""
        words, arrays = state
        self._hold(words)
        self.arrays = {}
        for name, array in arrays.items():
            self.point(name, array)

    def copy(self) -> "Prepared":
        """Return the same run with a record of its own, which points to the same arrays."""
        other = Prepared()
        other._words[:] = self._words
        other.arrays = dict(self.arrays)
        return other

    @property
    def address(self) -> int:
        """Where the record lies."""
        return address_of(self._words)

    def point(self, name: str, array: NDArray[Any] | None) -> None:
        """Let the record point to an array; None or an empty one is absent."""
        if array is None or array.size == 0:
            self._whole[_PLACE[name]] = 0
            return
        if not array.flags.c_contiguous:
            raise AssertionError(f"{name} is not contiguous")
        self._point_at(name, array, address_of(array))

    def point_rows(self, names: tuple[str, ...], table: NDArray[Any]) -> None:
        """Let the record point to the rows of a table, one name each."""
        address, step = address_of(table), table.strides[0]
        for k, name in enumerate(names):
            self._point_at(name, table[k], address + k * step)

    def _point_at(self, name: str, array: NDArray[Any], address: int) -> None:
        self.arrays[name] = array
        self._whole[_PLACE[name]] = address

    def set(self, **values: float) -> None:
        """Set numbers of the record."""
        for name, value in values.items():
            place = _PLACE[name]
            if _IS_REAL[place]:
                self._real[place] = value
            else:
                self._whole[place] = int(value)

    def number(self, name: str) -> Any:
        """Return a number of the record."""
        place = _PLACE[name]
        return self._real[place] if _IS_REAL[place] else self._whole[place]


def address_of(array: NDArray[Any]) -> int:
    """Return where the first element of an array lies."""
    if array.dtype.names is not None:  # numpy would describe every field of it
        return int(array.ctypes.data)
    return int(array.__array_interface__["data"][0])
