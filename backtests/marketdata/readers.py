"""Streaming CSV, Parquet and Arrow files as numbered batches of columns.

A row's number is where a person finds it: in a text file its line, counted from 1 with the header
as an editor does; in Parquet and Arrow its row, counted from 0 as data frames do. Numbers stay
right when blank and malformed lines are skipped or rows are filtered.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from backtests.marketdata.errors import UnreadableFileError
from backtests.marketdata.options import ImportOptions

NULL_TEXTS = ("", "NA", "N/A", "#N/A", "NaN", "nan", "NULL", "null", "None", "-")
# The parser reads up to 32 blocks ahead, so this sets the memory of reading: about 32 MB.
CSV_BLOCK_BYTES = 1 << 20
HEADER = 1  # the line of the names
_BLANK = re.compile(rb"(?<=\n)\r?\n")
_FORMATS = "CSV (also .gz), Parquet, Arrow IPC"


@dataclass(slots=True)
class SourceBatch:
    """A run of rows.

    Attributes
    ----------
    rows : int64 array, shape (n,)
        Lines from 1 with the header, or rows from 0, increasing; `Source.unit` says which.
    columns : list of pyarrow arrays
        One per source column, each of length n.
    fraction : float
        Part of the file read so far, in [0, 1].
    """

    rows: NDArray[np.int64]
    columns: list[Any]
    fraction: float


@dataclass(slots=True)
class Source:
    """An opened file: its column names and a way to read it again from the start.

    Attributes
    ----------
    path : Path
    format : {"csv", "parquet", "arrow"}
    names : list of str
        Column names as written, not trimmed, duplicates kept.
    types : list of pyarrow types
        Text for every column of a CSV file.
    malformed : list of (line, text)
        Lines of a CSV file with the wrong number of fields, filled while reading.
    """

    path: Path
    format: str
    names: list[str]
    types: list[Any]
    delimiter: str = ","
    malformed: list[tuple[int, str]] = field(default_factory=list)

    @property
    def unit(self) -> Literal["line", "row"]:
        """What is counted: lines of a text file, from 1; else rows, from 0."""
        return "line" if self.format == "csv" else "row"

    def batches(self, batch_rows: int) -> Iterator[SourceBatch]:
        """Read the file from the start, at most about `batch_rows` rows at a time.

        Raises
        ------
        UnreadableFileError
            The file is truncated or its bytes are not what its format promises.
        """
        self.malformed.clear()
        readers = {"csv": _csv_batches, "parquet": _parquet_batches, "arrow": _arrow_batches}
        try:
            yield from readers[self.format](self, batch_rows)
        except (pa.ArrowException, OSError, EOFError, UnicodeDecodeError) as error:
            raise UnreadableFileError(f"{self.path.name} cannot be read: {error}") from error


def open_source(path: Path, options: ImportOptions) -> Source:
    """Open a file by its content (magic bytes), not by its suffix.

    Raises
    ------
    UnreadableFileError
        There is no such file, or it is none of CSV, Parquet, Arrow IPC.
    """
    if not path.is_file():
        raise UnreadableFileError(f"There is no file {path}.")
    with path.open("rb") as stream:
        magic = stream.read(6)
    try:
        if magic[:4] == b"PAR1":
            schema = pq.ParquetFile(path).schema_arrow
            return Source(path, "parquet", list(schema.names), list(schema.types))
        if magic == b"ARROW1":
            with pa.memory_map(str(path)) as mapped:
                schema = pa.ipc.open_file(mapped).schema
            return Source(path, "arrow", list(schema.names), list(schema.types))
        return _open_csv(path, options)
    except (pa.ArrowException, OSError, EOFError, UnicodeDecodeError) as error:
        raise UnreadableFileError(
            f"{path.name} is not a readable file of {_FORMATS}: {error}"
        ) from error


def _compression(path: Path) -> Literal["gzip"] | None:
    with path.open("rb") as stream:
        return "gzip" if stream.read(2) == b"\x1f\x8b" else None


def _decompressed(raw: io.IOBase, path: Path) -> Any:
    compression = _compression(path)
    return pa.CompressedInputStream(raw, compression) if compression else pa.PythonFile(raw)


def _open_csv(path: Path, options: ImportOptions) -> Source:
    with path.open("rb") as raw, _decompressed(raw, path) as stream:
        head = bytes(stream.read(1 << 20))
    if b"\x00" in head[:4096]:
        raise UnreadableFileError(f"{path.name} is not a readable file of {_FORMATS}.")
    line = head.split(b"\n", 1)[0].decode("utf-8-sig").rstrip("\r")
    delimiter = options.delimiter or max(",;\t|", key=line.count)
    names = next(csv.reader(io.StringIO(line), delimiter=delimiter), [])
    return Source(path, "csv", names, [pa.string()] * len(names), delimiter)


def _csv_batches(source: Source, batch_rows: int) -> Iterator[SourceBatch]:
    if not source.names:
        return
    size = max(1, source.path.stat().st_size)
    names = [f"c{i}" for i in range(len(source.names))]

    with source.path.open("rb") as raw, _decompressed(raw, source.path) as plain:
        stream: Any = _BlankLines(plain)

        def skip(row: Any) -> Literal["skip"]:
            # With one thread the parser knows which line it is, of those that are not blank.
            place = np.array([int(row.number or 0) - 1])
            source.malformed.append((int(_lines(place, stream.found)[0]), row.text))
            return "skip"

        try:
            reader = pacsv.open_csv(
                stream,
                read_options=pacsv.ReadOptions(
                    column_names=names, skip_rows=1, block_size=CSV_BLOCK_BYTES, use_threads=False
                ),
                parse_options=pacsv.ParseOptions(
                    delimiter=source.delimiter, invalid_row_handler=skip
                ),
                convert_options=pacsv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()),
                    null_values=list(NULL_TEXTS),
                    strings_can_be_null=True,
                ),
            )
        except pa.ArrowInvalid as error:
            if "Empty CSV" in str(error):
                return
            raise
        parsed = 0
        for block in reader:
            for batch in _slices(block, batch_rows):
                index = np.arange(parsed, parsed + batch.num_rows, dtype=np.int64)
                parsed += batch.num_rows
                skipped = [HEADER, *stream.found, *(line for line, _ in source.malformed)]
                rows = _lines(index, sorted(skipped))
                yield SourceBatch(rows, batch.columns, min(1.0, raw.tell() / size))


def _lines(index: NDArray[np.int64], skipped: list[int]) -> NDArray[np.int64]:
    """Return the lines, from 1, of what stands so far (from 0) among the lines not skipped."""
    before = np.array(skipped, dtype=np.int64) - 1 - np.arange(len(skipped))
    return index + 1 + np.searchsorted(before, index, side="right")


class _BlankLines:
    """A stream that notes the lines with nothing in them, which the parser does not count."""

    closed = False  # whoever opened the stream closes it

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._line, self._before = 1, b""  # of the next byte, and the last two read
        self.found: list[int] = []

    def read(self, size: int = -1) -> bytes:
        """Return so many bytes, all without a size."""
        block = bytes(self._stream.read(*([size] if size >= 0 else [])))
        text = self._before + block
        if b"\n\n" in text or b"\n\r\n" in text:
            self._note(text)
        self._line += block.count(b"\n")
        self._before = text[-2:]
        return block

    def _note(self, text: bytes) -> None:
        line, counted = self._line, len(self._before)
        for blank in _BLANK.finditer(text):
            if blank.end() > len(self._before):  # else it was noted with the block before
                line += text.count(b"\n", counted, blank.end() - 1)
                counted = blank.end() - 1
                self.found.append(line)


def _slices(block: Any, batch_rows: int) -> Iterator[Any]:
    for start in range(0, block.num_rows, batch_rows):
        yield block.slice(start, batch_rows)


def _parquet_batches(source: Source, batch_rows: int) -> Iterator[SourceBatch]:
    # Without pre-buffering a row group is decoded page by page: memory stays at one batch.
    file = pq.ParquetFile(source.path, pre_buffer=False)
    yield from _numbered(file.iter_batches(batch_size=batch_rows), file.metadata.num_rows)


def _arrow_batches(source: Source, batch_rows: int) -> Iterator[SourceBatch]:
    with pa.memory_map(str(source.path)) as mapped:
        reader = pa.ipc.open_file(mapped)
        blocks = (reader.get_batch(i) for i in range(reader.num_record_batches))
        slices = (part for block in blocks for part in _slices(block, batch_rows))
        total = sum(reader.get_batch(i).num_rows for i in range(reader.num_record_batches))
        yield from _numbered(slices, total)


def _numbered(blocks: Iterator[Any], total: int) -> Iterator[SourceBatch]:
    seen = 0
    for block in blocks:
        rows = np.arange(seen, seen + block.num_rows, dtype=np.int64)
        seen += block.num_rows
        yield SourceBatch(rows, block.columns, seen / max(1, total))
