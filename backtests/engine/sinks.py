"""Where a sweep of any size leaves its rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from backtests.engine.metrics import DEFINITIONS
from backtests.engine.sweeping import FIGURES, Chunk

if TYPE_CHECKING:
    import pyarrow.parquet as pq

ROWS_PER_GROUP = 8_192


class ParquetSink:
    """A Parquet file with one row per combination; pyarrow is imported when it opens.

    Columns: the parameters, `FIGURES`, every metric (null where not computed) and the returns
    summed by block. Use it as a context manager: the file is complete when it closes.

    Parameters
    ----------
    path : path
        Overwritten.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._writer: pq.ParquetWriter | None = None
        self._waiting: list[Any] = []
        self._n_waiting = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def write(self, names: Sequence[str], chunk: Chunk) -> None:
        """Take the next chunk."""
        import pyarrow as pa

        columns = [*names, *FIGURES]
        tables = [chunk.combinations, chunk.figures]
        if chunk.metrics.shape[1]:
            columns += list(DEFINITIONS)
            tables.append(chunk.metrics)
        columns += [f"block_{at}" for at in range(chunk.blocks.shape[1])]
        whole = np.hstack([*tables, chunk.blocks])
        arrays = [pa.array(np.ascontiguousarray(column), from_pandas=True) for column in whole.T]
        self._waiting.append(pa.table(arrays, names=columns))
        self._n_waiting += whole.shape[0]
        if self._n_waiting >= ROWS_PER_GROUP:
            self._flush()

    def close(self) -> None:
        """Write what waits and finish the file."""
        if self._waiting:
            self._flush()
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _flush(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = pa.concat_tables(self._waiting).combine_chunks()
        self._waiting, self._n_waiting = [], 0
        if self._writer is None:
            self._writer = pq.ParquetWriter(self.path, rows.schema, compression="zstd")
        self._writer.write_table(rows)
