"""Where a sweep of any size leaves its rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from backtests.engine.errors import SettingsError
from backtests.engine.metrics import DEFINITIONS
from backtests.engine.trials import FIGURES, Chunk

if TYPE_CHECKING:
    import pyarrow.parquet as pq

ROWS_PER_GROUP = 8_192


class ParquetSink:
    """A Parquet file with one row per combination; pyarrow is imported when it opens.

    Columns: the parameters, `FIGURES`, every metric (null where not computed) and the returns
    summed by block. Use it as a context manager: the file is there, and complete, when that ends;
    an error leaves what was there before.

    Parameters
    ----------
    path : path
        Overwritten.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._part = self.path.with_name(self.path.name + ".part")
        self._is_open = False
        self._writer: pq.ParquetWriter | None = None
        self._columns: list[str] = []
        self._waiting = np.empty((0, 0))  # column by column, the rows that wait for a row group
        self._n_waiting = 0

    def __enter__(self) -> Self:
        if not self.path.parent.is_dir():
            raise SettingsError(f"There is no folder {self.path.parent} for {self.path.name}.")
        self._columns, self._n_waiting, self._is_open = [], 0, True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_open = False
        if self._n_waiting and error is None:
            self._flush()
        if self._writer is None:
            return
        self._writer.close()
        self._writer = None
        if error is None:
            self._part.replace(self.path)
        else:
            self._part.unlink()

    def write(self, names: Sequence[str], chunk: Chunk) -> None:
        """Take the next chunk."""
        if not self._is_open:
            raise SettingsError("Open the sink first: `with ParquetSink(path) as sink:`.")
        tables = [chunk.combinations, chunk.figures, chunk.metrics, chunk.blocks]
        columns = [*names, *FIGURES, *(DEFINITIONS if chunk.metrics.shape[1] else ())]
        columns += [f"block_{at}" for at in range(chunk.blocks.shape[1])]
        if not self._columns:
            self._columns = columns
            self._waiting = np.empty((len(columns), ROWS_PER_GROUP))
        elif self._columns != columns:
            raise SettingsError("A sink takes the rows of one kind of sweep: its columns differ.")
        whole = np.hstack(tables)
        while whole.shape[0]:
            part = whole[: ROWS_PER_GROUP - self._n_waiting]
            self._waiting[:, self._n_waiting : self._n_waiting + part.shape[0]] = part.T
            self._n_waiting += part.shape[0]
            if self._n_waiting == ROWS_PER_GROUP:
                self._flush()
            whole = whole[part.shape[0] :]

    def _flush(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = self._waiting[:, : self._n_waiting]
        self._n_waiting = 0
        arrays = [pa.array(column, from_pandas=True) for column in columns]
        rows = pa.table(arrays, names=self._columns)
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                self._part, rows.schema, compression="zstd", use_dictionary=False
            )
        self._writer.write_table(rows)
