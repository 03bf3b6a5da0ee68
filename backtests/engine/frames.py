"""Result tables as pandas frames and Arrow tables; both are imported only when asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backtests.engine.dtypes import (
    REASON_SENTENCES,
    ActionKind,
    FloatArray,
    Moment,
    OrderKind,
    OrderReason,
    OrderSource,
    OrderStatus,
    RecordArray,
    TimeInForce,
)

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_WORDS: dict[str, type[IntEnum]] = {
    "status": OrderStatus,
    "source": OrderSource,
    "time_in_force": TimeInForce,
    "moment": Moment,
}


def by_stamp(ts: NDArray[np.int64], columns: Mapping[str, FloatArray]) -> pd.DataFrame:
    """Return columns of shape (n_bars,) as a frame indexed by UTC stamp."""
    import pandas as pd

    index = pd.DatetimeIndex(ts.view("datetime64[ns]"), name="ts").tz_localize("UTC")
    return pd.DataFrame(dict(columns), index=index)


def to_pandas(records: RecordArray, ts: NDArray[np.int64], symbols: Sequence[str]) -> pd.DataFrame:
    """Return a structured array as a frame with a stamp and a symbol for each row."""
    import pandas as pd

    frame = pd.DataFrame(_columns(records, symbols))
    bar = "entry_bar" if "entry_bar" in frame else "bar"
    stamps = pd.DatetimeIndex(ts[records[bar]].view("datetime64[ns]")).tz_localize("UTC")
    frame.insert(0, "ts", stamps)
    return frame


def to_arrow(records: RecordArray, ts: NDArray[np.int64], symbols: Sequence[str]) -> pa.Table:
    """Return a structured array as an Arrow table, words dictionary-encoded."""
    import pyarrow as pa

    names = records.dtype.names or ()
    bar = "entry_bar" if "entry_bar" in names else "bar"
    table: dict[str, Any] = {
        "ts": pa.array(ts[records[bar]], pa.timestamp("ns", tz="UTC")),
        "symbol": _encoded(records["instrument"], list(symbols)),
    }
    for name in names:
        if name == "instrument":
            continue
        words = _words_of(name, records)
        table[name] = pa.array(records[name]) if words is None else _encoded(records[name], words)
    return pa.table(table)


def _encoded(codes: NDArray[Any], words: list[str]) -> Any:
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(codes.astype(np.int32), pa.array(words))


def _columns(records: RecordArray, symbols: Sequence[str]) -> dict[str, Any]:
    """Return the fields of a structured array with codes in words, the symbol first."""
    columns: dict[str, Any] = {"symbol": np.array(symbols, object)[records["instrument"]]}
    for name in records.dtype.names or ():
        words = _words_of(name, records)
        plain = records[name]
        columns[name] = plain if words is None else np.array(words, object)[plain]
    return columns


def _words_of(name: str, records: RecordArray) -> list[str] | None:
    """Return the words of a field that holds codes, by code."""
    if name == "reason":
        return [REASON_SENTENCES[reason] for reason in OrderReason]
    if name == "kind":
        is_order = "status" in (records.dtype.names or ())
        kinds: type[IntEnum] = OrderKind if is_order else ActionKind
        return [member.name.lower() for member in kinds]
    if name in _WORDS:
        return [member.name.lower() for member in _WORDS[name]]
    return None
