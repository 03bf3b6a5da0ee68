"""Result tables as pandas frames; pandas is imported only when somebody asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backtests.engine.dtypes import (
    REASON_SENTENCES,
    FloatArray,
    OrderReason,
    OrderStatus,
    RecordArray,
)

if TYPE_CHECKING:
    import pandas as pd


def by_stamp(ts: NDArray[np.int64], columns: Mapping[str, FloatArray]) -> pd.DataFrame:
    """Return columns of shape (n_bars,) as a frame indexed by UTC stamp."""
    import pandas as pd

    index = pd.DatetimeIndex(ts.view("datetime64[ns]"), name="ts").tz_localize("UTC")
    return pd.DataFrame(dict(columns), index=index)


def of_records(records: RecordArray, ts: NDArray[np.int64], symbols: Sequence[str]) -> pd.DataFrame:
    """Return a structured array as a frame with a stamp and a symbol for each row."""
    import pandas as pd

    frame = pd.DataFrame({name: records[name] for name in records.dtype.names or ()})
    stamps = pd.DatetimeIndex(ts[records["bar"]].view("datetime64[ns]")).tz_localize("UTC")
    frame.insert(0, "ts", stamps)
    frame.insert(1, "symbol", [symbols[column] for column in records["instrument"]])
    return frame


def of_orders(orders: RecordArray, ts: NDArray[np.int64], symbols: Sequence[str]) -> pd.DataFrame:
    """Return the orders with status and reason in words."""
    frame = of_records(orders, ts, symbols)
    frame["status"] = [OrderStatus(code).name.lower() for code in orders["status"]]
    frame["reason"] = [REASON_SENTENCES[OrderReason(code)] for code in orders["reason"]]
    return frame
